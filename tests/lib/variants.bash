# SPDX-License-Identifier: BSD-2-Clause
# Every variant of the sensors this kernel has, at once on the same engines: load ../lib/variants
#
# In setup_file:
#   variants_open [OPTION...]    opens the sensors, which takes seconds on a slow machine, once
# In setup:
#   variants_setup               makes a place for engines, and $WORK on a disk
#   new_engine NAME              a cgroup in each hierarchy that matters
#   limit_engine NAME BYTES      memory.max, or v1's limit
# In tests:
#   slow_reads NAME IOPS         bounds its reads from the disk of $WORK
#   watch NAME...                these engines, in slots from 0 on, with counters at 0
#   variants_reopen OPTION...    from here on with other options
#   run_in NAME COMMAND...       in its cgroup, on one processor, so that PSI totals are its own times
#   tell COMMAND                 one command of tests/tools/sensor_dump to each variant
#   value VARIANT SLOT JQ        of the last `tell read`
#   need_sensor NAME             goes on with the variants in which it is on; skips when there is none
#   psi NAME memory|io           total of some, ns
#   stat_of NAME FIELD           of memory.stat
# variants_teardown in teardown, variants_close in teardown_file.

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
		return 1
	fi
}

# The parent of this file's engines.
make_base() {
	local root

	export base=barostat-test-$$
	for root in "${roots[@]}"; do
		mkdir "$root/$base" "$root/$base/none"
	done
	if [ $hierarchy = v2 ]; then
		enable_controllers "$memory"
		enable_controllers "$memory/$base"
	fi
}

enable_controllers() {
	echo +memory >"$1/cgroup.subtree_control"
	echo +io >"$1/cgroup.subtree_control" 2>/dev/null || true
}

variants_setup() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	find_hierarchies || skip "no memory controller here"
	[ -z "$why_off" ] || skip "$why_off"
	looked_at=$variants
	WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/barostat-test-XXXXXX")
	watched=0
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

# pages on the disk, none of them in memory
make_file() {
	head -c "$2" /dev/zero >"$1"
	forget_file "$1"
}

forget_file() {
	sync "$1"
	dd if="$1" iflag=nocache count=0 status=none
}

answered() {
	[ "$(wc -l <"$observers/$1.out")" -ge "$2" ] || gone "$(<"$observers/$1.pid")"
}

# tell_one VARIANT COMMAND...: the answer is in $observers/VARIANT.json
tell_one() {
	local variant=$1 want
	shift
	want=$(($(wc -l <"$observers/$variant.out") + 1))
	echo "$*" >"$observers/$variant.in"
	wait_for 120 answered "$variant" "$want"
	[ "$(wc -l <"$observers/$variant.out")" -ge "$want" ] || {
		cat "$observers/$variant.err"
		return 1
	}
	tail -n 1 "$observers/$variant.out" >"$observers/$variant.json"
}

tell() {
	local variant

	for variant in $variants; do
		tell_one "$variant" "$@"
	done
}

# open_variant VARIANT NO_FENTRY OPTION...
open_variant() {
	local variant=$1 no_fentry=$2 hybrid=()
	shift 2
	[ "$hierarchy" = v2 ] || hybrid=(--hybrid)
	mkfifo "$observers/$variant.in"
	: >"$observers/$variant.out"
	# whoever writes a command comes and goes; this one keeps the pipe open
	sleep infinity >"$observers/$variant.in" 3>&- &
	echo $! >"$observers/$variant.holder"
	BAROSTAT_NO_FENTRY=$no_fentry "$build/tests/tools/sensor_dump" \
		"${hybrid[@]}" "$@" "$memory/$base/none" \
		<"$observers/$variant.in" >"$observers/$variant.out" 2>"$observers/$variant.err" 3>&- &
	echo $! >"$observers/$variant.pid"
	variants="$variants $variant"
	tell_one "$variant" state
	cp "$observers/$variant.json" "$observers/$variant.state"
}

need_sensor() {
	local variant why

	looked_at=
	for variant in $variants; do
		if [ "$(jq -r ".$1.variant" "$observers/$variant.state")" != off ]; then
			looked_at="$looked_at $variant"
		else
			why=$(jq -r ".$1.why" "$observers/$variant.state")
		fi
	done
	[ -n "$looked_at" ] || skip "sensor $1 is off: $why"
}

close_variant() {
	kill "$(<"$observers/$1.holder")"
	wait_for 30 gone "$(<"$observers/$1.pid")" || kill -9 "$(<"$observers/$1.pid")"
	rm "$observers/$1".*
}

variants_open() {
	export variants='' observers=$BATS_FILE_TMPDIR why_off=''
	[ "$(id -u)" = 0 ] && find_hierarchies || return 0
	make_base
	open_variants "$@"
}

open_variants() {
	local sensor

	variants=
	open_variant tracepoint 1 "$@"
	for sensor in stalls refaults; do
		[ "$(jq -r ".$sensor.variant" "$observers/tracepoint.json")" = tracepoint ] ||
			why_off="sensor $sensor is off: $(jq -r ".$sensor.why" "$observers/tracepoint.json")"
	done
	open_variant fentry 0 "$@"
	if [ "$(jq -r .refaults.variant "$observers/fentry.json")" != fentry ]; then
		close_variant fentry
		variants=tracepoint
	fi
}

close_variants() {
	local variant

	for variant in $variants; do
		close_variant "$variant"
	done
}

variants_close() {
	close_variants
	[ -z "${base:-}" ] || remove_cgroups "$base"
}

variants_reopen() {
	close_variants
	open_variants "$@"
}

watch() {
	local slot=0 engine

	for engine; do
		tell add $slot "$(engine_dir "$engine")"
		slot=$((slot + 1))
	done
	tell read # and the events so far
	watched=$slot
}

value() {
	jq -r ".slots[\"$2\"].$3" "$observers/$1.json"
}

psi() {
	sed -n 's/^some.*total=//p' "$(psi_dir "$1")/$2.pressure" | awk '{ printf "%.0f\n", $1 * 1000 }'
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

	while [ "${watched:-0}" -gt 0 ]; do
		watched=$((watched - 1))
		tell remove $watched
	done
	[ -z "${WORK:-}" ] || remove_cgroups "$base/*"
	rm -rf "${WORK:-/nonexistent}"
}

# remove_cgroups PATTERN: and what runs in them; `none` stays with its base
remove_cgroups() {
	local root dir pid

	find_hierarchies
	for root in "${roots[@]}"; do
		for dir in $(compgen -G "$root/$1"); do
			[ -d "$dir" ] && [ "$dir" != "$root/$base/none" ] || continue
			for pid in $(cat "$dir/cgroup.procs"); do
				kill -9 "$pid" 2>/dev/null || true
			done
			[ ! -d "$dir/none" ] || rmdir "$dir/none"
			wait_for 10 rmdir "$dir"
		done
	done
}
