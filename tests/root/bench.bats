#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The bench of the law, on the smallest of its scales: it runs to its end and says what it saw.

load ../lib/daemon

setup() {
	find_hierarchy
	cd "$top"
	export BENCH_OUT=$BATS_TEST_TMPDIR/out BENCH_SECONDS=2 BENCH_CEILING_MB=32
	# in a guest of scripts/vm, /tmp is memory and files there are never read from anywhere
	! mountpoint -q /mnt/scratch || export BENCH_DIR=/mnt/scratch
}

left_behind() {
	find "$memory" "$unified" -maxdepth 1 -name 'barostat-law-*'
}

@test "the bench of the law measures a cell without barostat and one with it" {
	local before
	before=$(left_behind)
	BENCH_SCENARIOS=stream BENCH_CELLS="none marginal" bench/law/run 3>&-
	jq -e '.scenarios[0].cells | map(.cell) == ["alone", "none", "marginal"]' "$BENCH_OUT/law.json"
	# every engine of every cell did something, and was looked at while it did
	jq -e '.scenarios[0].cells | all(.[]; .kills == 0 and (.engines | map(.name) == ["reader", "stream"]) and
		all(.engines[]; .ops_per_s > 0 and .p99_ns > 0 and .usage_bytes > 0 and (.gone | not)))' "$BENCH_OUT/law.json"
	jq -e '.scenarios[0].cells[0].engines | all(.of_alone > 0.999 and .of_alone < 1.001)' "$BENCH_OUT/law.json"
	# only the daemon moves limits
	jq -e '.scenarios[0].cells | map(.moved_bytes > 0) == [false, false, true]' "$BENCH_OUT/law.json"
	[ "$(left_behind)" = "$before" ]
}

@test "the bench of the law names a scenario it does not know, and leaves nothing" {
	BENCH_SCENARIOS=streem run bench/law/run
	[ "$status" = 1 ]
	[[ $output == *"no scenario streem"* ]]
	[ ! -e "$BENCH_OUT" ]
}
