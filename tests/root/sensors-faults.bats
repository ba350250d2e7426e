#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Major faults: counts known by construction, latency that cannot be anything else.

load ../lib/wait
load ../lib/sensors

setup() {
	sensors_setup
	mkdir "$CG/a"
	mkdir "$CG/b"
}

teardown() {
	sensors_teardown
}

timed() {
	jq "[.slots[\"$1\"].majfault_latency[]] | add" <<<"$answer"
}

# bats test_tags=guest
@test "a thousand cold pages of a mapped file are a thousand major faults, each with its time" {
	make_file "$WORK/file" 16
	sensors_start "$CG/a" "$CG/b"
	need_sensor faults
	hold one --cgroup "$CG/a" file "$WORK/file" 1000
	ask read
	echo "sensor $(field 0 majfault_count), process $(jq .majflt <<<"$held"), memory.stat $(stat_of "$CG/a" pgmajfault), timed $(timed 0)"
	[ "$(jq .majflt <<<"$held")" -ge 1000 ]
	near "$(field 0 majfault_count)" "$(jq .majflt <<<"$held")" 20000
	near "$(field 0 majfault_count)" "$(stat_of "$CG/a" pgmajfault)" 20000
	near "$(timed 0)" 1000 50000
	# a read that misses the page cache takes more than a microsecond, and less than a second
	[ $(($(field 0 majfault_ns) / $(timed 0))) -gt 1000 ]
	[ $(($(field 0 majfault_ns) / $(timed 0))) -lt 1000000000 ]
	[ "$(field 1 majfault_count)" -eq 0 ]
}

@test "faults of a process in a child cgroup count for the engine" {
	make_file "$WORK/file" 4
	sensors_start "$CG/a"
	need_sensor faults
	mkdir "$CG/a/kid"
	hold one --cgroup "$CG/a/kid" file "$WORK/file" 200
	ask read
	near "$(field 0 majfault_count)" "$(jq .majflt <<<"$held")" 50000
}

@test "reads by system call and minor faults are no major faults" {
	make_file "$WORK/file" 16
	sensors_start "$CG/a"
	need_sensor faults
	hold one --cgroup "$CG/a" read "$WORK/file" 1000
	hold two --cgroup "$CG/a" anon $((16 << 20))
	ask read
	echo "sensor $(field 0 majfault_count), memory.stat $(stat_of "$CG/a" pgmajfault)"
	[ "$(field 0 majfault_count)" -le $(($(stat_of "$CG/a" pgmajfault) + 5)) ]
	[ "$(field 0 majfault_count)" -lt 20 ]
}

@test "swapping in is a major fault, with a time where do_swap_page can be seen" {
	[ -n "$(awk 'NR > 1' /proc/swaps)" ] || skip "this machine has no swap on"
	sensors_start "$CG/a"
	need_sensor faults
	hold one --cgroup "$CG/a" anon $((32 << 20))
	echo $((8 << 20)) >"$(limit_file "$CG/a")"
	ask read
	local before
	before=$(field 0 majfault_count)
	echo max >"$CG/a/memory.max"
	# every page of the process is looked at, from inside it: those in swap come back
	kill -USR1 "$PID_one"
	is_back() {
		ask read
		[ $(($(field 0 majfault_count) - before)) -ge 4000 ] &&
			near "$(field 0 majfault_count)" "$(stat_of "$CG/a" pgmajfault)" 50000
	}
	wait_for 60 is_back
	# 6.1 reads zram past the block layer, where the tracepoint variant sees no start
	[ "$(variant faults)" = tracepoint ] || [ "$(timed 0)" -gt 0 ]
}
