#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# docs/law.md says what the code does, at least where that can be compared.

bats_require_minimum_version 1.5.0

@test "the constants in docs/law.md are those of the code" {
	cd "$BATS_TEST_DIRNAME/../.."
	count=0
	while IFS='|' read -r _ name value _; do
		name=$(tr -d '` ' <<<"$name")
		value=$(xargs <<<"$value")
		found=$(grep -hE "^#define $name[[:space:]]" user/daemon/*.[ch] |
			sed -E 's,/\*.*,,; s/^#define [A-Z0-9_]+[[:space:]]+//; s/[()]//g; s/[[:space:]]+$//')
		[ "$found" = "$value" ] || { echo "$name: the document says '$value', the code '$found'"; return 1; }
		count=$((count + 1))
	done < <(grep -E '^\| `[A-Z_0-9]+`' docs/law.md | sed 's/\*/\\*/g')
	[ "$count" -ge 15 ]
}

@test "every reason a decision can have is a word of docs/law.md or of docs/control.md" {
	cd "$BATS_TEST_DIRNAME/../.."
	while read -r reason; do
		grep -qw "$reason" docs/law.md docs/control.md || { echo "nowhere told: $reason"; return 1; }
	done < <(sed -nE 's/.*\[LAW_REASON_[A-Z]+\] = "([a-z]+)".*/\1/p' user/daemon/law_names.c)
}
