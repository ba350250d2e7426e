#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The pressure page and real cgroups: a process finds its engine by where it is.

bats_require_minimum_version 1.5.0
load ../lib/wait

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	build=$(realpath "${BUILD:-build}")
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-$$-XXXXXX")
	name=barostat-test-page-$$
	# the hierarchy with the memory controller: by the file system's type, not by existence
	if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
		memory=/sys/fs/cgroup number=0
	else
		memory=/sys/fs/cgroup/memory
		number=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ {print $1}' /proc/self/cgroup)
	fi
	mkdir "$memory/$name" "$memory/$name/child" "$memory/$name-other"
	mkfifo "$scratch/orders"
	"$build/tests/tools/page_publish" "$scratch/pressure" <"$scratch/orders" >"$scratch/answers" 2>&1 3>&- &
	publisher=$!
	exec 4>"$scratch/orders"
	printf '%s\n' "engine other $memory/$name-other $number" "engine pg $memory/$name $number" \
		"level pg 2 7777" "level other 1 1111" "commit 60000" >&4
	wait_for 10 published
}

teardown() {
	exec 4>&-
	wait_for 5 gone "$publisher"
	rmdir "$memory/$name/child" "$memory/$name" "$memory/$name-other"
	rm -rf "$scratch"
}

published() {
	[ "$(paste -sd' ' "$scratch/answers")" = "created ok ok ok ok ok" ]
}

# watch_in CGROUP: what a process in that cgroup reads of itself
watch_in() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	run env BAROSTAT_PAGE="$scratch/pressure" \
		sh -c 'echo $$ >"$1/cgroup.procs" && exec "$2" - 1' sh "$1" "$build/examples/watch"
}

@test "a process in an engine's cgroup finds its engine" {
	watch_in "$memory/$name"
	[ "$output" = "warning: budget 7777 usage 0 release 0 (none)" ]
	watch_in "$memory/$name-other"
	[ "$output" = "normal: budget 1111 usage 0 release 0 (none)" ]
}

@test "a process in a child of an engine's cgroup finds its engine" {
	watch_in "$memory/$name/child"
	[ "$output" = "warning: budget 7777 usage 0 release 0 (none)" ]
}

@test "a process elsewhere is told that it is no engine's" {
	watch_in "$memory"
	[ "$status" -eq 1 ]
	[[ $output == *"no such engine"* ]]
}
