#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The reuse sensor costs every read(): it is attached while somebody lacks memory, and rests else.

load ../lib/daemon

setup() {
	daemon_setup
}

teardown() {
	daemon_teardown
}

counts() {
	[ "$(query .cost.reuse_counting)" = "$1" ]
}

# bats test_tags=guest
@test "reuse times are counted while engines lack memory, and not when all have what they need" {
	write_config "ceiling = 192M" <<-CONF
		[engine a]
		min = 16M
		[engine b]
		min = 16M
	CONF
	fresh_file "$dir/a" 96
	fresh_file "$dir/b" 128
	start_daemon
	[[ $(cli --json doctor | jq -r '.sensors[] | select(.name == "reuse") | .variant') != off ]] ||
		skip "sensor reuse is off"
	start_hog a a
	start_hog b b
	tell a loop "$dir/a"
	wait_for 30 counts false
	tell b loop "$dir/b"
	wait_for 5 counts true
	tell b stop
	wait_for 30 counts false
}
