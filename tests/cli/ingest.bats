#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# An engine on RocksDB whose writes are admitted, throttled, cancelled and killed: nothing that was
# acknowledged is lost, no order number is given twice, and what was ordered has no gap.

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

acknowledged() {
	[ "$(wc -l <"$scratch/acks")" -ge "$1" ]
}

@test "what was acknowledged is there after kill -9 in the middle of a throttled ingest, each time" {
	local round target
	touch "$scratch/acks"
	for round in 1 2 3; do
		"$ingest" write "$scratch/db" "$scratch/acks" >"$scratch/out" 2>&1 3>&- &
		pid=$!
		target=$(($(wc -l <"$scratch/acks") + 150))
		wait_for 60 acknowledged "$target"
		kill -9 "$pid"
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
	{ cat "$scratch/good"; echo "u 999991 1 1"; } >"$scratch/acks"
	run "$ingest" verify "$scratch/db" "$scratch/acks"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"was acknowledged and is not there"* ]]
}
