#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The installed unit under systemd itself, in a guest.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
}

@test "under systemd the hardened unit becomes ready, reloads, restarts after a kill and leaves nothing" {
	local stage=$BATS_TEST_TMPDIR/stage
	make --no-print-directory install DESTDIR="$stage" PREFIX=/usr/local >/dev/null
	run --separate-stderr scripts/vm --timeout 400 6.12 -- tests/vm/systemd-guest "$stage"
	echo "$output"
	echo "$stderr"
	[ "$status" -eq 0 ]
	grep -qx 'ready: full a active' <<<"$output"
	grep -qx 'reloaded: a b' <<<"$output"
	grep -qx 'restarted: active active' <<<"$output"
	grep -qx 'stopped: no cgroup left' <<<"$output"
	# what the sandbox costs is one sensor, where Debian reserves software events for CAP_SYS_ADMIN
	[ "$(grep -c '^sensor ' <<<"$output")" = 8 ]
	[ -z "$(grep -E '^sensor (walk|stalls|refaults|reclaim|oom|reuse|children) off' <<<"$output")" ]
	grep -qE '^sensor faults (fentry|off .*perf_event_paranoid)' <<<"$output"
}
