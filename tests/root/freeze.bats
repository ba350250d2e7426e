#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# memory.high without swap: the kernel puts a task to sleep above it for as long as nothing can be
# reclaimed. A plain memory.high freezes a program like that; one under barostatd goes on, where
# memory can be found.
# shellcheck disable=SC2154,SC2030,SC2031 # lib/daemon sets them; each test is a process of its own

load ../lib/daemon

longest_ms=500 # what no task may wait for longer; measured are 20 to 80 ms in an emulated guest

setup() {
	daemon_setup
	swaps=()
	[ "$hierarchy" = v2 ] || skip "needs cgroup v2 memory.high"
	swap_off
	mkdir "$memory/$parent"
	echo +memory >"$memory/$parent/cgroup.subtree_control"
}

teardown() {
	daemon_teardown
	[ ${#swaps[@]} = 0 ] || swapon "${swaps[@]}"
}

# Swap is a way out of the freeze, and these tests are about having none. A guest's is ours.
swap_off() {
	[ "$(wc -l </proc/swaps)" -gt 1 ] || return 0
	[[ ${CHECK_ENVIRONMENT:-} == 6.* ]] || skip "this machine has swap on"
	mapfile -t swaps < <(awk 'NR > 1 {print $1}' /proc/swaps)
	swapoff "${swaps[@]}"
}

# grow HOG MIB SECONDS WHAT: page by page; sets grown (MiB) and longest (ms between two pages)
grow() {
	local word took
	read -r word grown longest took < <(tell "$1" grow "$2" "$3")
	[ "$word" = grow ]
	echo "# $4: $grown MiB in $took ms, longest pause $longest ms" >&3
}

high_mib() {
	[ "$(cat "$memory/$parent/a/memory.high")" != max ] &&
		echo $(($(cat "$memory/$parent/a/memory.high") >> 20))
}

# An engine that has been a cache, with the loose memory.high of one, and a neighbour that still is.
cache_and_neighbour() {
	write_config "ceiling = 320M" "reserve = 16M" <<-CONF
		[engine a]
		min = 16M
		[engine b]
		min = 16M
	CONF
	fresh_file "$dir/a" 96
	fresh_file "$dir/b" 192
	start_daemon
	start_hog a a
	start_hog b b
	tell b loop "$dir/b"
	tell a cache "$dir/a"
	are_caches() {
		[ "$(usage_of "$parent/a")" -ge $((90 << 20)) ] &&
			[ "$(usage_of "$parent/b")" -ge $((140 << 20)) ] && high_mib
	}
	wait_for 30 are_caches
}

nobody_was_hurt() {
	[ "$(awk '$1 == "oom_kill" {print $2}' "$memory/$parent/memory.events")" = 0 ]
	kill -0 "$hog_a"
	# the neighbour has read all the time, and can be spoken to
	[ "$(tell b stop | awk '{print $2}')" -gt 0 ]
}

# bats test_tags=guest
@test "a program that grows past a plain memory.high is stuck" {
	mkdir "$memory/$parent/plain"
	echo $((32 << 20)) >"$memory/$parent/plain/memory.high"
	start_hog h
	echo "$hog_h" >"$memory/$parent/plain/cgroup.procs"
	grow h 96 8 "plain memory.high of 32 MiB"
	[ "$grown" -lt 64 ]
	[ "$longest" -gt "$longest_ms" ]
}

# bats test_tags=guest
@test "a cache that becomes a heap grows past its memory.high and never waits half a second" {
	cache_and_neighbour
	grow a 256 60 "barostatd, memory.high $(high_mib) MiB"
	[ "$grown" = 256 ]
	[ "$longest" -le "$longest_ms" ]
	nobody_was_hurt
}

# bats test_tags=guest
@test "while the daemon stands still the same engine is stuck, and goes on with it" {
	cache_and_neighbour
	kill -STOP "$daemon_pid"
	grow a 256 15 "barostatd stopped, memory.high $(high_mib) MiB"
	[ "$grown" -lt 256 ]
	kill -CONT "$daemon_pid"
	grow a $((256 - grown)) 60 "barostatd goes on"
	[ "$longest" -le 2500 ] # a sleep that has begun is up to 2 s long, and no limit ends it
	nobody_was_hurt
}

# bats test_tags=guest
@test "locked cache is no way out of memory.high, and what grows beside it never waits half a second" {
	cache_and_neighbour
	fresh_file "$dir/locked" 128
	[[ $(tell a lock "$dir/locked") == "lock $((128 << 20))" ]]
	# the daemon finds nothing to gain for it: its target comes down to what is locked, and it has
	# little more than that (its memory.high may stay a loose one)
	is_tight() {
		[ "$(engine a .target_bytes)" -le $((150 << 20)) ] &&
			[ "$(usage_of "$parent/a")" -le $((170 << 20)) ]
	}
	wait_for 30 is_tight
	grow a 140 60 "barostatd, 128 MiB locked, memory.high $(high_mib) MiB"
	echo "# freezes lifted: $(engine a .freezes_lifted)" >&3
	[ "$grown" = 140 ]
	[ "$longest" -le "$longest_ms" ]
	nobody_was_hurt
}
