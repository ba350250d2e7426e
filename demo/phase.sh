# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of scripts/demo share their variables
# One phase of the demo: fresh cgroups, cold caches, both engines, a warm-up and a measured part.
# Sourced.

phases=(ceiling equal barostat)
declare -A phase_title=(
	[ceiling]='only the ceiling' [equal]='equal split' [barostat]='barostat'
)
engines=(postgres rocksdb)
declare -A engine_prefix=([postgres]=pg [rocksdb]=rk)
sample_us=250000

# Milliseconds of the wall clock.
now_ms() { local us=${EPOCHREALTIME/[.,]/}; echo $((us / 1000)); }

percentile() { sort -n | awk -v p="$1" '{v[NR] = $1} END {if (NR) print v[int((NR - 1) * p / 100) + 1]}'; }

# ---- barostatd ----------------------------------------------------------------------------------

daemon_config() {
	cat <<-CONF
		[daemon]
		ceiling = ${ceiling_mb}M
		reserve = 2%
		interval = 100ms
		parent = $cg_parent
		page = $work/pressure
		socket = $work/control.sock
		state = $work/state.json

		[engine postgres]
		cgroup = $cg_parent/postgres
		min = $((ceiling_mb / 16))M

		[engine rocksdb]
		cgroup = $cg_parent/rocksdb
		min = $((ceiling_mb / 8))M
	CONF
}

# ---- sampling -----------------------------------------------------------------------------------

declare -A usage_bytes limit_bytes stall_ppm stall_last_us rate
sample_last_us=0

# One sample of both engines: from barostat when it runs, else from the cgroups' own files.
sample() {
	local engine now_us=${EPOCHREALTIME/[.,]/} dt_us
	dt_us=$((now_us - sample_last_us))
	sample_last_us=$now_us
	if [ -n "$daemon_pid" ]; then
		while IFS=$'\t' read -r engine usage limit stall; do
			usage_bytes[$engine]=$usage limit_bytes[$engine]=$limit stall_ppm[$engine]=$stall
		done < <(barostat --json status | jq -r \
			'.engines[] | [.name, .usage_bytes, (.target_bytes // .limit_bytes // 0), .stall_ppm] | @tsv')
	else
		for engine in "${engines[@]}"; do
			cg_usage "$engine" && usage_bytes[$engine]=$cg_bytes
			cg_limit_of "$engine" && limit_bytes[$engine]=$cg_bytes
			cg_stall "$engine"
			stall_ppm[$engine]=$(((cg_stall_us - ${stall_last_us[$engine]:-$cg_stall_us}) * 1000000 / dt_us))
			stall_last_us[$engine]=$cg_stall_us
		done
	fi
}

# watch_loads NAME ROUND PHASE PART: samples and draws until both loads NAME have ended.
watch_loads() {
	local tick=0 engine t_ms
	while kill -0 "$pg_client_pid" 2>/dev/null || kill -0 "$rk_pid" 2>/dev/null; do
		sample
		if [ $((tick++ % 4)) = 0 ]; then
			for engine in "${engines[@]}"; do
				"${engine_prefix[$engine]}_live" "$1" && rate[$engine]=$live_rate
			done
		fi
		t_ms=$(($(now_ms) - phase_start_ms))
		for engine in "${engines[@]}"; do
			printf '%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\n' "$2" "$3" "$4" $t_ms "$engine" \
				"${usage_bytes[$engine]}" "${limit_bytes[$engine]}" "${stall_ppm[$engine]}" \
				"${rate[$engine]:-0}"
		done >>"$work/timeline.tsv"
		live_draw "$2" "$3" "$4" $t_ms
		sleep 0.2
	done
	wait "$pg_client_pid" || { echo "pgbench failed: $(tail -n 2 "$pg_dir/$1.progress")" >&2; return 1; }
	wait "$rk_pid" || { echo "db_bench failed: $(tail -n 2 "$rk_dir/$1.out")" >&2; return 1; }
	pg_client_pid='' rk_pid=''
}

# ---- the phase ----------------------------------------------------------------------------------

# Same for every phase: nothing cached, no cgroup from before, an empty RocksDB.
phase_set_up() {
	rm -rf "$rk_dir/db"
	cache_drop "$pg_dir/data"
	cg_make "$demo_name" $((ceiling_mb << 20)) "${engines[@]}"
	stall_last_us=() rate=()
	case $1 in
	ceiling) ;;
	equal)
		for engine in "${engines[@]}"; do
			cg_limit "$engine" $(((ceiling_mb << 20) / ${#engines[@]}))
		done
		;;
	barostat)
		daemon_config >"$work/barostat.conf"
		daemon_start "$work/barostat.conf"
		rung=$(jq -r .rung "$work/status.json")
		;;
	esac
}

phase_tear_down() {
	pg_stop
	daemon_stop
	cg_remove
}

# phase_run ROUND PHASE
phase_run() {
	local engine result
	phase_set_up "$2"
	pg_start
	phase_start_ms=$(now_ms)
	pg_load "$warm_s" warm
	rk_load "$warm_s" warm fillrandom
	watch_loads warm "$1" "$2" warm
	pg_load "$measure_s" run
	rk_load "$measure_s" run overwrite
	watch_loads run "$1" "$2" run
	for engine in "${engines[@]}"; do
		result=$("${engine_prefix[$engine]}_result" run)
		printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$engine" "$result" >>"$work/results.tsv"
	done
	if [ "$2" = barostat ]; then
		for engine in "${engines[@]}"; do
			barostat explain "$engine" >"$work/explain-$engine.txt" 2>&1 || true
		done
	fi
	phase_tear_down
}
