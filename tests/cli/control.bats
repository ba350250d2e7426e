#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# docs/control.md says what the daemon answers, and the daemon answers what it says.

load support
load dry_daemon

setup() {
	cli_setup
	dry_setup
	write_conf <<-CONF
		[group g]
		[engine pg]
		group = g
	CONF
	start
	one_sample() {
		request '{"cmd":"history","engine":"pg"}' | jq -e '.samples | length > 0'
	}
	wait_for 20 one_sample
}

teardown() {
	cli_teardown
}

# request LINE: sends it raw, prints the answer
request() {
	python3 - "$socket" "$1" <<-'PYTHON'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(10)
		s.connect(sys.argv[1])
		s.sendall(sys.argv[2].encode() + b"\n")
		print(s.makefile().readline(), end="")
	PYTHON
}

# documented SECTION: its fields
documented() {
	sed -n "/^## $1\$/,/^## /p" docs/control.md | sed -n 's/^| \([a-z0-9_]*\) |.*/\1/p' | grep -v '^field$' | sort
}

# agrees SECTION REQUEST JQ: the object that JQ picks from the answer has just the documented fields
agrees() {
	documented "$1" >"$scratch/documented"
	request "$2" | jq -r "$3 | keys[]" | sort >"$scratch/answered"
	[ -s "$scratch/answered" ]
	echo "$1"
	diff "$scratch/documented" "$scratch/answered"
}

@test "every field of every answer is documented, and every documented field is answered" {
	agrees Status '{"cmd":"status"}' 'del(.ok)'
	agrees Engine '{"cmd":"status"}' '.engines[0]'
	agrees Group '{"cmd":"status"}' '.groups[0]'
	agrees Cost '{"cmd":"status"}' '.cost'
	agrees Cost '{"cmd":"doctor"}' '.cost'
	agrees Check '{"cmd":"doctor"}' '.checks[0]'
	agrees Sensor '{"cmd":"doctor"}' '.sensors[0]'
	agrees Engine '{"cmd":"explain","engine":"pg"}' '.engine'
	agrees Decision '{"cmd":"explain","engine":"pg"}' '.decisions[0]'
	# no engine speaks here; tests/cli/engine-socket.bats looks at what one says
	[ "$(documented Metric | tr '\n' ' ')" = "count kind label name p50 p99 sum unit value " ]
	agrees Sample '{"cmd":"history","engine":"pg"}' '.samples[0]'
	agrees Engine '{"cmd":"set","engine":"pg","key":"min","value":"1M"}' '.engine'
}

@test "the fake daemon of the tests has no field that the real one has not" {
	real=$socket
	fake ok
	for pick in 'del(.ok)' '.engines[0]' '.groups[0]' '.cost' '.engines[0].stall_ns_per_s'; do
		"$barostat" --socket "$real" status --json | jq -r "$pick | keys[]" | sort >"$scratch/real"
		"$barostat" --socket "$socket" status --json | jq -r "$pick | keys[]" | sort >"$scratch/fake"
		[ -s "$scratch/fake" ]
		[ -z "$(comm -13 "$scratch/real" "$scratch/fake")" ]
	done
}

@test "requests that are no requests are answered with a reason, and the daemon goes on" {
	for line in '' 'hello' '[]' '{}' '{"cmd":5}' '{"cmd":"explode"}' '{"cmd":"explain"}' \
		'{"cmd":"set","engine":"pg"}' '{"cmd":"set","engine":"pg","key":"min","value":5}' \
		'{"cmd":"attach","engine":"pg"}' '{"cmd":"attach","engine":"pg","pids":[]}' \
		'{"cmd":"attach","engine":"pg","pids":"1"}' '{"cmd":"status","cmd":"status"}'; do
		echo "$line"
		request "$line" | jq -e '.ok == false and .code == "usage" and (.error | length) > 0'
	done
	request '{"cmd":"explain","engine":"nope"}' | jq -e '.code == "not_found"'
	request '{"cmd":"attach","engine":"pg","pids":["1", -1, 99999999999]}' |
		jq -e '.ok and (.failed | length) == 3'
	request "{\"cmd\":\"$(printf 'x%.0s' {1..70000})\"}" | jq -e '.code == "usage"'
	is_up
}

@test "several requests on one connection are answered in their order" {
	python3 - "$socket" <<-'PYTHON'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(10)
		s.connect(sys.argv[1])
		s.sendall(b'{"cmd":"status"}\n{"cmd":"doctor"}\n{"cmd":"no"}\n{"cmd":"sta')
		lines = s.makefile()
		assert "engines" in json.loads(lines.readline())
		assert "checks" in json.loads(lines.readline())
		assert json.loads(lines.readline())["code"] == "usage"
		s.sendall(b'tus"}\n')
		assert "engines" in json.loads(lines.readline())
	PYTHON
}

@test "clients that ask nothing or read nothing do not keep others from being served" {
	python3 - "$socket" "$barostat" <<-'PYTHON'
		import socket, subprocess, sys
		def client():
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(10)
		    s.connect(sys.argv[1])
		    return s
		idle = [client() for _ in range(40)]
		deaf = client()
		deaf.setblocking(False)
		try:
		    while True:
		        deaf.send(b'{"cmd":"status"}\n' * 100)
		except BlockingIOError:
		    pass
		subprocess.run([sys.argv[2], "--socket", sys.argv[1], "status"], check=True, timeout=20)
	PYTHON
}

@test "reload over the socket says what is wrong with file and line" {
	write_conf 'colour = red' </dev/null
	request '{"cmd":"reload"}' >"$scratch/answer"
	cat "$scratch/answer"
	jq -e '.ok == false' "$scratch/answer"
	jq -r .error "$scratch/answer" | grep -q "barostat.conf:9: \[daemon\] unknown key 'colour'"
	write_conf <<<'[engine other]'
	request '{"cmd":"reload"}' | jq -e .ok
	engine_is other .name other
}
