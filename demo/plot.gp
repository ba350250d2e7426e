# SPDX-License-Identifier: BSD-2-Clause
# The picture of the demo. Variables: work, out, ceiling_mb, warm_s, rung, kernel, rounds.

ink = "#22313f"; soft = "#8795a1"; rule = "#e3e8ec"
c_ceiling = "#b8c4ce"; c_equal = "#f2b56b"; c_baro = "#1f7a8c"
c_pg = "#1f7a8c"; c_rk = "#e07a3f"

set terminal svg size 1280,720 enhanced background rgb "#ffffff" font "DejaVu Sans,13"
set output out."/demo.svg"
set encoding utf8
set border 3 lc rgb soft lw 1
set tics nomirror textcolor rgb ink scale 0.4
set grid y lc rgb rule lt 1 lw 1
set key textcolor rgb ink
set multiplot

set label 1 "{/:Bold=19 PostgreSQL beside a RocksDB bulk load, one memory ceiling}" at screen 0.035,0.955 tc rgb ink
set label 2 sprintf("ceiling %d MB, Linux %s, %s rung; mean of %d round%s, whiskers: least and most", ceiling_mb, kernel, rung, rounds, rounds == 1 ? "" : "s") at screen 0.035,0.915 tc rgb soft

# ---- left, above: throughput --------------------------------------------------------------------
set lmargin at screen 0.065; set rmargin at screen 0.445
set tmargin at screen 0.80; set bmargin at screen 0.50
set label 10 "{/:Bold Throughput}, % of each engine's best" at graph 0,1.125 tc rgb ink
set style fill solid 1 noborder
set boxwidth 0.24
set ytics 25
set xtics ("PostgreSQL" 0, "RocksDB" 1) scale 0
unset key
# the key of the bars, drawn by hand: gnuplot's own breaks lines where it likes
array phase_name[3] = ["only the ceiling", "equal split", "barostat"]
array phase_colour[3] = [c_ceiling, c_equal, c_baro]
do for [i=1:3] {
	x = 0.655 + (i - 1) * 0.122
	set object i rectangle from screen x,0.940 to screen x+0.014,0.962 fc rgb phase_colour[i] fs solid noborder front
	set label 20+i phase_name[i] at screen x+0.019,0.951 tc rgb ink
}
lat(ms) = ms < 0.1 ? sprintf("%.0f µs", 1000 * ms) : sprintf("%.2g ms", ms)
bars(n) = sprintf("%s/bars-%s.tsv", work, n)
stats [*:*] [*:*] bars("ceiling") using 4 nooutput prefix "RC"
stats [*:*] [*:*] bars("equal") using 4 nooutput prefix "RE"
stats [*:*] [*:*] bars("barostat") using 4 nooutput prefix "RB"
most = RC_max > RE_max ? RC_max : RE_max
most = RB_max > most ? RB_max : most
set xrange [-0.5:1.5]
set yrange [0:most * 1.15]
plot bars("ceiling") using ($0-0.27):2 with boxes lc rgb c_ceiling, \
     bars("equal") using ($0):2 with boxes lc rgb c_equal, \
     bars("barostat") using ($0+0.27):2 with boxes lc rgb c_baro, \
     bars("ceiling") using ($0-0.27):3:(0):($4-$3) with vectors nohead lw 1.4 lc rgb ink, \
     bars("equal") using ($0):3:(0):($4-$3) with vectors nohead lw 1.4 lc rgb ink, \
     bars("barostat") using ($0+0.27):3:(0):($4-$3) with vectors nohead lw 1.4 lc rgb ink, \
     bars("ceiling") using ($0-0.27):4:(sprintf("%.0f", $2)) with labels offset 0,0.7 tc rgb ink font ",11", \
     bars("equal") using ($0):4:(sprintf("%.0f", $2)) with labels offset 0,0.7 tc rgb ink font ",11", \
     bars("barostat") using ($0+0.27):4:(sprintf("%.0f", $2)) with labels offset 0,0.7 tc rgb ink font ",11"
unset label 1; unset label 2
do for [i=1:3] { unset object i; unset label 20+i }

# ---- left, below: tail latency ------------------------------------------------------------------
set tmargin at screen 0.39; set bmargin at screen 0.085
set label 10 "{/:Bold 99th percentile of latency}, logarithmic, less is better" at graph 0,1.125 tc rgb ink
set logscale y
set autoscale y
stats bars("ceiling") using 7 nooutput prefix "HC"
stats bars("equal") using 7 nooutput prefix "HE"
stats bars("barostat") using 7 nooutput prefix "HB"
stats bars("ceiling") using 6 nooutput prefix "LC"
stats bars("equal") using 6 nooutput prefix "LE"
stats bars("barostat") using 6 nooutput prefix "LB"
top = HC_max > HE_max ? HC_max : HE_max; top = HB_max > top ? HB_max : top
low = LC_min < LE_min ? LC_min : LE_min; low = LB_min < low ? LB_min : low
set yrange [low / 4 : top * 2.5]
set ytics auto
set format y "%g ms"
unset key
plot bars("ceiling") using ($0-0.27):5 with boxes lc rgb c_ceiling, \
     bars("equal") using ($0):5 with boxes lc rgb c_equal, \
     bars("barostat") using ($0+0.27):5 with boxes lc rgb c_baro, \
     bars("ceiling") using ($0-0.27):6:(0):($7-$6) with vectors nohead lw 1.4 lc rgb ink, \
     bars("equal") using ($0):6:(0):($7-$6) with vectors nohead lw 1.4 lc rgb ink, \
     bars("barostat") using ($0+0.27):6:(0):($7-$6) with vectors nohead lw 1.4 lc rgb ink, \
     bars("ceiling") using ($0-0.27):7:(lat($5)) with labels offset 0,0.7 tc rgb ink font ",11", \
     bars("equal") using ($0):7:(lat($5)) with labels offset 0,0.7 tc rgb ink font ",11", \
     bars("barostat") using ($0+0.27):7:(lat($5)) with labels offset 0,0.7 tc rgb ink font ",11"
unset logscale y
set format y "%h"

# ---- right, above: memory over time -------------------------------------------------------------
line(n) = sprintf("%s/line-%s.tsv", work, n)
set autoscale
stats line("postgres") using 1 nooutput prefix "T"
set lmargin at screen 0.53; set rmargin at screen 0.975
set tmargin at screen 0.80; set bmargin at screen 0.36
set label 10 "{/:Bold Memory with barostat}, MB: used, and the target" at screen 0.53,0.838 tc rgb ink
set xrange [0:T_max]
set xtics auto
set format x ""
set yrange [0:ceiling_mb * 1.08]
set ytics ceiling_mb / 4
array engine_name[2] = ["PostgreSQL", "RocksDB"]
array engine_colour[2] = [c_pg, c_rk]
do for [i=1:2] {
	x = 0.800 + (i - 1) * 0.100
	set arrow 10+i from screen x,0.838 to screen x+0.018,0.838 nohead lw 3 lc rgb engine_colour[i]
	set label 20+i engine_name[i] at screen x+0.023,0.838 tc rgb ink
}
set arrow 1 from 0,ceiling_mb to T_max,ceiling_mb nohead dt (6,4) lc rgb soft
set label 3 "ceiling" at T_max,ceiling_mb right offset -0.3,0.5 tc rgb soft font ",11"
set arrow 2 from warm_s,graph 0 to warm_s,graph 1 nohead lc rgb soft dt (2,4)
set label 4 "measured from here" at warm_s,graph 0.955 left offset 0.5,0 tc rgb soft font ",11"
set style fill transparent solid 0.28 noborder
plot line("postgres") using 1:2 with filledcurves x1 lc rgb c_pg, \
     line("rocksdb") using 1:2 with filledcurves x1 lc rgb c_rk, \
     line("postgres") using 1:3 with steps lw 2.4 lc rgb c_pg, \
     line("rocksdb") using 1:3 with steps lw 2.4 lc rgb c_rk
unset arrow 1; unset label 3; unset label 4
do for [i=1:2] { unset arrow 10+i; unset label 20+i }

# ---- right, below: stall ------------------------------------------------------------------------
set tmargin at screen 0.275; set bmargin at screen 0.085
set label 10 "{/:Bold Stalled time}, % as barostat saw it" at graph 0,1.14 tc rgb ink
set format x "%h"
set xlabel "seconds" tc rgb soft offset 0,0.6
set yrange [0:100]
set ytics 50
plot line("postgres") using 1:4 with lines lw 1.6 lc rgb c_pg, \
     line("rocksdb") using 1:4 with lines lw 1.6 lc rgb c_rk
unset multiplot
