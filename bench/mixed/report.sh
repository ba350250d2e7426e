# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # the parts of bench/mixed/run share their variables
# The JSON, the table and the plot at the end. Sourced.

grace_ms=2500 # an engine is asked to give back within 2 s; a tick and a sample come on top
lead_ms=500 # and a raised limit is in force before the page says so: two of the longest ticks
gross_percent=25 # of the ceiling: what no engine takes beyond its budget, however busy the machine is
slack_percent=1 # of the ceiling: what the kernel charges in advance, to each processor

# One line of JSON for a cell that has run: what was watched, joined with what engines say.
report_cell() {
	local dir=$work/$1 name managed=1
	[ "$1" != none ] || managed=0
	awk -v cell="$1" -v managed=$managed -v grace_ms=$grace_ms -v lead_ms=$lead_ms \
		-v slack=$(((ceiling_mb << 20) * slack_percent / 100)) \
		-v gross=$(((ceiling_mb << 20) * gross_percent / 100)) \
		-f "$here/measure.awk" "$dir/ends.tsv" "$dir/samples.tsv" >"$dir/watched.json"
	for name in "${engines[@]}"; do
		[ ! -s "$dir/$name.json" ] || cat "$dir/$name.json"
	done >"$dir/engines.jsonl"
	jq -c --slurpfile said "$dir/engines.jsonl" '
		.engines = [.watched[] as $w | $w + ((first($said[] | select(.name == $w.name))) // {right: false, finished: false})]
		| del(.watched)
		| .within_ceiling = (.samples_usage_over == 0 and .samples_rss_over == 0)
		| .within_budgets = (if .cell == "none" then null else all(.engines[]; .samples_above == 0) end)
		| .right = all(.engines[]; .right)
		| .holds = (.kills == 0 and .right and .within_ceiling and .within_budgets == true)' "$dir/watched.json"
}

report() {
	local cell
	for cell in "${cells[@]}"; do report_cell "$cell"; done |
		jq -s --arg kernel "$(uname -r)" --arg rung "$cg_rung" --arg load "$(cut -d' ' -f1-3 /proc/loadavg)" \
			--argjson ceiling $((ceiling_mb << 20)) --argjson seconds "$seconds" --argjson interval "$interval_ms" \
			--argjson grace $grace_ms --argjson lead $lead_ms --argjson slack $(((ceiling_mb << 20) * slack_percent / 100)) \
			'{bench: "mixed", $kernel, cgroups: $rung, loadavg: $load, ceiling_bytes: $ceiling, $seconds,
			  interval_ms: $interval, grace_ms: $grace, lead_ms: $lead, slack_bytes: $slack, cells: .}' >"$out/mixed.json"
	report_table
	report_plot
	jq -e 'all(.cells[]; if .cell == "barostat" then .holds elif .cell == "none" then .kills > 0 else true end)' \
		"$out/mixed.json" >/dev/null || {
		echo 'what should be shown is not shown: see above'
		return 1
	}
}

report_table() {
	jq -r '
		def mb: . / 1048576 | round;
		def yes: if . then "yes" else "NO" end;
		"Linux \(.kernel), \(.cgroups) cgroups, ceiling \(.ceiling_bytes | mb) MB, \(.seconds) s each, sampled every \(.interval_ms) ms, load \(.loadavg)",
		"",
		"cell|killed|results right|most used, MB|most resident, MB|samples|above the ceiling|above a budget",
		(.cells[] | "\(.cell)|\(.kills)|\(.right | yes)|\(.total_usage_max_bytes | mb)|\(.total_rss_max_bytes | mb)|\(.samples)|\(.samples_usage_over)|" +
			(if .within_budgets == null then "no budgets" else ([.engines[].samples_above] | add | tostring) end)),
		"",
		"engine|cell|per s|p50 ms|p99 ms|budget, MB|most used, MB|most resident, MB|above it, and for long|right|what it did",
		(["vector", "ingest", "groupby"][] as $n | .cells[] as $c | $c.engines[] | select(.name == $n) |
			"\(.name)|\($c.cell)|" +
			(if .ops then "\(.ops_per_s * 10 | round / 10)|\(.p50_us / 1000 * 10 | round / 10)|\(.p99_us / 1000 | round)" else "-|-|-" end) +
			"|" + (if .budget_max_bytes then "\(.budget_min_bytes | mb)-\(.budget_max_bytes | mb)" else "-" end) +
			"|\(.usage_max_bytes | mb)|\(.rss_max_bytes | mb)|" +
			(if .budget_max_bytes then "\(.behind_max_bytes | mb) MB, \(.behind_max_ms) ms" else "-" end) +
			"|" + (if .kills > 0 then "KILLED after \(.alive_ms / 100 | round / 10) s" else (.right | yes) end) + "|" +
			(if .finished == false then "" elif $n == "vector" then "recall \(.recall) of \(.recall_reference), \(.checked) checked, \(.scans_cached * 100 / (.scans_cached + .scans_mapped + 1) | round) % from its cache"
			 elif $n == "ingest" then "\(.written) points, all \(.found) found again, \(.refused) batches refused"
			 else "\(.queries) queries, \(.checked) groups checked, \(.spilled_bytes | mb) MB spilled" end)),
		"",
		"above a budget: more than \(.slack_bytes / 1048576 * 10 | round / 10) MB above the highest one from \(.grace_ms) ms before to \(.lead_ms) ms after the sample; what an engine is asked back is due within 2000 ms"
	' "$out/mixed.json" | awk -F'|' '
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

# Above, what the engines used together in every cell; below, with barostat, each beside its budget.
report_plot() {
	local cell name last=${cells[-1]}
	[[ " ${cells[*]} " != *' barostat '* ]] || last=barostat
	command -v gnuplot >/dev/null || { echo 'no plot: gnuplot is not installed' >&2; return 0; }
	for cell in "${cells[@]}"; do
		awk -F'\t' -v names="${engines[*]}" '
			BEGIN {n = split(names, name, " ")}
			$2 == "total" {printf "%f", $1 / 1000; for (i = 1; i <= n; i++) printf "\t%f", use[name[i]]; print ""; next}
			{use[$2] = $3 / 1048576}' "$work/$cell/samples.tsv" >"$work/stack-$cell.tsv"
	done
	for name in "${engines[@]}"; do
		awk -F'\t' -v e="$name" '$2 == e {printf "%f\t%f\t%f\t%f\n", $1 / 1000, $3 / 1048576, $4 / 1048576, $5 / 1048576}' \
			"$work/$last/samples.tsv" >"$work/engine-$name.tsv"
	done
	gnuplot -e "work='$work'; out='$out/mixed.svg'; cells='${cells[*]}'; last='$last'; ceiling_mb=$ceiling_mb; \
		kernel='$(uname -r)'; rung='$cg_rung'; killed='$(jq -r '[.cells[] | .kills] | join(" ")' "$out/mixed.json")'" "$here/plot.gp"
	echo "plot: $out/mixed.svg"
	if command -v rsvg-convert >/dev/null && rsvg-convert -z 1.5 -o "$out/mixed.png" "$out/mixed.svg"; then
		echo "      $out/mixed.png"
	else
		echo 'no PNG: rsvg-convert is not there, or failed' >&2
	fi
}
