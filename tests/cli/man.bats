#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The manual pages: clean, complete, and every command in them works.

bats_require_minimum_version 1.5.0

load support
load dry_daemon

setup() {
	cli_setup
	pages=(docs/man/barostat.1 docs/man/barostatd.8 docs/man/barostat.conf.5 docs/man/barostat-scenario.5)
}

teardown() {
	cli_teardown
}

@test "manual pages are clean to mandoc" {
	# what is not installed here cannot be found, and "--" is what the user types
	mandoc -T lint -W style "${pages[@]}" |
		grep -vE 'referenced manual not found|verbatim "--"' >"$scratch/lint" || true
	cat "$scratch/lint"
	[ ! -s "$scratch/lint" ]
}

@test "manual pages refer to pages of the tree only" {
	grep -hE '^\.Xr ' "${pages[@]}" | awk '{print $2 "." $3}' | sort -u >"$scratch/referred"
	[ -s "$scratch/referred" ]
	while IFS= read -r page; do
		echo "$page"
		[ -e "docs/man/$page" ]
	done <"$scratch/referred"
}

@test "every public function has a page, clean to mandoc, that tells of it" {
	local symbol page
	scripts/api-man "$scratch/man3" 'January 1, 2026' include/barostat/*.h
	run -0 mandoc -T lint -W warning "$scratch"/man3/barostat_*.3
	nm -D --defined-only "$build"/libbarostat*.so | grep -ow 'baro_[a-z0-9_]*' | sort -u >"$scratch/symbols"
	[ "$(wc -l <"$scratch/symbols")" -gt 100 ]
	while IFS= read -r symbol; do
		echo "$symbol"
		page=$scratch/$(sed -n 's/^\.so //p' "$scratch/man3/$symbol.3")
		# in the synopsis, and where it is described
		[ "$(grep -c "\b$symbol(" "$page")" -ge 2 ]
	done <"$scratch/symbols"
	grep -hE '^\.Xr barostat_' "$scratch"/man3/barostat_*.3 | awk '{print $2 "." $3}' | sort -u |
		(cd "$scratch/man3" && xargs ls) >/dev/null
}

@test "a public function without a comment is refused with its line" {
	sed '/snapshot as of the last/d; /as of the last tick/d' include/barostat/pool.h >"$scratch/pool.h"
	run -1 scripts/api-man "$scratch/man3" 'January 1, 2026' "$scratch/pool.h"
	line=$(grep -n 'void baro_pools_read(' "$scratch/pool.h" | cut -d: -f1)
	[[ $output == *"pool.h:$line: baro_pools_read() has no comment"* ]]
}

@test "barostat(1) and the command table have the same commands" {
	"$barostat" __table | awk -F'\t' '$1 == "command" {print $2}' | sort >"$scratch/table"
	sed -n '/^\.Sh COMMANDS/,/^\.Sh REASONS/p' docs/man/barostat.1 |
		awk '$1 == ".It" && $2 == "Cm" {print $3}' | sort >"$scratch/page"
	diff "$scratch/table" "$scratch/page"
}

@test "barostat(1) and the command table have the same options, letters and values" {
	"$barostat" __table | awk -F'\t' '$1 == "option" {
		print ($4 != "-" ? "Fl " $4 " , " : "") "Fl Fl " $3 ($5 != "-" ? " Ar " tolower($5) : "")
	}' | sort >"$scratch/table"
	sed -n 's/^\.It \(Fl .*\)/\1/p' docs/man/barostat.1 | sort >"$scratch/page"
	diff "$scratch/table" "$scratch/page"
}

@test "barostat(1) explains every reason" {
	# the words are those of the page's protocol
	grep -oE 'BARO_REASON_[A-Z]+ ' include/barostat/page.h | sed 's/BARO_REASON_//' |
		tr 'A-Z' 'a-z' | tr -d ' ' | sort >"$scratch/header"
	[ "$(wc -l <"$scratch/header")" -ge 16 ]
	sed -n '/^\.Sh REASONS/,/^\.Sh ENV/p' docs/man/barostat.1 |
		awk '$1 == ".It" {print $3}' | sort >"$scratch/page"
	diff "$scratch/header" "$scratch/page"
}

@test "barostatd(8) and barostatd --help have the same options" {
	"$build/barostatd" --help | grep -oE -- '--[a-z-]+' | sort -u >"$scratch/help"
	sed -n '/^\.Sh DESCRIPTION/,/^\.Ss/p' docs/man/barostatd.8 |
		sed -n 's/^\.It .*Fl Fl \([a-z-]*\).*/--\1/p' | sort -u >"$scratch/page"
	diff "$scratch/help" "$scratch/page"
}

@test "the example of barostat.conf(5) is accepted" {
	sed -n '/^\.Bd -literal/,/^\.Ed/p' docs/man/barostat.conf.5 | grep -v '^\.' >"$scratch/barostat.conf"
	[ -s "$scratch/barostat.conf" ]
	run "$build/barostatd" --config "$scratch/barostat.conf" --check
	echo "$output"
	[ "$status" = 0 ]
	[ "$output" = "$scratch/barostat.conf: ok, 2 engines in 2 groups" ]
}

@test "the example of barostat-scenario(5) keeps what it promises" {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' docs/man/barostat-scenario.5 |
		sed -n '/^\.Bd -literal/,/^\.Ed/p' | grep -v '^\.' >"$scratch/example.ini"
	[ -s "$scratch/example.ini" ]
	"$barostat" simulate --check "$scratch/example.ini"
}

@test "what barostat-scenario(5) makes of recorded calls are the pages that were read" {
	# as strace says it: a page, three of them, two threads at once, half a page, the end of a file
	cat >"$scratch/calls" <<-'CALLS'
		7 pread64(3, ""..., 4096, 8192)   = 4096
		7 pread64(3, ""..., 12288, 40960) = 12288
		7 pread64(3,  <unfinished ...>
		8 pread64(3, ""..., 4096, 0)      = 4096
		7 <... pread64 resumed>""..., 4096, 4096) = 4096
		7 pread64(3, ""..., 100, 6144)    = 100
		7 pread64(3, "", 4096, 81920)     = 0
		7 pread64(3, 0x7f00, 4096, -1)    = -1 EINVAL (Invalid argument)
		7 +++ exited with 0 +++
	CALLS
	sed -n '/^sed -nE/,/^\.Ed/p' docs/man/barostat-scenario.5 | grep -v '^\.' | sed 's/\\e/\\/g' >"$scratch/recipe"
	[ -s "$scratch/recipe" ]
	(cd "$scratch" && bash -e recipe)
	echo "$(<"$scratch/reads")"
	[ "$(tr '\n' ' ' <"$scratch/reads")" = "2 10 11 12 0 1 1 " ]
}

# examples PAGE: the commands it shows, one per line, without the prompt
examples() {
	sed -n 's/^\.Dl [$#] //p' "$1" | sed 's/\\(dq/"/g'
}

@test "every command shown in barostat(1) and barostatd(8) works" {
	dry_setup
	write_conf <<<'[engine pg]'
	start
	local real=$socket
	fake ok
	mkdir "$scratch/bin"
	printf '[engine pg]\n' >"$scratch/barostat.conf"
	# the commands as they are shown, but at the fake daemon and with a configuration of our own;
	# there is nothing to record at a fake one
	cat >"$scratch/bin/barostat" <<-WRAPPER
		#!/bin/sh
		[ "\$1" != record ] || exec '$barostat' --socket '$real' "\$@"
		exec '$barostat' --socket '$socket' "\$@"
	WRAPPER
	cat >"$scratch/bin/barostatd" <<-WRAPPER
		#!/bin/sh
		[ "\$1" != --config ] || shift 2
		exec '$build/barostatd' --config '$scratch/barostat.conf' "\$@"
	WRAPPER
	chmod +x "$scratch/bin/barostat" "$scratch/bin/barostatd"
	if [ "$(id -u)" != 0 ]; then
		user=$(id -un)
	else
		user=nobody
	fi
	local count=0
	while IFS= read -r example; do
		echo "$example"
		example=${example//--user nobody/--user $user}
		example=${example//pg.trace/$scratch/pg.trace}
		PATH=$scratch/bin:$PATH bash -euo pipefail -c "$example" >"$scratch/out" 3>&- </dev/null
		count=$((count + 1))
	done < <(examples docs/man/barostat.1; examples docs/man/barostatd.8)
	[ "$count" -ge 10 ]
}
