# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# RocksDB works, sleeps, and wakes to the set it had; SQLite beside it could use all there is.
scenario_title='idle engine that wakes'
scenario() {
	local part=$(($1 / 4))
	engine sleeper rocksdb
	engine other sqlite
	phase sleeper $part 50
	phase sleeper $((part * 3 / 2)) 0
	phase sleeper $((part * 3 / 2)) 50
	phase other "$1" 85
	measure $part
	split 60 40
	split 25 75
}
