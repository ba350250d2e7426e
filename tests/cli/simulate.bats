#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The law on simulated hosts: how near it comes to the best fixed split that knows the future. The
# bounds are in the scenarios themselves, with slack below what is reached (docs/law.md has the
# table): they catch a law that has stopped working, not one that is a little worse.

load support

setup() {
	cli_setup
	socket=$scratch/none
}

teardown() {
	cli_teardown
}

# one engine that a fifth of the ceiling would serve and that does not do much, and nothing else
tiny() {
	printf '%s\n' '[scenario]' 'length = 4s' '[engine a]' 'reads = uniform 20%' 'think = 500us' \
		"$@" >"$scratch/tiny.ini"
}

@test "the law keeps what every scenario expects" {
	[ -z "$(grep -L '^\[expect' scenarios/*.ini)" ]
	"$barostat" simulate --check scenarios/*.ini
}

@test "every scenario is one" {
	# the shortest look at each: half a second of it
	for file in scenarios/*.ini; do
		sed -e 's/^length = .*/length = 1s/; s/^measured_from = .*/measured_from = 500ms/' \
			-e '/^\[expect/,$d' "$file" >"$scratch/${file##*/}"
	done
	ask simulate "$scratch"/*.ini --ceiling 10% --check
	echo "$stderr"
	[ "$status" = 0 ]
	[ "$(grep -c '^[a-z0-9_]* *expect ' <<<"$output")" = "$(find scenarios -name '*.ini' | wc -l)" ]
}

@test "recorded reads keep what is expected of them, plain or gzipped, from the file or by --set" {
	ask simulate --check tests/fixtures/reads/btree.ini
	echo "$output" "$stderr"
	[ "$status" = 0 ]
	gzip -c tests/fixtures/reads/btree.txt >"$scratch/reads.gz"
	tiny
	ask simulate "$scratch/tiny.ini" --ceiling 10% --json --set 'a.reads=trace reads.gz'
	echo "$output" "$stderr"
	[ "$status" = 0 ]
	jq -e '.runs[0].score > 0.9' <<<"$output"
}

@test "recorded reads that cannot be read are refused with file and line" {
	printf '%s\n' 1 2 none >"$scratch/reads"
	tiny
	ask simulate "$scratch/tiny.ini" --set 'a.reads=trace reads'
	[ "$status" = 1 ]
	[[ $stderr == "$scratch/reads:3: 'none' is not a page number; allowed: one page number a line, "* ]]
	[ -z "$output" ]
	ask simulate "$scratch/tiny.ini" --set 'a.reads=trace nothing'
	[ "$status" = 1 ]
	[[ $stderr == "$scratch/tiny.ini:3: [engine a] trace $scratch/nothing cannot be read: No such file or directory; allowed: "* ]]
}

@test "a law that does not work breaks what is expected, and it is said where" {
	ask simulate --check --policy static scenarios/stampede.ini
	echo "$output" "$stderr"
	[ "$status" = 1 ]
	grep -qE '^scenarios/stampede.ini:[0-9]+: \[expect hard\]: reader did [0-9.]+% of what it does alone, at least 95.0% expected$' <<<"$stderr"
	[[ $output == *"5 runs, "[1-9]*" bounds broken" ]]
}

@test "the table has a row for each run, and how fast it was" {
	tiny
	ask simulate "$scratch/tiny.ini" --against static --seeds 2
	echo "$output"
	[ "$status" = 0 ]
	[[ ${output%%$'\n'*} == "SCENARIO  RUN "*" ALONE" ]]
	[ "$(awk '$1 == "tiny" {print $2}' <<<"$output" | tr '\n' ' ')" = "marginal static " ]
	grep -qE '^16 s simulated in [0-9.]+ s: [0-9]+ simulated seconds a second;' <<<"$output"
}

@test "the best fixed split reaches itself" {
	ask simulate scenarios/stampede.ini --policy best --actuator hard --reserve 0% --json
	[ "$status" = 0 ]
	jq -e '.runs[0].share > 0.99 and .runs[0].share < 1.01 and .runs[0].policy == "best"' <<<"$output"
}

@test "a coarser grain is the same host" {
	ask simulate scenarios/streams.ini --json --set seed=3
	fine=$output
	ask simulate scenarios/streams.ini --json --set seed=3 --grain 16
	echo "$fine" "$output"
	jq -en --argjson fine "$fine" --argjson coarse "$output" '
		def near(a; b; by): a - b < by and b - a < by;
		near($fine.runs[0].best_score; $coarse.runs[0].best_score; 0.03) and
		near($fine.runs[0].score; $coarse.runs[0].score; 0.05)'
}

@test "JSON is one valid value with every figure" {
	tiny '[engine b]' 'kind = bursts' 'burst = 1s' 'every = 2s' 'high = 10%'
	ask simulate "$scratch/tiny.ini" --json
	[ "$status" = 0 ]
	jq -es 'length == 1 and (.[0] | .simulated_s == 4 and .simulated_s_per_s > 0 and (.runs | length) == 1 and
		(.runs[0] | .scenario == "tiny" and .score > 0 and .best_score > 0 and .settled_s == null and
		(.engines | map(.name)) == ["a", "b"]))' <<<"$output"
}

@test "the same seed prints the same figures, and another one others" {
	tiny '[engine b]' 'reads = zipf 0.9 100%' 'think = 500us'
	figures() { "$barostat" simulate "$scratch/tiny.ini" --json "$@" | jq -c .runs; }
	[ "$(figures)" = "$(figures)" ]
	[ "$(figures)" != "$(figures --seed 2)" ]
}

@test "a plot is well-formed and shows each engine in each run" {
	tiny '[engine b]' 'reads = stream' 'think = 500us'
	mv "$scratch/tiny.ini" "$scratch/a&b.ini"
	ask simulate "$scratch/a&b.ini" --against static --plot "$scratch/plot.svg"
	[ "$status" = 0 ]
	python3 - "$scratch/plot.svg" <<-'CHECK'
		import sys, xml.etree.ElementTree as tree
		svg = "{http://www.w3.org/2000/svg}"
		root = tree.parse(sys.argv[1]).getroot()
		text = [t.text for t in root.iter(svg + "text")]
		assert "barostat simulate a&b" in text, text
		assert sum(t.startswith("marginal: ") for t in text) == 1, text
		assert sum(t.startswith("static: ") for t in text) == 1, text
		areas = [p for p in root.iter(svg + "path") if p.get("fill-opacity")]
		assert len(areas) == 2 * 2 * 2, len(areas)
		width, height = float(root.get("width")), float(root.get("height"))
		for area in areas:
		    numbers = [float(x) for x in area.get("d").strip("Mz ").split()]
		    assert max(numbers[0::2]) <= width and max(numbers[1::2]) <= height and min(numbers) >= 0
	CHECK
	ask simulate "$scratch/a&b.ini" --plot "$scratch/none/plot.svg"
	fails_with_output 1 "$scratch/none/plot.svg: No such file or directory"
}

# as fails, where something was printed before
fails_with_output() {
	echo "status $status, stderr: $stderr"
	[ "$status" = "$1" ]
	[ "${stderr%%$'\n'*}" = "barostat: $2" ]
}

@test "what the README shows can be typed" {
	command=$(sed -n 's,^    make && build/barostat \(simulate .*\),\1,p' README.md)
	[ -n "$command" ]
	# shellcheck disable=SC2086 # words
	ask ${command/ --plot / --grain 16 --plot $scratch/}
	echo "$output" "$stderr"
	[ "$status" = 0 ]
	[ -s "$scratch/idle_rot.svg" ]
}

@test "a wrong scenario is refused with file, line, what is wrong and what is allowed" {
	tiny 'thread = 2'
	ask simulate "$scratch/tiny.ini"
	echo "$stderr"
	[ "$status" = 1 ]
	[ -z "$output" ]
	[[ $stderr == "$scratch/tiny.ini:6: unknown key 'thread', did you mean 'threads'?; allowed: kind, "* ]]
	ask simulate nonsense
	[ "$status" = 1 ]
	[ "$stderr" = "nonsense: cannot be read: No such file or directory; allowed: a readable file below 64K" ]
	ask simulate "$scratch"
	[ "$status" = 1 ]
}

@test "wrong options are refused before anything runs" {
	tiny
	ask simulate "$scratch/tiny.ini" --policy oracle
	[ "$status" = 2 ]
	[[ $stderr == "barostat: simulate: policy = oracle is not known; allowed: marginal, "*" or best" ]]
	ask simulate "$scratch/tiny.ini" --set a.threads=0
	[ "$status" = 2 ]
	[[ $stderr == "barostat: simulate --set: threads = 0 is out of range; "* ]]
	ask simulate "$scratch/tiny.ini" --seeds 0
	[ "$status" = 2 ]
	ask simulate "$scratch/tiny.ini" --check --plot "$scratch/plot.svg"
	[ "$status" = 2 ]
	[ ! -e "$scratch/plot.svg" ]
	ask simulate "$scratch/tiny.ini" "$scratch/tiny.ini" --plot "$scratch/plot.svg"
	[ "$status" = 2 ]
	ask simulate
	fails 2 "simulate needs SCENARIO..."
}
