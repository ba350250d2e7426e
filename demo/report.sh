# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of scripts/demo share their variables
# The table, the JSON and the plot at the end. Sourced.

# Lines "engine phase rate rate_min rate_max p99 p99_min p99_max", means over the rounds; rates in
# transactions/s or MB/s, p99 in milliseconds.
report_summary() {
	awk -F'\t' -v value=$((rk_value_bytes + 16)) '
		function low(a, k, x) {if (!(k in a) || x < a[k]) a[k] = x}
		function high(a, k, x) {if (!(k in a) || x > a[k]) a[k] = x}
		{
			k = $3 "\t" $2
			r = $3 == "rocksdb" ? $4 * value / 1e6 : $4
			p = $5 / 1000
			n[k]++; rate[k] += r; p99[k] += p
			low(rl, k, r); high(rh, k, r); low(pl, k, p); high(ph, k, p)
		}
		END {
			for (k in n)
				printf "%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\n", k, rate[k] / n[k], rl[k],
					rh[k], p99[k] / n[k], pl[k], ph[k]
		}' "$work/results.tsv" | sort
}

report_json() {
	report_summary | jq -R -s --arg rung "$rung" --arg kernel "$(uname -r)" \
		--argjson ceiling $((ceiling_mb << 20)) --argjson rounds "$rounds" \
		--argjson warm "$warm_s" --argjson measure "$measure_s" '
		{rung: $rung, kernel: $kernel, ceiling_bytes: $ceiling, rounds: $rounds,
		 warm_s: $warm, measure_s: $measure,
		 results: [split("\n")[] | select(. != "") | split("\t") |
			{engine: .[0], phase: .[1], throughput: (.[2] | tonumber),
			 throughput_min: (.[3] | tonumber), throughput_max: (.[4] | tonumber),
			 p99_ms: (.[5] | tonumber), p99_ms_min: (.[6] | tonumber),
			 p99_ms_max: (.[7] | tonumber)}]}'
}

report_table() {
	report_summary | awk -F'\t' -v rounds="$rounds" '
		function range(mean, lo, hi, digits) {
			if (rounds < 2) return sprintf("%.*f", digits, mean)
			return sprintf("%.*f (%.*f-%.*f)", digits, mean, digits, lo, digits, hi)
		}
		{r[$1, $2] = range($3, $4, $5, $3 < 1000 ? 1 : 0); p[$1, $2] = range($6, $7, $8, $6 < 0.1 ? 4 : 2)
		 m[$1, $2] = $3; q[$1, $2] = $6}
		function row(engine, label, cell, value,   n, e, c, f) {
			c = value[engine, "ceiling"]; e = value[engine, "equal"]; n = value[engine, "barostat"]
			printf "%-9s %-15s  %-24s %-24s %-24s", engine, label, cell[engine, "ceiling"],
				cell[engine, "equal"], cell[engine, "barostat"]
			if (c > 0 && e > 0) printf "  %4.2fx %4.2fx", n / c, n / e
			printf "\n"
		}
		END {
			printf "%-9s %-15s  %-24s %-24s %-24s  %s\n", "", "", "only the ceiling", "equal split",
				"barostat", "barostat / ceiling, / equal"
			row("postgres", "transactions/s", r, m); row("postgres", "p99, ms", p, q)
			row("rocksdb", "MB/s", r, m); row("rocksdb", "p99, ms", p, q)
		}'
}

# Files for the plot: bars (normalised to the best phase of each engine) and the time lines.
report_plot() {
	local out=$1 phase engine round=$rounds
	report_summary >"$work/summary.tsv"
	for engine in "${engines[@]}"; do
		for phase in "${phases[@]}"; do
			awk -F'\t' -v e="$engine" -v p="$phase" '
				$1 == e {if ($3 > best) best = $3; if ($2 == p) {r = $3; lo = $4; hi = $5; q = $6; ql = $7; qh = $8}}
				END {printf "%s\t%f\t%f\t%f\t%f\t%f\t%f\n", e, 100 * r / best, 100 * lo / best, 100 * hi / best, q, ql, qh}' \
				"$work/summary.tsv" >>"$work/bars-$phase.tsv"
		done
	done
	# time, usage, limit, stall per engine, of the last round's barostat phase
	for engine in "${engines[@]}"; do
		awk -F'\t' -v n="$round" -v e="$engine" '$1 == n && $2 == "barostat" && $5 == e {
			printf "%f\t%f\t%f\t%f\t%s\n", $4 / 1000, $6 / 1048576, $7 / 1048576, $8 / 10000, $3}' \
			"$work/timeline.tsv" >"$work/line-$engine.tsv"
	done
	gnuplot -e "work='$work'; out='$out'; ceiling_mb=$ceiling_mb; warm_s=$warm_s; rung='$rung'; kernel='$(uname -r)'; rounds=$rounds" \
		"$root/demo/plot.gp"
	if ! rsvg-convert -z 1.5 -o "$out/demo.png" "$out/demo.svg"; then
		echo "no PNG: rsvg-convert failed" >&2
	fi
}
