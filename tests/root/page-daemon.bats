#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The page of a real daemon, read as engines read it.
# shellcheck disable=SC2154,SC2030,SC2031 # lib/daemon sets them; each test is a process of its own

bats_require_minimum_version 1.5.0
load ../lib/daemon

setup() {
	daemon_setup
	# the system's own: a version manager's shim takes ten times as long to start
	python=$(PATH=/usr/bin:$PATH command -v python3)
}

teardown() {
	daemon_teardown
}

two_engines() { # two_engines DAEMON_SETTING...
	write_config "ceiling = 256M" "interval = 50ms" "$@" <<-'CONF'
		[engine a]
		min = 16M
		[engine b]
		min = 32M
	CONF
}

read_page() {
	$python "$top/examples/page_reader.py" "$page"
}

# watch ENGINE: follows it into $dir/watched
watch() {
	BAROSTAT_PAGE=$page "$build/examples/watch" "$@" >"$dir/watched" 2>&1 3>&- &
	watcher=$!
	pids+=("$watcher")
}

watched() {
	grep -q "$1" "$dir/watched"
}

lines() {
	wc -l <"$dir/watched"
}

more_lines_than() {
	[ "$(lines)" -gt "$1" ]
}

# The two are not of one instant, so both are asked until they agree.
page_agrees() {
	[ "$(read_page | jq -S '[.engines[] | {name, level, target_bytes, min_bytes, max_bytes, anon_bytes}]')" = \
		"$(cli --json status | jq -S '[.engines[] | {name, level, target_bytes, min_bytes, max_bytes, anon_bytes}]')" ]
}

@test "the python reader and status say the same" {
	two_engines
	start_daemon
	start_hog h a
	tell h anon 40
	wait_for 20 page_agrees
	cli set a min=24M weight=200
	wait_for 20 page_agrees
	# ids are inodes of the real cgroups
	read_page | jq -e --argjson pid "$daemon_pid" --argjson id "$(stat -c %i "$memory/$parent/a")" '
		(.header | .valid and .ceiling_bytes == 268435456 and .interval_ns == 50000000 and .daemon_pid == $pid)
		and (.engines[0] | .name == "a" and .state == "active" and .cgroup_id == $id)'
}

@test "a process of an engine finds itself and is woken by its changes" {
	two_engines
	start_daemon
	BAROSTAT_PAGE=$page sh -c 'echo $$ >"$1/cgroup.procs" && exec "$2"' sh "$memory/$parent/a" "$build/examples/watch" \
		>"$dir/watched" 2>&1 3>&- &
	watcher=$!
	pids+=("$watcher")
	wait_for 20 watched "budget [1-9]"
	before=$(lines)
	cli set a min=160M # its share is less
	wait_for 20 more_lines_than "$before"
}

@test "a daemon that starts again after kill -9 goes on with its readers" {
	two_engines "lease = 60s"
	start_daemon
	inode=$(stat -c %i "$page")
	epoch=$(read_page | jq .header.boot_epoch)
	watch a
	wait_for 20 watched budget
	before=$(lines)
	kill -KILL "$daemon_pid"
	# reaped: a first thread that is only a zombie says nothing of the others, which hold the lock
	wait "$daemon_pid" 2>/dev/null || true
	start_daemon
	# by the same mapping: the watcher has opened the page once
	wait_for 20 more_lines_than "$before"
	[ "$(stat -c %i "$page")" = "$inode" ]
	[ "$(read_page | jq .header.boot_epoch)" != "$epoch" ]
	kill -0 "$watcher"
	run ! watched "lease has run out"
}
