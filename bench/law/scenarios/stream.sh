# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# A stream of writes that nobody reads again, beside a RocksDB reader whose set fits.
scenario_title='stream beside reader'
scenario() {
	engine reader rocksdb
	engine stream write
	phase reader "$1" 59
	phase stream "$1" 400 100
	measure $(($1 / 2))
	split 65 35
	split 80 20
	split 90 10
}
