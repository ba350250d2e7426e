#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What is on and what is not, and that a refusal is a sentence and never the end.

load ../lib/wait
load ../lib/sensors

setup() {
	sensors_setup
	mkdir "$CG/a"
}

teardown() {
	sensors_teardown
}

# Where bpf(2) is filtered, as in one cell of the matrix, there is nothing to load.
need_bpf() {
	[ -e /sys/kernel/btf/vmlinux ] || skip "the kernel has no BTF"
	[ "$(awk '/^Seccomp:/ { print $2 }' /proc/self/status)" = 0 ] ||
		skip "sensor walk is off: system calls are filtered here"
}

# reuse has no tracepoint before Linux 6.10
reuse_is_on() {
	[ "$(variant reuse)" != off ] || [[ "$(jq -r .reuse.why <<<"$state")" == *"no such hook"* ]]
}

# bats test_tags=guest
@test "every sensor works by one variant or another on a kernel with BTF" {
	local name

	need_bpf
	sensors_start "$CG/a"
	echo "$state"
	for name in walk faults stalls refaults reclaim oom children; do
		[ "$(variant $name)" != off ]
	done
	reuse_is_on
	[ "$(variant walk)" = iterator ]
}

# bats test_tags=guest
@test "fentry is used where the kernel has it, and a tracepoint with a reason where not" {
	local name

	need_bpf
	sensors_start "$CG/a"
	echo "$state"
	for name in faults stalls refaults reclaim oom; do
		case $(variant $name) in
		fentry) ;;
		tracepoint) [ -n "$(jq -r ".[\"$name\"].why" <<<"$state")" ] ;;
		*) false ;;
		esac
	done
}

@test "BAROSTAT_NO_FENTRY takes every sensor to its tracepoint variant" {
	need_bpf
	BAROSTAT_NO_FENTRY=1 sensors_start "$CG/a"
	echo "$state"
	[ "$(jq '[.[] | select(.variant == "fentry")] | length' <<<"$state")" -eq 0 ]
	[ "$(jq 'del(.reuse) | [.[] | select(.variant == "tracepoint")] | length' <<<"$state")" -eq 6 ]
	reuse_is_on
	[[ "$(jq -r .oom.why <<<"$state")" == *BAROSTAT_NO_FENTRY* ]]
}

@test "BAROSTAT_NO_BPF loads nothing and everything still answers" {
	BAROSTAT_NO_BPF=1 sensors_start "$CG/a"
	[ "$(jq '[.[] | select(.variant == "off")] | length' <<<"$state")" -eq 8 ]
	[[ "$(jq -r .walk.why <<<"$state")" == *BAROSTAT_NO_BPF* ]]
	ask read
	[ "$(field 0 valid)" -eq 0 ]
	ask remove 0
	[ "$(jq .error <<<"$answer")" -eq 0 ]
}

@test "without the right to load BPF everything is off with a reason" {
	need_bpf
	chmod 755 "$WORK"
	[ "$(cat /proc/sys/kernel/unprivileged_bpf_disabled)" != 0 ] || skip "this kernel lets anyone load BPF"
	run setpriv --reuid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$TOOLS/sensor_dump" ${HYBRID:+"$HYBRID"} "$CG/a" <<<state
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(jq '[.[] | select(.variant == "off")] | length' <<<"$output")" -eq 8 ]
	[[ "$(jq -r .oom.why <<<"$output")" == *CAP_BPF* ]]
}

@test "the sensors of fifty engines stay small, however many there may be" {
	local i dirs=()

	for i in $(seq 50); do
		mkdir "$CG/$i"
		dirs+=("$CG/$i")
	done
	sensors_start --slots 4096 "${dirs[@]}"
	ask read
	ask rss
	echo "$answer"
	[ "$(jq .rss_kb <<<"$answer")" -le 6144 ]
}
