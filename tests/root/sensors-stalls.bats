#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The stall ledger against PSI totals and against waits known by construction. Each test looks at
# every variant this kernel has, on the same run.

load ../lib/variants

setup_file() {
	variants_open --ceiling $((64 << 20))
}

teardown_file() {
	variants_close
}

setup() {
	variants_setup
	new_engine a
	limit=$((8 << 20))
	bytes=$((12 << 20))
	limit_engine a $limit
	make_file "$WORK/file" $bytes
	watch a
}

teardown() {
	variants_teardown
}

# stall_ms VARIANT CAUSE [SLOT]
stall_ms() {
	jq -r ".slots[\"${3:-0}\"].stalls.$2.ns / 1e6" "$observers/$1.json"
}

stall_count() {
	value "$1" "${3:-0}" "stalls.$2.count"
}

# of the last run of reread
elapsed_ms() {
	awk '{ print $4 / 1e6 }' "$WORK/said"
}

@test "a slow disk is no stall of memory while a file is read for the first time" {
	slow_reads a 200
	run_in a "$reread" "$WORK/file" $((600 * page)) loop 600 read >"$WORK/said"
	tell read
	# 600 reads at 200/s
	between 2400 "$(elapsed_ms)" 30000
	for v in $variants; do
		[ "$(stall_count "$v" refault)" = 0 ]
		[ "$(stall_ms "$v" refault)" = 0 ]
	done
}

@test "a slow disk is a stall of memory when what it brings had been evicted" {
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	slow_reads a 200
	tell read
	for v in $variants; do
		eval "before_$v=$(stall_ms "$v" refault)"
	done
	io=$(psi a io) pressure=$(psi a memory)
	# the first 4 MiB went when the last came
	run_in a "$reread" "$WORK/file" $((600 * page)) loop 600 read >"$WORK/said"
	tell read
	io=$((($(psi a io) - io) / 1000000)) pressure=$((($(psi a memory) - pressure) / 1000000))
	between 2400 "$(elapsed_ms)" 30000
	for v in $variants; do
		before=before_$v
		waited=$(jq -n "$(stall_ms "$v" refault) - ${!before}")
		echo "$v: waited $waited ms of $(elapsed_ms), PSI says io $io ms, memory $pressure ms"
		# the ledger ends a wait when the task runs again, PSI when it is woken
		between 85 "$(percent "$waited" "$(elapsed_ms)")" 101
		[ "$(jq -n "$waited * 100 >= $io * 90")" = true ]
		# a disk slowed by cgroup v2 takes some reads at once and then none for a while
		between 60 "$(stall_count "$v" refault)" 700
	done
}

@test "time in direct reclaim is what PSI calls memory pressure" {
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page * 3)) read >"$WORK/said"
	tell read
	pressure=$(jq -n "$(psi a memory) / 1000000") # a few ms in all: the fraction counts
	for v in $variants; do
		echo "$v: $(stall_ms "$v" direct_reclaim) ms in $(stall_count "$v" direct_reclaim), PSI $pressure ms"
		[ "$(stall_count "$v" direct_reclaim)" -ge 50 ]
		between 70 "$(percent "$(stall_ms "$v" direct_reclaim)" "$pressure")" 110
		[ "$(stall_count "$v" high_throttle)" = 0 ]
		[ "$(stall_count "$v" direct_reclaim)" = "$(jq '.slots["0"].stalls.direct_reclaim.latency | add' "$observers/$v.json")" ]
	done
}

# bats test_tags=guest
@test "sleep above memory.high is throttle time, and PSI agrees" {
	[ $hierarchy = v2 ] || skip "needs cgroup v2 memory.high"
	limit_engine a max
	echo $((16 << 20)) >"$(engine_dir a)/memory.high"
	# with a way out into swap there is nothing to sleep for
	[ ! -e "$(engine_dir a)/memory.swap.max" ] || echo 0 >"$(engine_dir a)/memory.swap.max"
	# what it fills cannot be reclaimed, so each further page costs sleep
	run_in a timeout -s KILL 4 "$reread" - $((64 << 20)) loop 1 anon || true
	tell read
	pressure=$(($(psi a memory) / 1000000))
	for v in $variants; do
		both=$(jq -n "$(stall_ms "$v" high_throttle) + $(stall_ms "$v" direct_reclaim)")
		echo "$v: throttled $(stall_ms "$v" high_throttle) ms, with reclaim $both ms, PSI $pressure ms"
		between 1000 "$(stall_ms "$v" high_throttle)" 5000
		between 80 "$(percent "$both" $pressure)" 110
	done
}

@test "an engine that has what it needs stalls no time beside one that does not" {
	new_engine b
	limit_engine b $((32 << 20))
	make_file "$WORK/small" $((4 << 20))
	watch a b
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page * 3)) read &
	run_in b "$reread" "$WORK/small" $((4 << 20)) loop 30000 read
	wait $!
	tell read
	for v in $variants; do
		[ "$(stall_count "$v" direct_reclaim 0)" -ge 50 ]
		for cause in direct_reclaim high_throttle refault swap_in; do
			[ "$(stall_count "$v" $cause 1)" = 0 ]
		done
	done
}

onsets() {
	jq -c '[.events[] | select(.kind == "stall-onset")]' "$observers/$1.json"
}

@test "an armed slot reports the onset of a stall once, and is silent until armed again" {
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	tell read
	for v in $variants; do
		[ "$(onsets "$v")" = '[]' ]
	done
	for round in 1 2; do
		tell arm 0
		run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
		tell read
		for v in $variants; do
			echo "$v: $(onsets "$v")"
			[ "$(onsets "$v" | jq length)" = 1 ]
			[ "$(onsets "$v" | jq '.[0].slot')" = 0 ]
			[ "$(onsets "$v" | jq '.[0].cause')" = 0 ]
			[ "$(onsets "$v" | jq '.[0].cgroup_id')" = "$(stat -c %i "$(engine_dir a)")" ]
			[ "$(jq .dropped "$observers/$v.json")" = 0 ]
		done
	done
}

# bats test_tags=guest
@test "swapped memory comes back at its distance, and the wait for it is swap-in" {
	[[ ${CHECK_ENVIRONMENT:-} = 6.* ]] || skip "needs a swap of its own, as in a guest"
	fallocate -l 64M "$WORK/swap"
	chmod 600 "$WORK/swap"
	mkswap -q "$WORK/swap"
	swapon -p 1000 "$WORK/swap" # before any zram, whose reads nobody waits for
	run_in a "$reread" - $bytes loop $((bytes / page)) anon >"$WORK/said"
	swapoff "$WORK/swap"
	tell read
	refaults=$(stat_of a workingset_refault_anon)
	cat "$WORK/said"
	[ "$refaults" -ge 2000 ]
	for v in $variants; do
		echo "$v: swap-in $(stall_count "$v" swap_in) $(stall_ms "$v" swap_in) ms, reclaim $(stall_ms "$v" direct_reclaim) ms"
		between 1 "$(stall_ms "$v" swap_in)" "$(elapsed_ms)"
	done
	[[ $variants = *fentry* ]]
	echo "fentry: $(value fentry 0 ghost_refaults) of $refaults"
	between 95 "$(percent "$(value fentry 0 ghost_refaults)" "$refaults")" 105
	between 70 "$(percent "$(stall_count fentry swap_in)" "$(stat_of a pgmajfault)")" 101
}
