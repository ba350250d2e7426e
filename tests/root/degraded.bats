#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Each missing thing costs one sensor or one rung, is said once, and stops nothing.

load ../lib/daemon

setup() {
	daemon_setup
	write_config "ceiling = 256M" "interval = 50ms" <<-CONF
		[engine a]
		min = 16M
	CONF
}

teardown() {
	[ -z "${mounted:-}" ] || umount "$mounted"
	daemon_teardown
}

# in_own_mounts SETUP: starts the daemon in a mount namespace in which SETUP was run first
start_in_own_mounts() {
	local prepare=$1
	shift
	unshare --mount --propagation private bash -c "$prepare"'; exec "$@"' - \
		"$@" "$build/barostatd" --config "$conf" 2>>"$log" 3>&- &
	daemon_pid=$!
	pids+=("$daemon_pid")
	wait_for 20 answers || {
		cat "$log"
		return 1
	}
}

is_active() {
	[ "$(engine a .state)" = active ]
}

# bats test_tags=guest
@test "without BTF the daemon steers on the files rung and doctor says what would bring more" {
	start_in_own_mounts 'mount -t tmpfs none /sys/kernel/btf'
	wait_for 5 is_active
	[ "$(query .rung)" = files ]
	run cli doctor
	[ "$status" -eq 0 ]
	[[ $output == *BTF* ]]
}

@test "without CAP_BPF the daemon steers on the files rung" {
	start_in_own_mounts : setpriv --bounding-set -bpf,-perfmon,-sys_admin --inh-caps -bpf,-perfmon,-sys_admin
	wait_for 5 is_active
	[ "$(query .rung)" = files ]
}

@test "BAROSTAT_NO_BPF forces the files rung" {
	BAROSTAT_NO_BPF=1 start_daemon
	wait_for 5 is_active
	[ "$(query .rung)" = files ]
	[ "$(limit_of "$parent")" = $((256 * 1048576)) ]
}

@test "reuse = no leaves that sensor out and no other, and a reload cannot bring it back" {
	sed -i 's/^\[daemon\]$/&\nreuse = no/' "$conf"
	start_daemon
	[ "$(query .rung)" != files ] || skip "no BPF here"
	cli --json doctor | jq -e '.sensors[] | select(.name == "reuse") |
		.variant == "off" and .why == "switched off by configuration"'
	cli --json doctor | jq -e '.sensors[] | select(.name == "walk") | .variant != "off"'
	sed -i 's/^reuse = no$/reuse = yes/' "$conf"
	kill -HUP "$daemon_pid"
	said() { grep -q 'reload_refused.*bpf and reuse cannot change while running' "$log"; }
	wait_for 5 said
}

@test "on a read-only cgroup file system the daemon observes" {
	mkdir -p "$memory/$parent"
	[ "$hierarchy" = hybrid ] || echo +memory >"$memory/$parent/cgroup.subtree_control"
	mkdir "$memory/$parent/a"
	start_in_own_mounts "mount --bind $memory $memory && mount -o remount,ro,bind $memory"
	[ "$(query .rung)" = observe ]
	grep -q observe_only "$log"
	wait_for 5 is_active
	run cli doctor
	[[ $output == *"no right to write"* ]]
}

# bats test_tags=guest
@test "an engine whose cgroup has no memory controller is waited for, and it is said what is missing" {
	[ "$hierarchy" = v2 ] || skip "needs cgroup v2 memory"
	mkdir -p "$memory/$parent/bare/a"
	echo "cgroup = $parent/bare/a" >>"$conf"
	start_daemon
	[ "$(engine a .state)" = waiting ]
	grep -q 'engine=a event=waiting.*subtree_control lacks +memory' "$log"
	echo +memory >"$memory/$parent/cgroup.subtree_control"
	echo +memory >"$memory/$parent/bare/cgroup.subtree_control"
	wait_for 10 is_active
}

@test "a missing directory for page and socket is made" {
	sed -i "s|^page = .*|page = $dir/new/pressure|; s|^socket = .*|socket = $dir/new/control.sock|" "$conf"
	sock=$dir/new/control.sock
	start_daemon
	[ -f "$dir/new/pressure" ]
}

@test "a full file system for the page is one clear sentence and exit 1, with no cgroup made" {
	mkdir "$dir/full"
	mount -t tmpfs -o size=16k none "$dir/full"
	mounted=$dir/full
	head -c 64k /dev/zero >"$dir/full/fill" 2>/dev/null || true
	sed -i "s|^page = .*|page = $dir/full/pressure|" "$conf"
	run "$build/barostatd" --config "$conf"
	[ "$status" -eq 1 ]
	[[ $output == *"No space left"* ]]
	[ ! -d "$memory/$parent" ]
}

@test "ten thousand engines are refused with the number that is allowed" {
	local i
	for i in $(seq 10000); do echo "[engine e$i]"; done >>"$conf"
	run "$build/barostatd" --config "$conf" --check
	[ "$status" -eq 1 ]
	[[ $output == *4096* ]]
}

@test "five hundred engines are steered" {
	local i
	sed -i 's/ceiling = 256M/ceiling = 4G/' "$conf"
	for i in $(seq 500); do echo "[engine e$i]"; done >>"$conf"
	start_daemon
	all() { [ "$(query '[.engines[] | select(.state == "active")] | length')" = 501 ]; }
	wait_for 30 all
	[ "$(query '[.engines[].target_bytes] | add')" -le $((4096 * 1048576)) ]
	stop_daemon
	[ ! -d "$memory/$parent" ]
}

@test "SIGKILL at any moment leaves the ceiling held, and the next daemon restores all the same" {
	local i
	for i in 1 2 3 4 5 6 7 8; do
		"$build/barostatd" --config "$conf" 2>>"$log" 3>&- &
		daemon_pid=$!
		pids+=("$daemon_pid")
		sleep "0.$((RANDOM % 10))$((RANDOM % 10))" # the moment is the point
		kill -KILL "$daemon_pid"
		wait "$daemon_pid" 2>/dev/null || true
		# Either nothing was begun, or the parent holds the ceiling.
		[ ! -d "$memory/$parent/a" ] || [ "$(limit_of "$parent")" = $((256 * 1048576)) ]
	done
	start_daemon
	wait_for 5 is_active
	stop_daemon
	[ ! -d "$memory/$parent" ]
	[ ! -e "$dir/state.json" ]
}

# bats test_tags=guest
@test "a clock that steps changes nothing" {
	case ${CHECK_ENVIRONMENT:-host} in
	host*) skip "the clock of this machine is not ours to step" ;;
	esac
	start_daemon
	wait_for 5 is_active
	local now ticks
	now=$(date +%s)
	date -s "@$((now + 86400 * 365))"
	ticks=$(query .cost.ticks)
	ticked() { [ "$(query .cost.ticks)" -gt $((ticks + 10)) ]; }
	wait_for 20 ticked
	date -s "@$((now - 86400 * 365))"
	ticks=$(query .cost.ticks)
	wait_for 20 ticked
	is_active
	[ "$(query .uptime_s)" -lt 3600 ]
	cli --page "$page" page | grep -q .
	date -s "@$now"
}
