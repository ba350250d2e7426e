# SPDX-License-Identifier: BSD-2-Clause
# A barostatd of the test's own, and engine stand-ins in its cgroups: load ../lib/daemon
#
# Everything has the test's name and pid: parent cgroup, directory, socket. daemon_teardown removes
# all of it, also after a failure.

load ../lib/wait

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
build=${BUILD:-$top/build}
case $build in /*) ;; *) build=$top/$build ;; esac

# The mount of the memory hierarchy, and of the unified one beside it (the same on v2).
find_hierarchy() {
	if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
		memory=/sys/fs/cgroup unified=/sys/fs/cgroup hierarchy=v2
	elif [ "$(stat -fc %T /sys/fs/cgroup/memory 2>/dev/null)" = cgroupfs ]; then
		memory=/sys/fs/cgroup/memory unified=/sys/fs/cgroup/unified hierarchy=hybrid
	else
		skip "no memory controller here"
	fi
}

daemon_setup() {
	find_hierarchy
	dir=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-XXXXXX")
	parent=barostat-test-$$-$BATS_TEST_NUMBER
	sock=$dir/control.sock page=$dir/pressure conf=$dir/barostat.conf log=$dir/log
	pids=() hogs=()
	daemon_pid=
}

# config [KEY=VALUE of the daemon section...], then engine sections on stdin
write_config() {
	{
		echo "[daemon]"
		printf '%s\n' "parent = $parent" "page = $page" "socket = $sock" "state = $dir/state.json" "$@"
		cat
	} >"$conf"
}

cli() {
	"$build/barostat" --socket "$sock" "$@"
}

# query JQ: of the status
query() {
	cli --json status | jq -r "$1"
}

engine() {
	query ".engines[] | select(.name == \"$1\") | $2"
}

answers() {
	cli --json status >/dev/null 2>&1
}

start_daemon() {
	"$build/barostatd" --config "$conf" "$@" 2>>"$log" 3>&- &
	daemon_pid=$!
	pids+=("$daemon_pid")
	wait_for 20 answers || {
		cat "$log"
		return 1
	}
}

stop_daemon() {
	kill -TERM "$daemon_pid"
	wait_for 20 gone "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null
}

# need_sensor_on NAME: skips the test where the daemon that runs has it off
need_sensor_on() {
	[[ $(cli --json doctor | jq -r --arg name "$1" '.sensors[] | select(.name == $name) | .variant') != off ]] ||
		skip "sensor $1 is off"
}

# start_hog NAME ENGINE: an engine stand-in in the engine's cgroup
start_hog() {
	mkfifo "$dir/$1.in"
	"$build/tests/load/hog" <"$dir/$1.in" >"$dir/$1.out" 3>&- &
	pids+=("$!")
	hogs+=("$1")
	eval "hog_$1=$!"
	local fd
	exec {fd}>"$dir/$1.in"
	eval "fd_$1=$fd"
	[ -z "${2:-}" ] || cli attach "$2" "$!"
}

# tell NAME WORDS: sends a line and waits for the answer
tell() {
	local name=$1 fd before
	shift
	eval "fd=\$fd_$name"
	before=$(wc -l <"$dir/$name.out")
	echo "$*" >&"$fd"
	answered() { [ "$(wc -l <"$dir/$name.out")" -gt "$before" ]; }
	wait_for 60 answered
	tail -n 1 "$dir/$name.out"
}

# end_hog NAME: its end of input
end_hog() {
	local fd
	eval "fd=\$fd_$1"
	echo quit >&"$fd"
}

# fresh_file PATH MIB: random bytes that nobody has in the page cache, so that the first reader pays
fresh_file() {
	head -c "$2M" /dev/urandom >"$1"
	dd of="$1" oflag=nocache conv=notrunc,fdatasync count=0 2>/dev/null
}

# limit_file: where a hard limit stands
limit_of() {
	case $hierarchy in
	v2) cat "$memory/$1/memory.max" ;;
	hybrid) cat "$memory/$1/memory.limit_in_bytes" ;;
	esac
}

usage_of() {
	case $hierarchy in
	v2) cat "$memory/$1/memory.current" ;;
	hybrid) cat "$memory/$1/memory.usage_in_bytes" ;;
	esac
}

set_limit_of() {
	case $hierarchy in
	v2) echo "$2" >"$memory/$1/memory.max" ;;
	hybrid) echo "$2" >"$memory/$1/memory.limit_in_bytes" ;;
	esac
}

remove_cgroups() {
	local tree
	for tree in "$memory" "$unified"; do
		[ -d "$tree/$parent" ] || continue
		find "$tree/$parent" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
	[ ! -d "$memory/$parent" ]
}

daemon_teardown() {
	local pid name fd
	for name in "${hogs[@]}"; do
		eval "fd=\$fd_$name"
		exec {fd}>&-
	done
	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ -z "${parent:-}" ] || wait_for 10 remove_cgroups
	# A daemon built with a sanitizer says what it found in its log.
	if [ -s "${log:-/dev/null}" ] && grep -E 'Sanitizer|runtime error:' "$log"; then
		return 1
	fi
	[ -z "${dir:-}" ] || rm -rf "$dir"
}
