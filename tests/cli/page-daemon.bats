#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The page over a daemon's life, read as engines read it; on a fake cgroup tree, without privileges.
# shellcheck disable=SC2154,SC2030,SC2031 # support sets them; each test is a process of its own

bats_require_minimum_version 1.5.0
load support
load dry_daemon

setup() {
	cli_setup
	dry_setup
	watcher=
	# the system's own: a version manager's shim takes ten times as long to start
	python=$(PATH=/usr/bin:$PATH command -v python3)
}

teardown() {
	[ -z "$watcher" ] || kill -KILL "$watcher" 2>/dev/null || true
	cli_teardown
}

one_engine() { # one_engine DAEMON_SETTING...
	write_conf "$@" <<-'CONF'
		[engine a]
		min = 16M
	CONF
}

read_page() {
	$python examples/page_reader.py "$page"
}

# watch ENGINE: follows it into $scratch/watched
watch() {
	BAROSTAT_PAGE=$page "$build/examples/watch" "$@" >"$scratch/watched" 2>&1 3>&- &
	watcher=$!
}

watched() {
	grep -q "$1" "$scratch/watched"
}

@test "after kill -9 readers learn it when the lease runs out" {
	one_engine "lease = 1s"
	start
	watch a
	wait_for 20 watched budget
	kill -KILL "${fakes[-1]}"
	wait_for 20 watched "lease has run out"
	run -3 read_page
	run "$barostat" --socket "$socket" status
	[ "$status" -eq 3 ]
}

@test "SIGTERM ends the lease at once and wakes readers to see it" {
	one_engine "lease = 60s"
	start
	watch a
	wait_for 20 watched budget
	stop
	wait_for 10 watched "lease has run out"
}

@test "a page of another version is replaced, and one line says so" {
	one_engine
	install -m 644 "tests/fixtures/page/v1.0.page" "$page"
	printf '\002' | dd of="$page" bs=1 seek=8 conv=notrunc status=none
	inode=$(stat -c %i "$page")
	start
	[ "$(stat -c %i "$page")" != "$inode" ]
	[ "$(grep -c 'replaced why=.it is of another version' "$scratch/log")" = 1 ]
	run -0 read_page
}

@test "a truncated page is replaced" {
	one_engine
	head -c 300 "tests/fixtures/page/v1.0.page" >"$page"
	chmod 644 "$page"
	start
	grep -q 'replaced why=.it is truncated' "$scratch/log"
	run -0 read_page
}

@test "a reader that is stopped in the middle of reading disturbs nobody" {
	one_engine
	start
	watch a
	wait_for 20 watched budget
	kill -STOP "$watcher"
	ticks=$(read_page | jq .header.ticks)
	ticking() { [ "$(read_page | jq .header.ticks)" -gt $((ticks + 20)) ]; }
	wait_for 20 ticking
	kill -CONT "$watcher"
}
