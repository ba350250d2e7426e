#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Memory moves between real engines, at random and as fast as the daemon ticks, while it is told
# new bounds, reloaded, killed and started again, and while somebody else writes limits: a watcher
# (tests/tools/transfers) that never sleeps must not see a sum above its bound.
#
#   TRANSFERS_SECONDS   of transfers in all (20), half of it in each mode. The daemon ticks every
#                       10 ms here: 360 s are an hour of ticks at the default interval of 100 ms
#   TRANSFERS_SEED      what a run printed, to try the same choices again
# shellcheck disable=SC2154,SC2030,SC2031 # lib/daemon sets them; each test is a process of its own

bats_require_minimum_version 1.5.0
load ../lib/daemon

ceiling=$((160 << 20))
bound=$((152 << 20)) # the ceiling less the reserve
file_mib=72 # more than an equal share
engines=(a b c heap stream)
readers=(a b c)
heaps=(a b c heap)

setup_file() {
	local name
	files=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-XXXXXX")
	export files
	for name in a b c stream; do
		dd if=/dev/zero of="$files/$name" bs=1M count=$file_mib conv=fdatasync status=none
	done
}

teardown_file() {
	rm -rf "$files"
}

setup() {
	daemon_setup
	seed=${TRANSFERS_SEED:-$((SRANDOM % 1000000))}
	RANDOM=$seed
	trap '' PIPE # an engine that was killed reads no more
	generation=0 watcher='' favourite=''
	declare -gA engine_pid=() engine_fd=() loops=() grown=() count=()
}

teardown() {
	daemon_teardown
}

# draw N: a number below N in $drawn
draw() {
	drawn=$(((RANDOM << 15 | RANDOM) % $1))
}

# pick WORD...: one of them in $picked
pick() {
	draw $#
	shift "$drawn"
	picked=$1
}

# nap MS; not read -t, which needs no process: bash 5.2 has aborted in it (longjmp, uninitialized frame)
nap() {
	local seconds
	printf -v seconds %d.%03d $(($1 / 1000)) $(($1 % 1000))
	sleep "$seconds" 3>&-
}

# configure [LINE...]: every engine with these lines
configure() {
	local name
	for name in "${engines[@]}"; do
		echo "[engine $name]"
		[ $# = 0 ] || printf '%s\n' "$@"
	done | write_config "ceiling = $ceiling" "reserve = $((ceiling - bound))" "interval = 10ms" \
		"interval_min = 10ms" "interval_max = 10ms" "policy = marginal"
}

# ---- engines ----

start_engine() {
	local in fd
	in=$dir/in.$((++generation))
	mkfifo "$in"
	# open for both ends: whoever writes never waits for a reader
	exec {fd}<>"$in"
	# nicer than what happens to them, which would wait for a processor otherwise
	"$build/barostat" --socket "$sock" run --engine "$1" -- nice "$build/tests/load/hog" <"$in" >"$dir/$1.out" 2>&1 3>&- &
	pids+=("$!")
	engine_pid[$1]=$! engine_fd[$1]=$fd loops[$1]=0 grown[$1]=0
}

start_stream() {
	"$build/barostat" --socket "$sock" run --engine stream -- "$build/tests/load/stream" read "$files/stream" \
		$((file_mib << 20)) 60 >"$dir/stream.out" 2>&1 3>&- &
	pids+=("$!")
	engine_pid[stream]=$!
}

start_engines() {
	local name
	for name in a b c stream; do
		dd if="$files/$name" iflag=nocache count=0 status=none
	done
	for name in "${heaps[@]}"; do
		start_engine "$name"
	done
	start_stream
	for name in "${readers[@]}"; do
		echo "loop $files/$name" >&"${engine_fd[$name]}"
		loops[$name]=1
	done
}

# An engine may be killed for its memory where limits are hard; another takes its place.
revive() {
	local name fd
	for name in "${engines[@]}"; do
		! kill -0 "${engine_pid[$name]}" 2>/dev/null || continue
		count[engines_killed]=$((count[engines_killed] + 1))
		if [ "$name" = stream ]; then
			start_stream
		else
			fd=${engine_fd[$name]}
			exec {fd}>&-
			start_engine "$name"
		fi
	done
}

# ---- what happens to them ----

# Reads a file larger than its share: once through, or at random until it is to stop.
read_or_stop() {
	pick "${readers[@]}"
	draw 2
	if [ "$drawn" = 0 ]; then
		echo "cache $files/$picked" >&"${engine_fd[$picked]}"
		return
	fi
	if [ "${loops[$picked]}" = 1 ]; then
		echo stop
	else
		echo "loop $files/$picked"
	fi >&"${engine_fd[$picked]}"
	loops[$picked]=$((1 - loops[$picked]))
}

# Grows by something that cannot be reclaimed, or gives all of it back: it stays far below the ceiling.
grow_or_free() {
	pick "${heaps[@]}"
	draw 4
	if [ "$drawn" = 0 ] || [ "${grown[$picked]}" -ge 24 ]; then
		echo free
		grown[$picked]=0
	else
		echo "anon $((1 + drawn % 2 * bite))"
		grown[$picked]=$((grown[$picked] + 1 + drawn % 2 * bite))
	fi >&"${engine_fd[$picked]}"
}

# One engine at a time is guaranteed much, so that the others must give; and any may be allowed little.
set_bounds() {
	cli set "$@" >/dev/null
}

new_bounds() {
	pick "${engines[@]}"
	draw 100
	case $((drawn % 4)) in
	0)
		set_bounds "$picked" weight=$((20 + drawn * 4))
		;;
	1)
		[ "$picked" != "$favourite" ] || return 0
		set_bounds "$picked" max=$((20 + drawn))M
		;;
	*)
		[ -z "$favourite" ] || set_bounds "$favourite" min=0
		set_bounds "$picked" max=100% min=$((30 + drawn * 3 / 5))M
		favourite=$picked
		;;
	esac
	count[sets]=$((count[sets] + 1))
}

# Puts the bounds of the configuration back, by another law perhaps.
reload() {
	local before
	before=$(grep -c event=reloaded "$log" || true)
	pick marginal marginal proportional psi idle-tax static
	sed -i "s/^policy = .*/policy = $picked/" "$conf"
	kill -HUP "$daemon_pid"
	favourite=
	is_reloaded() { [ "$(grep -c event=reloaded "$log")" -gt "$1" ]; }
	wait_for 10 is_reloaded "$before"
	count[reloads]=$((count[reloads] + 1))
}

crash() {
	kill -KILL "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null || true # until its last thread has left the kernel
	draw 300
	nap "$drawn"
	favourite=
	start_daemon
	count[crashes]=$((count[crashes] + 1))
}

# watch WORD ANSWER: tells the watcher
watch() {
	local before
	before=$(grep -c "^$2" "$dir/watched" || true)
	echo "$1" >&"$watcher_fd"
	has_answered() { [ "$(grep -c "^$2" "$dir/watched")" -gt "$before" ]; }
	wait_for 10 has_answered "$@"
}

# write_foreign NAME: three quarters of its limit; what cannot be reclaimed may refuse it
write_foreign() {
	foreign=$(limit_of "$parent/$1")
	[ "$foreign" != max ] || return 1
	foreign=$((foreign * 3 / 4 / 4096 * 4096))
	set_limit_of "$parent/$1" "$foreign" 2>/dev/null && [ "$(limit_of "$parent/$1")" = "$foreign" ]
}

is_manual() {
	[ "$(engine "$1" .state)" = manual ]
}

is_seen() {
	is_manual "$1" || [ "$(limit_of "$parent/$1")" != "$foreign" ]
}

# Somebody else lowers a limit: it must be left alone until it is taken back, and then everything fit
# again. A write that meets one of the daemon's own, to the moment, goes unseen: it is tried again.
stranger() {
	local name
	pick "${readers[@]}"
	name=$picked
	watch pause paused
	for _ in 1 2 3 4 5; do
		write_foreign "$name" || break
		wait_for 10 is_seen "$name"
		if ! is_manual "$name"; then
			count[overwritten]=$((count[overwritten] + 1))
			continue
		fi
		nap 200
		[ "$(limit_of "$parent/$name")" = "$foreign" ]
		break
	done
	if is_manual "$name"; then
		set_bounds "$name" weight=100
		count[strangers]=$((count[strangers] + 1))
	fi
	watch judge judging
}

one_thing() {
	draw 100
	if [ "$drawn" -lt 35 ]; then
		read_or_stop
	elif [ "$drawn" -lt 47 ]; then
		grow_or_free
	elif [ "$drawn" -lt 88 ]; then
		new_bounds
	elif [ "$drawn" -lt 93 ]; then
		reload
	elif [ "$drawn" -lt 97 ]; then
		crash
	else
		stranger
	fi
}

# transfers NAME LIMIT: half of the time of it, with everything above at random
transfers() {
	local what end status=0
	for what in crashes sets reloads strangers overwritten engines_killed; do
		count[$what]=0
	done
	start_daemon
	start_engines
	mkfifo "$dir/watcher.in"
	: >"$dir/watched"
	exec {watcher_fd}<>"$dir/watcher.in"
	"$build/tests/tools/transfers" "$page" "$memory/$parent" "$ceiling" "$bound" "$2" "${engines[@]}" \
		<"$dir/watcher.in" >"$dir/watched" 2>&1 3>&- &
	watcher=$!
	pids+=("$watcher")
	watch judge judging
	end=$((SECONDS + (${TRANSFERS_SECONDS:-20} + 1) / 2))
	while [ "$SECONDS" -lt "$end" ]; do
		one_thing
		revive
		draw 100
		nap "$drawn"
		# what has failed is told with what was said last
		[[ $(<"$dir/watched") != *VIOLATION* ]] && kill -0 "$watcher" 2>/dev/null || break
	done
	echo end >&"$watcher_fd" # others have inherited its other end
	wait "$watcher" || status=$?
	{
		echo "$1, $(((${TRANSFERS_SECONDS:-20} + 1) / 2)) s, TRANSFERS_SEED=$seed: ${count[sets]} bounds set," \
			"${count[reloads]} reloads, ${count[crashes]} daemon crashes, ${count[strangers]} strangers'" \
			"limits (${count[overwritten]} more unseen), ${count[engines_killed]} engines killed for their memory"
		grep -v '^judging\|^paused' "$dir/watched"
	} | tee "$dir/result" | sed 's/^/# /' >&3
	[ "$status" = 0 ] || {
		cat "$dir/result"
		grep -v event=target "$log" | tail -n 40
		return 1
	}
	# nobody but the strangers was taken for one
	[ "$(grep -c event=manual "$log")" = "${count[strangers]}" ]
}

# bats test_tags=guest
@test "hard limits never add up to more than the ceiling less the reserve" {
	bite=1
	configure 'limit = hard'
	transfers "hard limits" "$([ "$hierarchy" = v2 ] && echo memory.max || echo memory.limit_in_bytes)"
}

# bats test_tags=guest
@test "targets and protection never add up to more than that, and usage stays below the ceiling" {
	bite=8
	configure
	transfers "default mode" "$([ "$hierarchy" = v2 ] && echo memory.low || echo none)"
}
