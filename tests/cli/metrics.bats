#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Metrics over HTTP: what is exported, to whom, and that nobody who fetches them can disturb. On a
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
	export BAROSTAT_ENGINE_SOCKET=$scratch/engine.sock BAROSTAT_PAGE=$page
	at=127.0.0.1:$(free_port)
}

teardown() {
	[ -z "${other-}" ] || kill "$other" 2>/dev/null || true
	engines_teardown
	cli_teardown
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

become() {
	exec "$barostat" --socket "$socket" run --engine "$1" -- "${@:2}"
}

configure() {
	write_conf "metrics = $at" <<-'CONF'
		[engine a]
		max = 512M
		[engine b.2]
		cgroup = barostat/quo"te\x2d
		[engine c]
	CONF
}

fetch() { # fetch [PATH [METHOD]]
	python3 tests/cli/exposition.py "$at" "$@"
}

# sample NAME{LABELS}: its value
sample() {
	fetch | awk -v s="$1" '$1 == s {print $2}'
}

sample_is() {
	[ "$(sample "$1")" = "$2" ]
}

@test "what is exported is what the document says, and well formed" {
	configure
	start
	fetch >"$scratch/fetched"
	sed -n '/^## Daemon$/,$p' docs/metrics.md | sed -nE 's/^\| (barostat_[a-z0-9_]+) \| ([a-z]+) \| (.*) \|$/\1 \2 \3/p' >"$scratch/documented"
	[ "$(wc -l <"$scratch/documented")" -gt 40 ]
	sed -nE '/^[a-z_0-9]+ (gauge|counter|summary) /p' "$scratch/fetched" | diff "$scratch/documented" -
}

@test "the numbers are those of status" {
	configure
	start
	echo $((100 << 20)) >"$tree/barostat/a/memory.current"
	wait_for 20 engine_is a .usage_bytes 104857600
	sample_is 'barostat_engine_usage_bytes{engine="a"}' 104857600.0
	sample_is 'barostat_ceiling_bytes{}' 1073741824.0
	sample_is 'barostat_interval_seconds{}' 0.02
	sample_is 'barostat_engine_max_bytes{engine="a"}' 536870912.0
	sample_is 'barostat_engine_target_bytes{engine="a"}' "$(engine a .target_bytes).0"
	sample_is 'barostat_engine_active{engine="a"}' 1.0
	fetch | grep -qF 'barostat_engine_info{engine="b.2",group="",cgroup="barostat/quo\"te\\x2d",reason='
	fetch | grep -qE '^barostat_info\{version="[0-9.]+",rung="files",policy="marginal",kernel="[^"]+"\} 1\.0$'
	[ "$("$barostat" --socket "$socket" status --json | jq -r .metrics_at)" = "$at" ]
}

@test "what engines say of themselves is exported with their name" {
	configure
	start
	start_engine e a
	start_engine f c
	say e metrics 2000
	say f metrics 7
	heard() { # heard SAMPLE VALUE: engines that do not show that they live are not
		say e beat >/dev/null
		say f beat >/dev/null
		sample_is "$@"
	}
	wait_for 20 heard 'test_held_bytes{engine="c",name="pool"}' 7.0
	wait_for 20 heard 'test_held_bytes{engine="a",name="pool"}' 2000.0
	wait_for 20 heard 'test_wait_seconds_count{engine="a"}' 1.0
	wait_for 20 heard 'test_wait_seconds_sum{engine="a"}' 2.0
	wait_for 20 heard test_wait_seconds summary
	wait_for 20 heard test_jobs_total counter
	run ! heard 'test_wait_seconds{engine="a",quantile="0.99"}' ""
	# the one that was started last: it holds the others' input open
	end_engine f
	gone_too() { say e beat >/dev/null && sample_is 'test_held_bytes{engine="c",name="pool"}' ""; }
	wait_for 20 gone_too
	alone() { say e beat >/dev/null && sample_is 'test_held_bytes{engine="a",name="pool"}' 2000.0; }
	wait_for 20 alone
}

@test "metrics are off by default, and cost nothing then" {
	write_conf <<<'[engine a]'
	start
	[ "$("$barostat" --socket "$socket" status --json | jq .metrics_at)" = null ]
	run ! grep -q 'microhttpd\|gnutls' "/proc/${fakes[-1]}/maps"
	run ! logged metrics
	# until a reload says otherwise, and back
	configure
	kill -HUP "${fakes[-1]}"
	wait_for 20 sample_is 'barostat_dry_run{}' 0.0
	write_conf <<<'[engine a]'
	kill -HUP "${fakes[-1]}"
	refused() { ! fetch >/dev/null 2>&1; }
	wait_for 20 refused
	is_up
}

@test "a local socket serves as well, and is gone with the daemon" {
	at=$scratch/metrics.sock
	configure
	start
	sample_is 'barostat_dry_run{}' 0.0
	[ -S "$at" ]
	stop
	[ ! -e "$at" ]
}

@test "only what is there is served, and only to be read" {
	configure
	start
	[ "$(fetch / | head -1)" = 200 ]
	[ "$(fetch /etc/passwd | head -1)" = 404 ]
	[ "$(fetch /metrics/ | head -1)" = 404 ]
	[ "$(fetch /metrics POST | head -1)" = 405 ]
	[ "$(fetch /metrics DELETE | head -1)" = 405 ]
	[ "$(fetch /metrics HEAD)" = 200 ]
	[ "$(fetch '/metrics?x=y' | head -1)" = 200 ]
}

@test "where the port is taken the daemon says so once and steers on" {
	python3 -c 'import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("ready", flush=True); time.sleep(600)' \
		"${at#*:}" >"$scratch/other" 3>&- &
	other=$!
	wait_for 20 answers "$scratch/other"
	configure
	start
	echo $((100 << 20)) >"$tree/barostat/a/memory.current"
	wait_for 20 engine_is a .usage_bytes 104857600
	[ "$(grep -c event=metrics_failed "$scratch/log")" = 1 ]
	logged "event=metrics_failed at=$at error=\"Address already in use\""
	[ "$("$barostat" --socket "$socket" status --json | jq .metrics_at)" = null ]
	kill "$other"
	wait_for 20 gone "$other"
	kill -HUP "${fakes[-1]}"
	wait_for 20 sample_is 'barostat_dry_run{}' 0.0
	# a restart finds its port free at once
	stop
	start
	sample_is 'barostat_dry_run{}' 0.0
}

@test "nobody who connects can hold the loop, or other readers, up" {
	configure
	start
	cat >"$scratch/rude.py" <<-'PYTHON'
		import os, socket, sys, time
		host, port = sys.argv[1].split(":")
		def connect():
		    s = socket.socket()
		    s.settimeout(60)
		    s.connect((host, int(port)))
		    return s
		for garbage in (b"\0" * 5000, b"GET /metrics\r\n\r\n", b"GET " + b"/" * 200000 + b" HTTP/1.1\r\n\r\n", os.urandom(4000),
		                b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 50000, b"PUT /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"):
		    s = connect()
		    try:
		        s.sendall(garbage)
		        s.shutdown(socket.SHUT_WR)
		        while s.recv(65536):
		            pass
		    except OSError:
		        pass
		print("garbage", flush=True)
		# who asks and does not read, who says half a word, who says nothing
		slow = [connect() for _ in range(12)]
		for s in slow[:4]:
		    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
		for s in slow[4:8]:
		    s.sendall(b"GET /met")
		print("slow", flush=True)
		sys.stdin.readline()
	PYTHON
	mkfifo "$scratch/go"
	python3 "$scratch/rude.py" "$at" <"$scratch/go" >"$scratch/said" 3>&- &
	other=$!
	exec 8>"$scratch/go"
	slow() { grep -q slow "$scratch/said"; }
	wait_for 60 slow
	ticks=$("$barostat" --socket "$socket" status --json | jq .cost.ticks)
	sample_is 'barostat_dry_run{}' 0.0
	ticked() { [ "$("$barostat" --socket "$socket" status --json | jq .cost.ticks)" -gt $((ticks + 10)) ]; }
	wait_for 20 ticked
	exec 8>&-
}

@test "more readers than there are places wait for one, and are not forgotten" {
	configure
	start
	for _ in $(seq 40); do
		fetch >/dev/null 3>&- &
		pids+=("$!")
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	sample_is 'barostat_dry_run{}' 0.0
}

@test "a long answer comes whole" {
	{
		for i in $(seq 300); do
			echo "[engine e$i]"
		done
	} | write_conf "metrics = $at"
	start
	fetch >"$scratch/fetched"
	[ "$(grep -c '^barostat_engine_weight{' "$scratch/fetched")" = 300 ]
	[ "$(grep -c '^barostat_engine_grants_total{' "$scratch/fetched")" = 300 ]
}
