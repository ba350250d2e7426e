# SPDX-License-Identifier: BSD-2-Clause
# The picture of bench/law/run. Variables: data, out, kernel, rung, ceiling_mb, rounds, scenarios,
# and in cells which columns of data have any bar.

ink = "#22313f"; soft = "#8795a1"; rule = "#e3e8ec"
set terminal svg size 1280,560 enhanced background rgb "#ffffff" font "DejaVu Sans,12"
set output out
set encoding utf8
set border 3 lc rgb soft
set tics nomirror textcolor rgb ink scale 0.4
set grid y lc rgb rule lt 1 lw 1
set title sprintf("{/:Bold=16 Throughput under one ceiling, mean of the engines, of what each does with all of it}\n{/=11 ceiling %d MB, Linux %s, %s cgroups, %d round%s}", ceiling_mb, kernel, rung, rounds, rounds == 1 ? "" : "s") tc rgb ink
set style data histograms
set style histogram clustered gap 1.5
set style fill solid 1 noborder
set datafile separator "\t"
set datafile missing "NaN"
set key below horizontal textcolor rgb ink samplen 1
set yrange [0:*]
set xrange [-0.6:scenarios - 0.4]
set xtics textcolor rgb ink
array label[9] = ["only the ceiling", "one cgroup", "equal split", "best static split", "senpai", "idle tax", "psi", "proportional", "barostat"]
array colour[9] = ["#b8c4ce", "#8fa1b0", "#f2d2a6", "#e8a04c", "#c9b8dc", "#a98fc6", "#8f6fb3", "#6f5a86", "#1f7a8c"]
plot for [i in cells] data using (column(int(i) + 1)):xtic(1) title label[int(i)] lc rgb colour[int(i)]
