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
	need_sensor_on reuse
	start_hog a a
	start_hog b b
	tell a loop "$dir/a"
	wait_for 30 counts false
	tell b loop "$dir/b"
	wait_for 5 counts true
	tell b stop
	wait_for 30 counts false
}

stalled() {
	[ "$(engine "$1" .stall_avg_ppm)" -ge 50000 ]
}

# counted: of 40 looks in 20 s, how many found the sensor counting
counted() {
	local i n=0
	for i in {1..40}; do
		! counts true || n=$((n + 1))
		sleep 0.5
	done
	echo $n
}

# A disk of a few hundred reads a second never comes to rest: not in a guest.
@test "reuse times are counted for a second in five when memory is short for good and has come to rest" {
	local n i
	write_config "ceiling = 64M" <<-CONF
		[engine a]
		min = 16M
		[engine b]
		min = 8M
	CONF
	fresh_file "$dir/a" 128
	fresh_file "$dir/b" 128
	start_daemon
	need_sensor_on reuse
	start_hog a a
	start_hog b b
	tell a read "$dir/a"
	wait_for 20 stalled a
	counts true
	wait_for 90 counts false
	# where other loads make the disk fast and slow the host comes to rest later
	for i in {1..6}; do
		n=$(counted)
		echo "counted in $n of 40 looks"
		[ "$n" -gt 20 ] || break
	done
	[ "$n" -ge 3 ]
	[ "$n" -le 20 ]
	stalled a
	# who comes to lack memory is looked at, and not for a second
	tell a stop
	wait_for 90 counts false
	tell b read "$dir/b"
	wait_for 10 stalled b
	for i in {1..6}; do
		counts true
		sleep 0.5
	done
}
