#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Three engines on the library under one ceiling of which they want twice, on a small scale.

load ../lib/daemon

setup() {
	find_hierarchy
	cd "$top"
	export BENCH_OUT=$BATS_TEST_TMPDIR/out BENCH_SECONDS=6 BENCH_CEILING_MB=64
	# in a guest of scripts/vm, /tmp is memory and files there are never read from anywhere
	! mountpoint -q /mnt/scratch || export BENCH_DIR=/mnt/scratch
}

left_behind() {
	find "$memory" "$unified" -maxdepth 1 -name 'barostat-mixed-*'
}

@test "three engines that follow the daemon stay within the ceiling, lose nothing and are right" {
	local before
	before=$(left_behind)
	# its verdict on budgets is one of time, which a busy machine has its own ideas about
	BENCH_CELLS=barostat bench/mixed/run 3>&- || [ $? = 1 ]
	jq . "$BENCH_OUT/mixed.json"
	jq -e '.cells | length == 1' "$BENCH_OUT/mixed.json"
	jq -e '.cells[0] | .cell == "barostat" and .kills == 0 and .samples > 0 and .samples_usage_over == 0' "$BENCH_OUT/mixed.json"
	jq -e '.cells[0].engines | map(.name) == ["vector", "ingest", "groupby"] and
		all(.[]; .status == 0 and .source == "daemon" and .right and .ops > 0)' "$BENCH_OUT/mixed.json"
	# each looked at what it had done, and memory was short
	jq -e '.cells[0].engines | .[0].checked > 0 and .[1].found == .[1].written and .[1].written > 0 and
		.[2].checked >= .[2].groups and .[2].spilled_bytes > 0' "$BENCH_OUT/mixed.json"
	# budgets moved, and hardly ever was one far above what it had had lately
	jq -e '.cells[0].engines | all(.[]; .budget_max_bytes > 0 and .samples > 20 and
		.samples_gross * 20 <= .samples)' "$BENCH_OUT/mixed.json"
	[ "$(left_behind)" = "$before" ]
}

@test "the mixed bench names a cell it does not know, and leaves nothing" {
	BENCH_CELLS=sharde run bench/mixed/run
	[ "$status" = 1 ]
	[[ $output == *"no cell sharde"* ]]
	[ ! -e "$BENCH_OUT" ]
}
