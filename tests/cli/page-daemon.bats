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

# flags_of ENGINE: of its slot
flags_of() {
	"$barostat" --page "$page" page --json | jq -c ".engines[] | select(.name == \"$1\") | .flags"
}

@test "it is the limit in force that is met, not the target below it" {
	local d f
	write_conf "policy = static" <<-'CONF'
		[engine a]
		[engine b]
	CONF
	mkdir -p "$tree/barostat/a"
	for d in "$tree/barostat" "$tree/barostat/a"; do
		for f in min=0 low=0 high=max max=max current=$((500 << 20)); do
			echo "${f#*=}" >"$d/memory.${f%=*}"
		done
		echo memory >"$d/cgroup.controllers"
		: >"$d/cgroup.subtree_control"
		: >"$d/cgroup.procs"
		printf 'anon 0\nfile %s\n' $((500 << 20)) >"$d/memory.stat"
	done
	start
	# half of 1G less 64M, and a quarter on top
	wait_for 20 engine_is a .limit_bytes $((600 << 20))
	engine_is a .target_bytes $((480 << 20))
	engine_is a .usage_bytes $((500 << 20))
	engine_is a .time_to_ceiling_ms null
	[ "$(flags_of a)" = "[]" ]
	grep -q never <("$barostat" --page "$page" page a | grep time_to_ceiling)
	echo $((600 << 20)) >"$tree/barostat/a/memory.current"
	wait_for 20 engine_is a .time_to_ceiling_ms 0
	[ "$(flags_of a)" = '["at_limit"]' ]
}
