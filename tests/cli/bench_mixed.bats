#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# How the bench of the mixed workload judges what it saw: known samples in, known verdicts out.

setup() {
	top=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
	mib=1048576
	printf 'e\t0\t0\n' >ends.tsv
	: >samples.tsv
}

# samples FROM_MS TO_MS USAGE_MIB BUDGET_MIB [TOTAL_MIB]: of one engine, and of a parent with a ceiling of 100
samples() {
	local t
	for ((t = $1; t < $2; t += 50)); do
		printf '%d\te\t%d\t%d\t%d\t%d\t0\t1\n' $t $(($3 * mib)) $(($3 * mib)) $(($4 * mib)) $(($4 * mib))
		printf '%d\ttotal\t%d\t%d\t%d\n' $t $((${5:-$3} * mib)) $(($3 * mib)) $((100 * mib))
	done >>samples.tsv
}

measure() {
	awk -v cell=c -v managed="${1:-1}" -v grace_ms=2500 -v lead_ms=500 -v slack=$mib -v gross=$((25 * mib)) \
		-f "$top/bench/mixed/measure.awk" ends.tsv samples.tsv >json
	cat json
}

@test "an engine that stays within its budget is never above it" {
	samples 0 3000 30 30
	measure
	jq -e '.samples == 60 and .watched[0].samples == 60 and .watched[0].samples_above == 0 and .watched[0].samples_behind == 0' json
	jq -e ".watched[0].usage_max_bytes == 30 * $mib and .watched[0].budget_max_bytes == 30 * $mib and .gap_max_ms == 50" json
}

@test "an engine above a budget that nobody moved is above it at every sample" {
	samples 0 3000 32 30
	measure
	jq -e ".watched[0] | .samples_above == 60 and .behind_max_bytes == 2 * $mib and .behind_max_ms == 2950" json
}

@test "an engine far above its budget is told from one a little above it" {
	samples 0 500 45 30
	samples 500 1500 56 30
	measure
	jq -e '.watched[0] | .samples_above == 30 and .samples_gross == 20' json
}

@test "an engine may come down to a lowered budget in time, and is above it after that" {
	samples 0 1000 30 30
	samples 1000 3000 30 20
	samples 3000 4000 20 20
	measure
	jq -e '.watched[0] | .samples_above == 0 and .samples_behind == 40 and .behind_max_ms == 1950' json
	samples 4000 4100 30 20
	measure
	jq -e '.watched[0].samples_above == 2' json
}

@test "a raised limit may be used half a second before the page says so, and not sooner" {
	samples 0 1000 20 20
	samples 1000 1400 30 20
	samples 1400 2000 30 30
	measure
	jq -e '.watched[0].samples_above == 0' json
	: >samples.tsv
	samples 0 1000 20 20
	samples 1000 2000 30 20
	samples 2000 2500 30 30
	measure
	jq -e '.watched[0].samples_above == 10' json
}

@test "what all use together is compared with the ceiling at every sample" {
	samples 0 1000 30 30 100
	measure
	jq -e '.samples_usage_over == 0 and .samples_rss_over == 0' json
	samples 1000 1100 101 101 101
	measure
	jq -e ".samples_usage_over == 2 and .samples_rss_over == 2 and .total_usage_max_bytes == 101 * $mib" json
}

@test "kills are counted, and without budgets nothing is said of them" {
	printf 'e\t137\t1\n' >ends.tsv
	samples 0 1000 30 0
	measure 0
	jq -e '.kills == 1 and .watched[0].status == 137 and (.watched[0] | has("samples_above") | not)' json
}
