#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The checks themselves: each sees what it is there to see.

bats_require_minimum_version 1.5.0

setup() {
	top=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
	mkdir -p include/barostat bpf cgroup user/lib user/daemon user/cli user/sim user/common
}

deps_of() { # deps_of FILE INCLUDE
	echo "#include $2" >"$1"
	run "$top/scripts/check-deps" .
	rm "$1"
}

@test "check-deps lets pass what the dependency rule allows" {
	while read -r file include; do
		deps_of "$file" "$include"
		[ "$status" -eq 0 ] || { echo "$file: $output"; return 1; }
	done <<-'CASES'
		user/daemon/loop.c "cgroup/cgroup.h"
		user/daemon/loop.c "user/common/log.h"
		user/daemon/sensors_bpf.c "bpf/wire.h"
		user/daemon/sensors_bpf.c "bpf/faults.skel.h"
		user/daemon/sensors_bpf.c <bpf/libbpf.h>
		user/daemon/law.h "bpf/wire.h"
		user/cli/cmd_replay.c "user/daemon/law.h"
		user/cli/cmd_simulate.c "user/sim/sim.h"
		user/sim/host.c "user/daemon/law.h"
		user/cli/cmd_page.c <barostat/page.h>
		user/lib/page.c "include/barostat/page.h"
		cgroup/create.c <libcgroup.h>
		bpf/faults.bpf.c "bpf/wire.h"
	CASES
}

@test "check-deps refuses an include against the dependency rule" {
	while read -r file include; do
		deps_of "$file" "$include"
		[ "$status" -eq 1 ] || { echo "$file passed with $include"; return 1; }
		[[ $output == "$file:1:"* ]]
	done <<-'CASES'
		user/cli/cmd_status.c "user/daemon/engine.h"
		user/cli/cmd_status.c "cgroup/cgroup.h"
		user/sim/host.c "user/daemon/level.h"
		user/daemon/loop.c "user/sim/sim.h"
		user/lib/page.c "user/common/log.h"
		user/lib/page.c "user/daemon/law.h"
		user/common/log.c "cgroup/cgroup.h"
		cgroup/v2.c "user/daemon/law.h"
		user/daemon/policy.c "bpf/wire.h"
		user/daemon/loop.c <bpf/libbpf.h>
		user/daemon/loop.c <libcgroup.h>
		user/daemon/loop.c "user/lib/budget_internal.h"
		include/barostat/page.h "user/lib/page_layout.h"
		bpf/faults.bpf.c "user/daemon/law.h"
		user/daemon/loop.c "log.h"
	CASES
}

@test "check-deps refuses a second file that includes libcgroup" {
	echo '#include <libcgroup.h>' | tee cgroup/a.c >cgroup/b.c
	run "$top/scripts/check-deps" .
	[ "$status" -eq 1 ]
	[[ $output == *"more than one file"* ]]
}

compile() { # compile NAME < source
	gcc -std=gnu11 -O1 -c -x c -o "$1" -
}

@test "check-pure lets pass arithmetic, its own functions and constants" {
	compile a.o <<<'int twice(int x) { return 2 * x; }'
	compile b.o <<<'#include <string.h>
		int twice(int); static const int table[] = {1, 2, 3};
		static const char *const names[] = {"a", "b"}; const char *name(int i) { return names[i]; }
		int f(int *a, const int *b, int i) { memcpy(a, b, (unsigned)i); return twice(*a) + table[i]; }'
	"$top/scripts/check-pure" a.o b.o
}

@test "check-pure refuses the clock, allocation, errno and state" {
	while IFS='|' read -r why source; do
		compile dirty.o <<<"${source/\%/$'\n'}"
		run "$top/scripts/check-pure" dirty.o
		[ "$status" -eq 1 ]
		[[ $output == *"$why"* ]] || { echo "$output"; return 1; }
	done <<-'CASES'
		malloc|#include <stdlib.h>%void *f(void) { return malloc(8); }
		keeps state in: calls|static int calls; int f(void) { return ++calls; }
		keeps state in: seed|int seed = 7; int f(void) { return seed++; }
		keeps state in: n|static _Thread_local int n; int f(void) { return ++n; }
		__errno_location|extern int *__errno_location(void); int f(void) { return *__errno_location(); }
		clock_gettime|int clock_gettime(int, void *); int f(void *t) { return clock_gettime(1, t); }
	CASES
}

# lib_of FILE SOURCE: a library of that file, one that reads no clock and one that may
lib_of() {
	rm -f user/lib/*
	echo 'int f(long now_ns) { return now_ns > 5; }' >user/lib/pool.c
	echo '#include <time.h>
		int now(struct timespec *t) { return clock_gettime(CLOCK_MONOTONIC, t); }' >user/lib/page.c
	echo "${2//%/$'\n'}" >"user/lib/$1"
	local source
	for source in user/lib/*.c; do
		gcc -std=gnu11 -O1 -c -o "${source%.c}.o" "$source"
	done
}

@test "check-clocks lets pass the time that a caller says, and the monotonic clock elsewhere" {
	lib_of memtable.c 'int g(long now_ns) { return now_ns > 5; }'
	"$top/scripts/check-clocks" user/lib user/lib
	rm user/lib/{pool,memtable}.?
	run "$top/scripts/check-clocks" user/lib user/lib
	[ "$status" -eq 1 ]
}

@test "check-clocks refuses a clock where the caller says the time, and one that can be set anywhere" {
	local file why source
	while IFS='|' read -r file why source; do
		lib_of "$file" "$source"
		run "$top/scripts/check-clocks" user/lib user/lib
		[ "$status" -eq 1 ] || { echo "passed: $file: $source"; return 1; }
		[[ $output == *"$why"* ]] || { echo "$output"; return 1; }
	done <<-'CASES'
		memtable_rate.c|calls clock_gettime|#include <time.h>%int f(struct timespec *t) { return clock_gettime(CLOCK_MONOTONIC, t); }
		pool_env.c|calls nanosleep|#include <time.h>%int f(struct timespec *t) { return nanosleep(t, 0); }
		budget.c|calls time|#include <time.h>%long f(void) { return time(0); }
		reservation.c|calls clock|#include <time.h>%long f(void) { return clock(); }
		spill.c|calls gettimeofday|#include <sys/time.h>%int f(struct timeval *t) { return gettimeofday(t, 0); }
		relief.c|calls time|#include <time.h>%long f(void) { return time(0); }
		relief.c|CLOCK_REALTIME|#include <time.h>%int f(struct timespec *t) { return clock_gettime(CLOCK_REALTIME, t); }
		admission.c|calls sem_timedwait|#include <semaphore.h>%int f(sem_t *s, struct timespec *t) { return sem_timedwait(s, t); }
	CASES
}

@test "check-headers refuses what is not C99, not C++, not alone, or not ours" {
	while IFS='|' read -r why source; do
		echo "$source" >include/barostat/x.h
		run "$top/scripts/check-headers" include
		[ "$status" -eq 1 ] || { echo "passed: $source"; return 1; }
		[[ $output == *"$why"* ]] || { echo "$output"; return 1; }
	done <<-'CASES'
		unknown type name|uint64_t baro_x(void);
		expected|int baro_new(int class);
		ISO C99|struct baro_x { int a; struct { int b; }; };
		without BARO_|#define PAGE_SIZE 4096
	CASES
	echo 'int baro_x(void);' >include/barostat/x.h
	"$top/scripts/check-headers" include
}

@test "check-header-examples refuses an example that does not compile, and a header without one" {
	echo 'int row; void *memory(void);' >stub.h
	while IFS='|' read -r why example; do
		printf '/* SPDX */\n/*\n * Words.\n *\n%b\n */\nint baro_x(int a);\n' "$example" >include/barostat/x.h
		run "$top/scripts/check-header-examples" stub.h include
		[ "$status" -eq 1 ] || { echo "passed: $example"; return 1; }
		[[ $output == *"include/barostat/x.h"*"$why"* ]] || { echo "$output"; return 1; }
	done <<-'CASES'
		:6:|of two lines:\n *\tbaro_y(row);
		invalid conversion| *\tint *p = memory();
		no example| * and nothing else
	CASES
	printf '/* SPDX */\n/*\n *\tbaro_x(row);\n *\t...\n *\n *\tbaro_x(1);\n * A table:\n *\n *\ta -> b\n */\nint baro_x(int a);\n' >include/barostat/x.h
	sed -i '1i #include <barostat/x.h>' stub.h
	"$top/scripts/check-header-examples" stub.h include
}

@test "check counts what passes, fails and is skipped" {
	printf 'host | needs *\n' >expected
	CHECK_FILE_SECONDS=20 "$top/scripts/check.d/run" out/unit@host good -- printf '1..3\nok 1 a\nok 2 b # skip needs luck\nok 3 c\n'
	run "$top/scripts/check.d/tally" out expected
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "2 passed, 0 failed, 1 skipped" ]
	[[ $output == *"1 x unit@host: needs luck"* ]]
}

@test "check fails a skip nobody foresaw" {
	printf 'other | needs *\nhost | wants *\n' >expected
	"$top/scripts/check.d/run" out/unit@host good -- printf '1..2\nok 1 a\nok 2 b # skip needs luck\n'
	run "$top/scripts/check.d/tally" out expected
	[ "$status" -eq 1 ]
	[ "${lines[-1]}" = "1 passed, 1 failed, 0 skipped" ]
	[[ $output == *"b skipped: needs luck"* ]]
}

@test "check fails a crash, an early end, a time-out, a file without tests, and no test at all" {
	: >expected
	while IFS='|' read -r why script; do
		rm -rf out
		run env CHECK_FILE_SECONDS=1 "$top/scripts/check.d/run" out/unit@host file -- sh -c "$script"
		[[ $output == "  FAIL file: "*"$why"* ]] || { echo "$output"; return 1; }
		run "$top/scripts/check.d/tally" out expected
		[ "$status" -eq 1 ]
		[[ ${lines[-1]} == *", 1 failed, 0 skipped" ]]
	done <<-'CASES'
		exit status 139|echo 1..1; echo ok 1 a; exit 139
		3 tests planned, 1 ran|echo 1..3; echo ok 1 a
		not ended after 1 s|echo 1..1; sleep 60
		has no test|true
		b|echo 1..2; echo ok 1 a; echo not ok 2 b; exit 1
	CASES
	mkdir -p empty
	run "$top/scripts/check.d/tally" empty expected
	[ "$status" -eq 1 ]
}

@test "check fails a fuzz program that fails, was not built, or has nothing to eat" {
	mkdir -p programs corpora/{good,bad,missing}.corpus corpora/hungry.corpus
	touch corpora/fuzz_{good,bad,missing,hungry}.c corpora/{good,bad,missing}.corpus/one
	printf '#!/bin/sh\n[ "$1" = -runs=0 ] && [ -e "$3/one" ]\n' | tee programs/fuzz_hungry >programs/fuzz_good
	printf '#!/bin/sh\necho broken: all of it; exit 77\n' >programs/fuzz_bad
	chmod +x programs/*
	run "$top/scripts/check.d/fuzz" programs corpora
	echo "$output"
	[ "$status" -eq 1 ]
	[ "${lines[0]}" = 1..4 ]
	[ "$(grep '^ok' <<<"$output")" = "ok 2 fuzz_good eats its corpus" ]
	[ "$(grep -c '^not ok' <<<"$output")" = 3 ]
	[[ $output == *"not ok 1 fuzz_bad eats its corpus"$'\n'"# broken: all of it"* ]]
	rm corpora/fuzz_{bad,missing,hungry}.c
	"$top/scripts/check.d/fuzz" programs corpora
}

@test "check fails a file during which the kernel complained" {
	mkdir bin
	cat >bin/dmesg <<-'END'
		#!/bin/sh
		echo "[    1.000000] WARNING: before"
		[ ! -e late ] || echo "[    2.500000] BUG: sleeping function called"
	END
	chmod +x bin/dmesg
	: >expected
	PATH=$PWD/bin:$PATH CHECK_KERNEL_LOG=1 "$top/scripts/check.d/run" out/root@host quiet -- printf '1..1\nok 1 a\n'
	run "$top/scripts/check.d/tally" out expected
	[ "$status" -eq 0 ]
	PATH=$PWD/bin:$PATH CHECK_KERNEL_LOG=1 "$top/scripts/check.d/run" out/root@host loud -- sh -c 'echo 1..1; echo ok 1 a; touch late'
	run "$top/scripts/check.d/tally" out expected
	[ "$status" -eq 1 ]
	[[ $output == *"loud: the kernel log has new trouble"* ]]
	grep -q 'BUG: sleeping' out/root@host/loud.tap
	! grep -q 'before' out/root@host/loud.tap
}
