# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of scripts/demo share their variables
# Cgroups for the demo and the benches: one parent with a ceiling, one child per engine. Sourced.
#
# Works on cgroup v2 (memory.max) and on hybrid (memory.limit_in_bytes, with a twin in the unified
# tree, where the pressure files are). Touches nothing that it did not make: every directory is
# below cg_parent, whose name carries the caller's process id.

cg_rung=    # v2, hybrid or none
cg_why=     # with none: what is missing
cg_mem=     # mount point of the hierarchy that has the memory controller
cg_unified= # mount point of the unified hierarchy
cg_parent=  # name of our parent cgroup, relative to both

cg_fstype() { stat -f -c %T "$1" 2>/dev/null; }

# Sets cg_rung and the mount points. What counts is whether a limit can be written, not whether
# files exist: on a plain tmpfs mkdir and echo succeed too.
cg_detect() {
	local probe point type options
	cg_rung=none
	cg_why='no cgroup hierarchy with a memory controller is mounted'
	while read -r _ point type options _; do
		case $type in
		cgroup2) cg_unified=$point ;;
		cgroup) [[ ,$options, != *,memory,* ]] || cg_mem=$point ;;
		esac
	done </proc/mounts
	if [ -n "$cg_unified" ] && grep -qw memory "$cg_unified/cgroup.controllers"; then
		cg_rung=v2
		cg_mem=$cg_unified
	elif [ -n "$cg_unified" ] && [ -n "$cg_mem" ] && [ "$(cg_fstype "$cg_mem")" = cgroupfs ]; then
		cg_rung=hybrid
	else
		return 0
	fi
	probe=$cg_mem/barostat-probe-$$
	if ! mkdir "$probe" 2>/dev/null; then
		cg_rung=none
		cg_why="cgroups cannot be made below $cg_mem"
		return 0
	fi
	if [ "$cg_rung" = v2 ] && ! grep -qw memory "$cg_mem/cgroup.subtree_control"; then
		echo +memory >"$cg_mem/cgroup.subtree_control" 2>/dev/null || true
	fi
	if ! echo $((1 << 30)) 2>/dev/null >"$probe/$(cg_limit_file)"; then
		cg_rung=none
		cg_why="limits cannot be written below $cg_mem"
	fi
	rmdir "$probe"
}

cg_limit_file() {
	case $cg_rung in
	v2) echo memory.max ;;
	*) echo memory.limit_in_bytes ;;
	esac
}

# cg_make NAME CEILING_BYTES CHILD...: the parent with its ceiling and its children without limits.
cg_make() {
	local ceiling=$2 child
	cg_parent=$1
	shift 2
	mkdir -p "$cg_mem/$cg_parent" "$cg_unified/$cg_parent"
	if [ "$cg_rung" = v2 ]; then
		echo +memory >"$cg_mem/$cg_parent/cgroup.subtree_control"
	fi
	cg_limit . "$ceiling"
	for child; do
		mkdir -p "$cg_mem/$cg_parent/$child" "$cg_unified/$cg_parent/$child"
	done
}

# cg_limit CHILD BYTES: "." is the parent itself.
cg_limit() { echo "$2" >"$cg_mem/$cg_parent/$1/$(cg_limit_file)"; }

# cg_exec CHILD COMMAND...: becomes COMMAND inside the child, in both trees. Call it in a subshell.
cg_exec() {
	local child=$1
	shift
	echo "$BASHPID" >"$cg_mem/$cg_parent/$child/cgroup.procs"
	if [ "$cg_rung" = hybrid ]; then
		echo "$BASHPID" >"$cg_unified/$cg_parent/$child/cgroup.procs"
	fi
	exec "$@"
}

# Sets cg_bytes to the usage of CHILD; no process is started.
cg_usage() {
	case $cg_rung in
	v2) read -r cg_bytes <"$cg_mem/$cg_parent/$1/memory.current" ;;
	*) read -r cg_bytes <"$cg_mem/$cg_parent/$1/memory.usage_in_bytes" ;;
	esac
}

# Sets cg_bytes to the limit of CHILD, 0 when there is none.
cg_limit_of() {
	read -r cg_bytes <"$cg_mem/$cg_parent/$1/$(cg_limit_file)"
	if [ "$cg_bytes" = max ] || [ "$cg_bytes" -gt $((1 << 60)) ]; then
		cg_bytes=0
	fi
}

# Sets cg_stall_us to the time CHILD has been stalled on memory or on reading back what was evicted.
cg_stall() {
	local line total=0
	for line in memory io; do
		read -r _ _ _ _ line <"$cg_unified/$cg_parent/$1/$line.pressure" || line=total=0
		[ "${line#total=}" -le "$total" ] || total=${line#total=}
	done
	cg_stall_us=$total
}

# Ends what still runs in CHILD (all of it is ours) and waits for it, at most 10 s.
cg_end_processes() {
	local procs=$cg_mem/$cg_parent/$1/cgroup.procs pid deadline=$((SECONDS + 10)) signal=TERM
	while [ -s "$procs" ] || [ -n "$(cat "$procs" 2>/dev/null)" ]; do
		while read -r pid; do
			kill -s "$signal" "$pid" 2>/dev/null || true
		done <"$procs"
		[ $SECONDS -lt $deadline ] || return 1
		[ $SECONDS -lt $((deadline - 7)) ] || signal=KILL
		sleep 0.05
	done
}

# Ends everything in our cgroups and removes them, children first. Safe to call twice.
cg_remove() {
	local tree dir
	[ -n "$cg_parent" ] || return 0
	for dir in "$cg_mem/$cg_parent"/*/; do
		[ -d "$dir" ] || continue
		cg_end_processes "$(basename "$dir")" || true
		# what stays charged would move to the parent and be billed to nobody
		[ ! -w "$dir/memory.force_empty" ] || echo 0 >"$dir/memory.force_empty" 2>/dev/null || true
	done
	for tree in "$cg_mem" "$cg_unified"; do
		for dir in "$tree/$cg_parent"/*/ "$tree/$cg_parent"; do
			[ ! -d "$dir" ] || cg_rmdir "$dir"
		done
	done
	cg_parent=
}

# A cgroup whose last process is just gone can be busy for a moment.
cg_rmdir() {
	local deadline=$((SECONDS + 5))
	until rmdir "$1" 2>/dev/null; do
		if [ $SECONDS -ge $deadline ]; then
			echo "could not remove $1" >&2
			return 0
		fi
		sleep 0.05
	done
}

# cache_drop DIR: forgets the page cache of DIR's files, whoever was charged for it, so that the
# next toucher pays. A file keeps its first payer as long as it stays cached.
cache_drop() {
	[ -d "$1" ] || return 0
	sync -f "$1"
	find "$1" -type f -size +16k -exec sh -c \
		'for f; do dd if="$f" iflag=nocache count=0 status=none 2>/dev/null || true; done' drop {} +
}
