#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Daemons that are not there or do not behave: a clear error, the right exit status, in time.

load support

setup() {
	cli_setup
}

teardown() {
	cli_teardown
}

@test "without a daemon every command that needs one exits 3 and says how to start it" {
	socket=$scratch/nobody
	for command in status list top explain\ pg attach\ pg\ 1 set\ pg\ min=1G run\ -e\ pg\ true; do
		# shellcheck disable=SC2086 # words
		ask $command
		fails 3 "no daemon answers at $socket: No such file or directory"
		[[ $stderr == *"systemctl start barostatd"* ]]
	done
}

@test "a socket nobody listens on any more exits 3" {
	fake ok
	kill "${fakes[0]}"
	wait_for 20 gone "${fakes[0]}"
	ask status
	fails 3 "no daemon answers at $socket: Connection refused"
}

@test "a path that is no socket exits 3" {
	socket=$scratch/file
	touch "$socket"
	ask status
	fails 3 "no daemon answers at $socket: Connection refused"
}

@test "garbage exits 1" {
	fake garbage
	ask status
	echo "$stderr"
	[ "$status" = 1 ]
	[[ $stderr == "barostat: the daemon's answer is not understood: "* ]]
}

@test "JSON that is no answer exits 1" {
	fake array
	ask status
	fails 1 'the daemon'"'"'s answer is not understood: it is no object with "ok"'
	fake nook
	ask status
	fails 1 'the daemon'"'"'s answer is not understood: it is no object with "ok"'
}

@test "half a line exits 1" {
	fake half
	ask status
	fails 1 "the daemon's answer ended within a line"
}

@test "a daemon that closes the connection exits 1" {
	fake close
	ask status
	fails 1 "the daemon closed the connection without an answer"
}

@test "a refusal without a reason exits 1" {
	fake refuse
	ask status
	fails 1 "the daemon refused without saying why"
}

@test "an answer without engines exits 1" {
	fake badengines
	for command in status list 'top --once'; do
		# shellcheck disable=SC2086 # words
		ask $command
		fails 1 'the daemon'"'"'s answer lacks "engines"'
	done
}

# took FROM UNTIL: the last ask took so many seconds; the deadline is 5
took() {
	echo "took $((SECONDS - begin)) s"
	[ $((SECONDS - begin)) -ge "$1" ] && [ $((SECONDS - begin)) -le "$2" ]
}

@test "a daemon that stays mute is given up after 5 s" {
	fake mute
	begin=$SECONDS
	ask status
	fails 1 "the daemon did not answer within 5 s"
	took 4 60
}

@test "a daemon that accepts no connection is given up after 5 s" {
	fake deaf
	begin=$SECONDS
	ask status
	fails 1 "the daemon at $socket is busy: it did not accept a connection within 5 s"
	took 4 60
}

@test "a daemon that drips an endless line is given up after 5 s" {
	fake drip
	begin=$SECONDS
	ask status
	fails 1 "the daemon did not answer within 5 s"
	took 4 60
}

@test "an endless answer is refused before it fills the memory" {
	fake huge
	status=0
	# 200 MB of address space would not hold what the fake is willing to send
	(
		ulimit -v 200000
		exec "$barostat" --socket "$socket" status
	) >"$scratch/out" 2>"$scratch/err" || status=$?
	output=$(cat "$scratch/out") stderr=$(cat "$scratch/err")
	fails 1 "the daemon's answer is longer than 32M"
}

@test "output that cannot be written exits 1" {
	fake ok
	[ "$(bash -c '"$0" --socket "$1" status >/dev/full; echo $?' "$barostat" "$socket" 2>/dev/null)" = 1 ]
}

@test "text that is not UTF-8 is refused as usage" {
	fake ok
	ask explain $'\xff\xfe'
	fails 2 "an argument is not UTF-8 text"
}
