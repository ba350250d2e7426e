#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# OOM victims and direct reclaim of engines.

load ../lib/wait
load ../lib/sensors

setup() {
	sensors_setup
	mkdir "$CG/a"
	mkdir "$CG/b"
}

teardown() {
	sensors_teardown
}

oom_kills_of() {
	if [ -n "$HYBRID" ]; then
		awk '$1 == "oom_kill" { print $2 }' "$1/memory.oom_control"
	else
		awk '$1 == "oom_kill" { print $2 }' "$1/memory.events"
	fi
}

# A process that wants more than its cgroup may have; its pid goes to $victim.
overdraw() {
	[ ! -e "$1/memory.swap.max" ] || echo 0 >"$1/memory.swap.max"
	"$LOAD/touch" --cgroup "$1" anon $((64 << 20)) </dev/null >/dev/null 2>&1 3>&- &
	victim=$!
	wait "$victim" || true
}

# bats test_tags=guest
@test "each victim of the OOM killer counts once, with an event that names it" {
	local i victims=()

	echo $((16 << 20)) >"$(limit_file "$CG/a")"
	sensors_start "$CG/a" "$CG/b"
	need_sensor oom
	for i in 1 2 3; do
		overdraw "$CG/a"
		victims+=("$victim")
	done
	ask read
	[ "$(oom_kills_of "$CG/a")" -eq 3 ]
	[ "$(field 0 oom_kills)" -eq 3 ]
	[ "$(field 1 oom_kills)" -eq 0 ]
	[ "$(jq -c '[.events[] | select(.kind == "oom-victim") | .pid]' <<<"$answer")" = "[$(IFS=,; echo "${victims[*]}")]" ]
	(($(field 0 walk_valid) & 8)) && [ "$(field 0 events_oom_kill)" -eq 3 ]
}

@test "a victim in a child cgroup counts for the engine" {
	new_parent "$CG/c"
	sensors_start "$CG/c"
	need_sensor oom
	mkdir "$CG/c/kid"
	echo $((16 << 20)) >"$(limit_file "$CG/c/kid")"
	overdraw "$CG/c/kid"
	ask read
	[ "$(oom_kills_of "$CG/c/kid")" -eq 1 ]
	[ "$(field 0 oom_kills)" -eq 1 ]
}

@test "an engine that reads more than its limit goes into direct reclaim, its neighbour does not" {
	make_file "$WORK/file" 64
	echo $((16 << 20)) >"$(limit_file "$CG/a")"
	sensors_start "$CG/a" "$CG/b"
	need_sensor reclaim
	hold one --cgroup "$CG/a" read "$WORK/file" 16384
	hold two --cgroup "$CG/b" anon $((8 << 20))
	ask read
	echo "direct $(field 0 direct_reclaims) scanned $(field 0 reclaim_scanned_pages) stolen $(field 0 reclaim_stolen_pages) pgsteal $(stat_of "$CG/a" pgsteal)"
	[ "$(field 0 direct_reclaims)" -gt 10 ]
	[ "$(field 1 direct_reclaims)" -eq 0 ]
}

@test "pages taken from an engine are those of memory.stat, by whomever they were taken" {
	make_file "$WORK/file" 32
	sensors_start "$CG/a" "$CG/b"
	need_sensor reclaim
	hold one --cgroup "$CG/a" read "$WORK/file" 8192
	hold two --cgroup "$CG/a" anon $((8 << 20))
	# the writer of the limit reclaims, not the engine
	echo $((24 << 20)) >"$(limit_file "$CG/a")"
	is_counted() {
		ask read
		[ "$(field 0 reclaim_stolen_pages)" -ge 4000 ]
	}
	wait_for 10 is_counted
	if [ -z "$HYBRID" ]; then
		near "$(field 0 reclaim_stolen_pages)" "$(stat_of "$CG/a" pgsteal)" 10000
	fi
	[ "$(field 0 reclaim_stolen_pages)" -le 9000 ]
	[ "$(field 0 reclaim_scanned_pages)" -ge "$(field 0 reclaim_stolen_pages)" ]
	[ "$(field 0 direct_reclaims)" -eq 0 ]
	[ "$(field 1 reclaim_stolen_pages)" -eq 0 ]
}
