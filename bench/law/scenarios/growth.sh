# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# Redis grows from a tenth of the ceiling to three fifths, which nothing can reclaim (without swap),
# beside a RocksDB reader that would use all of the rest.
scenario_title='growth without swap'
scenario() {
	local half=$(($1 / 2))
	engine redis redis
	engine reader rocksdb
	phase redis $half 10
	phase redis $half 60
	phase reader "$1" 75
	measure $half # the reader has filled what it can by then
	split 70 30
	split 80 20
}
