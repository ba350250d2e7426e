# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# GROUP BY queries that want anonymous memory for a while, beside PostgreSQL's lookups.
scenario_title='GROUP BY bursts beside OLTP'
scenario() {
	local part=$(($1 / 8)) i
	engine postgres postgres
	engine olap groupby
	phase postgres "$1" 50
	for i in 1 2 3 4; do
		phase olap $part 0
		phase olap $part 35
	done
	measure $((part * 2))
	split 60 40
	split 70 30
}
