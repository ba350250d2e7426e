# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # build and work are set by who sources this
# A barostatd of the demo's or a bench's own, its files in $work. Sourced.

daemon_pid=

barostat() { "$build/barostat" --socket "$work/control.sock" "$@"; }

# daemon_start CONFIG: runs until daemon_stop; its first answer is in $work/status.json, its log in
# $work/barostatd.log.
daemon_start() {
	local deadline=$((SECONDS + 10))
	"$build/barostatd" --config "$1" 2>>"$work/barostatd.log" &
	daemon_pid=$!
	until barostat --json status >"$work/status.json" 2>/dev/null; do
		if ! kill -0 "$daemon_pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
			echo "barostatd did not come up; its last words:" >&2
			tail -n 5 "$work/barostatd.log" >&2
			return 1
		fi
		sleep 0.05
	done
}

daemon_stop() {
	local deadline=$((SECONDS + 5))
	[ -n "$daemon_pid" ] || return 0
	kill "$daemon_pid" 2>/dev/null || true
	while kill -0 "$daemon_pid" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.05; done
	kill -KILL "$daemon_pid" 2>/dev/null || true
	wait "$daemon_pid" 2>/dev/null || true
	daemon_pid=
}
