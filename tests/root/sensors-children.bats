#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Cgroups below engines, as they come and go.

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

id_of() {
	stat -c %i "$1"
}

events_of_kind() {
	jq "[.events[] | select(.kind == \"$1\")] | length" <<<"$answer"
}

@test "cgroups that were there before count as children" {
	mkdir -p "$CG/a/x/y/z"
	sensors_start "$CG/a" "$CG/b"
	need_sensor children
	ask read
	[ "$(field 0 children)" -eq 3 ]
	[ "$(field 1 children)" -eq 0 ]
}

# bats test_tags=guest
@test "a child made later counts, with an event that names it" {
	sensors_start "$CG/a" "$CG/b"
	need_sensor children
	mkdir "$CG/b/x"
	mkdir "$CG/b/x/y"
	ask read
	[ "$(field 0 children)" -eq 0 ]
	[ "$(field 1 children)" -eq 2 ]
	[ "$(events_of_kind cgroup-new)" -eq 2 ]
	[ "$(jq '.events[0].slot' <<<"$answer")" -eq 1 ]
	[ "$(jq '.events[0].cgroup_id' <<<"$answer")" = "$(id_of "$CG/b/x")" ]
	[ "$(jq '.events[1].cgroup_id' <<<"$answer")" = "$(id_of "$CG/b/x/y")" ]
}

@test "a removed child counts no more" {
	mkdir "$CG/a/old"
	sensors_start "$CG/a"
	need_sensor children
	mkdir "$CG/a/new"
	ask read
	[ "$(field 0 children)" -eq 2 ]
	rmdir "$CG/a/old" "$CG/a/new"
	ask read
	[ "$(field 0 children)" -eq 0 ]
}

@test "the removal of an engine's own cgroup is an event" {
	sensors_start "$CG/a" "$CG/b"
	need_sensor children
	local id
	id=$(id_of "$CG/a")
	rmdir "$CG/a"
	ask read
	[ "$(events_of_kind cgroup-gone)" -eq 1 ]
	[ "$(jq '.events[0].cgroup_id' <<<"$answer")" = "$id" ]
	[ "$(jq '.events[0].slot' <<<"$answer")" -eq 0 ]
	# its readings are those of no walk any more
	[ "$(field 0 walk_valid)" -eq 0 ]
}

@test "cgroups elsewhere make no event" {
	sensors_start "$CG/a"
	need_sensor children
	mkdir "$CG/b/x"
	rmdir "$CG/b/x"
	mkdir "$CG/a/x"
	ask read
	[ "$(jq '.events | length' <<<"$answer")" -eq 1 ]
}

@test "five hundred children at once are all counted" {
	sensors_start "$CG/a"
	need_sensor children
	(cd "$CG/a" && seq 500 | xargs mkdir)
	ask read
	[ "$(field 0 children)" -eq 500 ]
	[ "$(jq .dropped <<<"$answer")" -eq 0 ]
	(cd "$CG/a" && seq 500 | xargs rmdir)
	ask read
	[ "$(field 0 children)" -eq 0 ]
}

@test "a full ring drops events and says how many" {
	local i

	sensors_start "$CG/a"
	need_sensor children
	for i in 1 2 3 4 5; do
		(cd "$CG/a" && seq 400 | xargs mkdir && seq 400 | xargs rmdir)
	done
	ask read
	[ "$(jq .dropped <<<"$answer")" -gt 0 ]
	[ $(($(jq .dropped <<<"$answer") + $(events_of_kind cgroup-new))) -eq 2000 ]
}

@test "an engine that leaves takes all its children along" {
	sensors_start --slots 4 "$CG/a" "$CG/b"
	need_sensor children
	(cd "$CG/a" && seq 600 | xargs mkdir)
	mkdir "$CG/b/x"
	ask remove 0
	[ "$(jq .error <<<"$answer")" -eq 0 ]
	mkdir "$CG/a/late" "$CG/a/600/late"
	ask read
	[ "$(field 1 children)" -eq 1 ]
	# nobody counts what is made below it, nor has its children: another may have them now
	[ "$(jq '[.events[] | select(.slot == 0)] | length' <<<"$answer")" -eq 600 ]
	ask add 2 "$CG/a/600"
	[ "$(jq .error <<<"$answer")" -eq 0 ]
	ask add 0 "$CG/a/1"
	[ "$(jq .error <<<"$answer")" -eq 0 ]
	ask read
	[ "$(field 2 children)" -eq 1 ]
	[ "$(field 0 children)" -eq 0 ]
}
