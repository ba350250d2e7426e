# SPDX-License-Identifier: BSD-2-Clause
# Engines that speak (tests/tools/engine) at a shell's disposal: load ../lib/wait, then this.
# `become ENGINE COMMAND...` of the test turns a subshell into the engine; $engines is a directory.

engine_pids=()

# start_engine NAME ENGINE: waits until it has opened its client
start_engine() {
	mkfifo "$engines/$1.in"
	become "$2" "$build/tests/tools/engine" <"$engines/$1.in" >"$engines/$1.out" 2>"$engines/$1.err" 3>&- &
	engine_pids+=("$!")
	eval "engine_$1=$!"
	local fd
	exec {fd}>"$engines/$1.in"
	eval "engine_fd_$1=$fd"
	engine_is_open() { grep -q open "$engines/$1.out"; }
	wait_for 20 engine_is_open "$1" || {
		cat "$engines/$1.err"
		return 1
	}
}

# say NAME WORDS: prints the answer
say() {
	local name=$1 fd before
	shift
	eval "fd=\$engine_fd_$name"
	before=$(wc -l <"$engines/$name.out")
	echo "$*" >&"$fd"
	engine_has_answered() { [ "$(wc -l <"$engines/$name.out")" -gt "$before" ]; }
	wait_for 30 engine_has_answered
	tail -n 1 "$engines/$name.out"
}

engines_teardown() {
	local pid
	for pid in "${engine_pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# end_engine NAME: its end of input
end_engine() {
	local fd
	eval "fd=\$engine_fd_$1"
	exec {fd}>&-
	eval "wait \$engine_$1" || true
}
