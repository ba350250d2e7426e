# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of bench/law/run share their variables
# The cells: under which limits the engines of a scenario run. Sourced.
#
#   alone      each has the whole ceiling to itself, side by side: what it is worth at most
#   none       a cgroup each, and only the common ceiling
#   shared     all in one cgroup with the ceiling
#   equal      the ceiling in equal parts
#   A-B-...    a static split, percent of the ceiling in the order of the engines
#   POLICY     barostatd with this policy: senpai, idle-tax, psi, proportional, marginal

policies=(senpai idle-tax psi proportional marginal)

is_policy() { [[ " ${policies[*]} " == *" $1 "* ]]; }

daemon_config() {
	local name
	cat <<-CONF
		[daemon]
		ceiling = ${ceiling_mb}M
		policy = $1
		parent = $cg_parent
		page = $work/pressure
		socket = $work/control.sock
		state = $work/state.json
	CONF
	for name in "${engines[@]}"; do
		printf '[engine %s]\ncgroup = %s/%s\n' "$name" "$cg_parent" "$name"
	done
}

# Whether this barostatd knows the policy; what it has no word for cannot be measured.
policy_known() {
	cg_parent=barostat-law-check daemon_config "$1" >"$work/check.conf"
	"$build/barostatd" --config "$work/check.conf" --check >/dev/null 2>&1
}

# The cells of the scenario that is loaded, in order; BENCH_CELLS chooses among them by name,
# "static" standing for the whole sweep.
cells_of_scenario() {
	local all=(none shared equal) split want
	for split in "${splits[@]}"; do all+=("${split// /-}"); done
	all+=("${policies[@]}")
	cells=(alone)
	for cell in "${all[@]}"; do
		for want in ${BENCH_CELLS:-none shared equal static "${policies[@]}"}; do
			if [ "$want" = "$cell" ] || { [ "$want" = static ] && [[ $cell == [0-9]* ]]; }; then
				cells+=("$cell")
				break
			fi
		done
	done
}

# cell_set_up: new cgroups with the cell's limits, and the daemon where it takes one.
cell_set_up() {
	local name i=0 shares ceiling=$((ceiling_mb << 20))
	case $cell in
	alone)
		cg_make "$cg_name" $((ceiling * ${#engines[@]})) "${engines[@]}"
		for name in "${engines[@]}"; do cg_limit "$name" $ceiling; done
		return
		;;
	shared) cg_make "$cg_name" $ceiling all ;;
	*) cg_make "$cg_name" $ceiling "${engines[@]}" ;;
	esac
	case $cell in
	equal)
		for name in "${engines[@]}"; do cg_limit "$name" $((ceiling / ${#engines[@]})); done
		;;
	[0-9]*)
		IFS=- read -ra shares <<<"$cell"
		for name in "${engines[@]}"; do cg_limit "$name" $((ceiling * shares[i++] / 100)); done
		;;
	esac
	if is_policy "$cell"; then
		daemon_config "$cell" >"$work/barostat.conf"
		rm -f "$work/control.sock" "$work/state.json"
		daemon_start "$work/barostat.conf"
	fi
}

# cell_watch DIR: until every load has ended, each 100 ms a line "elapsed_ms NAME usage limit
# stall_us" per cgroup.
cell_watch() {
	local name cgroups=("${engines[@]}") elapsed_ms next_ms=0 pid alive=1
	[ "$cell" != shared ] || cgroups=(all)
	while [ $alive = 1 ]; do
		elapsed_ms=$(((${EPOCHREALTIME/[.,]/} - begin_us) / 1000))
		if [ $elapsed_ms -ge $next_ms ]; then
			next_ms=$((next_ms + 100))
			for name in "${cgroups[@]}"; do
				cg_usage "$name"
				usage=$cg_bytes
				cg_limit_of "$name"
				cg_stall "$name"
				printf '%s\t%s\t%s\t%s\t%s\n' "$elapsed_ms" "$name" "$usage" "$cg_bytes" "$cg_stall_us"
			done
		fi
		alive=0
		for pid in "${load_pids[@]}"; do ! kill -0 "$pid" 2>/dev/null || alive=1; done
		# not read -t, which starts no process: bash 5.2 has aborted in it (longjmp, uninitialized frame)
		sleep 0.05
	done >"$1/timeline.tsv"
}

# Sets kills to what the OOM killer ended in our cgroups.
cell_kills() {
	local dir key value file=memory.events
	[ "$cg_rung" = v2 ] || file=memory.oom_control
	kills=0
	for dir in "$cg_mem/$cg_parent"/*/; do
		while read -r key value; do
			[ "$key" != oom_kill ] || kills=$((kills + value))
		done <"$dir/$file"
	done
}

# What the daemon says of itself, for whoever wants to know why.
cell_keep_words() {
	local name
	[ -n "$daemon_pid" ] || return 0
	barostat --json status >"$1/status.json" || true
	for name in "${engines[@]}"; do
		barostat explain "$name" >"$1/$name.explain" 2>&1 || true
	done
}

targets_pid=

targets_end() {
	[ -n "$targets_pid" ] || return 0
	kill "$targets_pid" 2>/dev/null || true
	wait "$targets_pid" 2>/dev/null || true
	targets_pid=
}

# cell_run DIR: one cell from its cold start to its end.
cell_run() {
	local pid usage status
	mkdir -p "$1"
	: >"$work/barostatd.log"
	engines_drop_caches
	cell_set_up
	engines_start
	begin_us=$((${EPOCHREALTIME/[.,]/} + 300000)) # time for programs to start and open
	engines_load $begin_us "$1"
	: >"$1/targets.tsv"
	if [ -n "$daemon_pid" ]; then
		"$build/bench/targets" "$work/pressure" $begin_us >"$1/targets.tsv" &
		targets_pid=$!
	fi
	cell_watch "$1"
	targets_end
	for pid in "${load_pids[@]}"; do
		status=0
		wait "$pid" || status=$?
		case $status in
		0 | 3 | 137) ;; # 3: its server was killed, 137: it was itself
		*) die "$scenario, $cell: a load ended with status $status" ;;
		esac
	done
	load_pids=()
	cell_kills
	cell_keep_words "$1"
	engines_stop
	daemon_stop
	cp "$work/barostatd.log" "$1/"
	cg_remove
}
