# SPDX-License-Identifier: BSD-2-Clause
# A real barostatd without privileges, on a directory that looks like a cgroup v2 tree:
# load support, then load dry_daemon

dry_setup() {
	tree=$scratch/cgroup socket=$scratch/sock page=$scratch/page conf=$scratch/barostat.conf
	export BAROSTAT_CGROUP_ROOT=$tree
	mkdir "$tree"
	echo memory >"$tree/cgroup.controllers"
	: >"$tree/cgroup.subtree_control"
	: >"$tree/cgroup.procs"
}

# write_conf [LINE of the daemon section]...: sections of engines on stdin
write_conf() {
	{
		printf '%s\n' "[daemon]" "ceiling = 1G" "reserve = 64M" "page = $page" "socket = $socket" \
			"state = $scratch/state.json" "interval = 20ms" "bpf = no" "$@"
		cat
	} >"$conf"
}

is_up() {
	"$barostat" --socket "$socket" status >/dev/null 2>&1
}

# start [OPTION]...: its process id is the last of $fakes; by way of the command in $launch, if any
start() {
	"${launch[@]}" "$build/barostatd" --config "$conf" "$@" >"$scratch/log" 2>&1 3>&- &
	fakes+=($!)
	wait_for 20 is_up || {
		cat "$scratch/log"
		return 1
	}
}

stop() {
	kill -TERM "${fakes[-1]}"
	wait_for 20 gone "${fakes[-1]}"
}

# hold MIB: what engine a's cgroup uses, all of it anonymous
hold() {
	printf 'anon %s\nfile 0\n' $(($1 << 20)) >"$tree/barostat/a/memory.stat.new"
	mv "$tree/barostat/a/memory.stat.new" "$tree/barostat/a/memory.stat"
	echo $(($1 << 20)) >"$tree/barostat/a/memory.current"
}

# engine NAME JQ: of the status
engine() {
	"$barostat" --socket "$socket" status --json | jq -r ".engines[] | select(.name == \"$1\") | $2"
}

# engine_is NAME JQ VALUE
engine_is() {
	[ "$(engine "$1" "$2")" = "$3" ]
}

logged() {
	grep -q "$1" "$scratch/log"
}
