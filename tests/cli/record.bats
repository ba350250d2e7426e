#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Recording a real daemon on a directory that looks like cgroups, and replaying what was recorded.

bats_require_minimum_version 1.5.0

load support
load dry_daemon

setup() {
	cli_setup
	trace=$BATS_FILE_TMPDIR/trace
}

teardown() {
	cli_teardown
}

# record_to FILE [OPTION]...: in the background; its process id is the last of $fakes
record_to() {
	"$barostat" --socket "$socket" record "$@" >"$1.out" 2>"$1.err" 3>&- &
	fakes+=($!)
	local file=$1
	begun() { [ -s "$file" ]; }
	wait_for 20 begun
}

usage() { # usage ENGINE MIB
	echo $(($2 << 20)) >"$tree/barostat/$1/memory.current"
}

# replays FILE JQ: the JSON of its replay, whatever the exit status, fulfils it
replays() {
	local file=$1
	shift
	status=0
	"$barostat" replay "$file" --json >"$scratch/replay" 2>"$scratch/replay.err" || status=$?
	cat "$scratch/replay" "$scratch/replay.err"
	jq -e "$@" "$scratch/replay"
}

# forge OFFSET FORMAT VALUE: a copy of the trace with another value in its header, and a good sum
forge() {
	python3 - "$trace" "$scratch/forged" "$@" <<-'PYTHON'
		import struct, sys, zlib
		data = bytearray(open(sys.argv[1], "rb").read())
		struct.pack_into(sys.argv[4], data, int(sys.argv[3]), int(sys.argv[5]))
		struct.pack_into("=I", data, 68, zlib.crc32(data[:68]))
		open(sys.argv[2], "wb").write(data)
	PYTHON
}

# refused FILE TEXT: exit status 1, the text on stderr, nothing on stdout
refused() {
	ask replay "$1"
	echo "$status $output $stderr"
	[ "$status" = 1 ]
	[ -z "$output" ]
	[[ $stderr == "barostat: "*"$2"* ]]
}

setup_file() {
	cli_setup
	dry_setup
	write_conf <<-CONF
		[engine pg]
		min = 64M
		[engine rocks]
		max = 512M
	CONF
	start
	record_to "$BATS_FILE_TMPDIR/trace" --seconds 2
	# for teardown_file, which is what runs when this fails
	echo "${fakes[@]}" >"$BATS_FILE_TMPDIR/pids"
	echo "$scratch" >"$BATS_FILE_TMPDIR/scratch"
	for i in 100 200 300 400 500 350; do
		usage pg $i
		usage rocks $((600 - i))
		sleep 0.1
	done
	"$barostat" --socket "$socket" set pg max=700M weight=300
	printf '[engine late]\nmin = 32M\n' >>"$conf"
	kill -HUP "${fakes[0]}"
	wait_for 20 engine_is late .state active
	usage late 90
	rm -r "$tree/barostat/rocks"
	wait_for 20 logged 'engine=rocks event=gone'
	wait_for 20 engine_is rocks .state active # the daemon makes it again
	wait_for 20 gone "${fakes[1]}"
}

teardown_file() {
	read -ra fakes <"$BATS_FILE_TMPDIR/pids"
	scratch=$(cat "$BATS_FILE_TMPDIR/scratch")
	cli_teardown
}

@test "a recording with a reload, an engine that joins and one that leaves replays bit for bit" {
	grep -qE '^[0-9]+ ticks in [12]\.[0-9] s, 0 of them early: [0-9.]+K, [0-9]+ bytes a tick$' "$trace.out"
	[ ! -s "$trace.err" ]
	ask replay "$trace"
	echo "$output $stderr"
	[ "$status" = 0 ]
	grep -qE '^replay   [0-9]+ decisions, all the same$' <<<"$output"
	replays "$trace" '.different == 0 and .first_difference == null and .complete and .end == "asked"
		and .ticks > 40 and (.engines | map(.name) | sort) == ["late", "pg", "rocks"]
		and all(.engines[]; .recorded == .now) and ([.engines[].recorded.moved_bytes] | add) > 0'
	[ "$status" = 0 ]
}

@test "a law that decides otherwise is noticed, with the first difference" {
	# the same law, but that it has two more megabytes to divide
	sed 's/w->available = law_less(/w->available = 512 + law_less(/' user/daemon/policy.c >"$scratch/policy.c"
	run ! cmp -s user/daemon/policy.c "$scratch/policy.c"
	cc -std=gnu11 -O2 -D_GNU_SOURCE -I. "$scratch/policy.c" "$build/obj/user/cli/main.o" "$build/libinternal.a" \
		-o "$scratch/mutant" -linih -ljansson -lncursesw -ltinfo -lz -lm
	status=0
	"$scratch/mutant" replay "$trace" >"$scratch/out" || status=$?
	cat "$scratch/out"
	[ "$status" = 1 ]
	tr -s '\n ' '  ' <"$scratch/out" |
		grep -qE '[0-9]+ differ, the first at tick [0-9]+ \([0-9.]+ s\), engine [a-z]+: recorded .*reason .*; now .*reason '
	"$scratch/mutant" replay "$trace" --json | jq -e '.different > 0 and
		.first_difference.recorded != .first_difference.now and .first_difference.tick >= 1'
}

@test "a trace that was cut off is used up to its last whole tick, and that is said" {
	head -c -100 "$trace" >"$scratch/cut"
	replays "$scratch/cut" '.complete == false and .end == null and .different == 0 and .ticks > 30'
	[ "$status" = 0 ]
	grep -qE "^barostat: $scratch/cut is cut off within a frame, at byte [0-9]+: used up to tick [0-9]+$" "$scratch/replay.err"
	head -c 80 "$trace" >"$scratch/cut"
	refused "$scratch/cut" "is cut off within a frame, at byte 72"
}

@test "a damaged trace is used up to the damage, and that is said" {
	cp "$trace" "$scratch/bad"
	printf '\377\377\377' | dd of="$scratch/bad" bs=1 seek=$(($(stat -c %s "$trace") - 300)) conv=notrunc status=none
	replays "$scratch/bad" '.complete == false and .different == 0 and .ticks > 30'
	[ "$status" = 0 ]
	grep -q "^barostat: $scratch/bad is damaged at byte " "$scratch/replay.err" ||
		grep -q "^barostat: $scratch/bad is cut off within a frame" "$scratch/replay.err"
}

@test "what is no trace, or one of another law, machine or format, is refused by name" {
	refused "$scratch/none" "cannot read $scratch/none: No such file or directory"
	refused "$scratch" "cannot read $scratch: Is a directory"
	: >"$scratch/empty"
	refused "$scratch/empty" "is no trace of barostat record"
	cp "$barostat" "$scratch/program"
	refused "$scratch/program" "is no trace of barostat record"
	forge 8 =I $((0x04030201))
	refused "$scratch/forged" "was recorded on a machine of another byte order"
	forge 12 =I 2
	refused "$scratch/forged" "has format 2, this barostat reads format 1"
	forge 16 =I 7
	refused "$scratch/forged" "was recorded by barostat $(cat VERSION) with another control law (00000007)"
	forge 28 =I 8
	refused "$scratch/forged" "with another control law"
	forge 44 =I 5000
	refused "$scratch/forged" "has 5000 slots, more than there can be"
	printf 'x' | dd of="$scratch/forged" bs=1 seek=50 conv=notrunc status=none
	refused "$scratch/forged" "is damaged in its header"
}

@test "the number of the law changes with its declarations, not with comments" {
	cp bpf/wire.h "$scratch/a.h"
	cp bpf/wire.h "$scratch/b.h"
	printf '/* a comment\n * of two lines */\n' >>"$scratch/b.h"
	[ "$(scripts/law-abi "$scratch/a.h")" = "$(scripts/law-abi "$scratch/b.h")" ]
	sed -i 's/uint64_t evictions;/uint32_t evictions;/' "$scratch/b.h"
	[ "$(scripts/law-abi "$scratch/a.h")" != "$(scripts/law-abi "$scratch/b.h")" ]
}

@test "another policy and other settings are compared with what was recorded, and called an open loop" {
	ask replay "$trace" --policy static --set "pg.max=128M,reserve=25%"
	echo "$output"
	[ "$status" = 0 ]
	grep -q '^now      policy static, pg.max=128M,reserve=25%$' <<<"$output"
	grep -qE '^ENGINE  *TARGET  *NOW  *MOVED  *NOW  *REVERSALS  *NOW  *DIFFER  *OF$' <<<"$output"
	grep -qE '^pg  *[0-9.]+M  *128M ' <<<"$output"
	[[ $output == *"Open loop: the engines did what they did under the recorded limits"* ]]
	ask replay "$trace" --policy static --json
	jq -e '.open_loop and .policy == "static" and .recorded_policy == "marginal" and .different == 0 and
		(.engines | map(.different) | add) > 0' <<<"$output"
}

@test "docs/trace.md has every field of the JSON of a replay" {
	ask replay "$trace" --engine late --json
	sed -n '/^`--json` prints/,$p' docs/trace.md | sed -n 's/^| \([a-z_, ]*\) |.*/\1/p' | tr -d ' ' | tr ',' '\n' |
		grep -v '^field$' | sort >"$scratch/documented"
	jq -r 'keys[]' <<<"$output" | sort | diff "$scratch/documented" -
}

@test "the decisions on one engine are told in words, as explain tells them" {
	ask replay "$trace" --engine late
	echo "$output"
	[ "$status" = 0 ]
	tr -s '\n ' '  ' <<<"$output" |
		grep -qE ' At [0-9.]+s it started with [0-9.]+M, its share until more is known \[start; marginal policy\]\.'
	ask replay "$trace" --engine late --json
	jq -e '.told | length > 0 and all(.[]; has("at_ms") and has("inputs") and .policy == "marginal")' <<<"$output"
	ask replay "$trace" --engine pg
	[[ $output == *"Its target never moved: nothing spoke for it."* ]]
	ask replay "$trace" --engine pg --set pg.max=100M
	tr -s '\n ' '  ' <<<"$output" | grep -q 'its target went from .* to 100M.*held by max\]'
}

@test "the plot has a panel for each engine, with what was and what is" {
	ask replay "$trace" --plot "$scratch/was.svg"
	[ "$status" = 0 ]
	ask replay "$trace" --policy static --plot "$scratch/both.svg"
	[ "$status" = 0 ]
	python3 - "$scratch/was.svg" "$scratch/both.svg" <<-'PYTHON'
		import re, sys, xml.etree.ElementTree as xml
		svg = "{http://www.w3.org/2000/svg}"
		for file, lines in zip(sys.argv[1:], (2, 3)):
		    root = xml.parse(file).getroot()
		    texts = [t.text for t in root.iter(svg + "text")]
		    assert [t for t in texts if t in ("pg", "rocks", "late")] == ["pg", "rocks", "late"], texts
		    drawn = [p.get("d") for p in root.iter(svg + "path") if p.get("style")]
		    assert len(drawn) == lines * 4, drawn # a panel each, and the legend
		    assert sum(len(d) > 200 for d in drawn) == lines * 3
		    height = float(root.get("height"))
		    for y in re.findall(r"V([-0-9.]+)", " ".join(drawn)):
		        assert 0 <= float(y) <= height
	PYTHON
	ask replay "$trace" --plot "$scratch/none/x.svg"
	fails 1 "cannot write $scratch/none/x.svg: No such file or directory"
}

@test "settings that mean nothing are usage errors, an engine that never was a failure" {
	ask replay "$trace" --policy best
	fails 2 "there is no policy 'best'"
	ask replay "$trace" --set colour=red
	fails 2 "'colour=red' sets nothing a replay knows; allowed: policy, gamma, ceiling, reserve, burst, and ENGINE.min, ENGINE.max, ENGINE.weight, ENGINE.stall_target"
	ask replay "$trace" --set gamma=high
	fails 2 "'gamma=high' has a value that is not allowed"
	ask replay "$trace" --set mongo.max=1G
	fails 1 "no engine 'mongo' was active in $trace"
	ask replay "$trace" --engine mongo
	fails 1 "no engine 'mongo' was active in $trace"
}

@test "a recording ends with the interrupt, with the daemon, and short of both when it is killed" {
	dry_setup
	write_conf <<<'[engine pg]'
	start
	local daemon=${fakes[-1]}
	record_to "$scratch/a"
	kill -TERM "${fakes[-1]}"
	wait "${fakes[-1]}"
	[ ! -s "$scratch/a.err" ]
	replays "$scratch/a" '.end == "asked" and .different == 0'
	record_to "$scratch/b"
	kill -KILL "${fakes[-1]}"
	closed() { [ "$(grep -c event=record_closed "$scratch/log")" = 2 ]; }
	wait_for 20 closed
	record_to "$scratch/c"
	is_up
	kill -TERM "$daemon"
	status=0
	wait "${fakes[-1]}" || status=$?
	[ "$status" = 1 ]
	grep -q 'ended early: so did the daemon' "$scratch/c.err"
	replays "$scratch/c" '.end == "stopped" and .different == 0'
	[ "$status" = 0 ]
}

@test "a third recording is refused while two go on, and a file that cannot be written is said" {
	dry_setup
	write_conf <<<'[engine pg]'
	start
	record_to "$scratch/a"
	record_to "$scratch/b"
	ask record "$scratch/c" --seconds 1
	fails 1 "2 recordings are going on already, which is the most"
	[ ! -e "$scratch/c" ]
	kill -TERM "${fakes[-1]}"
	wait "${fakes[-1]}"
	ask record "$scratch/none/c" --seconds 1
	fails 1 "cannot write $scratch/none/c: No such file or directory"
	ask record "$scratch/c" --seconds 0
	fails 2 "'0' is no number of seconds from 1"
	ask record "$scratch/c" --seconds 1 --json
	[ "$status" = 0 ]
	jq -e '.end == "asked" and .ticks > 10 and .bytes > 100' <<<"$output"
}
