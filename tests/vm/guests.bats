#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The guests of scripts/vm: what every test in one takes for granted.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
	shared=$BATS_TEST_TMPDIR/shared
	mkdir "$shared"
}

vm() {
	run --separate-stderr scripts/vm --timeout 180 "$@"
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
