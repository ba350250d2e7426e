#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What each command prints and exits with, for a daemon that answers well.

load support

setup() {
	cli_setup
}

teardown() {
	cli_teardown
}

# The request the daemon got, as compact JSON with sorted keys.
asked() {
	tail -n "${1:-1}" "$socket.log" | head -n 1 | jq -cS .
}

@test "status prints the host, then aligned columns with a row per engine" {
	fake ok
	ask status
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	echo "$output"
	[ "$(sed -n 1p <<<"$output")" = \
		"host     level warning, rung hybrid, policy marginal, kernel 6.18.0-test" ]
	[ "$(sed -n 2p <<<"$output")" = \
		"memory   10.1G used of ceiling 16G (63.2%), reserve 819M" ]
	[ "$(sed -n 3p <<<"$output")" = \
		"daemon   up 3h 12m, tick p50 81us p99 310us every 100 ms, 0.2% of a core, 6.1M" ]
	[ "$(sed -n 5,7p <<<"$output")" = \
		"ENGINE      GROUP  STATE    LEVEL      USAGE  TARGET  LIMIT   MIN  MAX  STALL  REF/S  REASON
pg          oltp   active   warning     3.2G    3.3G   none  512M   8G  14.0%  12040  gain
rocks       oltp   active   normal        2G    1.9G   none  256M   8G   0.2%     80  stream" ]
	[ "$(sed -n 10p <<<"$output")" = \
		"clickhouse  batch  manual   emergency  1020M      1G     1G    0B  16G  91.0%   150k  manual" ]
}

@test "status of a daemon without engines says what to do" {
	fake empty
	ask status
	[ "$status" = 0 ]
	[[ $output == *"no engines: add [engine NAME] sections to /etc/barostat/barostat.conf" ]]
}

@test "colour needs a terminal, and NO_COLOR and a dumb terminal switch it off" {
	fake ok
	ask status
	[[ $output != *$'\033'* ]]
	on_terminal() {
		env "$@" script -qec "'$barostat' --socket '$socket' status" /dev/null </dev/null
	}
	[[ $(on_terminal TERM=xterm) == *$'\033[33mwarning\033[0m'* ]]
	[[ $(on_terminal TERM=xterm NO_COLOR=1) != *$'\033'* ]]
	[[ $(on_terminal TERM=dumb) != *$'\033'* ]]
}

@test "JSON of status, list, explain, doctor, set and attach is one valid value with the daemon's facts" {
	fake ok
	ask status --json
	[ "$status" = 0 ]
	jq -es 'length == 1 and (.[0] | .rung == "hybrid" and (.engines | length) == 5 and
		.engines[0].limit_bytes == null and (has("ok") | not))' <<<"$output"
	ask list --json
	jq -es 'length == 1 and (.[0] | map(.name)) == ["pg","rocks","redis","mysql","clickhouse"]' <<<"$output"
	ask explain pg --json
	jq -es 'length == 1 and .[0].decisions[0].reason == "gain" and .[0].engine.name == "pg"' <<<"$output"
	ask doctor --json
	jq -es 'length == 1 and .[0].checks[0].name == "daemon" and .[0].checks[0].state == "ok"' <<<"$output"
	ask set pg min=1G --json
	jq -es 'length == 1 and .[0].engine.min_bytes == 1073741824' <<<"$output"
	ask attach pg $$ --json
	jq -es --argjson pid $$ 'length == 1 and .[0] == {attached: [$pid], failed: []}' <<<"$output"
}

@test "JSON on a terminal is indented, elsewhere one line" {
	fake ok
	ask status --json
	[ "$(wc -l <"$scratch/out")" = 1 ]
	[ "$(script -qec "'$barostat' --socket '$socket' status --json" /dev/null </dev/null | wc -l)" -gt 50 ]
}

@test "list prints bounds, mode and cgroup" {
	fake ok
	ask list
	[ "$status" = 0 ]
	[ "$(sed -n 1,2p <<<"$output")" = \
		"ENGINE      GROUP  STATE    WEIGHT   MIN  MAX  MODE  CGROUP
pg          oltp   active      250  512M   8G  soft  barostat/pg" ]
	[ "$(wc -l <<<"$output")" = 6 ]
}

@test "columns stay aligned with a thousand engines" {
	fake many 1000
	ask status
	[ "$status" = 0 ]
	[ "$(grep -c '^e[0-9]' <<<"$output")" = 1000 ]
	# the column of REASON is the same in every row
	[ "$(sed -n '/^ENGINE/,$p' <<<"$output" | awk '{print index($0, $NF)}' | sort -u | wc -l)" = 1 ]
}

@test "explain prints sentences and the table of decisions" {
	fake ok
	ask explain pg
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"pg  level warning, active, group oltp, cgroup barostat/pg"* ]]
	[[ $output == *"waits     refault 1204 x, half within 131us, 99 % within 4.1ms
          major_fault 12 x, half within 65.5us, 99 % within 70us"* ]]
	[[ $output == *"  pg got +96 MiB 2.1 s ago: its stalls cost 14.0 % of its time, and 96 MiB"* ]]
	[[ $output == *"WHEN       CHANGE  TARGET  REASON   PEER   GAIN  LOSS  STALL  REF/S  CLAMPS
2.1 s ago    +96M    3.3G  gain x3  rocks  9.1%  0.2%  14.0%  12040  step,max
4 min ago    -96M    3.2G  donate   -        0%    0%     0%      0  -" ]]
	# no line is wider than a plain terminal
	run grep -E '^.{81}' "$scratch/out"
	[ "$status" = 1 ]
}

@test "explain of an engine there is not exits 1 with the daemon's sentence" {
	fake ok
	ask explain mongo
	fails 1 "there is no engine 'mongo'"
}

@test "doctor prints checks with remedies, sensors and cost" {
	fake ok
	ask doctor --page "$scratch/none"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == "rung      hybrid, kernel 6.18.0-test"* ]]
	grep -q '^ok       *daemon  *'"$socket" <<<"$output"
	grep -q '^missing  *pressure page  *there is no pressure page' <<<"$output"
	grep -q '^missing  *memory on v2 ' <<<"$output"
	grep -q '^ *remedy: tracepoints are used instead$' <<<"$output"
	grep -q '^stalls  tracepoint  fentry: EPERM$' <<<"$output"
	grep -q '^cost      tick p50 81us p99 310us, 0.2% of a core, 6.1M resident' <<<"$output"
}

@test "doctor without a daemon says what it can see, how to start it, and exits 3" {
	socket=$scratch/nobody
	ask doctor --page "$scratch/none"
	[ "$status" = 3 ]
	grep -q "^missing  *daemon  *no daemon answers" <<<"$output"
	grep -q "^ *remedy: systemctl start barostatd" <<<"$output"
	grep -q "^missing  *pressure page" <<<"$output"
	ask doctor --json --page "$scratch/none"
	[ "$status" = 3 ]
	jq -e '.rung == null and (.checks | map(.state)) == ["missing", "missing"]' <<<"$output"
}

@test "set sends one request for each setting and prints what holds then" {
	fake ok
	ask set pg min=1G
	[ "$status" = 0 ]
	[ "$output" = "pg: min 1G, max 8G, weight 250, mode soft, target 3.3G" ]
	[ "$(asked)" = '{"cmd":"set","engine":"pg","key":"min","value":"1G"}' ]
	ask set pg min=2G min=3G
	[ "$status" = 0 ]
	[ "$(asked 2)" = '{"cmd":"set","engine":"pg","key":"min","value":"2G"}' ]
	[ "$(asked)" = '{"cmd":"set","engine":"pg","key":"min","value":"3G"}' ]
}

@test "set of a bad value exits 2, says what is allowed and what was set before" {
	fake ok
	ask set pg min=1G colour=red min=2G
	fails 2 "min=1G and what stands before it was set"
	[[ $stderr == *"'colour' cannot be set while running; allowed: min, max, weight,"* ]]
	[ "$(wc -l <"$socket.log")" = 2 ]
}

@test "set and attach without the right exit 1 and say who may" {
	fake denied
	ask set pg min=1G
	fails 1 "only root may change something (try as root)"
	ask attach pg 1
	fails 1 "only root may change something (try as root)"
}

@test "attach says how many moved, which did not, and exits 1 for those" {
	fake ok
	ask attach pg $$
	[ "$status" = 0 ]
	[ "$output" = "1 process moved into pg" ]
	ask attach pg $$ 2147483647
	[ "$status" = 1 ]
	[ "$output" = "1 process moved into pg" ]
	[ "$stderr" = "barostat: process 2147483647 was not moved: No such process" ]
}

@test "run attaches itself, passes the environment, and has the command's exit status" {
	fake ok
	# shellcheck disable=SC2016 # expanded by the command
	ask run --engine pg -- sh -c 'echo "$$ $BAROSTAT_ENGINE $BAROSTAT_PAGE $1"; exit 7' x --json
	[ "$status" = 7 ]
	read -r pid engine page rest <<<"$output"
	[ "$engine $page $rest" = "pg /run/barostat/fake-page --json" ]
	[ "$(asked)" = "{\"cmd\":\"attach\",\"engine\":\"pg\",\"pids\":[$pid]}" ]
	ask --page /some/page run -e pg -- printenv BAROSTAT_PAGE
	[ "$output" = /some/page ]
}

@test "run does not start the command when it cannot move" {
	fake ok
	ask run --engine nope -- touch "$scratch/started"
	fails 1 "there is no engine 'nope'"
	ask run --engine pg --user no.such.user -- touch "$scratch/started"
	fails 1 "there is no user 'no.such.user'"
	[ ! -e "$scratch/started" ]
}

@test "run of a command that is not there exits 127, of one that cannot run 126" {
	fake ok
	# a directory that may not be read would make it "permission denied"
	PATH=/usr/bin:/bin ask run --engine pg -- no-such-command
	fails 127 "cannot run no-such-command: No such file or directory"
	touch "$scratch/plain"
	ask run --engine pg -- "$scratch/plain"
	fails 126 "cannot run $scratch/plain: Permission denied"
}

@test "run --user becomes the user wholly before the command starts" {
	fake ok
	if [ "$(id -u)" != 0 ]; then
		ask run --engine pg --user root -- true
		[ "$status" = 1 ]
		[[ $stderr == "barostat: cannot become user 'root':"* ]]
		return
	fi
	# a caller with groups of its own, to see them go
	barostat="$scratch/grouped"
	printf '#!/bin/sh\nexec setpriv --groups 1,2,3 "%s/barostat" "$@"\n' "$build" >"$barostat"
	chmod +x "$barostat"
	# shellcheck disable=SC2016 # expanded by the command
	ask run --engine pg --user nobody -- sh -c 'id -u; id -G; echo "$USER $LOGNAME"
		grep -E "^(Uid|CapEff)" /proc/self/status | tr -s "\t" " "'
	echo "$output $stderr"
	[ "$status" = 0 ]
	[ "$output" = "$(id -u nobody)
$(id -G nobody)
nobody nobody
Uid: $(id -u nobody) $(id -u nobody) $(id -u nobody) $(id -u nobody)
CapEff: 0000000000000000" ]
}
