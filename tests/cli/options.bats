#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Usage: what is accepted, what is refused, and how helpful that is.

load support

setup() {
	cli_setup
	socket=$scratch/nobody
}

teardown() {
	cli_teardown
}

@test "help lists every command and global option, and exits 0" {
	ask --help
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	while IFS=$'\t' read -r kind name rest; do
		case $kind in
		command) grep -q "^  $name " <<<"$output" ;;
		option) [ "$name" != - ] || grep -q -- "--${rest%%$'\t'*}" <<<"$output" ;;
		esac
	done < <("$barostat" __table)
}

@test "help of a command lists its own options" {
	local tested=0 command option
	while IFS=$'\t' read -r kind command option _; do
		[ "$kind" = option ] && [ "$command" != - ] || continue
		ask "$command" --help
		[ "$status" = 0 ]
		grep -q -- "--$option" <<<"$output"
		tested=$((tested + 1))
	done < <("$barostat" __table)
	[ "$tested" -ge 8 ]
}

@test "version is the tree's version" {
	ask --version
	[ "$output" = "barostat $(cat VERSION)" ]
}

@test "lines of help fit a terminal" {
	for command in '' status list top explain doctor page run attach set record replay; do
		# shellcheck disable=SC2086 # none or one word
		ask $command --help
		[ "$status" = 0 ]
		run grep -E '^.{101}' "$scratch/out"
		[ "$status" = 1 ]
	done
}

@test "an unknown command exits 2 and suggests the nearest" {
	ask stauts
	fails 2 "there is no command 'stauts', did you mean 'status'?"
	ask xyzzy
	fails 2 "there is no command 'xyzzy'"
	[[ $stderr == *"Try: barostat --help" ]]
}

@test "an unknown option exits 2 and suggests the nearest" {
	ask --sokcet x status
	fails 2 "there is no option '--sokcet', did you mean '--socket'?"
	ask top --sroting
	fails 2 "there is no option '--sroting'"
	ask top --dealy=1s
	fails 2 "there is no option '--dealy', did you mean '--delay'?"
	[[ $stderr == *"Try: barostat top --help" ]]
	ask -x
	fails 2 "there is no option '-x'"
}

@test "an option of one command is unknown to another" {
	ask status --once
	fails 2 "there is no option '--once'"
}

@test "an option without its value exits 2" {
	ask status --socket
	fails 2 "option '--socket' needs a value"
}

@test "missing and surplus arguments exit 2 and say what is wanted" {
	ask explain
	fails 2 "explain needs ENGINE"
	ask explain a b
	fails 2 "explain takes only ENGINE, but got 'b' more"
	ask status now
	fails 2 "status takes no argument, but got 'now'"
	ask set pg
	fails 2 "set needs ENGINE KEY=VALUE..."
	ask attach pg
	fails 2 "attach needs ENGINE PID..."
	ask run --engine pg
	fails 2 "run needs -- COMMAND [ARGUMENT...]"
	ask run -- true
	fails 2 "run needs --engine NAME"
}

@test "malformed arguments exit 2 before anybody is asked" {
	ask set pg min
	fails 2 "'min' is not KEY=VALUE"
	ask set pg =1
	fails 2 "'=1' is not KEY=VALUE"
	for pid in 0 -- -1 12x 99999999999 1.5; do
		[ "$pid" != -- ] || continue
		ask attach pg -- "$pid"
		fails 2 "'$pid' is not a process id"
	done
	ask top --delay 1
	fails 2 "'1' is not a time from 50ms to 60s"
	ask top --delay 10ms
	fails 2 "'10ms' is not a time from 50ms to 60s"
	ask top --sort height
	fails 2 "cannot sort by 'height', only by config, name, usage, target, stall or refaults"
	ask top --batch 0
	fails 2 "'0' is not a number of frames"
	ask top --json
	fails 2 "--json needs --once or --batch N"
}

@test "a socket path that no socket can have exits 2" {
	ask --socket "/$(printf 'x%.0s' {1..200})" status
	fails 2 "a socket's path has 1 to 107 bytes, not 201"
	ask --socket "" status
	fails 2 "a socket's path has 1 to 107 bytes, not 0"
}

@test "options may stand before and after the command and its arguments" {
	fake ok
	ask explain pg --json
	[ "$status" = 0 ]
	ask --json explain -- pg
	[ "$status" = 0 ]
	jq -e '.engine.name == "pg"' <<<"$output"
}

@test "no command means status" {
	fake ok
	ask
	local bare=$output
	ask status
	[ "$status" = 0 ]
	[ "$output" = "$bare" ]
}
