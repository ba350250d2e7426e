# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# A backup reads a file four times as large as the ceiling, beside a RocksDB reader whose set fits.
scenario_title='stream beside reader'
scenario() {
	engine reader rocksdb
	engine stream loop
	phase reader "$1" 59
	phase stream "$1" 400
	measure $(($1 / 2))
	split 65 35
	split 80 20
	split 90 10
}
