# SPDX-License-Identifier: BSD-2-Clause
# What was seen of one cell of bench/mixed/run, as JSON: samples of `mixed watch` in, figures out.
#
# Variables: cell; managed, 1 when there are budgets; slack, in bytes; gross, in bytes, what is far
# above a budget; grace_ms, how long an engine may take to come down to a budget that was lowered;
# lead_ms.
# Files: ends.tsv (NAME STATUS KILLS), then samples.tsv.

BEGIN {FS = "\t"}

FNR == NR {
	order[++engines] = $1
	status[$1] = $2
	kills[$1] = $3
	all_kills += $3
	next
}

$2 == "total" {
	if (samples++ && $1 - last_ms > gap) gap = $1 - last_ms
	last_ms = $1
	ceiling = $5
	if ($3 > total_usage) total_usage = $3
	if ($4 > total_rss) total_rss = $4
	if ($3 > $5) usage_over++
	if ($4 > $5) rss_over++
	next
}

{
	e = $2; t = $1; use = $3; budget = $5
	if (use > usage_max[e]) usage_max[e] = use
	if ($4 > rss_max[e]) rss_max[e] = $4
	if ($4) alive_ms[e] = t
	usage_sum[e] += use; n[e]++
	if (!managed || !budget) next
	if (!(e in budget_min) || budget < budget_min[e]) budget_min[e] = budget
	if (budget > budget_max[e]) budget_max[e] = budget
	m = n[e]; at[e, m] = t; was[e, m] = budget; used[e, m] = use
	if (use > budget) {
		behind[e]++
		if (use - budget > behind_bytes[e]) behind_bytes[e] = use - budget
		if (!(e in since)) since[e] = t
		if (t - since[e] > behind_ms[e]) behind_ms[e] = t - since[e]
	} else
		delete since[e]
}

# How many samples are `more` bytes above the highest budget of the last grace_ms. A raised budget is
# on the page some ticks after the kernel has it: lead_ms.
function samples_above(e, more,   i, k, first, highest, above) {
	for (i = first = 1; i <= n[e]; i++) {
		while (at[e, first] < at[e, i] - grace_ms) first++
		highest = 0
		for (k = first; k <= n[e] && at[e, k] <= at[e, i] + lead_ms; k++)
			if (was[e, k] > highest) highest = was[e, k]
		above += used[e, i] > highest + more
	}
	return above
}

END {
	printf "{\"cell\":\"%s\",\"samples\":%d,\"gap_max_ms\":%d,\"ceiling_bytes\":%.0f,\"kills\":%d,", cell, samples, gap, ceiling, all_kills
	printf "\"total_usage_max_bytes\":%.0f,\"total_rss_max_bytes\":%.0f,\"samples_usage_over\":%d,\"samples_rss_over\":%d,\"watched\":[", \
		total_usage, total_rss, usage_over, rss_over
	for (i = 1; i <= engines; i++) {
		e = order[i]
		printf "%s{\"name\":\"%s\",\"status\":%d,\"kills\":%d,\"samples\":%d,\"alive_ms\":%d,\"usage_max_bytes\":%.0f,\"usage_mean_bytes\":%.0f,\"rss_max_bytes\":%.0f", \
			(i > 1 ? "," : ""), e, status[e], kills[e], n[e], alive_ms[e], usage_max[e], (n[e] ? usage_sum[e] / n[e] : 0), rss_max[e]
		if (managed)
			printf ",\"budget_min_bytes\":%.0f,\"budget_max_bytes\":%.0f,\"samples_above\":%d,\"samples_gross\":%d,\"samples_behind\":%d,\"behind_max_bytes\":%.0f,\"behind_max_ms\":%d", \
				budget_min[e], budget_max[e], samples_above(e, slack), samples_above(e, gross), behind[e], behind_bytes[e], behind_ms[e]
		printf "}"
	}
	print "]}"
}
