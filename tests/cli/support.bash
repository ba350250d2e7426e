# SPDX-License-Identifier: BSD-2-Clause
# For the tests of the command line: load support

load ../lib/wait

cli_setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	build=$(realpath "${BUILD:-build}")
	barostat=$build/barostat
	# nobody's page or language may leak in
	unset BAROSTAT_PAGE NO_COLOR COLUMNS
	export LC_ALL=C.UTF-8 TERM=xterm
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-$$-XXXXXX")
	fakes=()
}

cli_teardown() {
	local pid
	for pid in "${fakes[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait_for 20 gone "$pid"
	done
	rm -rf "$scratch"
}

answers() {
	[ "$(cat "$1" 2>/dev/null)" = ready ]
}

# fake MODE [ENGINES]: starts a fake daemon at $socket
fake() {
	socket=$scratch/s$((${#fakes[@]} + 1))
	python3 tests/cli/fake_daemon.py "$socket" "$@" >"$socket.out" 2>&1 3>&- &
	fakes+=($!)
	wait_for 20 answers "$socket.out"
}

# ask ARG...: the CLI at the fake daemon, both outputs apart: $output and $stderr, $status
ask() {
	status=0
	"$barostat" --socket "$socket" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
	output=$(cat "$scratch/out")
	stderr=$(cat "$scratch/err")
}

# fails STATUS TEXT: the last ask ended so, and said exactly this first on stderr
fails() {
	echo "status $status, output: $output, stderr: $stderr"
	[ "$status" = "$1" ]
	[ "${stderr%%$'\n'*}" = "barostat: $2" ]
	[ -z "$output" ]
}
