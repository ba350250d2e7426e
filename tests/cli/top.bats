#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# top: frames printed, and the live screen in a terminal.

load support

setup() {
	cli_setup
	terminal=(tmux -L "barostat-test-$$" -f /dev/null)
}

teardown() {
	"${terminal[@]}" kill-server 2>/dev/null || true
	cli_teardown
}

@test "once prints the host, a bar with marks for each engine, and exits" {
	fake ok
	COLUMNS=120 ask top --once
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == "barostat  warning  rung hybrid  policy marginal  up 3h 12m"* ]]
	grep -q '^memory   █.*10.1G of 16G  63.2%  reserve 819M' <<<"$output"
	# usage 3300 of the common scale 4096, target 3400
	grep -qE '^pg  +warning +3.2G +3.3G █+.?┃·* .*14.0% .*12040 gain' <<<"$output"
	grep -qE '^mysql +waiting +0B +0B ·+ ' <<<"$output"
	[ "$(tail -n 1 <<<"$output")" = "█ usage  ┃ target  ▐ limit" ]
	[[ $output != *$'\033'* ]]
}

@test "bars are drawn on one scale" {
	fake ok
	COLUMNS=120 ask top --once
	filled() {
		grep "^$1 " <<<"$output" | grep -o '█' | wc -l
	}
	# without histories: redis 4000, pg 3300, rocks 2048 of 4096 MiB
	[ "$(filled redis)" -gt "$(filled pg)" ]
	[ "$(filled pg)" -gt "$(filled rocks)" ]
}

@test "ASCII is used when asked for and where the locale has no UTF-8" {
	fake ok
	ask top --once --ascii
	[ "$status" = 0 ]
	run grep -P '[^\x00-\x7f]' "$scratch/out"
	[ "$status" = 1 ]
	LC_ALL=C ask top --once
	[[ $output == *"# usage  | target  ] limit"* ]]
	run grep -P '[^\x00-\x7f]' "$scratch/out"
	[ "$status" = 1 ]
}

@test "every width from 40 to 200 columns keeps to its lines" {
	fake ok
	for width in 40 60 79 80 81 100 120 160 200; do
		COLUMNS=$width ask top --once
		[ "$status" = 0 ]
		run grep -E "^.{$((width + 1))}" "$scratch/out"
		[ "$status" = 1 ]
		grep -q '^clickhouse' "$scratch/out"
	done
}

@test "the sort key orders the rows" {
	fake ok
	order() {
		ask top --once --sort "$1"
		[ "$status" = 0 ]
		sed -n '/^ENGINE/,/^$/p' <<<"$output" | sed '1d;$d' | cut -d' ' -f1 | tr '\n' ' '
	}
	[ "$(order config)" = "pg rocks redis mysql clickhouse " ]
	[ "$(order name)" = "clickhouse mysql pg redis rocks " ]
	[ "$(order usage)" = "redis pg rocks clickhouse mysql " ]
	[ "$(order target)" = "redis pg rocks clickhouse mysql " ]
	[ "$(order stall)" = "clickhouse pg redis rocks mysql " ]
	[ "$(order refaults)" = "clickhouse pg rocks redis mysql " ]
}

@test "batch prints so many frames" {
	fake ok
	ask top --batch 3 --delay 50ms
	[ "$status" = 0 ]
	[ "$(grep -c '^barostat  ' <<<"$output")" = 3 ]
	ask top --batch 3 --delay 50ms --json
	[ "$(jq -s 'map(.engines | length) == [5, 5, 5]' <<<"$output")" = true ]
}

@test "the detail of an engine has its history, numbers, sentences and decisions" {
	fake ok
	COLUMNS=100 ask top --once --engine pg
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"pg  warning  active  group oltp  reason gain"* ]]
	[[ $output == *"usage, with ─ target"* ]]
	[[ $output == *"stalled 14.0% (average 7.0%), 12040 refaults/s"* ]]
	[[ $output == *"rocks gave it: it reads without reuse"* ]]
	[[ $output == *"+96M to 3.3G   gain x3"*"held by step,max"* ]]
	# 120 samples of 1 s are 92 columns of 500 ms and more: the graph is full
	grep -qE '^ +0┤.{92}$' <<<"$output"
	ask top --once --engine nope
	fails 1 "there is no engine 'nope'"
}

@test "without a terminal top exits 2 and says what to do" {
	fake ok
	ask top
	fails 2 "top needs a terminal; without one, say --once or --batch N"
}

screen() {
	"${terminal[@]}" capture-pane -p -t top
}

shows() {
	screen | grep -qE "$1"
}

shows_not() {
	! shows "$1"
}

# watch_live COLUMNS ROWS: top in a terminal of that size
watch_live() {
	"${terminal[@]}" new-session -d -s top -x "$1" -y "$2" \
		"env TERM=screen-256color '$barostat' --socket '$socket' top --delay 100ms; echo left with \$?; read -r _" 3>&-
	wait_for 20 shows '^pg '
}

key() {
	"${terminal[@]}" send-keys -t top "$@"
}

@test "live: the screen moves, keys sort and show the detail, q quits with 0" {
	fake live
	watch_live 110 24
	local first
	first=$(screen)
	changed() {
		[ "$(screen)" != "$first" ]
	}
	wait_for 20 changed
	shows 's sort: config'
	key s
	wait_for 20 shows 's sort: name'
	key r
	wait_for 20 shows 's sort: name \(reversed\)'
	# the selection stayed with pg, which was the first; now redis stands above it
	key Enter
	wait_for 20 shows '^pg  [a-z]+  active'
	wait_for 20 shows 'rocks gave it'
	key Up
	wait_for 20 shows '^redis  [a-z]+  active'
	key Escape
	wait_for 20 shows '^ENGINE'
	key Space
	wait_for 20 shows PAUSED
	key q
	wait_for 20 shows 'left with 0'
}

@test "live: any size of the terminal is survived" {
	fake live
	watch_live 100 24
	local size
	for size in '60 12' '200 50' '20 3' '5 2' '120 30'; do
		# shellcheck disable=SC2086 # two words
		set -- $size
		"${terminal[@]}" resize-window -t top -x "$1" -y "$2"
	done
	wait_for 20 shows '^pg .*REASON|^pg .*gain'
	key Enter
	wait_for 20 shows '^pg  [a-z]+  active'
	"${terminal[@]}" resize-window -t top -x 30 -y 5
	"${terminal[@]}" resize-window -t top -x 90 -y 20
	wait_for 20 shows 'stalled time'
	key q
	wait_for 20 shows 'left with 0'
}

@test "live: a daemon that goes away is said so, and taken up again when it is back" {
	fake live
	watch_live 100 24
	kill "${fakes[0]}"
	wait_for 20 shows 'no daemon answers at'
	shows '^pg '
	rm "$socket"
	python3 tests/cli/fake_daemon.py "$socket" live >"$scratch/again" 2>&1 3>&- &
	fakes+=($!)
	wait_for 20 shows_not 'no daemon answers at'
	shows '^pg '
	key q
	wait_for 20 shows 'left with 0'
}

@test "live: more engines than rows scroll with the selection" {
	fake many 100
	"${terminal[@]}" new-session -d -s top -x 90 -y 20 "'$barostat' --socket '$socket' top" 3>&-
	wait_for 20 shows '^e0 '
	shows '1 to 13 of 100 engines'
	key PageDown
	key PageDown
	wait_for 20 shows '^e20 '
	shows_not '^e0 '
	key q
}
