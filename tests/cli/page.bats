#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The pressure page as other programs see it: the Python reader, which knows the protocol document
# only, the examples, and the CLI, against the golden page and a live writer.

bats_require_minimum_version 1.5.0
load ../lib/wait

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	build=$(realpath "${BUILD:-build}")
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-$$-XXXXXX")
	page=$scratch/pressure
	# the system's own: a version manager's shim takes ten times as long to start
	python=$(PATH=/usr/bin:$PATH command -v python3)
	publisher=
}

teardown() {
	if [ "$publisher" ]; then
		kill -KILL "$publisher" 2>/dev/null || true
		wait_for 5 gone "$publisher"
	fi
	rm -rf "$scratch"
}

# Starts a writer that obeys tell.
publish() {
	mkfifo "$scratch/orders"
	"$build/tests/tools/page_publish" "$page" <"$scratch/orders" >"$scratch/answers" 2>&1 3>&- 4>&- &
	publisher=$!
	exec 4>"$scratch/orders"
	told=1
	wait_for 10 answered created
}

answered() {
	[ "$(sed -n "${told}p" "$scratch/answers")" = "$1" ]
}

# tell LINE: orders it and waits for the answer "ok"
tell() {
	told=$((told + 1))
	echo "$*" >&4
	wait_for 10 answered ok || { cat "$scratch/answers"; return 1; }
}

read_page() {
	$python examples/page_reader.py "$page" "$@"
}

golden() {
	# a checkout may be group-writable, and such a page is refused
	install -m 644 tests/fixtures/page/v1.0.page "$page"
}

@test "the golden page is what the protocol document describes" {
	$python tests/fixtures/page/make-v1.0 "$scratch/made"
	cmp "$scratch/made" tests/fixtures/page/v1.0.page
}

@test "the python reader reads every field of the golden page" {
	golden
	run -3 read_page # its lease ran out long ago
	jq -e '.header | .magic == "BAROPAGE" and .boot_epoch == 4711 and .published_ns == 80000042
		and .void_after_ns == 88000042 and .level == "warning" and .slots_used == 3 and .rung == 3
		and .score_ppm == 156042 and .cost_cpu_ppm == 184042 and .dropped_events == 192000042
		and .valid == false' <<<"$output"
	jq -e '.engines | length == 2 and (map(.name) == ["pg", "x" * 63])' <<<"$output"
	jq -e '.engines[0] | .level == "warning" and .state == "active" and .flags == 5 and .incarnation == 7
		and .score_ppm == 4042 and .budget_bytes == 24000042 and .release_by_ns == 72000042
		and .stall_avg_ppm == 116042 and .cgroup_id == 192000042 and .cgroup_hierarchy == 4
		and .max_bytes == 232000042 and .anon_bytes == 256000042 and .hard_bytes == 336000042
		and .psi_memory_some_1s_ppm == 344042 and .psi_io_full_10s_ppm == 372042
		and .oom_kills == 376000042 and .stall_direct_reclaim_ns_per_s == 384000042
		and .stall_swap_in_ns_per_s == 408000042 and .evictions_per_s == 440000042' <<<"$output"
	jq -e '.engines[1] | .state == "manual" and .velocity_bytes_per_s == -5' <<<"$output"
}

@test "the python reader refuses what is not a page" {
	golden
	local stderr
	for damage in 'printf b' 'printf BAROPAGE\\002'; do
		golden
		eval "$damage" | dd of="$page" conv=notrunc status=none
		run -3 --separate-stderr read_page
		[ -z "$output" ]
		[[ $stderr == *"page_reader: $page: "* ]]
	done
	golden
	truncate -s 2303 "$page"
	run -3 read_page
	[[ $output == *truncated* ]]
	golden
	chmod 664 "$page"
	run -3 read_page
	rm "$page"
	run -3 read_page
	[[ $output == *"No such file"* ]]
}

@test "the python reader follows a live writer" {
	publish
	tell engine pg
	tell engine redis
	tell level pg 2 1000000
	tell level redis 4 2000000
	tell commit 60000
	run -0 read_page
	jq -e '.header.valid and (.engines | map([.name, .level, .budget_bytes]) ==
		[["pg", "warning", 1000000], ["redis", "emergency", 2000000]])' <<<"$output"
	tell level pg 3 3000000
	tell free redis
	tell commit 60000
	run -0 read_page pg
	jq -e '.engines | length == 1 and .[0].level == "critical" and .[0].budget_bytes == 3000000' <<<"$output"
	run -1 read_page redis
}

@test "the python reader sees the end of the lease" {
	publish
	tell engine pg
	tell level pg 1 1
	tell commit 60000
	run -0 read_page
	tell stop
	run -3 read_page
	jq -e '.header.valid == false' <<<"$output"
}

@test "a page left in the middle of a write is reported, not believed" {
	golden
	# seq of the first slot, made odd
	printf '\005' | dd of="$page" bs=1 seek=256 conv=notrunc status=none
	run -3 --separate-stderr read_page
	[ -z "$output" ]
	[[ $stderr == *"in the middle of a write"* ]]
}

@test "the reader without the library reads the golden page" {
	golden
	run -0 "$build/examples/mmap_reader" "$page"
	[ "${lines[0]}" = "the lease has run out: do not believe this" ]
	[ "${lines[1]}" = "pg level=2 budget=24000042 usage=48000042 release=64000042" ]
	[[ ${lines[2]} == xxx*" level=4 "* ]]
	[ "${#lines[@]}" -eq 3 ]
	truncate -s 1000 "$page"
	run -3 "$build/examples/mmap_reader" "$page"
}

lines_are() { # lines_are FILE NUMBER
	[ "$(wc -l <"$1")" -eq "$2" ]
}

@test "the watching example prints a line for each change" {
	publish
	tell engine pg
	tell level pg 1 1000
	tell commit 60000
	BAROSTAT_PAGE=$page "$build/examples/watch" pg 3 >"$scratch/watched" 3>&- 4>&- &
	watcher=$!
	wait_for 10 lines_are "$scratch/watched" 1
	tell level pg 3 500
	tell commit 60000
	wait_for 10 lines_are "$scratch/watched" 2
	# nothing new: no line
	tell level pg 3 500
	tell commit 60000
	tell level pg 3 400
	tell commit 60000
	wait "$watcher"
	diff - "$scratch/watched" <<-'EXPECTED'
		normal: budget 1000 usage 0 release 0 (none)
		critical: budget 500 usage 0 release 0 (none)
		critical: budget 400 usage 0 release 0 (none)
	EXPECTED
}

@test "a watching engine learns that the daemon was stopped" {
	publish
	tell engine pg
	tell level pg 1 1000
	tell commit 60000
	BAROSTAT_PAGE=$page "$build/examples/watch" pg >"$scratch/watched" 2>&1 3>&- 4>&- &
	watcher=$!
	wait_for 10 lines_are "$scratch/watched" 1
	tell stop
	# not by run: only this shell can wait for its child
	status=0
	wait "$watcher" || status=$?
	[ "$status" -eq 1 ]
	grep -q 'lease has run out' "$scratch/watched"
}

@test "a killed writer's page is adopted and readers go on" {
	publish
	tell engine pg
	tell level pg 2 1000
	tell commit 60000
	inode=$(stat -c %i "$page")
	kill -KILL "$publisher"
	wait_for 5 gone "$publisher"
	exec 4>&-
	rm "$scratch/orders" "$scratch/answers"
	mkfifo "$scratch/orders"
	"$build/tests/tools/page_publish" "$page" <"$scratch/orders" >"$scratch/answers" 2>&1 3>&- 4>&- &
	publisher=$!
	exec 4>"$scratch/orders"
	told=1
	wait_for 10 answered adopted
	run -0 read_page pg
	jq -e '.engines[0].level == "warning"' <<<"$output"
	[ "$(stat -c %i "$page")" = "$inode" ]
}

@test "a second writer is refused while the first lives" {
	publish
	run "$build/tests/tools/page_publish" "$page"
	[ "$status" -eq 1 ]
	[[ $output == *busy* ]]
}
