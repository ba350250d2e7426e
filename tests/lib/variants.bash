# SPDX-License-Identifier: BSD-2-Clause
# Every variant of the sensors this kernel has, at once on the same engines: load ../lib/variants
#
#   variants_setup            makes a place for engines, and $WORK on a disk
#   new_engine NAME           a cgroup in each hierarchy that matters
#   limit_engine NAME BYTES   memory.max, or v1's limit
#   slow_reads NAME IOPS      bounds its reads from the disk of $WORK
#   run_in NAME COMMAND...    in its cgroup, on one processor, so that PSI totals are its own times
#   variants_start [OPTION...] NAME...   opens the sensors, engines in slots from 0 on
#   tell COMMAND              one command of tests/tools/sensor_dump to each
#   value VARIANT SLOT JQ     of the last `tell read`
#   psi NAME memory|io        total of some, ns
#   stat_of NAME FIELD        of memory.stat, by its v2 name
#   variants_teardown

load ../lib/wait

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
build=${BUILD:-$top/build}
case $build in /*) ;; *) build=$top/$build ;; esac
reread=$build/tests/load/reread
page=4096

find_hierarchies() {
	if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
		hierarchy=v2 memory=/sys/fs/cgroup
		roots=("$memory")
	elif [ "$(stat -fc %T /sys/fs/cgroup/memory 2>/dev/null)" = cgroupfs ]; then
		hierarchy=hybrid memory=/sys/fs/cgroup/memory
		roots=("$memory" /sys/fs/cgroup/unified /sys/fs/cgroup/blkio)
	else
		skip "no memory controller here"
	fi
}

variants_setup() {
	local root

	[ "$(id -u)" = 0 ] || skip "needs root"
	find_hierarchies
	base=barostat-test-$$-$BATS_TEST_NUMBER
	WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/barostat-test-XXXXXX")
	variants=() inputs=() observers=()
	for root in "${roots[@]}"; do
		mkdir "$root/$base"
	done
	if [ $hierarchy = v2 ]; then
		echo +memory >"$memory/cgroup.subtree_control"
		echo +io >"$memory/cgroup.subtree_control" 2>/dev/null || true
		echo +memory >"$memory/$base/cgroup.subtree_control"
		echo +io >"$memory/$base/cgroup.subtree_control" 2>/dev/null || true
	fi
}

engine_dir() {
	echo "$memory/$base/$1"
}

psi_dir() {
	[ $hierarchy = v2 ] && engine_dir "$1" || echo "/sys/fs/cgroup/unified/$base/$1"
}

new_engine() {
	local root

	for root in "${roots[@]}"; do
		mkdir "$root/$base/$1"
	done
}

limit_engine() {
	if [ $hierarchy = v2 ]; then
		echo "$2" >"$(engine_dir "$1")/memory.max"
	else
		echo "$2" >"$(engine_dir "$1")/memory.limit_in_bytes"
	fi
}

# The disk below $WORK as MAJOR:MINOR; a partition's reads are bounded at its disk.
disk_of_work() {
	local device sys

	device=$(stat -c '%Hd:%Ld' "$WORK")
	sys=/sys/dev/block/$device
	[ -e "$sys" ] || return 1
	if [ -e "$sys/partition" ]; then
		cat "$sys/../dev"
	else
		echo "$device"
	fi
}

slow_reads() {
	local disk

	disk=$(disk_of_work) || skip "the temporary directory is not on a block device"
	if [ $hierarchy = v2 ]; then
		echo "$disk riops=$2" >"$(engine_dir "$1")/io.max"
	else
		echo "$disk $2" >"/sys/fs/cgroup/blkio/$base/$1/blkio.throttle.read_iops_device"
	fi
}

run_in() {
	local engine=$1
	shift
	(
		for root in "${roots[@]}"; do
			echo $BASHPID >"$root/$base/$engine/cgroup.procs"
		done
		exec taskset -c 0 "$@" 3>&-
	)
}

# random pages, none of them in memory
make_file() {
	head -c "$2" /dev/urandom >"$1"
	forget_file "$1"
}

forget_file() {
	sync "$1"
	dd if="$1" iflag=nocache count=0 status=none
}

answered() {
	[ "$(wc -l <"$WORK/$1.out")" -ge "$2" ] || gone "$3"
}

tell_one() {
	local variant=$1 in=$2 pid=$3 want
	shift 3
	want=$(($(wc -l <"$WORK/$variant.out") + 1))
	echo "$*" >&"$in"
	wait_for 60 answered "$variant" "$want" "$pid"
	[ "$(wc -l <"$WORK/$variant.out")" -ge "$want" ] || {
		cat "$WORK/$variant.err"
		return 1
	}
	tail -n 1 "$WORK/$variant.out" >"$WORK/$variant.json"
}

tell() {
	local i

	for i in "${!variants[@]}"; do
		tell_one "${variants[i]}" "${inputs[i]}" "${observers[i]}" "$@"
	done
}

open_variant() {
	local variant=$1 no_fentry=$2 fd
	shift 2
	mkfifo "$WORK/$variant.in"
	: >"$WORK/$variant.out"
	BAROSTAT_NO_FENTRY=$no_fentry "$build/tests/tools/sensor_dump" \
		$([ $hierarchy = v2 ] || echo --hybrid) "$@" \
		<"$WORK/$variant.in" >"$WORK/$variant.out" 2>"$WORK/$variant.err" 3>&- &
	observers+=($!)
	exec {fd}>"$WORK/$variant.in"
	inputs+=("$fd")
	variants+=("$variant")
	tell_one "$variant" "$fd" "$!" state
}

variants_start() {
	local options=() dirs=() sensor

	while [[ $1 = --* ]]; do
		options+=("$1" "$2")
		shift 2
	done
	for engine; do
		dirs+=("$(engine_dir "$engine")")
	done
	open_variant tracepoint 1 "${options[@]}" "${dirs[@]}"
	for sensor in stalls refaults; do
		[ "$(jq -r ".$sensor.variant" "$WORK/tracepoint.json")" = tracepoint ] ||
			skip "sensor $sensor is off: $(jq -r ".$sensor.why" "$WORK/tracepoint.json")"
	done
	open_variant fentry 0 "${options[@]}" "${dirs[@]}"
	if [ "$(jq -r .refaults.variant "$WORK/fentry.json")" != fentry ]; then
		echo "fentry: $(jq -r .refaults.why "$WORK/fentry.json")"
		close_last_variant
	fi
}

close_last_variant() {
	local fd=${inputs[-1]} pid=${observers[-1]}

	unset "variants[-1]" "inputs[-1]" "observers[-1]"
	exec {fd}>&-
	wait_for 20 gone "$pid" || kill -9 "$pid"
}

value() {
	jq -r ".slots[\"$2\"].$3" "$WORK/$1.json"
}

psi() {
	sed -n 's/^some.*total=//p' "$(psi_dir "$1")/$2.pressure" | awk '{ print $1 * 1000 }'
}

stat_of() {
	awk -v name="$2" '$1 == name { print $2 }' "$(engine_dir "$1")/memory.stat"
}

# between LOW VALUE HIGH: or says that it is not
between() {
	awk -v a="$1" -v b="$2" -v c="$3" 'BEGIN { exit !(a <= b && b <= c) }' || {
		echo "$2 is not between $1 and $3"
		return 1
	}
}

# percent N OF
percent() {
	awk -v n="$1" -v of="$2" 'BEGIN { printf "%.2f", of ? 100 * n / of : 0 }'
}

variants_teardown() {
	local pid root dir

	while [ "${#variants[@]}" -gt 0 ]; do
		close_last_variant
	done
	for root in "${roots[@]}"; do
		[ -d "$root/$base" ] || continue
		for dir in $(find "$root/$base" -depth -type d); do
			for pid in $(cat "$dir/cgroup.procs"); do
				kill -9 "$pid" 2>/dev/null || true
			done
			wait_for 10 rmdir "$dir" || true
		done
	done
	rm -rf "${WORK:-/nonexistent}"
}
