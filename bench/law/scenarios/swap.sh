# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
# Two engines change places each 20 s: the one needs much, the other little. What is measured is one
# period of each: the settled half before the change and the half after it.
scenario_title='phase swap'
scenario() {
	local period=$(($1 > 12000 ? 20000 : $1))
	engine a sqlite
	engine b rocksdb
	phase a $period 70
	phase a $((period / 2)) 15
	phase b $period 15
	phase b $((period / 2)) 70
	measure $((period / 2))
	split 75 25
	split 25 75
}
