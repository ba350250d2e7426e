#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Engines that speak: who is let in, what is believed, and what happens when either side dies. On a
# fake cgroup tree, without privileges.
# shellcheck disable=SC2154,SC2030,SC2031 # support sets them; each test is a process of its own

bats_require_minimum_version 1.5.0
load support
load dry_daemon
load ../lib/engine

setup() {
	cli_setup
	dry_setup
	engines=$scratch
	python=$(PATH=/usr/bin:$PATH command -v python3)
	export BAROSTAT_ENGINE_SOCKET=$scratch/engine.sock BAROSTAT_PAGE=$page
	write_conf <<-'CONF'
		[engine a]
		min = 16M
		max = 512M
		[engine b]
	CONF
}

teardown() {
	engines_teardown
	cli_teardown
}

become() { # become ENGINE COMMAND...: this shell, so call it in one of its own
	exec "$barostat" --socket "$socket" run --engine "$1" -- "${@:2}"
}

use() { # use ENGINE MIB: what its cgroup uses
	echo $(($2 << 20)) >"$tree/barostat/$1/memory.current"
}

hears() { # hears ENGINE JQ VALUE
	engine_is "$1" ".demand$2" "$3"
}

@test "what an engine declares is heard, within what can be true" {
	start
	use a 100
	start_engine e a
	[ "$(say e source)" = "daemon 0" ]
	say e hint 2
	say e reclaimable 30000000
	say e want 200000000
	say e account 100000000000
	say e ack 99999
	wait_for 20 hears a .reclaimable_bytes 30000000
	wait_for 20 hears a .accounted_bytes 104857600
	hears a .hint query_heavy
	hears a .wanted_bytes 200000000
	hears a .ack_epoch 0
	hears a .clients 1
	hears b "" null
	# an epoch that was granted, seen on the page of everybody
	say e wait 0
	say e ack now
	epoch=$(engine a .grant_epoch)
	wait_for 20 hears a .ack_epoch "$epoch"
	[ "$($python examples/page_reader.py "$page" | jq '.engines[0].ack_epoch')" = "$epoch" ]
}

@test "an engine that ends is not heard any more" {
	start
	use a 100
	start_engine e a
	say e reclaimable 30000000
	wait_for 20 hears a .clients 1
	kill -KILL "$engine_e"
	wait_for 20 hears a "" null
}

@test "an engine comes back by itself when the daemon does" {
	start
	use a 100
	start_engine e a
	say e reclaimable 30000000
	wait_for 20 hears a .clients 1
	kill -KILL "${fakes[-1]}"
	wait "${fakes[-1]}" 2>/dev/null || true
	start
	back() { say e beat >/dev/null && hears a .reclaimable_bytes 30000000; }
	wait_for 20 back
	[ "$(say e source)" = "daemon 0" ]
	# and the end of an orderly daemon is no end either
	stop
	fallen() { say e beat >/dev/null && [[ $(say e source) != daemon* ]]; }
	wait_for 20 fallen
	start
	wait_for 20 back
}

@test "a stranger is told why, and takes no place" {
	start
	"$build/tests/tools/engine" >"$scratch/out" 3>&- <<<"source"
	grep -qx "page 2\|files 2" "$scratch/out"
	hears a "" null
	logged 'client_refused.*in no engine'
}

@test "an engine has so many clients and no more" {
	start
	cat >"$scratch/many.py" <<-'PYTHON'
		import socket, sys, time
		held, refused = [], 0
		for i in range(20):
		    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		    s.connect(sys.argv[1])
		    message, fds, _, _ = socket.recv_fds(s, 4096, 8)
		    error = int.from_bytes(message[16:20], "little")
		    assert (len(fds) == 2) == (error == 0), (fds, error)
		    held.append((s, fds))
		    refused += error == 16
		print("refused", refused, flush=True)
		sys.stdin.readline()
	PYTHON
	mkfifo "$scratch/go"
	become a "$python" "$scratch/many.py" "$scratch/engine.sock" <"$scratch/go" >"$scratch/out" 3>&- &
	engine_pids+=("$!")
	exec 8>"$scratch/go"
	counted() { grep -qx "refused 4" "$scratch/out"; }
	wait_for 20 counted
	# another engine has its own
	use b 10
	start_engine e b
	[ "$(say e source)" = "daemon 0" ]
	exec 8>&-
}

@test "whoever lies, scribbles, stops or talks harms nobody" {
	start
	use a 100
	use b 50
	target=$(engine b .target_bytes)
	cat >"$scratch/liar.py" <<-'PYTHON'
		import mmap, os, random, socket, sys, time
		def enter():
		    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		    s.connect(sys.argv[1])
		    _, fds, _, _ = socket.recv_fds(s, 4096, 8)
		    return s, fds
		s, (page, demand) = enter()
		for name, attempt in [("page", lambda: mmap.mmap(page, 768, prot=mmap.PROT_WRITE)),
		                      ("shrink", lambda: os.ftruncate(demand, 0)),
		                      ("grow", lambda: os.ftruncate(demand, 8192))]:
		    try:
		        attempt()
		    except OSError:
		        continue
		    sys.exit(name + " was possible")
		m = mmap.mmap(demand, 4096)
		t, (_, other) = enter()
		t.send(b"x" * 1000)
		try:
		    gone = t.recv(10) == b""
		except ConnectionResetError:
		    gone = True
		print("gone" if gone else "kept", flush=True)
		r = random.Random(7)
		end = time.monotonic() + 1.5
		while time.monotonic() < end:
		    m[:] = r.randbytes(4096)
		    m[72:80] = time.monotonic_ns().to_bytes(8, "little")
		# and a table of metrics that is none, but for one line
		def line(name, label, kind, unit, value):
		    return (name.ljust(40, b"\0") + label.ljust(20, b"\0") + kind.to_bytes(2, "little")
		            + unit.to_bytes(2, "little") + value.to_bytes(8, "little"))
		m[192:] = bytes(4096 - 192)
		m[192:192 + 72 * 7] = (line(b"good_bytes", b"", 2, 1, 2**64 - 1) + line(b"good", b"", 2, 0, 2**64 - 1) + line(b"evil\"} 1\n", b"", 2, 0, 1)
		                       + line(b"barostat_up", b"", 2, 0, 1) + line(b"x", b"\x1b[2J", 2, 0, 1)
		                       + line(b"y" * 40, b"", 2, 0, 1) + line(b"good_bytes", b"", 1, 1, 1))
		m[128:144] = (2).to_bytes(4, "little") + (0xffffffff).to_bytes(4, "little") + (1).to_bytes(8, "little")
		m[64:68] = b"\x02\0\0\0"
		print("listed", flush=True)
		while not os.path.exists(sys.argv[2]):
		    m[72:80] = time.monotonic_ns().to_bytes(8, "little")
		    time.sleep(0.1)
		m[64:68] = b"\x01\0\0\0"
		print("done", flush=True)
	PYTHON
	(become a "$python" "$scratch/liar.py" "$scratch/engine.sock" "$scratch/seen" >"$scratch/out" 3>&-) &
	liar=$!
	shown() { [ "$(engine a '.metrics | map(.name) | @csv')" = '"good","good_bytes"' ]; }
	wait_for 20 shown
	[ "$(engine a '.metrics[1].value')" = null ]
	"$barostat" --socket "$socket" status --json | grep -q '"unit":"","value":9223372036854775807}'
	touch "$scratch/seen"
	wait "$liar"
	[ "$(cat "$scratch/out")" = "$(printf 'gone\nlisted\ndone')" ]
	"$barostat" --socket "$socket" status >/dev/null
	[ "$(engine b .target_bytes)" = "$target" ]
	sum=$("$barostat" --socket "$socket" status --json | jq '[.engines[].target_bytes] | add')
	[ "$sum" -le $((960 << 20)) ]
}

@test "what engines say of themselves is shown, added up, and gone with them" {
	start
	use a 100
	start_engine e a
	start_engine f a
	# engines that do not show that they live are not heard
	metric() {
		say e beat >/dev/null
		[ "$alone" ] || say f beat >/dev/null
		engine a "[.metrics[] | select(.name == \"$1\")] | map(.$2) | @csv"
	}
	alone=
	shows() { [ "$(metric "$1" "$2")" = "$3" ]; }
	[ "$(engine a .metrics)" = '[]' ]
	say e metrics 5000000
	wait_for 20 shows test_held_bytes value 5000000
	say f metrics 1000
	wait_for 20 shows test_held_bytes value 5001000
	shows test_held_bytes label '"pool"'
	shows test_held_bytes kind '"gauge"'
	shows test_held_bytes unit '"bytes"'
	shows test_jobs_total value 5001000
	shows test_wait_seconds count 2
	shows test_wait_seconds sum 5001
	shows test_wait_seconds unit '"seconds"'
	[ "$(metric test_wait_seconds p99 | cut -d. -f1)" -ge 2500 ]
	[ "$("$barostat" --socket "$socket" list --json | jq -c '.[1].metrics')" = '[]' ]
	say e beat && say f beat
	"$barostat" --socket "$socket" explain a >"$scratch/explained"
	grep -qE '^test_held_bytes +pool +4.7M' "$scratch/explained"
	grep -qE '^test_wait_seconds +- +2, half up to ' "$scratch/explained"
	"$barostat" --socket "$socket" explain b >"$scratch/explained"
	run ! grep -q METRIC "$scratch/explained"
	# no field that docs/control.md does not have
	say e beat
	[ "$(engine a '[.metrics[] | keys[]] | unique | join(" ")')" = "count kind label name p50 p99 sum unit value" ]
	end_engine f
	alone=yes
	wait_for 20 shows test_held_bytes value 5000000
	end_engine e
	wait_for 20 engine_is a .metrics '[]'
}

@test "the cache of the examples opens, follows and ends" {
	start
	use a 20
	(become a "$build/examples/cache" 2 1 >"$scratch/out" 3>&-)
	grep -q "^daemon: budget [1-9]" "$scratch/out"
}

@test "without any daemon a client reads what its own cgroup says" {
	BAROSTAT_PAGE=/nonexistent "$build/tests/tools/engine" /nonexistent/sock >"$scratch/out" 3>&- <<<$'source\nread'
	grep -qx "files 2" "$scratch/out"
	# where there is no memory cgroup to read, that is said
	grep -qE "^(level=(normal|warning|critical|emergency) budget=[1-9]|error 2$)" "$scratch/out"
}

@test "an engine without the library is told where to watch its pressure" {
	printf 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n' >"$tree/memory.pressure"
	start
	(become a printenv MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE >"$scratch/out")
	[ "$(sed -n 1p "$scratch/out")" = "$tree/barostat/a/memory.pressure" ]
	[ "$(sed -n 2p "$scratch/out" | base64 -d | tr '\0' '!')" = "some 200000 2000000!" ]
	# what the caller was told itself is about another cgroup
	rm "$tree/barostat/a/memory.pressure"
	MEMORY_PRESSURE_WATCH=/elsewhere become a printenv MEMORY_PRESSURE_WATCH >"$scratch/out" &
	wait $! || true
	[ ! -s "$scratch/out" ]
}
