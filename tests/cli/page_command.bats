#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# barostat page: the shared page without a daemon; the golden page has known numbers in it.

load support

setup() {
	cli_setup
	socket=$scratch/nobody
	page=$scratch/page
	cp tests/fixtures/page/v1.0.page "$page"
	chmod 0644 "$page"
}

teardown() {
	cli_teardown
}

@test "page prints header and slots, and says that the lease has run out" {
	ask page --page "$page"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == "page      $page, ABI 1.0, 3 of 4 slots used, pid 1234, 1 ticks
host      level warning, rung hybrid, score "* ]]
	grep -q '^lease     ran out .* ago: nothing here may be believed$' <<<"$output"
	grep -qE '^ +0  pg  +active  +warning  ' <<<"$output"
	grep -qE '^ +1  x{63}  manual  emergency  ' <<<"$output"
	[ "$(grep -c '^ *[0-9]  ' <<<"$output")" = 2 ]
}

@test "page --json has the fields of the protocol with their numbers" {
	ask page --page "$page" --json
	[ "$status" = 0 ]
	[ "$stderr" = "barostat: the lease of $page has run out: no daemon keeps it" ]
	# every field's number is its offset: see tests/fixtures/page/make-v1.0
	jq -es 'length == 1 and (.[0] | .valid == false and .rung == "hybrid" and .flags == ["dry_run", "has_psi"]
		and (.engines | length) == 2
		and .engines[0].name == "pg" and .engines[0].flags == ["hard", "at_limit"]
		and .engines[0].target_bytes == 32000042 and .engines[0].reason == "gain"
		and .engines[1].velocity_bytes_per_s == -5
		and .engines[1].limit_bytes == null and .engines[1].time_to_ceiling_ns == null)' <<<"$output"
}

@test "page ENGINE prints every field of one slot" {
	ask page --page "$page" pg
	echo "$output"
	[ "$status" = 0 ]
	grep -qE '^target_bytes +30.5M$' <<<"$output"
	grep -qE '^level +warning$' <<<"$output"
	[ "$(wc -l <<<"$output")" -ge 50 ]
	ask page --page "$page" pg --json
	jq -e '.name == "pg"' <<<"$output"
	ask page --page "$page" "$(printf 'x%.0s' {1..63})"
	grep -qE '^limit_bytes +none$' <<<"$output"
	grep -qE '^time_to_ceiling_ns +never$' <<<"$output"
}

@test "page ENGINE of an engine there is not exits 1" {
	ask page --page "$page" nope
	[ "$status" = 1 ]
	[[ $stderr == *"barostat: there is no engine 'nope' in the page" ]]
}

@test "page finds the page by BAROSTAT_PAGE, and --page wins" {
	BAROSTAT_PAGE=$page ask page
	[ "$status" = 0 ]
	BAROSTAT_PAGE=$scratch/none ask --page "$page" page
	[ "$status" = 0 ]
	BAROSTAT_PAGE=$scratch/none ask page
	fails 3 "$scratch/none: there is no pressure page: barostatd has not run here"
}

@test "a missing page exits 3, one that is broken 1, each with its reason" {
	ask page --page "$scratch/none"
	fails 3 "$scratch/none: there is no pressure page: barostatd has not run here"
	head -c 100 /dev/urandom >"$page"
	ask page --page "$page"
	[ "$status" = 1 ]
	head -c 1000 tests/fixtures/page/v1.0.page >"$page"
	ask page --page "$page"
	echo "$stderr"
	[ "$status" = 1 ]
	[[ $stderr == "barostat: $page: "* ]]
	cp tests/fixtures/page/v1.0.page "$page"
	printf '\002' | dd of="$page" bs=1 seek=8 conv=notrunc status=none
	ask page --page "$page"
	echo "$stderr"
	[ "$status" = 1 ]
	[[ $stderr == "barostat: $page: "*version* ]]
}

@test "doctor calls a page whose lease ran out degraded" {
	fake ok
	ask doctor --page "$page"
	[ "$status" = 0 ]
	grep -q '^degraded  *pressure page  *its lease ran out' <<<"$output"
}
