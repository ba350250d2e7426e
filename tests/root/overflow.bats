#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The overflow region on a real file system that is full: an error, and never a SIGBUS, though
# every byte that was handed out is written and goes to the disk.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	build=$(realpath "${BUILD:-build}")
	dir=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-$$-XXXXXX")
	mkdir "$dir/mnt"
}

teardown() {
	umount "$dir/mnt" 2>/dev/null || true
	rm -rf "$dir"
}

@test "a full ext4 is an error, and what was handed out can be written to the last byte" {
	truncate -s 24M "$dir/disk"
	mke2fs -q -F -t ext4 -m 0 "$dir/disk"
	mount -o loop "$dir/disk" "$dir/mnt"
	run -0 "$build/tests/tools/overflow" "$dir/mnt"
	echo "$output"
	# most of the disk was given, twice; 28 is ENOSPC
	[ "${#lines[@]}" = 2 ]
	for line in "${lines[@]}"; do
		read -r _ bytes error <<<"$line"
		[ "$error" = 28 ]
		[ "$bytes" -gt $((14 << 20)) ]
	done
	[ -z "$(find "$dir/mnt" -type f)" ]
	[ "$(df --output=used -k "$dir/mnt" | tail -n 1)" -lt 1024 ]
}
