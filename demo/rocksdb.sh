# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of scripts/demo share their variables
# RocksDB under db_bench bulk fill: a stream of dirty page cache that nobody reads again. Sourced.
#
# db_bench is engine and client in one process, inside the engine's cgroup. The settings are those
# of a bulk load (no log, no compaction), at a steady pace, so that a run writes gigabytes, not
# tens of them, and the phases differ by memory rather than by disk.

rk_dir=
rk_pid=
rk_pace_bytes=$((96 << 20))
rk_value_bytes=800

# rk_load SECONDS NAME fillrandom|overwrite: one run in the background, inside the cgroup.
rk_load() {
	local existing=1
	[ "$3" != fillrandom ] || existing=0
	rm -f "$rk_dir/$2".*
	(cg_exec rocksdb db_bench --db="$rk_dir/db" --benchmarks="$3" --use_existing_db=$existing \
		--num=100000000 --duration="$1" --value_size=$rk_value_bytes --compression_type=none --seed=1 \
		--disable_wal=1 --disable_auto_compactions=1 --level0_slowdown_writes_trigger=1000000 \
		--level0_stop_writes_trigger=1000000 --write_buffer_size=$((4 << 20)) \
		--max_write_buffer_number=3 --max_background_jobs=2 --open_files=64 --histogram=1 \
		--benchmark_write_rate_limit=$rk_pace_bytes --report_interval_seconds=1 \
		--report_file="$rk_dir/$2.rate" >"$rk_dir/$2.out" 2>&1) &
	rk_pid=$!
}

# Operations per second and p99 in microseconds of the finished run NAME.
rk_result() {
	awk '/ops\/sec/ {for (i = 2; i <= NF; i++) if ($i == "ops/sec") ops = $(i - 1)}
	     /^Percentiles:/ {for (i = 2; i <= NF; i++) if ($i == "P99:") p99 = $(i + 1)}
	     END {if (ops == "" || p99 == "") exit 1; print ops "\t" p99}' "$rk_dir/$1.out" ||
		{ echo "db_bench gave no result: $(tail -n 2 "$rk_dir/$1.out")" >&2; return 1; }
}

# Sets live_rate to operations in the last second.
rk_live() {
	local line
	live_rate=0
	line=$(tail -n 1 "$rk_dir/$1.rate" 2>/dev/null) || return 0
	[[ $line =~ ^[0-9]+,([0-9]+) ]] && live_rate=${BASH_REMATCH[1]}
	return 0
}
