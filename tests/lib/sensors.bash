# SPDX-License-Identifier: BSD-2-Clause
# Sensors without the daemon, for root tests: load ../lib/sensors
#
#   sensors_setup          makes $CG, a memory cgroup for this test's engines to be below
#   sensors_start DIR...   opens the sensors with these cgroups as slots 0, 1, ...
#   ask COMMAND            one command of tests/tools/sensor_dump; its JSON is in $answer
#   field SLOT NAME        of the last `ask read`
#   stat_of DIR NAME       the same fact from memory.stat, by its v2 name
#   hold NAME ARG...       tests/load/touch ARG... in the background, until let_go NAME
#   sensors_teardown       ends everything and removes the cgroups

TOP=$(cd "${BATS_TEST_DIRNAME}/../.." && pwd)
BUILD_DIR=${BUILD:-build}
[[ $BUILD_DIR = /* ]] || BUILD_DIR=$TOP/$BUILD_DIR
TOOLS=$BUILD_DIR/tests/tools
LOAD=$BUILD_DIR/tests/load

# The memory hierarchy, by file system type: a tmpfs would take mkdir and echo as well.
find_memory_root() {
	if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
		HYBRID=
		MEMORY_ROOT=/sys/fs/cgroup
		grep -qw memory /sys/fs/cgroup/cgroup.controllers
	else
		HYBRID=--hybrid
		MEMORY_ROOT=/sys/fs/cgroup/memory
		[ "$(stat -fc %T $MEMORY_ROOT 2>/dev/null)" = cgroupfs ]
	fi
}

# new_parent DIR: a cgroup whose children have the memory controller; on v2 it can hold no process
new_parent() {
	mkdir "$1"
	[ -n "$HYBRID" ] || echo +memory >"$1/cgroup.subtree_control" 2>/dev/null || true
}

sensors_setup() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	find_memory_root || skip "no memory cgroup hierarchy on this machine"
	[ -n "$HYBRID" ] || echo +memory >$MEMORY_ROOT/cgroup.subtree_control
	CG=$MEMORY_ROOT/barostat-test-$$-${BATS_TEST_NUMBER}
	new_parent "$CG"
	# in a guest of scripts/vm, /tmp is memory and files there are never read from anywhere
	if mountpoint -q /mnt/scratch; then
		WORK=$(mktemp -d /mnt/scratch/XXXXXX)
	else
		WORK=$(mktemp -d)
	fi
	SENSORS_PID=
	HELD=()
}

sensors_start() {
	mkfifo "$WORK/in"
	: >"$WORK/out"
	"$TOOLS/sensor_dump" ${HYBRID:+"$HYBRID"} "$@" <"$WORK/in" >"$WORK/out" 2>"$WORK/err" 3>&- &
	SENSORS_PID=$!
	disown
	exec {SENSORS_IN}>"$WORK/in"
	ask state || {
		cat "$WORK/err"
		return 1
	}
	state=$answer
}

answers_are() {
	[ "$(wc -l <"$WORK/out")" -ge "$1" ] || gone "$SENSORS_PID"
}

ask() {
	local want=$(($(wc -l <"$WORK/out") + 1))

	echo "$*" >&"$SENSORS_IN"
	until answers_are "$want"; do sleep 0.01; done
	[ "$(wc -l <"$WORK/out")" -ge "$want" ] || return 1
	answer=$(tail -n 1 "$WORK/out")
}

field() {
	jq -r ".slots[\"$1\"].$2" <<<"$answer"
}

variant() {
	jq -r ".[\"$1\"].variant" <<<"$state"
}

need_sensor() {
	[ "$(variant "$1")" != off ] || skip "sensor $1 is off: $(jq -r ".[\"$1\"].why" <<<"$state")"
}

stat_of() {
	local name=$2

	if [ -n "$HYBRID" ]; then
		case $2 in
		anon) name=total_rss ;;
		file) name=total_cache ;;
		file_mapped) name=total_mapped_file ;;
		file_dirty) name=total_dirty ;;
		file_writeback) name=total_writeback ;;
		*) name=total_$2 ;;
		esac
	fi
	awk -v n="$name" '$1 == n { print $2 }' "$1/memory.stat"
}

limit_file() {
	[ -n "$HYBRID" ] && echo "$1/memory.limit_in_bytes" || echo "$1/memory.max"
}

# near A B PPM: whether A and B differ by at most so much of B
near() {
	local d=$(($1 > $2 ? $1 - $2 : $2 - $1))

	[ "$((d * 1000000))" -le "$(($2 * $3))" ] || {
		echo "$1 is not within $3 ppm of $2"
		return 1
	}
}

is_held() {
	[ -s "$WORK/$1.out" ]
}

hold() {
	local name=$1
	shift
	mkfifo "$WORK/$name.in"
	# open for both ends: no end of file, whoever else inherits it
	"$LOAD/touch" "$@" <>"$WORK/$name.in" >"$WORK/$name.out" 2>"$WORK/$name.err" 3>&- &
	HELD+=($!)
	disown
	eval "PID_$name=$!"
	wait_for 60 is_held "$name" || {
		cat "$WORK/$name.err"
		return 1
	}
	# shellcheck disable=SC2034 # for the test to look at
	held=$(cat "$WORK/$name.out")
}

let_go() {
	local pid

	eval "pid=\$PID_$1"
	kill "$pid"
	wait_for 20 gone "$pid"
}

# random file of so many MB, on a file system that reads really come from
make_file() {
	case $(stat -fc %T "$WORK") in
	tmpfs | ramfs | overlayfs) skip "files in $WORK are never read from a disk" ;;
	esac
	head -c "$(($2 << 20))" /dev/urandom >"$1"
	sync "$1"
}

no_cgroup_left() {
	find "$CG" -depth -type d -exec rmdir {} + 2>/dev/null
	[ ! -d "$CG" ]
}

sensors_teardown() {
	local pid

	for pid in "${HELD[@]}" $SENSORS_PID; do
		kill -9 "$pid" 2>/dev/null || true
		wait_for 10 gone "$pid" || true
	done
	rm -rf "${WORK:-/nonexistent}"
	[ -n "${CG:-}" ] && [ -d "$CG" ] || return 0
	# a cgroup is busy until the last of its tasks is quite gone
	wait_for 10 no_cgroup_left
}
