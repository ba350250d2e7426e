#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The cgroup backends on the hierarchy that this kernel has, through build/tests/tools/cgctl.
# shellcheck disable=SC1091,SC2154,SC2016 # what `cgctl abilities` prints becomes variables
# shellcheck disable=SC2030,SC2031 # every test is a subshell, and is meant to be

bats_require_minimum_version 1.5.0
# bats file_tags=guest

load ../lib/wait

setup_file() {
	export ctl=${BUILD:-build}/tests/tools/cgctl
	ctl=$(realpath "$ctl")
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/barostat-test-XXXXXX")
	export work
	# kind, memory_mount, psi_mount and the rest
	"$ctl" abilities >"$work/abilities"
}

teardown_file() {
	rm -rf "$work"
}

setup() {
	. "$work/abilities"
	top=barostat-test-$$-$BATS_TEST_NUMBER
	pids=()
}

teardown() {
	local pid dir tree
	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	for tree in "$memory_mount" "$psi_mount"; do
		[ -d "$tree/$top" ] || continue
		# deepest first; what has just been killed may be there for a moment
		find "$tree/$top" -depth -type d | while read -r dir; do
			wait_for 10 rmdir "$dir" 2>/dev/null
		done
	done
	rm -f "$work"/hog*
}

# value KEY: from the output of the last `run`
value() {
	sed -n "s/^$1=//p" <<<"$output"
}

# fact CGROUP KEY
fact() {
	"$ctl" show "$1" | sed -n "s/^$2=//p"
}

# start CGROUP COMMAND...: a cgctl hog inside the cgroup, in the background, when it is ready.
# Sets pid. Its output is in $work/hog.PID.
start() {
	local where=$1 out
	shift
	out=$(mktemp "$work/hog.XXXXXX")
	"$ctl" run "$where" "$ctl" "$@" >"$out" 2>&1 3>&- &
	pid=$!
	pids+=("$pid")
	wait_for 60 grep -q ready "$out"
}

stop() {
	kill -KILL "$1"
	wait "$1" 2>/dev/null || true
}

# fill CGROUP SIZE: clean page cache charged to the cgroup, and nobody left in it
fill() {
	start "$1" hog-file "$work/hog.data" "$2"
	stop "$pid"
}

# no_swap CGROUP: its anonymous memory cannot be reclaimed, even where swap is on
no_swap() {
	if [ "$kind" = hybrid ]; then
		echo 0 >"$memory_mount/$1/memory.swappiness"
	elif [ -e "$memory_mount/$1/memory.swap.max" ]; then
		echo 0 >"$memory_mount/$1/memory.swap.max"
	fi
}

needs_v2() {
	[ "$kind" = v2 ] || skip "needs cgroup v2 memory"
}

# below VALUE LIMIT, with sizes in MiB
below_mib() {
	[ "$1" -lt $(($2 << 20)) ]
}

# -- which hierarchy --

@test "the hierarchy found is the one that is mounted" {
	run -0 "$ctl" abilities
	if grep -q '^[^ ]* [^ ]* cgroup [^ ]*\bmemory\b' /proc/mounts; then
		[ "$(value kind)" = hybrid ]
		[ "$(value has_low)" = 0 ]
		[ "$(stat -fc %T "$(value memory_mount)")" = cgroupfs ]
		[ "$(value hierarchy_id)" = "$(sed -n 's/:memory:.*//p' /proc/self/cgroup)" ]
	else
		[ "$(value kind)" = v2 ]
		[ "$(value has_low)" = 1 ]
		[ "$(value has_reclaim)" = 1 ]
		[ "$(value hierarchy_id)" = 0 ]
	fi
	[ "$(value writable)" = 1 ]
	[ "$(value has_psi)" = 1 ]
}

@test "a tmpfs where the hierarchy was is no hierarchy" {
	run -1 unshare -m sh -c 'mount -t tmpfs tmpfs "$1" && exec "$2" abilities' sh \
		"$memory_mount" "$ctl"
	[[ $output == *"cgctl: ENOENT"* ]]
	[[ $output == *"cgroup"*": "* ]]
}

@test "a hierarchy mounted read-only is not writable, and writes say so" {
	"$ctl" create "$top"
	run -0 unshare -m sh -c 'mount -o remount,bind,ro "$1" && "$2" abilities' sh \
		"$memory_mount" "$ctl"
	[ "$(value writable)" = 0 ]
	run -1 unshare -m sh -c 'mount -o remount,bind,ro "$1" && "$2" set "$3" max 64M' sh \
		"$memory_mount" "$ctl" "$top"
	[[ $output == *"cgctl: EROFS"* ]]
}

# -- life --

@test "create makes the cgroup and its parents in both trees, delete removes it" {
	run -0 "$ctl" create "$top/a/b"
	[ "$output" = created=1 ]
	[ -d "$memory_mount/$top/a/b" ]
	[ -d "$psi_mount/$top/a/b" ]
	run -0 "$ctl" create "$top/a/b"
	[ "$output" = created=0 ]
	"$ctl" show "$top/a/b"
	"$ctl" delete "$top/a/b"
	[ ! -e "$memory_mount/$top/a/b" ]
	[ ! -e "$psi_mount/$top/a/b" ]
	[ -d "$memory_mount/$top/a" ]
	run -1 "$ctl" delete "$top/a/b"
	[ "$output" = "cgctl: ENOENT" ]
}

@test "create enables the memory controller on the way" {
	needs_v2
	mkdir "$memory_mount/$top" "$memory_mount/$top/a"
	[ -z "$(cat "$memory_mount/$top/cgroup.subtree_control")" ]
	"$ctl" create "$top/a/b/c"
	[ -e "$memory_mount/$top/a/b/c/memory.max" ]
	# a cgroup that is there already, but without the controller
	mkdir -p "$memory_mount/$top/x/y"
	run -1 "$ctl" show "$top/x/y"
	[ "$output" = "cgctl: EOPNOTSUPP" ]
	run -0 "$ctl" create "$top/x/y"
	[ "$output" = created=0 ]
	"$ctl" show "$top/x/y"
}

@test "create enables the memory controller in a root that has it off" {
	# nobody else's cgroups may be touched, and all of them hang on the root
	[[ ${CHECK_ENVIRONMENT:-} == 6.* ]] || skip "needs a guest of its own"
	echo -memory >"$memory_mount/cgroup.subtree_control"
	run -0 "$ctl" create "$top/a"
	"$ctl" show "$top/a"
	grep -qw memory "$memory_mount/cgroup.subtree_control"
}

@test "a create that the kernel stops half-way leaves nothing behind" {
	"$ctl" create "$top"
	echo 1 >"$psi_mount/$top/cgroup.max.depth"
	run -1 "$ctl" create "$top/a/b/c"
	[ "$output" = "cgctl: EAGAIN" ]
	[ ! -e "$psi_mount/$top/a" ]
	[ ! -e "$memory_mount/$top/a" ]
	run -0 "$ctl" create "$top/a"
}

@test "create below a cgroup that has processes is refused and leaves nothing behind" {
	needs_v2
	"$ctl" create "$top"
	start "$top" hog-anon 1M
	run -1 "$ctl" create "$top/a/b"
	[ "$output" = "cgctl: EBUSY" ]
	[ ! -e "$memory_mount/$top/a" ]
}

@test "attach moves every thread of a process, in both trees" {
	"$ctl" create "$top"
	"$ctl" hog-threads 3 >"$work/hog.threads" 3>&- &
	pid=$!
	pids+=("$pid")
	wait_for 10 grep -q ready "$work/hog.threads"
	"$ctl" attach "$top" "$pid"
	# four threads, with one line each on v2 and two on hybrid
	run -0 sh -c "cat /proc/$pid/task/*/cgroup | grep -cE '^(0:|[0-9]+:memory):/$top$'"
	[ "$output" = "$([ "$kind" = v2 ] && echo 4 || echo 8)" ]
	run -0 "$ctl" path "$pid"
	[ "$output" = "path=$top" ]
	run -0 "$ctl" show "$top"
	[ "$(value populated)" = 1 ]
	[ "$(value pids)" = "$pid" ]
	# and back to the root, which is where it came from as far as limits go
	"$ctl" attach "" "$pid"
	run -0 "$ctl" path "$pid"
	[ "$output" = "path=" ]
	[ "$(fact "$top" populated)" = 0 ]
}

@test "attach says what is missing, the process or the cgroup" {
	"$ctl" create "$top"
	sleep 100 3>&- &
	pids+=($!)
	run -1 "$ctl" attach "$top/none" $!
	[ "$output" = "cgctl: ENOENT" ]
	stop $!
	run -1 "$ctl" attach "$top" $!
	[ "$output" = "cgctl: ESRCH" ]
	run -1 "$ctl" path $!
	[ "$output" = "cgctl: ESRCH" ]
}

@test "delete refuses a cgroup that has processes or children, and moves nobody" {
	"$ctl" create "$top/a/b"
	start "$top/a/b" hog-anon 1M
	run -1 "$ctl" delete "$top/a/b"
	[ "$output" = "cgctl: EBUSY" ]
	run -0 "$ctl" path "$pid"
	[ "$output" = "path=$top/a/b" ]
	stop "$pid"
	run -1 "$ctl" delete "$top/a"
	[ "$output" = "cgctl: EBUSY" ]
	[ -d "$memory_mount/$top/a/b" ]
	[ -d "$psi_mount/$top/a/b" ]
}

@test "delete leaves no charge of the cache on the parent" {
	"$ctl" create "$top/a"
	fill "$top/a" 64M
	[ "$(fact "$top" usage)" -gt $((60 << 20)) ]
	"$ctl" delete "$top/a"
	below_mib "$(fact "$top" usage)" 8
}

@test "members of sub-cgroups count" {
	"$ctl" create "$top/a"
	start "$top/a" hog-anon 1M
	run -0 "$ctl" show "$top"
	[ "$(value populated)" = 1 ]
	[ "$(value pids)" = "$pid" ]
	stop "$pid"
	run -0 "$ctl" show "$top"
	[ "$(value populated)" = 0 ]
	[ "$(value pid_count)" = 0 ]
}

@test "a cgroup of others is an engine without being made or removed by us" {
	# as a service manager leaves it: made by mkdir in the memory tree alone
	mkdir -p "$memory_mount/$top/some.service"
	[ "$kind" = hybrid ] || echo +memory >"$memory_mount/$top/cgroup.subtree_control"
	"$ctl" run "$top/some.service" true
	run -0 "$ctl" set "$top/some.service" max 64M
	[ "$(value actual)" = $((64 << 20)) ]
	if [ "$kind" = hybrid ]; then
		# without a twin there is no pressure, and that is said
		run -1 "$ctl" show "$top/some.service"
		[[ $output == *"usage="*"cgctl: EOPNOTSUPP" ]]
	else
		"$ctl" show "$top/some.service"
	fi
}

# -- reading --

@test "usage and memory.stat agree with what the owner touched" {
	"$ctl" create "$top"
	start "$top" hog-anon 48M
	start "$top" hog-file "$work/hog.data" 32M
	run -0 "$ctl" show "$top"
	[ "$(value usage)" -ge $((80 << 20)) ]
	below_mib "$(value usage)" 100
	[ "$(value stat.anon)" -ge $((48 << 20)) ]
	below_mib "$(value stat.anon)" 56
	[ "$(value stat.file)" -ge $((32 << 20)) ]
	below_mib "$(value stat.file)" 36
	[ "$(value stat.shmem)" = 0 ]
	# 48 MiB are 12288 pages, or fewer faults where huge pages are used
	[ "$(value stat.pgfault)" -gt 24 ]
	[ "$(value id)" = "$(stat -c %i "$memory_mount/$top")" ]
	[ "$(value psi_id)" = "$(stat -c %i "$psi_mount/$top")" ]
	[ "$(value cpu_ns)" -gt 0 ]
}

@test "an OOM kill is counted" {
	"$ctl" create "$top"
	no_swap "$top"
	"$ctl" set "$top" max 16M
	run "$ctl" run "$top" "$ctl" hog-anon 64M
	[ "$status" = 137 ]
	run -0 "$ctl" show "$top"
	[ "$(value events.oom_kill)" = 1 ]
	[ "$(value events.max)" -gt 0 ]
}

@test "every use of a vanished cgroup says ENODEV, also when its name exists again" {
	run -0 "$ctl" vanish "$top"
}

# -- limits --

@test "limits are read back as the kernel holds them, in whole pages" {
	"$ctl" create "$top"
	run -0 "$ctl" set "$top" max 100000001
	[ "$(value actual)" = 99999744 ]
	[ "$(value max)" = 99999744 ]
	run -0 "$ctl" raise "$top" max 100000001
	[ "$(value actual)" = 99999744 ]
	run -1 "$ctl" raise "$top" max 64M
	[ "$output" = "cgctl: EINVAL" ]
	run -0 "$ctl" raise "$top" max max
	[ "$(value actual)" = max ]
	[ "$(value max)" = max ]
}

@test "protections and the soft limit are written where there are such" {
	"$ctl" create "$top"
	if [ "$kind" = hybrid ]; then
		run -1 "$ctl" set "$top" low 8M
		[ "$output" = "cgctl: EOPNOTSUPP" ]
		return
	fi
	for which in min low high; do
		run -0 "$ctl" set "$top" "$which" 8M
		[ "$(value "$which")" = $((8 << 20)) ]
	done
	run -0 "$ctl" set "$top" low 0
	[ "$(value low)" = 0 ]
	run -0 "$ctl" set "$top" high max
	[ "$(value high)" = max ]
}

@test "v1 refuses a limit below what cannot be reclaimed and keeps the old one" {
	[ "$kind" = hybrid ] || skip "needs the v1 memory hierarchy"
	"$ctl" create "$top"
	no_swap "$top"
	"$ctl" set "$top" max 200M
	start "$top" hog-anon 64M
	run -1 "$ctl" set "$top" max 32M
	[ "$output" = "cgctl: EBUSY" ]
	[ "$(fact "$top" max)" = $((200 << 20)) ]
	kill -0 "$pid"
}

@test "a raise does not wait behind a shrink that is busy reclaiming" {
	"$ctl" create "$top"
	start "$top" hog-file "$work/hog.data" 96M
	stop "$pid"
	# two readers take every page back as soon as it is reclaimed
	start "$top" hog-hot-file "$work/hog.data" 96M
	start "$top" hog-hot-file "$work/hog.data" 96M
	which=$([ "$kind" = v2 ] && echo high || echo max)
	"$ctl" set "$top" "$which" 1G
	# A shrink the raise overtook may end within a millisecond; a raise that waited for it
	# would never be through before it is, however often it is tried.
	for _ in {1..20}; do
		run -0 "$ctl" raise-while-shrinking "$top" "$which" 10M 1G
		echo "$output"
		[ "$(value raises_inside)" -eq 0 ] || return 0
	done
	false
}

# -- shrinking in bites --

@test "a shrink of clean cache lands, in bites" {
	"$ctl" create "$top"
	fill "$top" 72M
	run -0 "$ctl" shrink "$top" max 32M 8M 0
	echo "$output"
	[ "$(value max)" = $((32 << 20)) ]
	[ "$(value usage)" -le $((32 << 20)) ]
	[ "$(value steps)" -ge 4 ]
	# the classic LRU frees up to twice what was asked
	below_mib "$(value largest_bite)" 24
}

@test "a shrink does not go below its floor" {
	"$ctl" create "$top"
	fill "$top" 64M
	run -0 "$ctl" shrink "$top" max 8M 8M 32M
	[ "$(value max)" = $((32 << 20)) ]
	[ "$(value usage)" -gt $((16 << 20)) ]
}

@test "a shrink against memory that cannot be reclaimed stops, and kills nobody" {
	"$ctl" create "$top"
	no_swap "$top"
	"$ctl" set "$top" max 200M
	start "$top" hog-anon 64M
	for which in max $([ "$kind" = hybrid ] || echo high); do
		run -1 "$ctl" shrink "$top" "$which" 16M 8M 0
		[[ $output == *"cgctl: EBUSY" ]]
		[ "$(value "$which")" -ge "$(value usage)" ]
	done
	kill -0 "$pid"
	[ "$(fact "$top" events.oom_kill)" = 0 ]
	[ "$(fact "$top" stat.anon)" -ge $((64 << 20)) ]
}

@test "a shrink takes the cache and leaves the anonymous memory" {
	"$ctl" create "$top"
	no_swap "$top"
	start "$top" hog-anon 64M
	start "$top" hog-file "$work/hog.data" 64M
	run -0 "$ctl" shrink "$top" max 80M 8M 72M
	[ "$(value max)" = $((80 << 20)) ]
	kill -0 "$pid"
	[ "$(fact "$top" events.oom_kill)" = 0 ]
	[ "$(fact "$top" stat.anon)" -ge $((64 << 20)) ]
}

@test "with swap on a shrink takes anonymous memory too, and what was swapped is counted" {
	[ "$has_swap" = 1 ] || skip "this machine has no swap on"
	"$ctl" create "$top"
	start "$top" hog-anon 64M
	run -0 "$ctl" shrink "$top" max 32M 8M 0
	[ "$(value max)" = $((32 << 20)) ]
	run -0 "$ctl" show "$top"
	[ "$(value usage)" -le $((32 << 20)) ]
	[ "$(value stat.swap)" -ge $((28 << 20)) ]
	[ "$(value events.oom_kill)" = 0 ]
	kill -0 "$pid"
}

@test "reclaim frees about what was asked and says how much" {
	"$ctl" create "$top"
	if [ "$kind" = hybrid ]; then
		run -1 "$ctl" reclaim "$top" 8M
		[ "$output" = "cgctl: EOPNOTSUPP" ]
		return
	fi
	fill "$top" 64M
	run -0 "$ctl" reclaim "$top" 8M
	[ "$(value freed)" -ge $((7 << 20)) ]
	below_mib "$(value freed)" 24
	# more than there is: what was freed counts, not the kernel's EAGAIN
	run -0 "$ctl" reclaim "$top" 1G
	[ "$(value freed)" -ge $((32 << 20)) ]
}

# -- pressure --

@test "a PSI trigger takes the window that the kernel allows, 2 s without CAP_SYS_RESOURCE" {
	"$ctl" create "$top"
	run -0 "$ctl" trigger "$top" 50000 500000 1
	if [ "$psi_any_window" = 1 ]; then
		[ "$(value window_us)" = 500000 ]
	else
		[ "$(value window_us)" = 2000000 ]
	fi
	run -0 setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource \
		"$ctl" trigger "$top" 50000 500000 1
	[ "$(value window_us)" = 2000000 ]
	run -0 setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource "$ctl" abilities
	[ "$(value psi_any_window)" = 0 ]
}

@test "a PSI trigger fires when the owner stalls on memory" {
	"$ctl" create "$top"
	start "$top" hog-file "$work/hog.data" 64M
	stop "$pid"
	"$ctl" trigger "$top" 1000 2000000 30000 >"$work/hog.trigger" 2>&1 3>&- &
	waiter=$!
	pids+=("$waiter")
	wait_for 10 grep -q window_us "$work/hog.trigger"
	"$ctl" set "$top" max 16M
	"$ctl" run "$top" "$ctl" hog-hot-file "$work/hog.data" 64M >/dev/null 3>&- &
	pids+=($!)
	wait_for 40 gone "$waiter"
	grep -q fired=1 "$work/hog.trigger"
	grep -q gone=0 "$work/hog.trigger"
}

@test "a PSI trigger ends when its cgroup vanishes" {
	"$ctl" create "$top"
	"$ctl" trigger "$top" 100000 2000000 30000 >"$work/hog.trigger" 2>&1 3>&- &
	waiter=$!
	pids+=("$waiter")
	wait_for 10 grep -q window_us "$work/hog.trigger"
	"$ctl" delete "$top"
	wait_for 10 gone "$waiter"
	grep -q gone=1 "$work/hog.trigger"
}

# -- the dry run --

@test "a dry run shows what it would have written and leaves the kernel alone" {
	"$ctl" create "$top/a"
	"$ctl" set "$top/a" max 200M
	run -0 "$ctl" --dry-run abilities
	[ "$(value kind)" = null ]
	[ "$(value beneath)" = "$kind" ]
	fill "$top/a" 64M
	run -0 "$ctl" --dry-run set "$top/a" max 16M
	[ "$(value actual)" = $((16 << 20)) ]
	[ "$(value max)" = $((16 << 20)) ]
	run -0 "$ctl" --dry-run shrink "$top/a" max 16M 8M 0
	[ "$(value max)" = $((16 << 20)) ]
	[ "$(fact "$top/a" max)" = $((200 << 20)) ]
	[ "$(fact "$top/a" usage)" -gt $((60 << 20)) ]
	run -0 "$ctl" --dry-run create "$top/b/c"
	[ "$output" = created=1 ]
	[ ! -e "$memory_mount/$top/b" ]
	"$ctl" --dry-run delete "$top/a"
	[ -d "$memory_mount/$top/a" ]
	sleep 100 3>&- &
	pids+=($!)
	"$ctl" --dry-run attach "$top/a" $!
	run -0 "$ctl" path $!
	[ "$output" != "path=$top/a" ]
}
