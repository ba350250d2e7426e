#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Arenas on a machine of two memory nodes: the memory of a thread's arena is on the thread's node,
# whoever touches it first.

bats_require_minimum_version 1.5.0

# Where all arenas are and were touched, from one guest for all tests.
setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	scripts/vm --timeout 300 --numa --memory 1024 6.12 -- \
		"$(realpath "${BUILD:-build}")/tests/tools/arena" >"$BATS_FILE_TMPDIR/arenas"
}

setup() {
	output=$(cat "$BATS_FILE_TMPDIR/arenas")
	echo "$output"
}

# pages KIND NODE: "ARENA-ON TOUCHED-ON ON-0 ON-1" of the arena that a thread of NODE opened
pages() {
	awk -v kind="$1" -v node="$2" '$1 == kind && $3 == node {print $5, $7, $9, $10}' <<<"$output"
}

# stays_on KIND NODE: where that thread may run afterwards; -1: on both
stays_on() {
	awk -v kind="$1" -v node="$2" '$1 == kind && $3 == node {print $NF}' <<<"$output"
}

@test "an arena's memory is on the node of the thread that opened it, and nowhere else" {
	local kind
	[ "$(grep -c opened-on <<<"$output")" = 14 ]
	for kind in here strict shared; do
		[ "$(pages $kind 0)" = "0 1 2048 0" ]
		[ "$(pages $kind 1)" = "1 0 0 2048" ]
	done
	# what is bound to none is where it is touched: the threads do run on the nodes they say
	[ "$(pages unbound 0)" = "-1 1 0 2048" ]
	[ "$(pages unbound 1)" = "-1 0 2048 0" ]
}

@test "an arena on a node by its number is there, wherever its thread runs" {
	[ "$(pages other-node 0)" = "1 0 0 2048" ]
	[ "$(pages other-node 1)" = "0 1 2048 0" ]
	# it says nothing about the thread
	[ "$(stays_on other-node 0)" = -1 ]
	[ "$(stays_on other-node 1)" = -1 ]
}

@test "a pinned thread stays on the processors of its arena's node" {
	local node at
	for node in 0 1; do
		# it could run anywhere until then
		at=$(pages pin $node)
		at=${at%% *}
		[ "$(stays_on pin $node)" = "$at" ]
		[ "$(pages pin $node)" = "$at $((1 - at)) $((2048 * (1 - at))) $((2048 * at))" ]
		[ "$(stays_on pin-other $node)" = $((1 - node)) ]
	done
	[ "$(pages pin-other 0)" = "1 0 0 2048" ]
	[ "$(pages pin-other 1)" = "0 1 2048 0" ]
}
