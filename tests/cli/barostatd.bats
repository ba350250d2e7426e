#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The daemon without privileges, on a directory that looks like a cgroup v2 tree, seen through the CLI.

load support
load dry_daemon

setup() {
	cli_setup
	dry_setup
	write_conf <<-CONF
		[engine pg]
		min = 64M
		[engine rocks]
		max = 512M
	CONF
}

teardown() {
	cli_teardown
}

@test "check of a good configuration exits 0, with --verbose prints what can be checked again" {
	run "$build/barostatd" --config "$conf" --check
	[ "$status" = 0 ]
	[ "$output" = "$conf: ok, 2 engines in 1 groups" ]
	"$build/barostatd" --config "$conf" --check --verbose | head -n -1 >"$scratch/again.conf"
	"$build/barostatd" --config "$scratch/again.conf" --check --verbose | head -n -1 |
		diff "$scratch/again.conf" -
}

@test "check of a bad configuration exits 1 and names every fault with file and line" {
	write_conf 'polcy = psi' <<-CONF
		[engine pg]
		min = 2G
		max = 1G
		[engine pg2]
		cgroup = barostat/pg
	CONF
	run "$build/barostatd" --config "$conf" --check
	echo "$output"
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 4 ]
	[[ ${lines[0]} == "$conf:9: [daemon] unknown key 'polcy', did you mean 'policy'?; allowed: "* ]]
	[[ ${lines[1]} == "$conf:12: [engine pg] max 1G is below min 2G; allowed: "* ]]
	[[ ${lines[2]} == "$conf:11: the minima of all groups and engines add up to 2G"* ]]
	[[ ${lines[3]} == "$conf:14: [engine pg2] cgroup barostat/pg belongs already to engine pg; allowed: "* ]]
}

@test "a bad configuration is not started, nothing is touched" {
	write_conf 'interval = 1ms' </dev/null
	run "$build/barostatd" --config "$conf"
	[ "$status" = 1 ]
	[ ! -e "$socket" ] && [ ! -e "$page" ] && [ ! -e "$tree/barostat" ]
}

@test "ten thousand engines are refused in a bounded number of lines" {
	for i in {1..10000}; do
		printf '[engine e%d]\n' "$i"
	done | write_conf
	run "$build/barostatd" --config "$conf" --check
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 101 ]
	[[ ${lines[0]} == *"[engine e4097] is one engine too many; allowed: at most 4096 engines" ]]
	[ "${lines[100]}" = "and 5804 complaints more" ]
}

@test "an unknown option or a word too many exits 2" {
	run "$build/barostatd" --chekc
	[ "$status" = 2 ]
	run "$build/barostatd" now
	[ "$status" = 2 ]
	[[ $output == *'unexpected argument "now"'* ]]
}

@test "the status shows what the cgroup files say" {
	start
	echo $((300 << 20)) >"$tree/barostat/pg/memory.current"
	wait_for 20 engine_is pg .usage_bytes $((300 << 20))
	engine_is pg .state active
	engine_is pg .min_bytes $((64 << 20))
	engine_is rocks .max_bytes $((512 << 20))
	local sum
	sum=$("$barostat" --socket "$socket" status --json | jq '[.engines[].target_bytes] | add')
	[ "$sum" -gt 0 ] && [ "$sum" -le $((960 << 20)) ]
	ask explain pg
	[ "$status" = 0 ]
	ask doctor # finds the page where this daemon, not the default, has it
	[ "$status" = 0 ]
	grep -q "^ok  *pressure page  *$page, 2 of" <<<"$output"
	ask page --page "$page" --json
	[ "$status" = 0 ]
	jq -e '.valid and (.engines | map(.name)) == ["pg", "rocks"]' <<<"$output"
}

@test "every command prints valid JSON of the real daemon" {
	start
	for command in status list explain\ pg doctor page set\ pg\ weight=7 "attach pg $$"; do
		# shellcheck disable=SC2086 # words
		ask --page "$page" $command --json
		echo "$command: $stderr"
		[ "$status" = 0 ]
		jq -es 'length == 1' <<<"$output"
	done
	ask top --once
	[ "$status" = 0 ]
}

@test "a dry run changes no file of the tree" {
	mkdir -p "$tree/barostat/pg"
	contents() {
		find "$tree" -type f -exec md5sum {} + | sort
		find "$tree" -type d | sort
	}
	contents >"$scratch/before"
	start --dry-run
	jq -e '.dry_run' <<<"$("$barostat" --socket "$socket" status --json)"
	ask status
	[[ $output == *"DRY RUN: nothing is changed"* ]]
	ask attach pg $$
	[ "$status" = 1 ]
	stop
	contents | diff "$scratch/before" -
}

@test "set holds at once, and is refused with what is allowed" {
	start
	ask set pg min=100M weight=200
	[ "$status" = 0 ]
	[[ $output == "pg: min 100M, max 960M, weight 200, "* ]]
	engine_is pg .min_bytes $((100 << 20))
	ask set pg min=2G
	fails 2 "[engine pg] max 1G is below min 2G; allowed: max from min upwards"
	ask set pg min=lots
	[ "$status" = 2 ]
	ask set nobody min=1M
	[ "$status" = 1 ]
	[[ $stderr == *"there are: pg, rocks"* ]]
	engine_is pg .min_bytes $((100 << 20))
}

@test "run puts the command into the cgroup before it starts" {
	start
	# shellcheck disable=SC2016 # expanded by the command
	ask run --engine rocks -- sh -c 'echo $$ $BAROSTAT_ENGINE $BAROSTAT_PAGE'
	echo "$stderr"
	[ "$status" = 0 ]
	read -r pid rest <<<"$output"
	[ "$rest" = "rocks $page" ]
	grep -qw "$pid" "$tree/barostat/rocks/cgroup.procs"
}

@test "SIGHUP takes a good configuration and keeps the old one when the new one is bad" {
	start
	write_conf <<-CONF
		[engine pg]
		min = 128M
		[engine redis]
	CONF
	kill -HUP "${fakes[-1]}"
	wait_for 20 engine_is pg .min_bytes $((128 << 20))
	wait_for 20 engine_is redis .state active
	[ -z "$(engine rocks .name)" ]
	write_conf 'weight = 1' </dev/null
	kill -HUP "${fakes[-1]}"
	wait_for 20 logged "unknown key 'weight'"
	engine_is pg .min_bytes $((128 << 20))
	engine_is redis .state active
}

@test "without the right to lock its memory it says so, and goes on" {
	launch=(prlimit --memlock=8388608:8388608)
	[ "$(id -u)" != 0 ] || launch+=(setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock)
	start
	wait_for 20 logged event=not_locked
	write_conf <<<"[engine redis]"
	kill -HUP "${fakes[-1]}" # reads a file and makes threads, as in the first moment
	wait_for 20 engine_is redis .state active
	run logged 'shrink_failed\|reload_refused'
	[ "$status" = 1 ]
}

@test "a second daemon on the same socket and page is refused, the first goes on" {
	start
	run timeout 20 "$build/barostatd" --config "$conf"
	echo "$output"
	[ "$status" = 1 ]
	is_up
	ask page --page "$page" --json
	jq -e .valid <<<"$output"
}

@test "SIGTERM ends it with 0 and takes the socket away" {
	start
	local pid=${fakes[-1]} code=0
	kill -TERM "$pid"
	wait "$pid" || code=$?
	[ "$code" = 0 ]
	[ ! -e "$socket" ]
	ask status
	[ "$status" = 3 ]
}

@test "after SIGKILL the page's lease runs out and a restart goes on" {
	start
	kill -KILL "${fakes[-1]}"
	wait_for 20 gone "${fakes[-1]}"
	ask status
	[ "$status" = 3 ]
	lease_is_over() {
		[ "$("$barostat" page --page "$page" --json 2>/dev/null | jq .valid)" = false ]
	}
	wait_for 20 lease_is_over
	start
	wait_for 20 engine_is pg .state active
	ask page --page "$page" --json
	jq -e .valid <<<"$output"
}

@test "a limit that somebody else changes makes the engine manual, and set takes it back" {
	start
	wait_for 20 engine_is pg .state active
	echo $((200 << 20)) >"$tree/barostat/pg/memory.max"
	wait_for 20 engine_is pg .state manual
	ask status
	grep -qE '^pg .* manual ' <<<"$output"
	ask set pg min=64M
	wait_for 20 engine_is pg .state active
}

@test "an engine whose cgroup vanishes is said to be gone, and taken up again" {
	start
	wait_for 20 engine_is rocks .state active
	rm -r "$tree/barostat/rocks"
	wait_for 20 logged 'engine=rocks event=gone'
	engine_is pg .state active
	# it was the daemon's own: it makes it anew
	wait_for 20 engine_is rocks .state active
	[ -d "$tree/barostat/rocks" ]
}

# lines PATTERN: of the log
lines() {
	grep -c "$1" "$scratch/log" || true
}

@test "a limit that cannot be written is said, less and less often, and teaches no floor" {
	write_conf <<-CONF
		[engine a]
		limit = hard
		[engine b]
		limit = hard
	CONF
	start
	wait_for 20 engine_is a .state active
	hold 100
	set_limit() { [ "$(engine a .limit_bytes)" -gt $((200 << 20)) ]; }
	wait_for 20 set_limit
	chmod a-w "$tree/barostat/a/memory.max"
	ask set a max=200M
	wait_for 20 logged 'engine=a event=shrink_failed limit=max .*error="Permission denied"'
	sleep 2.5 # tries after 1 and 3 s
	[ "$(lines event=shrink_failed)" -le 3 ]
	! logged event=shrink_refused
	chmod u+w "$tree/barostat/a/memory.max"
	lowered() { [ "$(engine a .limit_bytes)" -le $((200 << 20)) ]; }
	wait_for 20 lowered
	# the other way
	chmod a-w "$tree/barostat/a/memory.max"
	ask set a max=600M
	ask set a min=500M
	wait_for 20 logged 'engine=a event=limit_failed limit=max .*error="Permission denied"'
	sleep 2.5
	[ "$(lines event=limit_failed)" -le 3 ]
	chmod u+w "$tree/barostat/a/memory.max"
	raised() { [ "$(engine a .limit_bytes)" -ge $((500 << 20)) ]; }
	wait_for 20 raised
}
