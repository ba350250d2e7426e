#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# A recording of engines on this machine's real cgroups and sensors decides again as it did.

load ../lib/daemon

setup() {
	daemon_setup
}

teardown() {
	daemon_teardown
}

# A real engine in the cgroup of engine $1, with 60 MiB in it; a stand-in where redis is not installed.
start_store() {
	if ! command -v redis-server >/dev/null; then
		start_hog store "$1"
		tell store anon 60
		return
	fi
	"$build/barostat" --socket "$sock" run --engine "$1" -- redis-server --port 0 --unixsocket "$dir/redis.sock" --save '' --dir "$dir" \
		>"$dir/redis.log" 2>&1 3>&- &
	pids+=("$!")
	local fill='for i = 1, 60 * 1024 do redis.call("set", i, string.rep("x", 1000)) end return "filled"'
	filled() { [ "$(redis-cli -s "$dir/redis.sock" eval "$fill" 0 2>/dev/null)" = filled ]; }
	wait_for 20 filled
}

@test "a recording of real engines, with a reload and one that joins, replays bit for bit" {
	write_config "ceiling = 256M" "interval = 50ms" <<-CONF
		[engine a]
		min = 16M
		[engine b]
		min = 16M
	CONF
	fresh_file "$dir/data" 180
	start_daemon
	start_hog r a
	start_hog idle b
	tell r loop "$dir/data"
	"$build/barostat" --socket "$sock" record "$dir/trace" --seconds 6 >"$dir/recorded" 2>&1 3>&- &
	local recording=$!
	pids+=("$recording")
	tell idle anon 60
	tell idle free
	printf '[engine c]\nmin = 16M\n' >>"$conf"
	kill -HUP "$daemon_pid"
	c_is_active() { [ "$(engine c .state)" = active ]; }
	wait_for 5 c_is_active
	start_store c
	cli set a weight=300
	wait "$recording"
	tell r stop
	cat "$dir/recorded"
	cli replay "$dir/trace"
	cli replay "$dir/trace" --json | jq -e '.different == 0 and .complete and .ticks > 60 and
		(.engines | map(.name) | sort) == ["a", "b", "c"] and
		([.engines[].recorded.moved_bytes] | add) > 16 * 1048576'
	# what it was decided by is in there, so that other rules can be asked
	cli replay "$dir/trace" --policy static | grep -q '^now  *policy static$'
	cli replay "$dir/trace" --engine a | grep -q 'marginal policy'
}
