#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What the bench of the law computes from what it saw: known lines in, known figures out.

setup() {
	top=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
	mib=1048576
}

# ops FROM_MS TO_MS OPS [QUEUED_US [LATENCY_NS]]: what an engine's load prints in that time
ops() {
	local t
	for ((t = $1 + 100; t <= $2; t += 100)); do echo "$t $3 ${4:-0} ${5:-1000}:$3"; done
}

# timeline FROM_MS TO_MS LIMIT_MIB [STALL_US_PER_S]: its limit, half used, and its stall
timeline() {
	local t
	for ((t = $1; t < $2; t += 100)); do
		printf '%d\te\t%d\t%d\t%d\n' $t $(($3 * mib / 2)) $(($3 * mib)) $((t * ${4:-0} / 1000))
	done
}

# measure [VARIABLE=VALUE...]: of 10 s, the second half of which is measured
measure() {
	local options=() v
	for v in name=e kind=map from=5000 to=10000 ceiling=$((100 * mib)) "$@"; do options+=(-v "$v"); done
	awk "${options[@]}" -f "$top/bench/law/measure.awk" e.ops timeline.tsv >json
	cat json
}

@test "throughput is that of the measured part, less what was queued for a processor" {
	{ ops 0 5000 7; ops 5000 10000 100 50000; } >e.ops
	timeline 0 10000 50 >timeline.tsv
	measure
	jq -e '.ops_per_s == 2000' json
	jq -e ".usage_bytes == 25 * $mib and .moved_bytes == 0 and .reversals == 0" json
}

@test "an engine that was killed counts with the time it is gone" {
	{ ops 0 7500 100; echo gone; } >e.ops
	timeline 0 10000 50 >timeline.tsv
	measure
	jq -e '.gone and .ops_per_s == 500' json
}

@test "p99 is over the operations of the measured part, not over its intervals" {
	# one in two hundred is slow: below the 99th percentile; then one in fifty: above
	{ ops 0 5000 100 0 9000000; for ((t = 5100; t <= 10000; t += 100)); do echo "$t 200 0 1000:199 8000:1"; done; } >e.ops
	timeline 0 10000 50 >timeline.tsv
	measure
	jq -e '.p99_ns == 1000 and .longest_ns == 8000' json
	sed -i 's/1000:199 8000:1/1000:196 8000:4/' e.ops
	measure
	jq -e '.p99_ns == 8000' json
}

@test "reaction is until the limit first rises, recovery until nine tenths of what it reaches alone" {
	# grows at 6 s: slow until 8 s, then 95 of the 100 it does alone
	{ ops 0 6000 100; ops 6000 8000 40; ops 8000 10000 95; } >e.ops
	{ timeline 0 6300 30; timeline 6300 10000 60; } >timeline.tsv
	measure grows=6000-10000 alone=1000
	jq -e '.react_ms == [300] and .recover_ms == [2000]' json
	# and never, where it does 1200 alone
	measure grows=6000-10000 alone=1200
	jq -e '.recover_ms == [null]' json
	# a limit that falls is no reaction
	{ timeline 0 6300 30; timeline 6300 10000 20; } >timeline.tsv
	measure grows=6000-10000 alone=1000
	jq -e '.react_ms == [null]' json
}

@test "without a figure to compare with, the engine's own second half is the measure" {
	{ ops 0 6000 100; ops 6000 8000 30; ops 8000 10000 80; } >e.ops
	timeline 0 10000 30 >timeline.tsv
	measure grows=6000-10000
	jq -e '.rates_after == [800] and .recover_ms == [2000]' json
}

@test "moves are counted upwards, reversals where a limit turns round by more than a percent" {
	ops 0 10000 1 >e.ops
	{
		timeline 0 1000 50
		timeline 1000 2000 55 # up
		timeline 2000 3000 58 # up
		timeline 3000 4000 52 # down: one
		timeline 4000 5000 56 # up: two
	} >timeline.tsv
	awk -F'\t' -v OFS='\t' '{$4 -= NR % 2 * 500000; print}' timeline.tsv >trembling.tsv
	measure
	jq -e ".moved_bytes == 12 * $mib and .reversals == 2" json
	mv trembling.tsv timeline.tsv
	measure
	jq -e '.reversals == 2' json
}

@test "with a daemon it is targets that count, not the limits of the cgroups" {
	ops 0 10000 1 >e.ops
	timeline 0 10000 90 >timeline.tsv
	for ((t = 0; t < 10000; t += 100)); do
		printf '%d\te\t%d\n%d\tf\t0\n' $t $((t < 7000 ? 30 * mib : 40 * mib)) $t
	done >targets.tsv
	awk -v name=e -v kind=map -v from=5000 -v to=10000 -v ceiling=$((100 * mib)) -v grows=6500-10000 \
		-f "$top/bench/law/measure.awk" e.ops timeline.tsv targets.tsv >json
	jq -e ".react_ms == [500] and .moved_bytes == 10 * $mib and .usage_bytes == 45 * $mib" json
}

@test "stall is the share of the measured time" {
	ops 0 10000 1 >e.ops
	{ timeline 0 5000 50; timeline 5000 10000 50 250000; } >timeline.tsv
	measure
	jq -e '.stall_ppm > 249000 and .stall_ppm < 251000' json
}

result() { # result CELL ROUND A B [KILLS]
	jq -cn --arg cell "$1" --argjson round "$2" --argjson a "$3" --argjson b "$4" --argjson kills "${5:-0}" '
		def e($n; $o): {name: $n, kind: "map", ops_per_s: $o, p99_ns: 1, longest_ns: 1, stall_ppm: 0, usage_bytes: 1,
			moved_bytes: 0, reversals: 1, gone: false, rates_after: [], react_ms: [], recover_ms: []};
		{scenario: "s", $cell, $round, $kills, engines: [e("a"; $a), e("b"; $b)]}'
}

@test "the report normalises by round, finds the best static split and the best peer" {
	{
		result alone 1 100 1000
		result none 1 50 500
		result equal 1 60 600
		result 70-30 1 80 600 2
		result senpai 1 30 300
		result psi 1 40 400 1
		result marginal 1 80 1000
		result alone 2 200 1000
		result marginal 2 160 1000
		echo '{"scenario": "s", "cell": "idle-tax", "round": 1, "unavailable": true}'
	} | jq -s -f "$top/bench/law/report.jq" --arg kernel k --arg rung r --arg load 0 --argjson ceiling 1 \
		--argjson rounds 2 --argjson seconds 10 --argjson titles '{"s": "S"}' >law.json
	jq -e 'def near($x): . > $x - 1e-9 and . < $x + 1e-9;
		(.scenarios[0] | (.best_static.cell == "70-30") and (.best_static.mean | near(0.7)) and
			(.of_best_static | near(0.9 / 0.7)) and (.of_none | near(1.8)) and
			any(.cells[]; .cell == "idle-tax" and .unavailable) and
			any(.cells[]; .cell == "marginal" and (.mean | near(0.9)) and .reversals_per_min == 12) and
			any(.cells[]; .cell == "psi" and .kills == 1)) and
		(.summary[-1] | .cell == "best static" and .kills == 2) and
		.best_peer == "psi" and (.of_best_peer | near(0.9 / 0.4))' law.json
}
