#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# scripts/vm itself: what it says about a guest is what the guest did.

bats_require_minimum_version 1.5.0
load ../lib/wait

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
	shared=$BATS_TEST_TMPDIR/shared
	mkdir "$shared"
}

vm() {
	run --separate-stderr scripts/vm --timeout 180 "$@"
}

@test "status and both outputs come through, what is written below --rw stays, and no status is folded" {
	vm --rw "$shared" 6.12 -- sh -c "echo to-out; echo to-err >&2; echo kept >'$shared/file'; exit 201"
	[ "$status" -eq 201 ]
	[ "$output" = to-out ]
	[ "$stderr" = to-err ]
	[ "$(cat "$shared/file")" = kept ]
}

@test "the command runs in the caller's directory, with its arguments as they are and a filtered environment" {
	export BAROSTAT_TEST_WORD="two words" SECRET_TOKEN=leak
	vm --env EXTRA=more 6.12 -- sh -c 'pwd; printf "<%s>" "$@"; echo; echo "$BAROSTAT_TEST_WORD,$EXTRA,$SECRET_TOKEN"' sh 'a  b' "c'd" '$e'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "$PWD" ]
	[ "${lines[1]}" = "<a  b><c'd><\$e>" ]
	[ "${lines[2]}" = "two words,more," ]
}

@test "a command that does not end is a time-out, status 124, with its output kept" {
	run --separate-stderr scripts/vm --timeout 40 6.12 -- sh -c 'echo begun; sleep 1000'
	[ "$status" -eq 124 ]
	[ "$output" = begun ]
	[[ $stderr == *"time-out"*"40 s"* ]]
}

@test "a panic is a failure, status 125, with the console shown" {
	vm 6.12 -- sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; exit 0'
	[ "$status" -eq 125 ]
	[[ $stderr == *"Kernel panic"*"panicked"* ]]
}

@test "a guest that switches itself off without a status is a failure, status 125" {
	vm 6.12 -- busybox reboot -f
	[ "$status" -eq 125 ]
	[[ $stderr == *"without an exit status"* ]]
}

@test "wrong arguments are refused with the reason, status 2" {
	local why
	while IFS='|' read -r args why; do
		# shellcheck disable=SC2086 # words on purpose
		run scripts/vm $args
		[ "$status" -eq 2 ]
		[[ $output == *"$why"* ]]
	done <<-'CASES'
		5.4 -- true|no such kernel: 5.4
		6.12|wanted KERNEL -- COMMAND
		6.12 --|wanted KERNEL -- COMMAND
		--memory lots 6.12 -- true|--memory takes a whole number
		--mode hybrid 6.12 -- true|no memory controller on v1
		--mode v3 6.1 -- true|--mode is v2 or hybrid
		--mglru maybe 6.1 -- true|--mglru is on or off
		--rw /does-not-exist 6.1 -- true|no such directory
		--colour 6.1 -- true|unknown option --colour
	CASES
}

@test "nothing is left of a guest whose harness is ended" {
	local signal harness children pid
	for signal in TERM KILL; do
		TMPDIR=$BATS_TEST_TMPDIR scripts/vm --timeout 180 --rw "$shared" 6.12 -- sh -c "echo up >'$shared/$signal'; sleep 1000" 3>&- >/dev/null 2>&1 &
		harness=$!
		wait_for 120 test -e "$shared/$signal"
		children=$(descendants "$harness")
		[ "$(wc -w <<<"$children")" -ge 4 ]
		kill "-$signal" "$harness"
		wait "$harness" || true
		for pid in $children; do
			wait_for 20 gone "$pid"
		done
	done
}
