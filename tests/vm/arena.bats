#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Arenas on a machine of two memory nodes: the memory of a thread's arena is on the thread's node,
# whoever touches it first.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	build=$(realpath "${BUILD:-build}")
}

# pages KIND NODE: "ARENA-ON TOUCHED-ON ON-0 ON-1" of the arena that a thread of NODE opened
pages() {
	awk -v kind="$1" -v node="$2" '$1 == kind && $3 == node {print $5, $7, $9, $10}' <<<"$output"
}

@test "an arena's memory is on the node of the thread that opened it, and nowhere else" {
	local kind
	run scripts/vm --timeout 300 --numa --memory 1024 6.12 -- "$build/tests/tools/arena"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(grep -c opened-on <<<"$output")" = 8 ]
	for kind in here strict shared; do
		[ "$(pages $kind 0)" = "0 1 2048 0" ]
		[ "$(pages $kind 1)" = "1 0 0 2048" ]
	done
	# what is bound to none is where it is touched: the threads do run on the nodes they say
	[ "$(pages unbound 0)" = "-1 1 0 2048" ]
	[ "$(pages unbound 1)" = "-1 0 2048 0" ]
}
