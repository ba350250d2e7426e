#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Refaults and their distances against loads whose reuse is known, and against the kernel's own
# count. Each test looks at every variant this kernel has, on the same run.

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
}

teardown() {
	variants_teardown
}

refaults_of() {
	value "$1" "${2:-0}" ghost_refaults
}

# share VARIANT SLOT FROM TO: percent of the refaults in bins that begin in [FROM, TO) pages
share() {
	jq -r --argjson from "$3" --argjson to "$4" '
		def low(bin): if bin < 4 then bin
			else (4 + bin % 4) * pow(2; (bin / 4 | floor) - 1) end;
		.slots["'"$2"'"].ghost_distance as $d | ($d | add) as $all
		| [range($d | length) | select(low(.) >= $from and low(.) < $to) | $d[.]] | add // 0
		| . * 100 / ([$all, 1] | max)' "$observers/$1.json"
}

# How many pages of the file its cgroup can hold: the kernel keeps other things there, too.
resident_pages() {
	echo $(($(stat_of a "$([ $hierarchy = v2 ] && echo file || echo cache)") / page))
}

# bats test_tags=guest
@test "a loop 4 MiB longer than its memory refaults at a distance of 4 MiB" {
	watch a
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page * 4)) read
	tell read
	expected=$((bytes / page - $(resident_pages)))
	between 1024 $expected 1280
	for v in $variants; do
		near=$(share "$v" 0 $((expected * 80 / 100)) $((expected * 110 / 100)))
		echo "$v: expected $expected, so far away: $near %"
		[ "$(value "$v" 0 ghost_sample_shift)" = 0 ]
		between 98 "$near" 100
		between 99 "$(percent "$(refaults_of "$v")" "$(stat_of a workingset_refault_file)")" 101
		# every page the file lost, and all of them left a ghost
		[ "$(value "$v" 0 evictions)" = "$(value "$v" 0 ghost_evictions)" ]
		between 98 "$(percent "$(value "$v" 0 evictions)" \
			$((bytes / page * 4 - $(resident_pages))))" 103
	done
}

# Each eviction is of one in N pages and each access brings back one in N, so a page's absence lasts
# N - M evictions on average, exponentially; and a run of E evictions sees E - d in E of those that
# last d.
law() {
	awk -v d="$1" -v m="$2" -v e="$3" '
		function seen(d) { return e * (1 - exp(-d / m)) - (m - (d + m) * exp(-d / m)) }
		BEGIN { print 100 * seen(d) / seen(e) }'
}

@test "pages read in random order refault at the distances of an exponential law" {
	watch a
	run_in a "$reread" "$WORK/file" $bytes uniform $((bytes / page * 7)) read
	tell read
	mean=$((bytes / page - $(resident_pages)))
	for v in $variants; do
		between 99 "$(percent "$(refaults_of "$v")" "$(stat_of a workingset_refault_file)")" 101
		for distance in 256 1024 4096; do
			law=$(law $distance $mean "$(value "$v" 0 evictions)")
			measured=$(share "$v" 0 0 $distance)
			echo "$v: nearer than $distance of $mean: $measured %, law $law %"
			between "$(jq -n "$law - 2.5")" "$measured" "$(jq -n "$law + 2.5")"
		done
	done
}

@test "reading once, however much, refaults nothing" {
	watch a
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	tell read
	for v in $variants; do
		[ "$(value "$v" 0 evictions)" -ge 700 ]
		[ "$(refaults_of "$v")" -le 16 ]
	done
}

@test "evicted pages that are written over are not refaults" {
	watch a
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) write
	tell read
	for v in $variants; do
		[ "$(value "$v" 0 evictions)" -ge 1400 ]
		echo "$v: $(refaults_of "$v") refaults, the kernel says $(stat_of a workingset_refault_file)"
		[ "$(refaults_of "$v")" -le 64 ]
	done
}

@test "a new file that has a deleted file's number is read for the first time" {
	watch a
	before=$(stat -c %i "$WORK/file")
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	rm "$WORK/file"
	make_file "$WORK/file" $bytes
	if [ "$(stat -c %i "$WORK/file")" != "$before" ]; then
		echo "the file system gave the new file another number"
	fi
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	tell read
	for v in $variants; do
		[ "$(value "$v" 0 evictions)" -ge 1400 ]
		[ "$(refaults_of "$v")" -le 64 ]
	done
}

@test "pages that another engine lost are unknown to the one that reads them" {
	new_engine b
	limit_engine b $limit
	watch a b
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	run_in b "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	tell read
	for v in $variants; do
		[ "$(value "$v" 0 evictions)" -ge 700 ]
		[ "$(refaults_of "$v" 0)" -le 16 ]
		[ "$(refaults_of "$v" 1)" -le 16 ]
		echo "$v: unknown $(value "$v" 1 ghost_unknown)"
		[ "$(value "$v" 1 ghost_unknown)" -ge 700 ]
	done
}

@test "an engine that takes over a slot begins at 0 and without the other's ghosts" {
	new_engine b
	limit_engine b $limit
	watch a
	run_in a "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	tell remove 0
	watch b
	for v in $variants; do
		[ "$(value "$v" 0 evictions)" = 0 ]
	done
	run_in b "$reread" "$WORK/file" $bytes loop $((bytes / page)) read
	tell read
	for v in $variants; do
		[ "$(refaults_of "$v" 0)" -le 16 ]
		[ "$(value "$v" 0 ghost_unknown)" -ge 700 ]
	done
}

# as_sampled N ALL: N is what one page in eight would have of ALL. It is pages that are sampled, and
# one page comes several times: 5 standard deviations.
as_sampled() {
	awk -v n="$1" -v all="$2" -v pages=$((bytes / page)) 'BEGIN {
		d = n * 8 - all
		exit !(d * d <= 25 * 8 * 7 * all / 8 * (1 + all / pages))
	}' || {
		echo "$1 sampled of $2"
		return 1
	}
}

@test "one page in eight tells as much as all, within the error of its number" {
	# twice the ceiling is 8 times the ghosts there are to be
	variants_reopen --ceiling $((64 << 20)) --ghosts 4096
	bytes=$((48 << 20)) # more pages, smaller errors
	limit_engine a $((32 << 20))
	make_file "$WORK/file" $bytes
	watch a
	run_in a "$reread" "$WORK/file" $bytes uniform $((bytes / page * 6)) read
	tell read
	for v in $variants; do
		[ "$(value "$v" 0 ghost_sample_shift)" = 3 ]
		sampled=$(($(refaults_of "$v") + $(value "$v" 0 ghost_unknown)))
		counted=$(stat_of a workingset_refault_file)
		echo "$v: $sampled sampled refaults for $counted"
		[ "$sampled" -ge 200 ]
		as_sampled "$sampled" "$counted"
		as_sampled "$(value "$v" 0 ghost_evictions)" "$(value "$v" 0 evictions)"
	done
}
