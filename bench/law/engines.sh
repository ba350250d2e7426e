# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of bench/law/run share their variables
# The engines of a scenario: what a scenario file says of them, their data, their servers and their
# loads. Sourced.
#
# A scenario file sets scenario_title and defines scenario, which is called with the base length of
# a cell in milliseconds and says, in percent of the ceiling:
#
#   engine NAME KIND               an engine, in order; KIND as in bench/law/load.c
#   phase NAME MS PERCENT [OPS_PER_S]   its next phase; PERCENT 0 = idle
#   measure FROM_MS                what comes before is warm-up
#   split PERCENT...               a static split to try besides the equal one, in the order of engines

declare -A kind phases phase_last phase_end_ms data_percent grows
engines=() splits=()
cell_ms=0 measure_from_ms=0

engine() {
	engines+=("$1")
	kind[$1]=$2 phases[$1]='' phase_last[$1]=0 phase_end_ms[$1]=0 data_percent[$1]=0 grows[$1]=''
}

# Where an engine's set grows is noted: that is what a law has to follow. A stream never has a set.
phase() {
	local begin=${phase_end_ms[$1]} end=$((${phase_end_ms[$1]} + $2))
	printf -v 'phases[$1]' '%s %d.%03d:%d%s' "${phases[$1]}" $(($2 / 1000)) $(($2 % 1000)) \
		$((ceiling_mb * $3 / 100)) "${4:+:$4}"
	if [ "$begin" -gt 0 ] && [ "$3" -ge $((phase_last[$1] + 5)) ] && [ "${kind[$1]}" != write ]; then
		grows[$1]+=" $begin-$end"
	fi
	[ "$3" -le "${data_percent[$1]}" ] || data_percent[$1]=$3
	phase_last[$1]=$3 phase_end_ms[$1]=$end
	[ $cell_ms -ge $end ] || cell_ms=$end
}

measure() { measure_from_ms=$1; }
split() { splits+=("$*"); }

scenario_load() {
	engines=() splits=() cell_ms=0
	# shellcheck disable=SC1090 # bench/law/scenarios/*.sh
	. "$here/scenarios/$1.sh"
	scenario "$2"
}

data_of() { data=$work/data/$scenario-$1; }

# Makes what the engines of this scenario read, once; nothing of it stays cached.
engines_prepare() {
	local name data mb
	mkdir -p "$work/data"
	for name in "${engines[@]}"; do
		data_of "$name"
		mb=$((ceiling_mb * data_percent[$name] / 100 + 1))
		case ${kind[$name]} in
		postgres)
			# one cluster for all scenarios: it takes longest to make
			[ -n "$pg_dir" ] || pg_prepare "$work/postgres" "$(pg_scale_of_mb $((pg_data_mb + 15)))"
			cd "$root" || return 1
			;;
		*) "$load" fill "${kind[$name]}" "$data" $mb ;;
		esac
	done
}

# The largest that any wanted scenario asks of PostgreSQL, in MB.
pg_data_mb=1
engines_note_sizes() {
	local name mb
	for name in "${engines[@]}"; do
		mb=$((ceiling_mb * data_percent[$name] / 100))
		[ "${kind[$name]}" != postgres ] || [ "$mb" -le "$pg_data_mb" ] || pg_data_mb=$mb
	done
}

engines_forget() {
	local name data
	for name in "${engines[@]}"; do
		data_of "$name"
		rm -rf "$data"
	done
}

engines_drop_caches() {
	local name data
	for name in "${engines[@]}"; do
		data_of "$name"
		[ "${kind[$name]}" != write ] || rm -f "$data"
	done
	cache_drop "$work/data"
	[ -z "$pg_dir" ] || cache_drop "$pg_dir/data"
}

# The cgroup of an engine: its own, or everybody's.
cgroup_of() {
	cgroup=$1
	[ "$cell" != shared ] || cgroup=all
}

redis_pids=()

# Servers are in their engine's cgroup, up and empty-handed before time begins.
engines_start() {
	local name cgroup
	for name in "${engines[@]}"; do
		cgroup_of "$name"
		case ${kind[$name]} in
		postgres) pg_cgroup=$cgroup pg_start ;;
		redis) redis_start "$name" "$cgroup" ;;
		esac
	done
}

redis_start() {
	local socket=$work/$1.redis deadline=$((SECONDS + 10))
	rm -f "$socket"
	(cg_exec "$2" redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no \
		--dir "$work" >>"$work/redis.log" 2>&1) &
	redis_pids+=($!)
	until redis-cli -s "$socket" ping >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || { echo "Redis did not come up" >&2; return 1; }
		sleep 0.05
	done
}

engines_stop() {
	local pid
	pg_stop
	for pid in "${redis_pids[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	redis_pids=()
}

load_pids=()

# engines_load BEGIN_US DIR: every engine's load in the background, its lines in DIR/NAME.ops
engines_load() {
	local name cgroup data phases_of
	load_pids=()
	for name in "${engines[@]}"; do
		cgroup_of "$name"
		data_of "$name"
		read -ra phases_of <<<"${phases[$name]}"
		case ${kind[$name]} in
		# the client of a server is outside its cgroup
		postgres) "$load" postgres "$pg_dir" "$1" "${phases_of[@]}" >"$2/$name.ops" & ;;
		redis) "$load" redis "$work/$name.redis" "$1" "${phases_of[@]}" >"$2/$name.ops" & ;;
		*) (cg_exec "$cgroup" "$load" "${kind[$name]}" "$data" "$1" "${phases_of[@]}" >"$2/$name.ops") & ;;
		esac
		load_pids+=($!)
	done
}
