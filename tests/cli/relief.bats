#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# An engine that only registered what it can do (examples/relief.c), and a daemon that presses. On a
# fake cgroup tree, without privileges.
# shellcheck disable=SC2154,SC2034 # support and lib/engine set and use them

bats_require_minimum_version 1.5.0
load support
load dry_daemon
load ../lib/engine

setup() {
	cli_setup
	dry_setup
	engines=$scratch
	export BAROSTAT_ENGINE_SOCKET=$scratch/engine.sock BAROSTAT_PAGE=$page
	write_conf <<-'CONF'
		[engine a]
		max = 256M
		[engine b]
	CONF
}

teardown() {
	engines_teardown
	cli_teardown
}

shown() { # shown PATTERN: in what the engine printed
	grep -qE "$1" "$scratch/out"
}

@test "what an engine registered is done, declared and acknowledged as the daemon presses" {
	start
	hold 64
	"$barostat" --socket "$socket" run --engine a -- "$build/examples/relief" 8 >"$scratch/out" 2>&1 3>&- &
	engine_pids+=("$!")
	wait_for 20 engine_is a .demand.reclaimable_bytes $((8 << 20))
	# more than it may have by 4 MiB: it gives that back, and stops taking large jobs
	hold 260
	wait_for 20 shown '^(critical|emergency): large jobs are refused'
	wait_for 20 shown '^wanted [1-9][0-9]* freed [1-9]'
	wait_for 20 engine_is a '.demand.reclaimable_bytes < 8388608' true
	# and the answer is heard, for the epoch of the request
	answered() { [ "$(engine a '.demand.ack_epoch == .grant_epoch')" = true ]; }
	wait_for 20 answered
	hold 32
	wait_for 20 shown '^(normal|warning): large jobs are taken again'
}
