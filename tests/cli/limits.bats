#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What a daemon without privileges writes to the limits of its engines.

load support
load dry_daemon

setup() {
	cli_setup
	dry_setup
}

teardown() {
	cli_teardown
}

# caches MIB ENGINE...: so much each uses, all of it file pages
caches() {
	local bytes=$(($1 << 20)) engine
	shift
	for engine; do
		printf 'anon 0\nfile %s\n' $bytes >"$tree/barostat/$engine/memory.stat.new"
		mv "$tree/barostat/$engine/memory.stat.new" "$tree/barostat/$engine/memory.stat"
		echo $bytes >"$tree/barostat/$engine/memory.current"
	done
}

# limit ENGINE WHICH
limit() {
	cat "$tree/barostat/$1/memory.$2"
}

# The loose cap of a and b is a quarter above their targets, or higher.
capped_by_a_quarter() {
	local engine low high
	for engine in a b; do
		low=$(limit $engine low) high=$(limit $engine high)
		[ "$low" != 0 ] && [ "$high" != max ] && [ "$high" -le $((low / 4 * 5 + 8192)) ] || return 1
	done
}
capped_higher() {
	local engine high
	for engine in a b; do
		high=$(limit $engine high)
		[ "$high" = max ] || [ "$high" -ge $(($(limit $engine low) / 4 * 5 + (40 << 20))) ] || return 1
	done
}

@test "what nobody uses is lent as long as every engine is below the parent that holds the ceiling" {
	write_conf <<-CONF
		[engine a]
		[engine b]
		[engine h]
		[engine out]
		cgroup = service
	CONF
	start
	caches 60 a b
	wait_for 20 capped_higher
	cp -r "$tree/barostat/h" "$tree/service"
	active() { logged 'engine=out event=active'; }
	wait_for 20 active
	wait_for 20 capped_by_a_quarter
	rm -r "$tree/service"
	wait_for 20 capped_higher
}

@test "what is lent to a group keeps to the group's maximum" {
	write_conf <<-CONF
		[group g]
		max = 160M
		[engine a]
		group = g
		[engine b]
		group = g
		[engine h]
	CONF
	start
	caches 60 a b
	wait_for 20 capped_by_a_quarter
	local i
	for i in {1..20}; do
		sleep 0.05
		[ $(($(limit a high) + $(limit b high))) -le $((200 << 20)) ]
	done
}

@test "a minimum that is set is guaranteed at once" {
	write_conf <<-CONF
		[engine a]
		[engine b]
	CONF
	start
	caches 60 a b
	wait_for 20 capped_higher
	"$barostat" --socket "$socket" set a min=100M
	guaranteed() { [ "$(limit a min)" = "$1" ]; }
	wait_for 5 guaranteed $((100 << 20))
	[ "$(limit a min)" -le "$(limit a low)" ]
	"$barostat" --socket "$socket" set a min=0
	wait_for 5 guaranteed 0
}

@test "where targets become limits, protection is again what it was" {
	write_conf <<-CONF
		[engine a]
		[engine out]
		cgroup = barostat/service
		max = 64M
	CONF
	start
	# somebody's, with protection of its own
	cp -r "$tree/barostat/a" "$tree/theirs"
	echo $((700 << 20)) >"$tree/theirs/memory.low"
	echo $((10 << 20)) >"$tree/theirs/memory.min"
	mv "$tree/theirs" "$tree/barostat/service"
	taken_over() { [ "$(limit service low)" -le $((64 << 20)) ] && [ "$(limit service min)" = 0 ]; }
	wait_for 20 taken_over
	"$barostat" --socket "$socket" set out limit=hard
	as_it_was() { [ "$(limit service low)" = $((700 << 20)) ] && [ "$(limit service min)" = $((10 << 20)) ]; }
	wait_for 5 as_it_was
}

@test "a cap that rises and is still below what is used waits until it is not" {
	write_conf 'policy = static' <<-CONF
		[engine a]
		weight = 100
		[engine b]
		weight = 700
	CONF
	start
	caches 100 a b
	# is VALUE MIB: to a MiB, for shares are in pages
	is() { [ "$1" != max ] && [ $((($1 + (1 << 19)) >> 20)) = "$2" ]; }
	capped_at() { is "$(limit a high)" "$1"; }
	wait_for 20 capped_at 150
	caches 400 a
	uses() { [ "$(engine a .usage_bytes)" = $(($1 << 20)) ]; }
	wait_for 5 uses 400
	"$barostat" --socket "$socket" set a weight=300
	aims() { is "$(engine a .target_bytes)" "$1"; }
	wait_for 10 aims 288
	sleep 0.3
	capped_at 150
	is "$(limit a low)" 150
	caches 150 a
	wait_for 5 capped_at 360
	protected() { is "$(limit a low)" 288; }
	wait_for 5 protected
}
