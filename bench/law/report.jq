# SPDX-License-Identifier: BSD-2-Clause
# Lines of results, one per cell and round, to the report. An engine's share of alone is that of its
# own round; a cell's score is the mean of its engines' shares, as in docs/law.md.
def mean: if length == 0 then null else add / length end;
# an engine that did nothing at all would make any product nothing
def geomean: if length == 0 then null else (map([., 0.001] | max | log) | add / length | exp) end;
def peers: ["senpai", "idle-tax", "psi", "proportional"];
def is_static: test("^[0-9]") or . == "equal";

def engines_of(runs; alones): runs as $runs | alones as $alones |
	[range(0; $runs[0].engines | length) as $i |
		[$runs[] | . as $run | .engines[$i] + {of_alone:
			(.engines[$i].ops_per_s / ([first($alones[] | select(.round == $run.round)).engines[$i].ops_per_s, 0.001] | max))}] as $e |
		{name: $e[0].name, kind: $e[0].kind,
		 ops_per_s: ($e | map(.ops_per_s) | mean), of_alone: ($e | map(.of_alone) | mean),
		 of_alone_min: ($e | map(.of_alone) | min), of_alone_max: ($e | map(.of_alone) | max),
		 p99_ns: ($e | map(.p99_ns) | max), longest_ns: ($e | map(.longest_ns) | max),
		 stall_ppm: ($e | map(.stall_ppm) | mean), usage_bytes: ($e | map(.usage_bytes) | mean),
		 react_ms: ($e | map(.react_ms)), recover_ms: ($e | map(.recover_ms)),
		 gone: ($e | any(.gone))}];

def cell_of(runs; alones; seconds): runs as $runs |
	if $runs[0].unavailable then {cell: $runs[0].cell, unavailable: true} else
	engines_of($runs; alones) as $engines |
	{cell: $runs[0].cell,
	 mean: ($engines | map(.of_alone) | mean), geomean: ($engines | map(.of_alone) | geomean),
	 worst: ($engines | map(.of_alone) | min), $engines,
	 react_ms: ([$engines[].react_ms[][] | numbers] | mean),
	 recover_ms: ([$engines[].recover_ms[][] | numbers] | mean),
	 not_recovered: ([$engines[].recover_ms[][] | select(. == null)] | length),
	 moved_bytes: ([$runs[].engines[].moved_bytes] | add / ($runs | length)),
	 reversals_per_min: ([$runs[].engines[].reversals] | add * 60 / ($runs | length) / seconds),
	 kills: ([$runs[].kills] | add)} end;

. as $all |
[$all | map(.scenario) | reduce .[] as $s ([]; if index($s) then . else . + [$s] end) | .[] as $s |
	($all | map(select(.scenario == $s))) as $here |
	($here | map(select(.cell == "alone"))) as $alones |
	[$here | map(.cell) | reduce .[] as $c ([]; if index($c) then . else . + [$c] end) | .[] as $c |
		cell_of($here | map(select(.cell == $c)); $alones; $seconds)] as $cells |
	([$cells[] | select(.cell | is_static)] | max_by(.mean)) as $static |
	first(($cells[] | select(.cell == "marginal" and .mean)), null) as $ours |
	first(($cells[] | select(.cell == "none")), null) as $none |
	{scenario: $s, title: $titles[$s], $cells,
	 refill_ms: ([$cells[] | select(.cell == "alone") | .engines[].recover_ms[][] | numbers] | mean),
	 best_static: (if $static then {cell: $static.cell, mean: $static.mean, kills: $static.kills} else null end),
	 of_best_static: (if $static and $ours then $ours.mean / $static.mean else null end),
	 of_none: (if $none and $ours then $ours.mean / $none.mean else null end)}] as $scenarios |
def over_all($cell): [$scenarios[].cells[] | select(.cell == $cell and .mean)];
[(["none", "shared", "equal"] + peers + ["marginal"])[] as $c | over_all($c) |
	select(length > 0) | {cell: $c, scenarios: length, geomean_of_means: (map(.mean) | geomean),
		kills: (map(.kills) | add)}] as $summary |
([$scenarios[].best_static | select(.)]) as $statics |
([$summary[] | select(.cell as $c | peers | index($c))] | max_by(.geomean_of_means)) as $peer |
first(($summary[] | select(.cell == "marginal")), null) as $ours |
{bench: "law", $kernel, cgroups: $rung, loadavg: $load, ceiling_bytes: $ceiling, $rounds, $seconds,
 $scenarios,
 summary: ($summary + (if $statics | length > 0 then
	[{cell: "best static", scenarios: ($statics | length), geomean_of_means: ($statics | map(.mean) | geomean),
	  kills: ($statics | map(.kills) | add)}]
	else [] end)),
 best_peer: $peer.cell,
 of_best_peer: (if $peer and $ours then $ours.geomean_of_means / $peer.geomean_of_means else null end)}
