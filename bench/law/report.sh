# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # the parts of bench/law/run share their variables
# The JSON, the table and the plot at the end. Sourced.

report() {
	local titles
	titles=$(for scenario in "${scenarios[@]}"; do
		scenario_load "$scenario" $((seconds * 1000))
		printf '%s\t%s\n' "$scenario" "$scenario_title"
	done | jq -R -s '[split("\n")[] | select(. != "") | split("\t") | {key: .[0], value: .[1]}] | from_entries')
	jq -s -f "$here/report.jq" --arg kernel "$(uname -r)" --arg rung "$cg_rung" \
		--arg load "$(cut -d' ' -f1-3 /proc/loadavg)" --argjson ceiling $((ceiling_mb << 20)) \
		--argjson rounds "$rounds" --argjson seconds "$seconds" --argjson titles "$titles" \
		"$work/results.jsonl" >"$out/law.json"
	report_table
	report_plot
}

report_table() {
	jq -r '
		def show(x): if x == null then "-" else (x * 100 | round / 100 | tostring) end;
		def seconds(x): if x == null then "-" else (x / 100 | round / 10 | tostring) end;
		"Linux \(.kernel), \(.cgroups) cgroups, ceiling \(.ceiling_bytes / 1048576) MB, \(.rounds) round(s), load \(.loadavg); of alone = share of the throughput with the whole ceiling",
		(.scenarios[] | "", .title,
		 "cell|mean of alone|geomean|each engine|p99 us|stall %|react s|recover s|moved MB|reversals/min|kills",
		 (.cells[] | if .unavailable then "  \(.cell)|not available" else
			"  \(.cell)|\(show(.mean))|\(show(.geomean))|" +
			([.engines[] | "\(.name) \(show(.of_alone))"] | join(" ")) + "|" +
			([.engines[] | .p99_ns / 1000 | round | tostring] | join(" ")) + "|" +
			([.engines[] | .stall_ppm / 10000 | round | tostring] | join(" ")) +
			"|\(seconds(.react_ms))|\(seconds(.recover_ms))|\(.moved_bytes / 1048576 | round)|\(.reversals_per_min | round)|\(.kills)" end),
		 (if .best_static then "  best static: \(.best_static.cell), \(show(.best_static.mean))"
			+ (if .of_best_static then "; marginal / best static = \(show(.of_best_static)), / only the ceiling = \(show(.of_none))" else "" end)
		  else empty end)),
		"", "geometric mean over the scenarios of mean of alone",
		(.summary[] | "  \(.cell)|\(show(.geomean_of_means))|of \(.scenarios) scenarios|kills \(.kills)"),
		(if .of_best_peer then "marginal / best peer law (\(.best_peer)) = \(show(.of_best_peer)) (target 1.5)" else empty end)
	' "$out/law.json" | awk -F'|' '
		NF < 2 {flush(); print; next}
		{row[++rows] = $0; for (i = 1; i <= NF; i++) if (length($i) > wide[i]) wide[i] = length($i)}
		function flush(   r, i, n, f, line) {
			for (r = 1; r <= rows; r++) {
				n = split(row[r], f, "|")
				line = ""
				for (i = 1; i <= n; i++) line = line sprintf("%-" (wide[i] + 2) "s", f[i])
				sub(/ +$/, "", line)
				print line
			}
			rows = 0
			split("", wide)
		}
		END {flush()}'
}

# A bar for each cell, in groups by scenario.
report_plot() {
	local cells
	command -v gnuplot >/dev/null || { echo 'no plot: gnuplot is not installed' >&2; return 0; }
	jq -r '
		def cells: ["none", "shared", "equal", "static", "senpai", "idle-tax", "psi", "proportional", "marginal"];
		.scenarios[] | . as $s | [.title] + [cells[] as $c |
			(if $c == "static" then $s.best_static.mean
			 else first($s.cells[] | select(.cell == $c) | .mean) // null end) // "NaN"] | @tsv' \
		"$out/law.json" >"$work/bars.tsv"
	cells=$(awk -F'\t' '{for (i = 2; i <= NF; i++) if ($i != "NaN") measured[i - 1] = 1}
		END {for (i = 1; i < NF; i++) if (i in measured) printf "%d ", i}' "$work/bars.tsv")
	gnuplot -e "data='$work/bars.tsv'; out='$out/law.svg'; kernel='$(uname -r)'; rung='$cg_rung'; \
		ceiling_mb=$ceiling_mb; rounds=$rounds; cells='$cells'; scenarios=$(wc -l <"$work/bars.tsv")" "$here/plot.gp"
	echo "plot: $out/law.svg"
}
