#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# make install and uninstall, into directories of their own.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	build=${BUILD:-build}
	version=$(cat VERSION)
	root=$(mktemp -d "${TMPDIR:-/tmp}/barostat-test-$$-XXXXXX")
	export LC_ALL=C
}

teardown() {
	rm -rf "$root"
}

make_() { # make_ TARGET VARIABLE=VALUE...
	make -s --no-print-directory "$@" BUILD="$build"
}

# Compiles an example (watch) against what is installed below $root/usr/local. $1: shared or static
compile_example() { # compile_example shared|static [NAME]
	export PKG_CONFIG_PATH=$root/usr/local/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
	local cflags libs name=${2:-watch}
	cflags=$(pkg-config --cflags libbarostat)
	libs=$(pkg-config --libs libbarostat)
	[ "$1" = shared ] || libs=$(pkg-config --static --libs libbarostat)
	[ "$1" = shared ] || libs=${libs/-lbarostat/-l:libbarostat.a}
	# shellcheck disable=SC2086 # words
	cc -std=c99 -D_DEFAULT_SOURCE -Wall -Wextra -pedantic -Werror $cflags \
		"$root/usr/local/share/doc/barostat/examples/$name.c" $libs -o "$root/$name"
}

@test "install puts everything below DESTDIR and nothing elsewhere" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	for file in usr/local/sbin/barostatd usr/local/bin/barostat usr/local/lib/libbarostat.a \
		usr/local/lib/libbarostat.so."$version" usr/local/include/barostat/page.h \
		usr/local/lib/pkgconfig/libbarostat.pc usr/local/share/man/man1/barostat.1 \
		usr/local/share/man/man8/barostatd.8 usr/local/share/man/man5/barostat.conf.5 \
		usr/local/share/bash-completion/completions/barostat \
		usr/local/lib/systemd/system/barostatd.service usr/local/lib/tmpfiles.d/barostat.conf \
		etc/barostat/barostat.conf usr/local/share/doc/barostat/page-protocol.md \
		usr/local/share/barostat/scenarios/stampede.ini usr/local/include/barostat/arena.h \
		usr/local/lib/libbarostat-arena.a usr/local/lib/libbarostat-arena.so."$version" \
		usr/local/lib/pkgconfig/libbarostat-arena.pc usr/local/share/man/man3/barostat_budget.3 \
		usr/local/share/man/man3/baro_budget_reserve.3 usr/local/share/doc/barostat/jemalloc.LICENSE; do
		[ -s "$root/$file" ] || { echo "missing: $file"; return 1; }
	done
	[ "$(readlink "$root/usr/local/lib/libbarostat.so")" = libbarostat.so."${version%%.*}" ]
	[ "$(readlink "$root/usr/local/lib/libbarostat.so.${version%%.*}")" = "libbarostat.so.$version" ]
	[ "$(readlink "$root/usr/local/lib/libbarostat-arena.so")" = libbarostat-arena.so."${version%%.*}" ]
	[ "$(readlink "$root/usr/local/lib/libbarostat-arena.so.${version%%.*}")" = "libbarostat-arena.so.$version" ]
	# whatever is installed belongs to one of these places
	[ -z "$(find "$root" -type f ! -path "$root/usr/local/*" ! -path "$root/etc/barostat/*")" ]
	# no placeholder was forgotten, no place of the build leaked
	run ! grep -rE '@[A-Z]+@' "$root/usr/local/lib" --include=*.pc --include=*.service
	run ! grep -rF -e "$PWD" -e "$root" "$root/usr/local/lib" "$root/etc" --include=*.pc --include=*.service --include=*.conf
}

@test "an example compiles with pkg-config against the shared library and runs" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	compile_example shared
	readelf -d "$root/watch" | grep -q "NEEDED.*libbarostat.so.${version%%.*}"
	[ "$(PKG_CONFIG_PATH=$root/usr/local/lib/pkgconfig pkg-config --modversion libbarostat)" = "$version" ]
	LD_LIBRARY_PATH=$root/usr/local/lib BAROSTAT_PAGE=$root/none run "$root/watch"
	[ "$status" -eq 3 ]
	[[ $output == *"there is no pressure page"* ]]
}

@test "an example compiles against the static library and runs alone" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	compile_example static
	run ! grep -F libbarostat <<<"$(readelf -d "$root/watch")"
	make_ uninstall DESTDIR="$root" PREFIX=/usr/local
	BAROSTAT_PAGE=$root/none run "$root/watch"
	[ "$status" -eq 3 ]
}

@test "an example with the registry and its manifest links either way" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	mkdir "$root/data"
	printf 'ab' >"$root/data/index"
	for way in shared static; do
		compile_example "$way" registry
		rm -f "$root/manifest"
		for _ in 1 2; do
			LD_LIBRARY_PATH=$root/usr/local/lib run "$root/registry" "$root/data" "$root/manifest" <<<index
			[ "$status" -eq 0 ]
			[ "$output" = "index: 2 bytes, sum 195" ]
		done
		grep -q '"accesses":2,"loaded":true' "$root/manifest"
	done
}

# A program that uses an arena and says whose malloc() it has.
write_arena_program() {
	cat >"$root/arena.c" <<-'C'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <malloc.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <barostat/arena.h>

		int main(void)
		{
			struct baro_arena_counts c;
			struct baro_arena *a;
			struct mallinfo2 before = mallinfo2();
			void *volatile p = malloc(50000);
			size_t of_libc = mallinfo2().uordblks - before.uordblks;
			Dl_info where;

			if (baro_arena_open(NULL, &a) || !baro_arena_alloc(a, 1 << 20) || baro_arena_read(a, &c) ||
			    !dladdr((void *)malloc, &where))
				return 1;
			printf("%s %s %s\n", where.dli_fname, of_libc >= 50000 ? "counted" : "elsewhere",
			       c.allocated_bytes >= 1 << 20 ? "arena" : "nothing");
			baro_arena_close(a);
			free(p);
			return 0;
		}
	C
}

@test "a program with arenas keeps its malloc, with the shared library and with the static one" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	write_arena_program
	export PKG_CONFIG_PATH=$root/usr/local/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
	# shellcheck disable=SC2046 # words
	cc -Wall -Werror -Wno-pedantic "$root/arena.c" $(pkg-config --cflags --libs libbarostat-arena) \
		-Wl,-rpath-link,"$root/usr/local/lib" -o "$root/shared"
	readelf -d "$root/shared" | grep -q "NEEDED.*libbarostat-arena.so.${version%%.*}"
	LD_LIBRARY_PATH=$root/usr/local/lib run -0 "$root/shared"
	[[ $output == */libc.so.6" counted arena" ]]
	# shellcheck disable=SC2046 # words
	cc -Wall -Werror "$root/arena.c" $(pkg-config --cflags libbarostat-arena) "$root/usr/local/lib/libbarostat-arena.a" \
		"$root/usr/local/lib/libbarostat.a" -lnuma -lpthread -lm -ldl -o "$root/static"
	run ! grep -F -e libbarostat -e libjemalloc <<<"$(readelf -d "$root/static")"
	make_ uninstall DESTDIR="$root" PREFIX=/usr/local
	run -0 "$root/static"
	[[ $output == */libc.so.6" counted arena" ]]
}

@test "an engine that uses no arena links neither jemalloc nor libnuma" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	run ! grep -E 'jemalloc|libnuma|arena' <<<"$(readelf -d "$root/usr/local/lib/libbarostat.so" "$root/usr/local/sbin/barostatd" "$root/usr/local/bin/barostat")"
	run ! grep -E ' (mallocx|mallctl|je_)' <<<"$(nm "$root/usr/local/lib/libbarostat.a")"
}

@test "installed headers compile alone, as C99 and as C++" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	scripts/check-headers "$root/usr/local/include"
}

@test "the installed programs run" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	[ "$("$root/usr/local/bin/barostat" --version)" = "barostat $version" ]
	[ "$("$root/usr/local/sbin/barostatd" --version)" = "barostatd $version" ]
	"$root/usr/local/sbin/barostatd" --check --config "$root/etc/barostat/barostat.conf"
	# by name: a scenario that came with it, from wherever it was put
	(cd "$root" && "$root/usr/local/bin/barostat" simulate stampede --tick 1s) | grep -q '^stampede '
}

@test "uninstall leaves nothing" {
	make_ install DESTDIR="$root/d" PREFIX=/usr/local
	make_ uninstall DESTDIR="$root/d" PREFIX=/usr/local
	[ -z "$(find "$root" -mindepth 1 ! -path "$root/d")" ] || { find "$root"; return 1; }
	# and once more is no error
	make_ uninstall DESTDIR="$root/d" PREFIX=/usr/local
}

@test "uninstall without DESTDIR removes only directories that are barostat's own" {
	make_ install PREFIX="$root/opt" SYSCONFDIR="$root/etc"
	touch "$root/opt/lib/of-someone-else"
	make_ uninstall PREFIX="$root/opt" SYSCONFDIR="$root/etc"
	[ "$(find "$root" -type f)" = "$root/opt/lib/of-someone-else" ]
	[ -d "$root/opt/bin" ]
	[ -d "$root/etc" ]
	[ -z "$(find "$root" -mindepth 1 -name 'barostat*')" ]
}

@test "a configuration that is there is neither overwritten nor removed" {
	mkdir -p "$root/etc/barostat/conf.d"
	echo '; mine' >"$root/etc/barostat/barostat.conf"
	echo '; mine too' >"$root/etc/barostat/conf.d/a.conf"
	run make_ install DESTDIR="$root" PREFIX=/usr/local
	[ "$status" -eq 0 ]
	[[ $output == *"kept $root/etc/barostat/barostat.conf"* ]]
	[ "$(cat "$root/etc/barostat/barostat.conf")" = '; mine' ]
	run make_ uninstall DESTDIR="$root" PREFIX=/usr/local
	[ "$status" -eq 0 ]
	[[ $output == *"kept $root/etc/barostat/barostat.conf"* ]]
	[ "$(find "$root" -type f | wc -l)" = 2 ]
}

@test "install again replaces what is running without disturbing it" {
	make_ install DESTDIR="$root" PREFIX=/usr/local
	before=$(stat -c %i "$root/usr/local/sbin/barostatd")
	exec 4<"$root/usr/local/sbin/barostatd"
	make_ install DESTDIR="$root" PREFIX=/usr/local
	# a new file: writing into the one that runs would be "text file busy", or worse a mapped .so
	[ "$(stat -c %i "$root/usr/local/sbin/barostatd")" != "$before" ]
	exec 4<&-
}

@test "the unit file is what systemd accepts" {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze here"
	make_ install PREFIX="$root" SYSCONFDIR="$root/etc" UNITDIR="$root/units"
	run systemd-analyze verify --man=no "$root/units/barostatd.service"
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	# it also warns with status 0, about unknown keys for one
	run ! grep -F barostatd.service <<<"$output"
	grep -qx "ExecStart=$root/sbin/barostatd --config $root/etc/barostat/barostat.conf" "$root/units/barostatd.service"
}

@test "the unit is hardened" {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze here"
	make_ install PREFIX="$root" SYSCONFDIR="$root/etc" UNITDIR="$root/units"
	run systemd-analyze security --offline=true --threshold=30 "$root/units/barostatd.service"
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
}

@test "install refuses to guess" {
	run scripts/install
	[ "$status" -eq 2 ]
	run scripts/install "$root" "$build" "$version" PREFIX=/usr
	[ "$status" -eq 2 ]
	[[ $output == *"BINDIR= is missing"* ]]
	[ -z "$(ls -A "$root")" ]
}
