#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# An engine on RocksDB whose writes are admitted, throttled, cancelled and killed: nothing that was
# acknowledged is lost, no order number is given twice, what was ordered has no gap, and rows are as
# their last update or delete left them.

load ../lib/wait

setup() {
	build=$(realpath "${BUILD:-$BATS_TEST_DIRNAME/../../build}")
	ingest=$build/tests/tools/ingest
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-$$-XXXXXX")
	pid=
}

teardown() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
	rm -rf "$scratch"
}

# acknowledged COUNT: so many jobs, behind the first `before`, and of each kind but index builds
acknowledged() {
	awk -v from="$before" -v count="$1" 'NR > from {n++; of[$5] = 1}
		END {exit !(n >= count && length(of) == 7)}' "$scratch/acks"
}

# Of the running ingest, and not just once.
was_throttled() {
	grep -Eq '^so far: .* throttled [0-9]*[0-9][0-9] waited [0-9]*[0-9][0-9] ' "$scratch/out"
}

well_under_way() {
	gone "$pid" || { acknowledged 150 && was_throttled; }
}

@test "what was acknowledged is there after kill -9 in the middle of a throttled ingest, each time" {
	local round before
	touch "$scratch/acks"
	for round in 1 2 3; do
		"$ingest" write "$scratch/db" "$scratch/acks" >"$scratch/out" 2>&1 3>&- &
		pid=$!
		before=$(wc -l <"$scratch/acks")
		wait_for 60 well_under_way
		kill -9 "$pid" || { cat "$scratch/out"; return 1; }
		wait "$pid" || true
		pid=
		run "$ingest" verify "$scratch/db" "$scratch/acks"
		echo "$output"
		[ "$status" = 0 ]
		[[ $output == "ok jobs "*" runs $round" ]]
	done
}

@test "an ingest that ends gave everything back, and had been throttled, cancelled and late" {
	run "$ingest" write "$scratch/db" "$scratch/acks" 400
	echo "$output"
	[ "$status" = 0 ]
	[[ $output =~ throttled\ [1-9][0-9]*\ waited\ [1-9][0-9]* ]]
	[[ $output == *" held 0" ]]
	run "$ingest" verify "$scratch/db" "$scratch/acks"
	echo "$output"
	[ "$status" = 0 ]
}

@test "the check sees a lost record and a number given twice" {
	"$ingest" write "$scratch/db" "$scratch/acks" 20
	cp "$scratch/acks" "$scratch/good"
	# acknowledged to somebody else: as if the number had been given twice
	awk 'NR == 3 { print; $4 = $4 + 1000 } { print }' "$scratch/good" >"$scratch/acks"
	run "$ingest" verify "$scratch/db" "$scratch/acks"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"was acknowledged to"* ]]
	# acknowledged, and never written
	{ cat "$scratch/good"; echo "u 999991 1 1 3"; } >"$scratch/acks"
	run "$ingest" verify "$scratch/db" "$scratch/acks"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"was acknowledged and is not there"* ]]
}

@test "the check sees an update or a delete that is lost" {
	"$ingest" write "$scratch/db" "$scratch/acks" 100
	"$ingest" verify "$scratch/db" "$scratch/acks"
	"$ingest" spoil "$scratch/db"
	run "$ingest" verify "$scratch/db" "$scratch/acks"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *" is not as "*" left it"* ]]
}
