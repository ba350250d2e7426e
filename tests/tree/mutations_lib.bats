#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The tests of the library are worth something: they see it broken.

bats_require_minimum_version 1.5.0

@test "every listed way to break the library is seen by its test" {
	run "$BATS_TEST_DIRNAME/../mutate_lib"
	echo "$output"
	[ "$status" -eq 0 ]
}
