#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What nobody uses is had on top of targets that are limits, and where that ends.

load ../lib/daemon

setup() {
	daemon_setup
	[ "$hierarchy" = hybrid ] || skip "needs the v1 memory hierarchy: elsewhere targets are protection"
	beside=barostat-test-beside-$$-$BATS_TEST_NUMBER
}

teardown() {
	daemon_teardown
	[ ! -d "$memory/$beside" ] || rmdir "$memory/$beside" "$unified/$beside"
}

# reads NAME MIB: an engine of this name reads so much again and again
reads() {
	fresh_file "$dir/$1" "$2"
	start_hog "$1" "$1"
	tell "$1" cache "$dir/$1"
	tell "$1" loop "$dir/$1"
}

# lent ENGINE: what it may have above its target
lent() {
	echo $(($(limit_of "$parent/$1") - $(engine "$1" .target_bytes)))
}
lends() {
	[ "$(lent "$1")" -ge $(($2 << 20)) ]
}

@test "what is lent goes as others come to use what is theirs" {
	write_config "ceiling = 400M" "reserve = 5%" "interval = 100ms" <<-CONF
		[engine a]
		[engine h]
	CONF
	start_daemon
	start_hog h h
	reads a 300
	tell h anon 150
	sleep 2
	tell h free
	wait_for 5 lends a 100
	tell h anon 120
	held() { [ $(($(limit_of "$parent/a") + $(usage_of "$parent/h"))) -le $((400 << 20)) ]; }
	wait_for 2 held
	tell h free
	wait_for 2 lends a 100
}

@test "who is within its own loses nothing to what its neighbours are lent" {
	write_config "ceiling = 400M" "reserve = 10%" "interval = 100ms" <<-CONF
		[engine a]
		[engine b]
		min = 104M
		max = 104M
		[engine c]
	CONF
	start_daemon
	reads b 100
	reads a 300
	reads c 300
	settled() { [ "$(usage_of "$parent/b")" -ge $((100 << 20)) ] && lends a 10 && lends c 10; }
	wait_for 20 settled
	calm() { [ "$(engine b .refaults_per_s)" -le 20 ]; }
	wait_for 20 calm
	local i
	for i in {1..30}; do
		[ "$(usage_of "$parent")" -le $((397 << 20)) ]
		sleep 0.1
	done
	calm
}

@test "with an engine beside the parent, all of them stay within the ceiling" {
	mkdir "$memory/$beside" "$unified/$beside"
	write_config "ceiling = 400M" "reserve = 5%" "interval = 100ms" <<-CONF
		[engine a]
		[engine h]
		[engine e]
		cgroup = $beside
	CONF
	start_daemon
	start_hog h h
	reads a 400
	tell h anon 120
	reads e 400
	sleep 3
	tell h free
	local i
	for i in {1..30}; do
		[ $(($(usage_of "$parent") + $(usage_of "$beside"))) -le $((400 << 20)) ]
		sleep 0.1
	done
	[ "$(lent a)" -le $((4 << 20)) ]
}

@test "what is lent to a group keeps to its maximum" {
	write_config "ceiling = 400M" "reserve = 5%" "interval = 100ms" <<-CONF
		[group g]
		max = 100M
		[engine a]
		group = g
		min = 24M
		[engine b]
		group = g
		min = 24M
		[engine h]
	CONF
	start_daemon
	reads a 200
	reads b 200
	within() {
		# who is small is taken for a heap that begins, and v1 that has refused a limit is not asked again for 10 s
		[ "$(engine a .mode)$(engine b .mode)" = hardhard ] &&
			[ $(($(limit_of "$parent/a") + $(limit_of "$parent/b"))) -le $((100 << 20)) ]
	}
	wait_for 20 within
	local i one other again
	for i in {1..10}; do
		# what moves from one to the other between two readings is not counted twice
		one=$(usage_of "$parent/a") other=$(usage_of "$parent/b") again=$(usage_of "$parent/a")
		[ "$one" -lt "$again" ] || one=$again
		echo "$one + $other"
		[ $((one + other)) -le $((100 << 20)) ]
		sleep 0.1
	done
}

@test "an engine at its maximum is lent nothing, and says so" {
	write_config "ceiling = 400M" "reserve = 5%" "interval = 100ms" <<-CONF
		[engine a]
		min = 150M
		max = 150M
		[engine b]
		[engine h]
	CONF
	start_daemon
	start_hog h h
	tell h anon 100
	tell h free
	reads a 300
	reads b 300
	at_its_maximum() { [ "$(engine a .target_bytes)" = $((150 << 20)) ]; }
	wait_for 10 at_its_maximum
	wait_for 5 lends b 40
	cli explain b | tr -s ' \n' ' ' | grep -Eq 'limited to [0-9.]+M and the [0-9.]+M that nobody uses'
	cli explain a | tr -s ' \n' ' ' | grep -Eq 'limited to 150M;'
}
