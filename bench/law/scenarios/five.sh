# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# Five engines; in each quarter another one needs most.
scenario_title='five engines, drifting load'
scenario() {
	local part=$(($1 / 4))
	engine postgres postgres
	engine redis redis
	engine rocks rocksdb
	engine lite sqlite
	engine map map
	phase postgres "$1" 10 1000
	phase redis "$1" 8 2000
	phase rocks $part 35
	phase rocks $((part * 2)) 8
	phase rocks $part 25
	phase lite $part 8
	phase lite $part 30
	phase lite $((part * 2)) 8
	phase map $((part * 2)) 8
	phase map $part 35
	phase map $part 8
	measure $part
	split 30 14 25 18 13
	split 30 14 18 18 20
}
