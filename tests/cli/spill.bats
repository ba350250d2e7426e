#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The sort of the examples, which keeps to a budget by spilling.
# shellcheck disable=SC2154 # support sets them

bats_require_minimum_version 1.5.0
load support

setup() {
	cli_setup
}

teardown() {
	cli_teardown
}

@test "a sort that spills sorts, within its budget and beyond it" {
	run -0 "$build/examples/spill" 300000 256
	[[ $output == "300000 of 300000 numbers sorted in 6 runs, "* ]]
	run -0 "$build/examples/spill" 1000 256
	[[ $output == "1000 of 1000 numbers sorted in 1 runs, "* ]]
	# no more runs than it has places for
	run --separate-stderr -1 "$build/examples/spill" 500000 1
	[ "$stderr" = "spill: no room left for another run" ]
}
