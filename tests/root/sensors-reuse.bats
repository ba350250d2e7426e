#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Reuse times of loads whose reuse is known. Each test looks at every variant this kernel has, on
# the same run.

load ../lib/variants

all_pages=(--ceiling $((64 << 20)) --ghosts 32768) # as many as may be remembered: none is left out
one_in_eight=(--ceiling $((64 << 20)) --ghosts 4096)

setup_file() {
	variants_open "${all_pages[@]}"
}

teardown_file() {
	variants_close
}

setup() {
	variants_setup
	need_sensor reuse
	new_engine a
	bytes=$((12 << 20))
	pages=$((bytes / page))
	make_file "$WORK/file" $bytes
}

teardown() {
	variants_teardown
}

# What starting a program reads: its own pages and its libraries'.
programs=64

# jq: the bin of a time, and the first time of a bin
bins='def bin: if . < 8 then . else (log2 | floor) as $e
		| ($e - 2) * 8 + (. / pow(2; $e - 3) | floor) % 8 end;
	def low: if . < 8 then . else (8 + . % 8) * pow(2; (. / 8 | floor) - 1) end;'

# at VARIANT SLOT reused|missed TIME: how many accesses with this reuse time
at() {
	jq -r --argjson time "$4" "$bins .slots[\"$2\"].$3[\$time | bin] // 0" "$observers/$1.json"
}

# about VARIANT SLOT reused|missed TIME: with this one or one that is a little less
about() {
	local below=$(($4 * 98 / 100))

	echo $(($(at "$@") + $(at "$1" "$2" "$3" $below)))
}

sum() {
	value "$1" "$2" "$3 | add // 0"
}

# mean VARIANT SLOT: of the reuse times, each taken as the middle of its bin
mean() {
	jq -r "$bins"' .slots["'"$2"'"].reused | [to_entries[] | .value * ((.key | low) + (.key + 1 | low)) / 2]
		| add' "$observers/$1.json" | awk -v n="$(sum "$1" "$2" reused)" '{ print $1 / n }'
}

# loop TIMES [HOW [BLOCK]]
loop() {
	local block=${3:-$page}

	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / block * $1)) "${2:-read}" 0 "$block"
}

# bats test_tags=guest
@test "a loop over a file has the reuse time of the file's pages, and no other" {
	watch a
	loop 4
	tell read
	for v in $looked_at; do
		echo "$v: $(value "$v" 0 accesses) accesses, $(at "$v" 0 reused $pages) at $pages"
		[ "$(value "$v" 0 reuse_sample_shift)" = 0 ]
		[ "$(at "$v" 0 reused $pages)" = $((3 * pages)) ]
		between $((4 * pages)) "$(value "$v" 0 accesses)" $((4 * pages + programs))
		between $((3 * pages)) "$(sum "$v" 0 reused)" $((3 * pages + programs))
		between $pages "$(value "$v" 0 first_accesses)" $((pages + programs))
	done
}

# bats test_tags=guest
@test "pages read in random order have a mean reuse time of as many accesses as there are pages" {
	watch a
	loop 1
	run_in a "$reread" "$WORK/file" $bytes uniform $((pages * 16)) read
	tell read
	for v in $looked_at; do
		echo "$v: mean $(mean "$v" 0) of $pages"
		between $((pages * 90 / 100)) "$(mean "$v" 0)" $((pages * 110 / 100))
	done
}

# bats test_tags=guest
@test "with less memory than the loop its accesses are missed, with more none is" {
	watch a
	loop 3
	tell read
	for v in $looked_at; do
		[ "$(sum "$v" 0 missed)" = 0 ]
	done
	limit_engine a $((8 << 20))
	loop 1 # to go on from where the limit left it
	tell read
	before=$(stat_of a workingset_refault_file)
	for v in $looked_at; do eval "missed_$v=$(at "$v" 0 missed $pages) reused_$v=$(at "$v" 0 reused $pages)"; done
	loop 3
	tell read
	refaults=$(($(stat_of a workingset_refault_file) - before))
	for v in $looked_at; do
		missed=$(($(at "$v" 0 missed $pages) - missed_$v))
		echo "$v: missed $missed of $(($(at "$v" 0 reused $pages) - reused_$v)), refaults $refaults"
		between $((3 * pages)) $(($(at "$v" 0 reused $pages) - reused_$v)) $((3 * pages + programs))
		between 98 "$(percent $missed $refaults)" 102
		[ $missed -ge $((2 * pages)) ]
	done
}

# bats test_tags=guest
@test "a read() of many pages counts each of them once, in memory or not" {
	for how in "read 65536" "readahead 65536" "readahead 1048576"; do
		limit_engine a $((64 << 20))
		forget_file "$WORK/file"
		watch a
		loop 3 $how
		tell read
		for v in $looked_at; do
			echo "$v, $how: $(value "$v" 0 accesses) accesses, missed $(sum "$v" 0 missed)"
			[ "$(at "$v" 0 reused $pages)" = $((2 * pages)) ]
			between $((3 * pages)) "$(value "$v" 0 accesses)" $((3 * pages + programs))
			[ "$(sum "$v" 0 missed)" = 0 ]
		done
		tell remove 0
		limit_engine a $((8 << 20))
		watch a
		loop 3 $how
		tell read
		for v in $looked_at; do
			echo "$v, $how, limit: reused $(sum "$v" 0 reused), missed $(sum "$v" 0 missed)"
			# a batch that ends where it waits for a page passes the tracepoint by
			between $((2 * pages * 90 / 100)) "$(about "$v" 0 reused $pages)" $((2 * pages))
			# the kernel keeps a part of the loop, the longer it runs the more
			between $pages "$(about "$v" 0 missed $pages)" $((2 * pages))
			between "$(about "$v" 0 missed $pages)" "$(sum "$v" 0 missed)" $((2 * pages))
		done
		tell remove 0
	done
}

@test "small reads of a page count each, one access after the other" {
	bytes=$((256 << 10)) pages=64
	watch a
	loop 2 read 512
	tell read
	for v in $looked_at; do
		between $((16 * pages)) "$(value "$v" 0 accesses)" $((16 * pages + programs))
		between $((14 * pages)) "$(at "$v" 0 reused 1)" $((14 * pages + programs))
		# of the second round, each page's first comes after 7 of its own, and 8 of each other's
		[ "$(at "$v" 0 reused $((8 * pages - 7)))" = $pages ]
	done
}

# bats test_tags=guest
@test "sendfile() reads as read() does" {
	watch a
	run_in a python3 -c 'import os, sys
f, null, n = os.open(sys.argv[1], os.O_RDONLY), os.open("/dev/null", os.O_WRONLY), int(sys.argv[2])
for i in range(3):
	at = 0
	while at < n: at += os.sendfile(null, f, at, n - at)' "$WORK/file" $bytes
	tell read
	for v in $looked_at; do
		[ "$(at "$v" 0 reused $pages)" = $((2 * pages)) ]
	done
}

@test "pages of a mapping, and pages written over, are not accesses" {
	watch a
	loop 2 map
	loop 2 write
	tell read
	for v in $looked_at; do
		echo "$v: $(value "$v" 0 accesses)"
		[ "$(value "$v" 0 accesses)" -le $((2 * programs)) ]
	done
}

@test "a page that was evicted and then written over is no miss" {
	watch a
	loop 1
	forget_file "$WORK/file"
	loop 1 write
	loop 1
	tell read
	for v in $looked_at; do
		between $pages "$(at "$v" 0 reused $pages)" $((pages + programs))
		[ "$(sum "$v" 0 missed)" = 0 ]
	done
}

@test "an engine that takes over a slot begins at 0 and with no page known" {
	new_engine b
	watch a
	loop 2
	tell remove 0
	watch b
	for v in $looked_at; do
		[ "$(value "$v" 0 accesses)" = 0 ]
		[ "$(sum "$v" 0 reused)" = 0 ]
	done
	run_in b "$reread" "$WORK/file" $bytes loop $pages read
	tell read
	for v in $looked_at; do
		between $pages "$(value "$v" 0 first_accesses)" $((pages + programs))
		[ "$(sum "$v" 0 reused)" -le $programs ]
	done
}

# ---- from here on with other sensors

@test "one page in eight tells the same of a loop, in units of eight accesses" {
	variants_reopen "${one_in_eight[@]}"
	watch a
	loop 4
	tell read
	for v in $looked_at; do
		[ "$(value "$v" 0 reuse_sample_shift)" = 3 ]
		[ "$(at "$v" 0 reused $((pages / 8)))" = $((3 * pages / 8)) ]
		between $((pages / 2)) "$(value "$v" 0 accesses)" $((pages / 2 + programs))
	done
}

@test "one page in eight of many small files, read with a large buffer, as of one large file" {
	variants_reopen "${one_in_eight[@]}"
	split -a 3 -b $page "$WORK/file" "$WORK/small."
	watch a
	# shellcheck disable=SC2016 # for that shell
	run_in a sh -c 'cat "$1"/small.* >/dev/null; cat "$1"/small.* >/dev/null' sh "$WORK"
	tell read
	for v in $looked_at; do
		echo "$v: $(value "$v" 0 accesses) of $pages twice, $(sum "$v" 0 reused) reused"
		# 5 standard deviations of the number of files that are sampled
		awk -v n="$(sum "$v" 0 reused)" -v p=$pages 'BEGIN {
			d = n - p / 8; exit !(d * d <= 25 * p * 7 / 64) }'
		between $(($(sum "$v" 0 reused) - programs)) "$(value "$v" 0 first_accesses)" \
			$(($(sum "$v" 0 reused) + programs))
	done
}

@test "of twice the ceiling nearly every page is known again" {
	variants_reopen --ceiling $((6 << 20)) --ghosts 3072
	watch a
	loop 4
	tell read
	for v in $looked_at; do
		echo "$v: $(at "$v" 0 reused $pages) of $((3 * pages))"
		[ "$(at "$v" 0 reused $pages)" -ge $((3 * pages * 90 / 100)) ]
	done
}

# bats test_tags=guest
@test "two engines that read the same file have clocks and histories of their own" {
	variants_reopen "${all_pages[@]}"
	new_engine b
	watch a b
	# slot 0 has had an engine before: once more, so that no generation tells the two apart
	tell add 1 "$(engine_dir b)"
	tell read
	loop 1
	run_in b "$reread" "$WORK/file" $((bytes / 2)) loop $((pages * 2)) read
	loop 1
	tell read
	for v in $looked_at; do
		between $pages "$(at "$v" 0 reused $pages)" $((pages + programs))
		between $pages "$(sum "$v" 0 reused)" $((pages + programs))
		[ "$(at "$v" 1 reused $((pages / 2)))" = $((pages * 3 / 2)) ]
		between $((pages / 2)) "$(value "$v" 1 first_accesses)" $((pages / 2 + programs))
	done
}

# now rest|wake
now() {
	tell "$1" reuse
	for v in $looked_at; do
		[ "$(jq .error "$observers/$v.json")" = 0 ]
	done
}

# bats test_tags=guest
@test "what is read while the sensor rests is not counted, nor what comes after as if it had not rested" {
	variants_reopen "${all_pages[@]}"
	local -A before
	watch a
	loop 3
	now rest
	now rest
	loop 5
	tell read
	for v in $looked_at; do
		between $((pages * 2)) "$(at "$v" 0 reused $pages)" $((pages * 2 + programs))
		before[$v]=$(value "$v" 0 accesses)
	done
	run_in a "$reread" "$WORK/file" $((bytes / 4)) loop $pages read
	now wake
	tell read
	for v in $looked_at; do
		[ "$(value "$v" 0 accesses)" = "${before[$v]}" ]
		[ "$(value "$v" 0 beyond.accesses)" = 0 ]
	done
	# each page was last read before the rest: the i-th after i accesses of the look
	loop 1
	tell read
	for v in $looked_at; do
		between $((pages * 2)) "$(at "$v" 0 reused $pages)" $((pages * 2 + programs))
		between $pages "$(value "$v" 0 beyond.accesses)" $((pages + programs))
		between $((pages * pages / 2)) "$(value "$v" 0 beyond.looked)" \
			$(((pages + 2 * programs) * (pages + 2 * programs) / 2))
		[ "$(value "$v" 0 beyond.missed)" -le $programs ]
	done
	run_in a "$reread" "$WORK/file" $((bytes / 4)) loop $pages read
	tell read
	for v in $looked_at; do
		between $((pages * 3 / 4)) "$(at "$v" 0 reused $((pages / 4)))" $((pages * 3 / 4 + programs))
		between $pages "$(value "$v" 0 beyond.accesses)" $((pages + programs))
	done
}

# bats test_tags=guest
@test "what has left memory while the sensor rested is missed after it" {
	variants_reopen "${all_pages[@]}"
	watch a
	loop 2
	now rest
	forget_file "$WORK/file"
	now wake
	loop 1
	tell read
	for v in $looked_at; do
		between $pages "$(value "$v" 0 beyond.accesses)" $((pages + programs))
		between $((pages - programs)) "$(value "$v" 0 beyond.missed)" $((pages + programs))
	done
}
