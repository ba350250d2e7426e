#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Two-phase transfers between real engines: memory that cannot be reclaimed changes hands because its
# owner gives it back, and stays where it is when the owner does not.
# shellcheck disable=SC2154,SC2030,SC2031 # lib/daemon sets them; each test is a process of its own

bats_require_minimum_version 1.5.0
load ../lib/daemon

setup() {
	daemon_setup
	[ "$(wc -l </proc/swaps)" = 1 ] || skip "this machine has swap on"
	write_config "ceiling = 256M" "reserve = 8M" "interval = 50ms" <<-'CONF'
		[engine heap]
		min = 16M
		[engine cache]
		min = 16M
	CONF
	start_daemon
}

teardown() {
	daemon_teardown
}

run_in() { # run_in ENGINE COMMAND...: its process id is the last of $pids
	"$build/barostat" --socket "$sock" run --engine "$1" -- "${@:2}" >"$dir/$1.out" 2>&1 3>&- &
	pids+=("$!")
}

uses() { # uses ENGINE MIB: at least
	[ "$(engine "$1" .usage_bytes)" -ge $(($2 << 20)) ]
}

has_target() { # has_target ENGINE MIB: at least
	[ "$(engine "$1" .target_bytes)" -ge $(($2 << 20)) ]
}

@test "a cooperating cache gives back what a stalled neighbour needs" {
	# its budget is there before it begins: a cache that obeys would else end where that was short
	cli set heap min=160M
	wait_for 20 has_target heap 160
	run_in heap "$build/examples/cache" 150
	wait_for 20 uses heap 140
	cli set heap min=16M
	fresh_file "$dir/file" 140
	run_in cache "$build/tests/load/random_reader" "$dir/file"
	asked() { grep -q 'release [1-9]' "$dir/heap.out"; }
	wait_for 60 asked
	# what came free went to the neighbour, and nobody was killed for it
	grown() { uses cache 125; }
	wait_for 60 grown
	[ "$(engine heap .oom_kills)" = 0 ]
	[ "$(engine heap .usage_bytes)" -lt $((130 << 20)) ]
	grep -q "event=target" "$log"
}

@test "an engine that registered what it can do makes room for a stalled neighbour" {
	run_in heap "$build/examples/relief" 150
	fresh_file "$dir/file" 140
	run_in cache "$build/tests/load/random_reader" "$dir/file"
	# by request or by level: the library decides, frees, and says so
	freed() { grep -q 'freed [1-9]' "$dir/heap.out"; }
	wait_for 60 freed
	grown() { uses cache 125; }
	wait_for 60 grown
	[ "$(engine heap .oom_kills)" = 0 ]
	heard() { [ "$(engine heap '.demand.ack_epoch > 0')" = true ]; }
	wait_for 20 heard
}
