# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# A scan that goes round a file which can never fit, beside a RocksDB reader whose set does.
scenario_title='looping scan beside reader'
scenario() {
	engine reader rocksdb
	engine scan loop
	phase reader "$1" 59
	phase scan "$1" 120
	measure $(($1 / 2))
	split 70 30
	split 85 15
}
