#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The tests of the control law are worth something: they see it broken.

bats_require_minimum_version 1.5.0

@test "every listed way to break the law is seen by a test" {
	run "$BATS_TEST_DIRNAME/../mutate"
	echo "$output"
	[ "$status" -eq 0 ]
}
