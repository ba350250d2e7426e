#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The bash completion, as readline would call it.

load support

setup() {
	cli_setup
	mkdir "$scratch/bin"
	ln -s "$barostat" "$scratch/bin/barostat"
	PATH=$scratch/bin:$PATH
	# shellcheck source=packaging/bash-completion/barostat
	source packaging/bash-completion/barostat
}

teardown() {
	cli_teardown
}

# completes LINE: the candidates for its end, sorted, in one line
completes() {
	COMP_LINE=$1
	COMP_POINT=${#1}
	COMPREPLY=()
	_barostat
	printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
}

@test "bash knows the completion" {
	[ "$(complete -p barostat)" = "complete -F _barostat barostat" ]
}

@test "commands are completed, all of the table" {
	[ "$(completes 'barostat ')" = \
		"$("$barostat" __table | awk -F'\t' '$1 == "command" {print $2}' | sort | tr '\n' ' ')" ]
	[ "$(completes 'barostat st')" = "status " ]
	[ "$(completes 'barostat --json li')" = "list " ]
	[ "$(completes 'barostat --socket /x ex')" = "explain " ]
	[ "$(completes 'barostat nonsense ')" = " " ]
}

@test "options are completed where they belong" {
	[ "$(completes 'barostat --s')" = "--socket " ]
	[ "$(completes 'barostat top --s')" = "--socket --sort " ]
	[ "$(completes 'barostat status --o')" = " " ]
	[ "$(completes 'barostat top --sort ')" = "config name refaults stall target usage " ]
	[ "$(completes 'barostat replay x --policy st')" = "static " ]
	[ "$(completes 'barostat set pg m')" = "max= min= " ]
	[ "$(completes 'barostat set pg limit=')" = "hard soft " ]
	[[ " $(completes 'barostat simulate --policy ')" == *" best "*" marginal "* ]]
	[ "$(completes 'barostat simulate --actuator ')" = "hard none protect " ]
	[ "$(completes 'barostat simulate --sensors ')" = "all files ghosts " ]
}

@test "engines come from the pressure page" {
	export BAROSTAT_PAGE=tests/fixtures/page/v1.0.page
	local names
	# the fixture belongs to the tree's owner and may be writable by its group
	cp "$BAROSTAT_PAGE" "$scratch/page"
	chmod 0644 "$scratch/page"
	export BAROSTAT_PAGE=$scratch/page
	names=$("$barostat" page --json | jq -r '.engines[].name' | sort | tr '\n' ' ')
	[ -n "$names" ]
	[ "$(completes 'barostat explain ')" = "$names" ]
	[ "$(completes 'barostat run --engine ')" = "$names" ]
	[ "$(completes 'barostat attach ')" = "$names" ]
	unset BAROSTAT_PAGE
	[ "$(completes "barostat --page $scratch/page explain ")" = "$names" ]
}

@test "files, users and programs come from the shell" {
	touch "$scratch/some.sock"
	[ "$(completes "barostat --socket $scratch/some")" = "$scratch/some.sock " ]
	[ "$(completes 'barostat run --user roo')" = "root " ]
	[[ " $(completes 'barostat run --engine pg -- tru') " == *" true "* ]]
	# behind the command, nothing is ours any more
	[[ " $(completes 'barostat run --engine pg ls --') " != *--socket* ]]
}
