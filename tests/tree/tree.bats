#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What holds for every file of the tree.

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
	build=${BUILD:-build}
}

# The tree's files: from git, or in an unpacked archive all but what was built.
tree_files() {
	if [ -e .git ]; then
		git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
			[ ! -e "$file" ] || echo "$file"
		done
	else
		local pattern
		for pattern in "$@"; do
			find . -path ./build -prune -o -type f -name "${pattern##*/}" -print
		done
	fi
}

@test "C files are formatted as .clang-format says (make format does it)" {
	tree_files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

@test "includes keep the dependency rule" {
	scripts/check-deps
}

@test "the control law is pure" {
	local source objects=()
	for source in user/daemon/{law_*,estimate*,policy*,trace}.c; do
		[ ! -e "$source" ] || objects+=("$build/obj/${source%.c}.o")
	done
	scripts/check-pure "${objects[@]}"
}

@test "tables, budgets and pools of the library read no clock, and nothing reads one that can be set" {
	scripts/check-clocks user/lib "$build/pic/user/lib"
}

@test "public headers compile alone as C99 and C++ without a warning" {
	scripts/check-headers
}

@test "every public header begins with an example, which compiles as C99 and C++" {
	scripts/check-header-examples tests/tree/engine.h
}

@test "the shared libraries give away the names of their maps only" {
	run nm -D --defined-only "$build/libbarostat.so"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -gt 3 ]
	[ -z "$(grep -vE ' (baro_[a-z0-9_]+(@@BAROSTAT_[0-9.]+)?|BAROSTAT_[0-9.]+)$' <<<"$output")" ]
	run nm -D --defined-only "$build/libbarostat-arena.so"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -gt 3 ]
	[ -z "$(grep -vE ' (baro_arena_[a-z0-9_]+(@@BAROSTAT_ARENA_[0-9.]+)?|BAROSTAT_ARENA_[0-9.]+)$' <<<"$output")" ]
}

@test "of the static library with the arenas nothing can be seen but baro_arena_, above all no malloc" {
	run nm --defined-only --extern-only "$build/libbarostat-arena.a"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -gt 3 ]
	! grep -vE '^$|^whole\.o:$| T baro_arena_[a-z0-9_]+$' <<<"$output"
}

@test "shell scripts pass shellcheck" {
	tree_files 'scripts/*' 'tests/*' '.ci/*' 'examples/*' 'bench/*' 'packaging/*' | while IFS= read -r file; do
		! head -n 1 "$file" | grep -qE '^#!.*\b(ba|da)?sh$' || echo "$file"
	done | sort -u | xargs shellcheck -S warning -e SC1091
	# what these set is for the files that load them
	tree_files 'tests/*.bash' | xargs shellcheck -S warning -s bash -e SC1091,SC2034,SC2154
}

@test "every source says its licence on its first lines" {
	tree_files '*.c' '*.h' '*.bats' '*.bash' 'scripts/*' | while IFS= read -r file; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: ' || echo "$file"
	done >"$BATS_TEST_TMPDIR/without"
	cat "$BATS_TEST_TMPDIR/without"
	[ ! -s "$BATS_TEST_TMPDIR/without" ]
}

@test "BPF programs are licensed for the kernel and for the rest" {
	for file in bpf/*.bpf.c; do
		head -n 3 "$file" | grep -qF '(GPL-2.0-only OR BSD-2-Clause)' || { echo "$file"; return 1; }
		readelf -p license "$build/bpf/$(basename "$file" .c).o" | grep -qF 'Dual BSD/GPL' ||
			{ echo "$file: license string"; return 1; }
	done
}

@test "scripts can be executed" {
	tree_files 'scripts/*' '.ci/*' | while IFS= read -r file; do
		! head -c 2 "$file" | grep -q '#!' || [ -x "$file" ] || echo "$file"
	done >"$BATS_TEST_TMPDIR/not"
	cat "$BATS_TEST_TMPDIR/not"
	[ ! -s "$BATS_TEST_TMPDIR/not" ]
}

@test "no source file has grown past 500 lines, no test past 800" {
	tree_files '*.c' '*.h' | xargs wc -l | awk '
		$2 != "total" && $1 > ($2 ~ /^tests/ ? 800 : 500) {print; bad = 1}
		END {exit bad}'
}
