#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The walk against memory.stat and the limit files of the same cgroups.

load ../lib/wait
load ../lib/sensors

setup() {
	sensors_setup
	new_parent "$CG/a"
	mkdir "$CG/b"
}

teardown() {
	sensors_teardown
}

# Matching the order of vmstats needs a cgroup that has anonymous and file memory.
walk_is_matched() {
	ask read
	(($(field 0 walk_valid) & 2))
}

start_matched() {
	make_file "$WORK/file" 16
	mkdir "$CG/a/kid"
	hold one --cgroup "$CG/a/kid" file "$WORK/file" 1024
	hold two --cgroup "$CG/a/kid" anon $((24 << 20))
	sensors_start "$CG/a" "$CG/b"
	need_sensor walk
	wait_for 10 walk_is_matched
}

# Charges kept per CPU in advance may be given back between the two.
usage_agrees() {
	local file=memory.current

	[ -z "$HYBRID" ] || file=memory.usage_in_bytes
	ask read
	near "$(field 0 usage_bytes)" "$(cat "$CG/a/$file")" 10000
}

# bats test_tags=guest
@test "the vmstats of engines that are still empty are told from the whole hierarchy's" {
	sensors_start "$CG/a" "$CG/b"
	need_sensor walk
	walk_is_matched
	[ "$(field 0 anon_bytes)" -eq 0 ]
}

# bats test_tags=guest
@test "the walk reads usage and the limit" {
	echo $((64 << 20)) >"$(limit_file "$CG/a")"
	sensors_start "$CG/a" "$CG/b"
	need_sensor walk
	mkdir "$CG/a/kid"
	hold one --cgroup "$CG/a/kid" anon $((24 << 20))
	ask read
	[ "$(field 0 max_bytes)" -eq $((64 << 20)) ]
	[ "$(field 1 max_bytes)" -eq -1 ]
	wait_for 10 usage_agrees
	[ "$(field 0 usage_bytes)" -ge $((24 << 20)) ]
	[ "$(field 1 usage_bytes)" -lt $((8 << 20)) ]
}

limit_is_found() {
	ask read
	[ "$(field 69 max_bytes)" -eq $((48 << 20)) ]
}

@test "of many engines at rest a walk reads some whole: a limit that somebody wrote is found in their turn" {
	local dirs=() walks i

	new_parent "$CG/many"
	for i in $(seq 0 69); do
		mkdir "$CG/many/$i"
		dirs+=("$CG/many/$i")
	done
	sensors_start --slots 128 "${dirs[@]}"
	need_sensor walk
	ask read
	[ "$(field 69 max_bytes)" -eq -1 ]
	echo $((48 << 20)) >"$(limit_file "$CG/many/69")"
	for walks in 1 2 3; do
		! limit_is_found || break
	done
	echo "found by walk $walks"
	limit_is_found
	# who does something is read at once, whoever's turn it is
	hold one --cgroup "$CG/many/68" anon $((4 << 20))
	busy_is_read() {
		ask read
		[ "$(field 68 usage_bytes)" -ge $((4 << 20)) ] && [ "$(field 68 max_bytes)" -eq -1 ]
	}
	for walks in 1 2 3; do
		busy_is_read || return 1
	done
}

# same NAME FIELD: memory.stat's NAME is the walk's FIELD
same() {
	[ "$(field 0 "$2")" = "$(stat_of "$CG/a" "$1")" ] || {
		different="$1: walk $(field 0 "$2"), memory.stat $(stat_of "$CG/a" "$1")"
		return 1
	}
}

# Of a cgroup that is at rest; the kernel's flush of the last few pages may fall between the two.
all_same() {
	local name

	ask read
	for name in anon shmem file file_mapped file_dirty file_writeback unevictable; do
		same $name ${name}_bytes || return 1
	done
	for name in pgfault pgmajfault; do
		same $name $name || return 1
	done
	[ -n "$HYBRID" ] || {
		same pgscan pgscan && same pgsteal pgsteal && same kernel kernel_bytes
	}
}

# bats test_tags=guest
@test "every vmstat of the walk is that of memory.stat, children included" {
	start_matched
	wait_for 10 all_same || {
		echo "$different"
		return 1
	}
	[ "$(field 0 anon_bytes)" -ge $((24 << 20)) ]
	[ "$(field 0 file_mapped_bytes)" -ge $((4 << 20)) ]
	[ "$(field 0 pgmajfault)" -ge 1024 ]
}

@test "anonymous memory of the walk is that of the process's own smaps" {
	local own

	start_matched
	ask read
	own=$(awk '/^Anonymous:/ { sum += $2 * 1024 } END { print sum }' \
		"/proc/$PID_two/smaps_rollup" "/proc/$PID_one/smaps_rollup")
	# the process started elsewhere: what it had before it moved is charged there
	near "$(field 0 anon_bytes)" "$own" 30000
}

reclaim_same() {
	ask read
	same workingset_refault_file refault_file && same workingset_refault_anon refault_anon ||
		return 1
	if [ -z "$HYBRID" ]; then
		same pgsteal pgsteal &&
			[ "$(field 0 events_max)" = "$(awk '/^max/ { print $2 }' "$CG/a/memory.events")" ]
	else
		[ "$(field 0 events_max)" = "$(cat "$CG/a/memory.failcnt")" ]
	fi
}

@test "refaults and reclaim of the walk are those of memory.stat" {
	start_matched
	# what was mapped goes, then comes back
	let_go one
	echo $((30 << 20)) >"$(limit_file "$CG/a")"
	hold again --cgroup "$CG/a/kid" file "$WORK/file" 4096
	hold more --cgroup "$CG/a/kid" file "$WORK/file" 4096
	wait_for 10 reclaim_same || {
		echo "$different"
		return 1
	}
	[ "$(field 0 pgsteal)" -gt 0 ]
	[ "$(field 0 pgscan)" -ge "$(field 0 pgsteal)" ]
	[ "$(field 0 refault_file)" -gt 0 ]
	[ "$(field 0 events_max)" -gt 0 ]
}

@test "PSI of the walk is memory.pressure's, or said to be elsewhere" {
	start_matched
	if [ -n "$HYBRID" ]; then
		[ $(($(field 0 walk_valid) & 4)) -eq 0 ]
		jq -r .walk.why <<<"$state" | grep -q "unified tree"
		return
	fi
	[ -e "$CG/a/memory.pressure" ] || skip "the kernel has no PSI"
	echo $((26 << 20)) >"$(limit_file "$CG/a")"
	hold again --cgroup "$CG/a/kid" file "$WORK/file" 4096
	psi_agrees() {
		local file

		file=$(sed -n 's/^some.*total=//p' "$CG/a/memory.pressure")
		ask read
		[ "$file" -gt 0 ] && [ "$(($(field 0 psi_memory_some_ns) / 1000))" -eq "$file" ]
	}
	wait_for 20 psi_agrees
}

@test "a slot whose cgroup is not below the walk's root says so" {
	mkdir "$CG/c"
	sensors_start --walk-root "$CG/c" "$CG/a"
	need_sensor walk
	ask read
	[ "$(field 0 walk_valid)" -eq 0 ]
	[ $(($(field 0 valid) & 1)) -eq 0 ]
}

@test "a removed engine is read no more, and its slot starts from zero" {
	start_matched
	ask remove 0
	ask add 0 "$CG/b"
	[ "$(jq .error <<<"$answer")" -eq -17 ] # it is the engine of slot 1
	ask remove 1
	ask add 0 "$CG/b"
	[ "$(jq .error <<<"$answer")" -eq 0 ]
	ask read
	[ "$(field 0 anon_bytes)" -eq 0 ]
	[ "$(field 0 children)" -eq 0 ]
}
