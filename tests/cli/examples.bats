#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The examples of the library do what their first lines say: alone, and where a daemon presses. On a
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
	# what runs alone finds nobody here
	export BAROSTAT_ENGINE_SOCKET=$scratch/engine.sock BAROSTAT_PAGE=$page
	write_conf <<-'CONF'
		[engine a]
		max = 40M
		[engine b]
	CONF
}

teardown() {
	engines_teardown
	cli_teardown
}

within() { # within EXAMPLE [ARG...]: as engine a of the daemon, into $scratch/out and $scratch/err
	"$barostat" --socket "$socket" run --engine a -- "$build/examples/$1" "${@:2}" >"$scratch/out" 2>"$scratch/err" 3>&-
}

shown() { # shown PATTERN: in what was told to stderr
	grep -qE "$1" "$scratch/err"
}

# tell COMMAND: prints the store's answer
tell() {
	local before
	wait_for 20 test -e "$scratch/out" # who writes it has just been started
	before=$(wc -l <"$scratch/out")
	echo "$*" >&"$store"
	answered() { [ "$(wc -l <"$scratch/out")" -gt "$before" ]; }
	wait_for 20 answered
	tail -n 1 "$scratch/out"
}

told() { # told PATTERN COMMAND: the store's answer is like that
	[[ $(tell "${@:2}") =~ $1 ]]
}

@test "the store gets what was put, and refuses what it has no room for" {
	run -0 --separate-stderr "$build/examples/kv" 240 <<-'COMMANDS'
		put a 1
		put a two words
		get a
		delete a
		get a
		delete a
		put b
		get
		sing b
	COMMANDS
	echo "$output"
	usage="put KEY VALUE, get KEY or delete KEY"
	[ "$output" = $'stored\nstored\ntwo words\ndeleted\nno such key\nno such key\n'"$usage"$'\n'"$usage"$'\n'"$usage" ]
	long=$(printf '%0100d' 0)
	run -0 --separate-stderr "$build/examples/kv" 240 <<<"put a 1
put b $long
put a $long
get a
delete b
put a $long
get a"
	echo "$output"
	[[ ${lines[2]} =~ ^refused:\ kv:\ [0-9]+\ bytes\ refused:\ kv\ has\ [0-9]+\ left\ of\ 240$ ]]
	[ "${lines[0]} ${lines[1]} ${lines[3]} ${lines[4]} ${lines[5]} ${lines[6]}" = "stored stored 1 deleted stored $long" ]
}

@test "the store refuses puts while a daemon presses hard, says when to come again, and goes on" {
	start
	hold 8
	mkfifo "$scratch/in"
	within kv <"$scratch/in" &
	engine_pids+=("$!")
	exec {store}>"$scratch/in"
	wait_for 20 told '^stored$' put a 1
	hold 41
	wait_for 20 told '^refused: .* try again in [0-9]+ ' put b 2
	[ "$(tell get a)" = 1 ]
	[ "$(tell delete a)" = deleted ]
	hold 8
	wait_for 20 told '^stored$' put b 2
	exec {store}>&-
	wait "${engine_pids[0]}"
}

@test "the store has no more room than the daemon gives its engine" {
	start
	hold 8
	mkfifo "$scratch/in"
	within kv $((1 << 30)) <"$scratch/in" &
	engine_pids+=("$!")
	exec {store}>"$scratch/in"
	large=$(head -c 1000000 /dev/zero | tr '\0' x)
	for key in {1..45}; do
		answer=$(tell put "$key" "$large")
		[ "$answer" = stored ] || break
	done
	echo "$key: $answer"
	[[ $answer =~ ^refused:\ kv:\ 10000[0-9]+\ bytes\ refused:\ kv\ has\ [0-9]+\ left\ of\ ([0-9]+)$ ]]
	[ "${BASH_REMATCH[1]}" -le $((40 << 20)) ]
	exec {store}>&-
	wait "${engine_pids[0]}"
}

@test "whoever writes has asked admission first: a record is inserted or said not to be" {
	run -0 "$build/examples/admission"
	echo "$output"
	said=$(grep -cE '^not inserted: .*[a-z]' <<<"$output" || true)
	[ "${#lines[@]}" = $((said + 1)) ]
	[[ ${lines[-1]} == "balanced: $((180000 - said)) records in $((80001 - said)) jobs, "*"; chunks of "*"; reads p99 "* ]]
}

limits() { # limits LINE: of the two engines, in MiB: $ingest $query
	[[ $1 =~ ingest\ 0\ of\ ([0-9]+)\ MiB\;\ query\ ([0-9]+)\ of\ ([0-9]+)\ MiB$ ]]
	ingest=${BASH_REMATCH[1]} used=${BASH_REMATCH[2]} query=${BASH_REMATCH[3]}
}

@test "two engines stay within one ceiling while the busy one gets what the other does not use" {
	run -0 "$build/examples/budget" 4
	echo "$output"
	mapfile -t states < <(grep -v refused <<<"$output")
	[ "${#states[@]}" = 4 ]
	grep -qx '  query: 1048576 bytes refused: query has 0 left of 33554432' <<<"$output"
	for state in "${states[@]}"; do
		limits "$state"
		[ "$used" -le "$query" ] && [ $((ingest + query)) -le 64 ]
	done
	[ "$ingest" -lt 32 ] && [ "$query" -gt 32 ]
}

@test "the ceiling of two engines in one process is what the daemon gives the process" {
	start
	hold 8
	within budget 3
	cat "$scratch/out"
	limits "$(tail -n 1 "$scratch/out")"
	[ $((ingest + query)) -le 40 ]
}

flushed() { # flushed NAME: the sizes in KiB of its tables
	sed -nE "s/^$1: flushed ([0-9]+) KiB\$/\1/p" "$scratch/out"
}

@test "column families flush by size, within their budget but for the writes of a step" {
	"$build/examples/memtable" 2 3 >"$scratch/out"
	cat "$scratch/out"
	run -1 grep -vE '^(slow|fast): flushed [0-9]+ KiB$' "$scratch/out"
	[ "$(flushed fast | wc -l)" -ge "$(flushed slow | wc -l)" ]
	# 1 MiB is written in a step, and a flush is asked for one step later
	for size in $(flushed fast) $(flushed slow); do
		[ "$size" -ge 1024 ] && [ "$size" -le $((2048 + 2048)) ]
	done
}

@test "column families are kept small where a daemon presses" {
	start
	hold 41
	wait_for 20 engine_is a .level emergency
	within memtable 64 3
	cat "$scratch/out"
	# 16 MiB is what the fast one writes in a second
	[ "$(flushed fast | tail -n 1)" -lt 4096 ]
}
