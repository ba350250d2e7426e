#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# A need that comes and goes faster than memory can follow is served by what all its phases need.

load ../lib/daemon

setup() {
	daemon_setup
}

teardown() {
	daemon_teardown
}

reasons() {
	cli --json explain "$1" | jq -r '[.decisions[].reason] | unique | join(" ")'
}

changes_to() {
	tell changing stop
	tell changing read "$dir/$1"
}

# Where reading the large set in takes longer than its phase, no need of it is seen: not in a guest.
@test "who needs much for three seconds in six keeps what it needs in the others, and is told why" {
	local i
	write_config "ceiling = 64M" "interval = 100ms" <<-CONF
		[engine changing]
		min = 1M
		[engine steady]
		min = 1M
	CONF
	fresh_file "$dir/small" 13
	fresh_file "$dir/large" 46
	fresh_file "$dir/steady" 38
	start_daemon
	need_sensor_on reuse
	start_hog changing changing
	start_hog steady steady
	tell steady read "$dir/steady"
	tell changing read "$dir/small"
	for i in {1..6}; do
		sleep 3
		changes_to large
		sleep 3
		changes_to small
	done
	sleep 3
	changes_to large
	sleep 2
	cli explain changing
	cli explain steady
	[[ " $(reasons changing) " == *" phases "* ]]
	cli explain changing | tr -s ' \n' ' ' | grep -q 'comes and goes too fast to be followed'
	[ "$(engine changing .target_bytes)" -ge $((13 << 20)) ]
	[ "$(engine steady .target_bytes)" -ge $((38 << 20)) ]
}
