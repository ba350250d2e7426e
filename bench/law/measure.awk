# SPDX-License-Identifier: BSD-2-Clause
# What one engine reached in one cell, as one JSON object.
#
#   awk -v name=NAME -v kind=KIND -v from=MS -v to=MS -v ceiling=BYTES -v grows="MS-MS..."
#       -v alone="OPS_PER_S..." -f measure.awk NAME.ops timeline.tsv [targets.tsv]
#
# NAME.ops is bench/law/load's, timeline.tsv is cell_watch's, targets.tsv is bench/targets': with a
# daemon it is targets that move, a limit may be protection or a backstop. Time queued for a processor does not
# count: it is other programs' doing. `grows` are the spans in which the engine's set is larger than
# before, `alone` what it reaches in the second half of each with the whole ceiling; without `alone`
# it is this cell that tells.

FNR == 1 {
	for (file = 1; FILENAME != ARGV[file]; file++)
		;
}

file == 1 && $1 == "gone" { gone = 1; next }

file == 1 {
	n++
	at[n] = $1
	ops[n] = $2
	queued[n] = $3 / 1000
	if ($1 > from && $1 <= to + 100) {
		total += $2
		waited += queued[n]
		for (i = 4; i <= NF; i++) {
			split($i, b, ":")
			count[b[1] + 0] += b[2]
			if (b[1] + 0 > longest)
				longest = b[1] + 0
		}
	}
	next
}

file == 3 {
	if ($2 == name) {
		if (!targets) # they, and not the limits
			split("", limit_at)
		limit_at[++targets] = $1
		limit[targets] = $3
	}
	next
}

$2 == name || $2 == "all" {
	m++
	t[m] = $1
	usage[m] = $3
	limit_at[m] = $1
	limit[m] = $4
	stall[m] = $5
}

# Mean rate in (a, b], less the time queued.
function rate(a, b,    i, sum, wait) {
	for (i = 1; i <= n; i++)
		if (at[i] > a && at[i] <= b) {
			sum += ops[i]
			wait += queued[i]
		}
	if (b - a - wait < (b - a) / 20)
		wait = (b - a) * 0.95
	return sum * 1000 / (b - a - wait)
}

function p99(    i, sorted, k, seen) {
	k = 0
	for (i in count)
		sorted[++k] = i + 0
	sort(sorted, k)
	for (i = 1; i <= k; i++) {
		seen += count[sorted[i]]
		if (seen >= total * 0.99)
			return sorted[i]
	}
	return 0
}

function sort(a, k,    i, j, x) {
	for (i = 2; i <= k; i++) {
		x = a[i]
		for (j = i - 1; j > 0 && a[j] > x; j--)
			a[j + 1] = a[j]
		a[j + 1] = x
	}
}

# Milliseconds from a to the first half second at nine tenths of the rate; null if never before b.
function recover(a, b, target,    i) {
	for (i = 1; i <= n; i++)
		if (at[i] > a && at[i] + 400 <= b && rate(at[i] - 100, at[i] + 400) >= 0.9 * target)
			return at[i] - 100 > a ? at[i] - 100 - a : 0
	return "null"
}

# Milliseconds from a to the first rise of the limit by more than half a percent of the ceiling.
function react(a, b,    i, before) {
	for (i = 1; i <= limits && limit_at[i] < b; i++) {
		if (limit_at[i] <= a || before == "") {
			before = limit[i]
			continue
		}
		if (!before)
			return "null"
		if (limit[i] > before + ceiling / 200)
			return limit_at[i] - a
		if (limit[i] < before)
			before = limit[i]
	}
	return "null"
}

function list(a, k,    i, s) {
	for (i = 1; i <= k; i++)
		s = s (i > 1 ? "," : "") a[i]
	return "[" s "]"
}

END {
	limits = targets ? targets : m
	spans = split(grows, span, " ")
	split(alone, target, " ")
	for (i = 1; i <= spans; i++) {
		split(span[i], s, "-")
		if (target[i] == "")
			target[i] = rate((s[1] + s[2]) / 2, s[2])
		reacts[i] = react(s[1] + 0, s[2] + 0)
		recovers[i] = target[i] > 0 ? recover(s[1] + 0, s[2] + 0, target[i]) : "null"
	}
	# limits: how far they went up, and how often one turned round after more than 1 % of the ceiling
	turn = ceiling / 100
	for (i = 2; i <= limits; i++) {
		if (!limit[i] || !limit[i - 1] || limit_at[i] <= 0)
			continue
		if (limit[i] > limit[i - 1])
			moved += limit[i] - limit[i - 1]
		if (peak == "")
			peak = trough = limit[i - 1]
		if (limit[i] > peak)
			peak = limit[i]
		if (limit[i] < trough)
			trough = limit[i]
		if (way != 1 && limit[i] > trough + turn) {
			reversals += way == -1
			way = 1
			peak = limit[i]
		} else if (way != -1 && limit[i] < peak - turn) {
			reversals += way == 1
			way = -1
			trough = limit[i]
		}
		if (way == 1)
			trough = peak
		if (way == -1)
			peak = trough
	}
	for (i = 1; i <= m; i++)
		if (t[i] >= from && t[i] <= to) {
			if (first == "")
				first = i
			last = i
			used += usage[i]
			samples++
		}
	if (t[last] > t[first])
		stalled = (stall[last] - stall[first]) * 1000 / (t[last] - t[first])
	span_ms = to - from - waited
	if (span_ms < (to - from) / 20)
		span_ms = (to - from) / 20
	printf "{\"name\":\"%s\",\"kind\":\"%s\",\"ops_per_s\":%.3f,\"p99_ns\":%d,\"longest_ns\":%d,", \
		name, kind, total * 1000 / span_ms, p99(), longest
	printf "\"stall_ppm\":%d,\"usage_bytes\":%d,\"moved_bytes\":%d,\"reversals\":%d,\"gone\":%s,", \
		stalled, samples ? used / samples : 0, moved, reversals, gone ? "true" : "false"
	printf "\"rates_after\":%s,\"react_ms\":%s,\"recover_ms\":%s}\n", \
		list(target, spans), list(reacts, spans), list(recovers, spans)
}
