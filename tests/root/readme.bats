#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What the README tells a newcomer to type works as it stands there.

load ../lib/daemon

setup() {
	daemon_setup
}

teardown() {
	daemon_teardown
}

# The blocks of one language, in order.
blocks() {
	awk -v fence="\`\`\`$1" '$0 == fence {on = 1; next} /^```$/ {on = 0} on' "$top/README.md"
}

# The README's own configuration, in this test's directory and below its parent; the service it
# names is a cgroup made here.
readme_config() {
	local cgroup
	cgroup=$(blocks ini | sed -n 's/^cgroup = \([^ ]*\).*/\1/p')
	[ -n "$cgroup" ]
	mkdir -p "$memory/$parent/service"
	[ "$hierarchy" = v2 ] && echo +memory >"$memory/$parent/cgroup.subtree_control"
	blocks ini | sed -e "s|^cgroup = $cgroup|cgroup = $parent/service|" \
		-e "s|^\[daemon\]|&\nparent = $parent\npage = $page\nsocket = $sock\nstate = $dir/state.json|" \
		-e 's|^min    = 512M|min = 5M|; s|^ceiling = 80%|ceiling = 512M|' >"$conf"
}

@test "every command of the README runs" {
	readme_config
	"$build/barostatd" --config "$conf" --check
	start_daemon
	cd "$dir"
	printf '#!/bin/sh\nexec sleep 60\n' >my-rocksdb-server
	chmod +x my-rocksdb-server
	sleep 60 3>&- &
	pids+=("$!")
	export PID=$!
	mkdir bin
	# The same words, against this test's daemon.
	printf '#!/bin/sh\nexec "%s/barostatd" --config "%s" "$@"\n' "$build" "$conf" >bin/barostatd
	printf '#!/bin/sh\nexec "%s/barostat" --socket "%s" --page "%s" "$@"\n' "$build" "$sock" "$page" >bin/barostat
	chmod +x bin/*
	local line ran=0
	while read -r line; do
		line=${line%%#*}
		[ -n "${line// /}" ] || continue
		echo "\$ $line"
		case $line in
		*" run "*)
			PATH=$dir/bin:$PATH bash -c "$line" 3>&- &
			pids+=("$!")
			moved() { grep -q "$parent/rocks" "/proc/${pids[-1]}/cgroup"; }
			wait_for 5 moved
			;;
		*" top "*)
			PATH=$dir/bin:$PATH bash -c "$line --once"
			;;
		*)
			PATH=$dir/bin:$PATH bash -c "$line"
			;;
		esac
		ran=$((ran + 1))
	done < <(blocks sh)
	[ "$ran" -ge 9 ]
	[ "$(engine pg .weight)" = 300 ]
	grep -q "$parent/rocks" "/proc/$PID/cgroup"
}

@test "the README's C example compiles" {
	{
		sed -n '1,/^$/p' <(blocks c)
		echo 'void cache_shrink_to(uint64_t bytes);'
		echo 'void example(void); void example(void) {'
		blocks c | sed '1,/^$/d'
		echo '}'
	} >"$dir/example.c"
	cc -std=gnu11 -Wall -Wextra -Werror -I"$top/include" -c "$dir/example.c" -o "$dir/example.o"
}

@test "the files and folders the README names exist" {
	local path
	while read -r path; do
		[ -e "$top/$path" ] || {
			echo "README names $path"
			return 1
		}
	done < <(grep -oE '\]\((docs|examples|packaging|scripts)[^)]*\)' "$top/README.md" | tr -d '])(' | grep -v '^$'
		sed -n 's|^    \([a-z/]*/\) .*|\1|p' "$top/README.md")
}
