# SPDX-License-Identifier: BSD-2-Clause
# The picture of bench/mixed/run. Variables: work, out, cells, last, ceiling_mb, kernel, rung, killed.

ink = "#22313f"; soft = "#8795a1"; rule = "#e3e8ec"
colours = "#1f7a8c #e8a04c #8f6fb3"
engines = "vector ingest groupby"
count = words(cells)
what(c) = c eq "none" ? "only the ceiling, fixed sizes" : c eq "equal" ? "a third each, no daemon" : "barostat"
end(i) = word(killed, i) eq "0" ? "nothing killed" : word(killed, i) . " killed"

set terminal svg size 1280,760 enhanced background rgb "#ffffff" font "DejaVu Sans,12"
set output out
set encoding utf8
set border 3 lc rgb soft
set tics nomirror textcolor rgb ink scale 0.4
set grid y lc rgb rule lt 1 lw 1
set datafile separator "\t"
set multiplot layout 2,3 columnsfirst margins 0.035,0.985,0.05,0.87 spacing 0.04,0.11 title \
	sprintf("{/:Bold=16 Vector search, time series and GROUP BY under one ceiling of %d MB}\n{/=11 Linux %s, %s cgroups; MB of memory over seconds}", ceiling_mb, kernel, rung) tc rgb ink
set key top right horizontal maxrows 1 textcolor rgb ink samplen 1 font ",10"
set xrange [0:*]
set style fill solid 0.85 noborder
do for [i=1:3] {
	set yrange [0:ceiling_mb * 1.25]
	if (i <= count) {
		cell = word(cells, i)
		set title sprintf("{/:Bold %s}: %s", what(cell), end(i)) tc rgb ink offset 0,-0.4
		plot work . "/stack-" . cell . ".tsv" using 1:($2 + $3 + $4) with filledcurves y1=0 lc rgb word(colours, 3) title "groupby", \
			"" using 1:($2 + $3) with filledcurves y1=0 lc rgb word(colours, 2) title "ingest", \
			"" using 1:2 with filledcurves y1=0 lc rgb word(colours, 1) title "vector", \
			ceiling_mb with lines lc rgb "#c0392b" lw 1.5 dt 2 title "ceiling"
	} else {
		set multiplot next
	}
	name = word(engines, i)
	set title sprintf("{/:Bold %s}, %s", name, what(last)) tc rgb ink offset 0,-0.4
	plot work . "/engine-" . name . ".tsv" using 1:2 with filledcurves y1=0 lc rgb word(colours, i) title "used", \
		"" using 1:4 with steps lc rgb ink lw 1.6 title "budget", \
		"" using 1:3 with lines lc rgb soft lw 1 title "resident"
}
unset multiplot
