#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# scripts/vm itself: what it says about a guest is what the guest did.

bats_require_minimum_version 1.5.0
load ../lib/wait

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
	shared=$BATS_TEST_TMPDIR/shared
	mkdir "$shared"
}

vm() {
	run --separate-stderr scripts/vm --timeout 180 "$@"
}

@test "the exit status and both outputs of the command come through" {
	vm 6.12 -- sh -c 'echo to-out; echo to-err >&2; exit 37'
	[ "$status" -eq 37 ]
	[ "$output" = to-out ]
	[ "$stderr" = to-err ]
}

@test "the command runs in the caller's directory, with its arguments as they are and a filtered environment" {
	export BAROSTAT_TEST_WORD="two words" SECRET_TOKEN=leak
	vm --env EXTRA=more 6.12 -- sh -c 'pwd; printf "<%s>" "$@"; echo; echo "$BAROSTAT_TEST_WORD,$EXTRA,$SECRET_TOKEN"' sh 'a  b' "c'd" '$e'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "$PWD" ]
	[ "${lines[1]}" = "<a  b><c'd><\$e>" ]
	[ "${lines[2]}" = "two words,more," ]
}

@test "a status above 127 is not folded into another" {
	vm 6.12 -- sh -c 'exit 201'
	[ "$status" -eq 201 ]
}

@test "a command that does not end is a time-out, status 124, with its output kept" {
	run --separate-stderr scripts/vm --timeout 40 6.12 -- sh -c 'echo begun; sleep 1000'
	[ "$status" -eq 124 ]
	[ "$output" = begun ]
	[[ $stderr == *"time-out"*"40 s"* ]]
}

@test "a panic is a failure, status 125, with the console shown" {
	vm 6.12 -- sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; exit 0'
	[ "$status" -eq 125 ]
	[[ $stderr == *"Kernel panic"*"panicked"* ]]
}

@test "a guest that switches itself off without a status is a failure, status 125" {
	vm 6.12 -- busybox reboot -f
	[ "$status" -eq 125 ]
	[[ $stderr == *"without an exit status"* ]]
}

@test "the guest writes neither through the overlay nor round it on this machine" {
	local kernel name=barostat-test-$$-written
	for kernel in 6.1 6.12; do
		vm "$kernel" -- sh -c "
			touch /etc/$name /var/tmp/$name '$BATS_TEST_TMPDIR/$name' && ls /etc/$name || exit 1
			mkdir /run/raw && mount -t virtiofs host /run/raw || exit 2
			ls /run/raw/etc/passwd || exit 3
			touch /run/raw/etc/$name 2>/run/why && exit 4
			cat /run/why"
		[ "$status" -eq 0 ]
		[[ $output == *"Read-only file system"* ]]
		[ ! -e "/etc/$name" ]
		[ ! -e "/var/tmp/$name" ]
		[ ! -e "$BATS_TEST_TMPDIR/$name" ]
	done
}

@test "what the guest writes below --rw is there on this machine" {
	vm --rw "$shared" 6.12 -- sh -c "echo kept >'$shared/file'"
	[ "$status" -eq 0 ]
	[ "$(cat "$shared/file")" = kept ]
}

# What every other test in a guest takes for granted.
guest_facts='
	uname -r
	stat -fc %T /sys/fs/cgroup /sys/fs/bpf /sys/kernel/tracing /sys/kernel/debug /dev/shm
	test -r /sys/kernel/btf/vmlinux || echo no BTF
	grep -qw memory /sys/fs/cgroup/cgroup.subtree_control || echo no memory
	grep -qw io /sys/fs/cgroup/cgroup.subtree_control || echo no io
	mkdir /sys/fs/cgroup/facts && test -w /sys/fs/cgroup/facts/memory.max || echo no memory.max
	ip -o addr show lo | grep -q 127.0.0.1 || echo no loopback
	test "$(ulimit -n)" -ge 65536 || echo few descriptors
	cat /sys/kernel/mm/lru_gen/enabled
'

@test "6.12 has cgroup v2 memory, BTF, BPF, tracing, and MGLRU switched on" {
	vm 6.12 -- sh -c "$guest_facts"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 6.12.* ]]
	[ "$(printf '%s ' "${lines[@]:1}")" = "cgroup2fs bpf_fs tracefs debugfs tmpfs 0x0007 " ]
}

@test "6.1 has cgroup v2 memory, BTF, BPF, tracing, and the classic LRU" {
	vm 6.1 -- sh -c "$guest_facts"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 6.1.* ]]
	[ "$(printf '%s ' "${lines[@]:1}")" = "cgroup2fs bpf_fs tracefs debugfs tmpfs 0x0000 " ]
}

@test "6.1 hybrid has memory on v1 and the rest on the unified tree" {
	vm --mode hybrid 6.1 -- sh -c '
		stat -fc %T /sys/fs/cgroup/memory /sys/fs/cgroup/unified
		test -w /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes || echo no memsw
		grep -w memory /sys/fs/cgroup/unified/cgroup.controllers
		cat /proc/self/cgroup'
	[ "$status" -eq 0 ]
	[ "$(printf '%s ' "${lines[@]}")" = "cgroupfs cgroup2fs 1:memory:/ 0::/ " ]
}

@test "memory, processors, disk, zram, nodes and MGLRU are as asked" {
	local kernel
	for kernel in 6.1 6.12; do
		vm --memory 1536 --cpus 2 --disk 300 --zram 256 --numa --mglru on --dmesg "$shared/dmesg" "$kernel" -- sh -c '
			nproc
			stat -fc %T /mnt/scratch && dd if=/dev/zero of=/mnt/scratch/f bs=1M count=200 status=none
			awk "/^.dev.zram0/ {print \$3}" /proc/swaps
			cat /sys/devices/system/node/node1/distance
			awk "/MemTotal/ {print (\$2 > 1300000 && \$2 < 1600000)}" /proc/meminfo
			cat /sys/kernel/mm/lru_gen/enabled'
		[ "$status" -eq 0 ]
		[ "$(printf '%s ' "${lines[@]}")" = "2 ext2/ext3 262140 20 10 1 0x0007 " ]
		grep -q 'Linux version 6' "$shared/dmesg"
	done
}

@test "wrong arguments are refused with the reason, status 2" {
	local why
	while IFS='|' read -r args why; do
		# shellcheck disable=SC2086 # words on purpose
		run scripts/vm $args
		[ "$status" -eq 2 ]
		[[ $output == *"$why"* ]]
	done <<-'CASES'
		5.4 -- true|no such kernel: 5.4
		6.12|wanted KERNEL -- COMMAND
		6.12 --|wanted KERNEL -- COMMAND
		--memory lots 6.12 -- true|--memory takes a whole number
		--mode hybrid 6.12 -- true|no memory controller on v1
		--mode v3 6.1 -- true|--mode is v2 or hybrid
		--mglru maybe 6.1 -- true|--mglru is on or off
		--rw /does-not-exist 6.1 -- true|no such directory
		--colour 6.1 -- true|unknown option --colour
	CASES
}

@test "nothing is left of a guest whose harness is ended" {
	local signal harness children pid
	for signal in TERM KILL; do
		TMPDIR=$BATS_TEST_TMPDIR scripts/vm --timeout 180 --rw "$shared" 6.12 -- sh -c "echo up >'$shared/$signal'; sleep 1000" 3>&- >/dev/null 2>&1 &
		harness=$!
		wait_for 120 test -e "$shared/$signal"
		children=$(descendants "$harness")
		[ "$(wc -w <<<"$children")" -ge 4 ]
		kill "-$signal" "$harness"
		wait "$harness" || true
		for pid in $children; do
			wait_for 20 gone "$pid"
		done
	done
}
