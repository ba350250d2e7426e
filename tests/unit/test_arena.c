/* SPDX-License-Identifier: BSD-2-Clause */
/* Arenas: memory of their own, counted, given back; and the program's malloc stays what it was. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "include/barostat/arena.h"
#include "include/barostat/metrics.h"
#include "tests/unit/doc_support.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

/* The sanitizers bring a malloc of their own, and memory beside ours; that of threads follows 64
 * locks at once, and jemalloc takes all it has to be forked. */
#if defined(__SANITIZE_ADDRESS__)
#define OTHER_MALLOC 1
#elif defined(__SANITIZE_THREAD__)
#define OTHER_MALLOC 1
#define FEW_LOCKS    1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OTHER_MALLOC 1
#define FEW_LOCKS    1
#elif __has_feature(address_sanitizer)
#define OTHER_MALLOC 1
#endif
#endif

static struct baro_arena *open_arena(const struct baro_arena_options *options)
{
	struct baro_arena *a = NULL;

	must(baro_arena_open(options, &a) == 0);
	return a;
}

static struct baro_arena_counts counts(struct baro_arena *a)
{
	struct baro_arena_counts c;

	must(baro_arena_read(a, &c) == 0);
	return c;
}

/* ---- whose malloc ---------------------------------------------------------------------------- */

static void the_program_s_malloc_is_not_the_arenas(void **state)
{
	static const char *const names[] = { "mallocx", "mallctl", "malloc_stats_print",
					     "je_malloc", "malloc_conf" };
	struct baro_arena *a = open_arena(NULL);
	struct baro_arena_counts before, after;
	void *p = baro_arena_alloc(a, 100 * KIB), **many = calloc(4096, sizeof(*many));

	assert_non_null(many);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null(dlsym(RTLD_DEFAULT, names[i]));
	/* What the program allocates is not in here, though it is much. */
	assert_int_equal(baro_arena_read_all(&before), 0);
	for (int i = 0; i < 4096; i++)
		assert_non_null(many[i] = malloc(4 * KIB));
	assert_int_equal(baro_arena_read_all(&after), 0);
	assert_in_range(after.allocated_bytes - before.allocated_bytes + MIB, 0, 2 * MIB);
	for (int i = 0; i < 4096; i++)
		free(many[i]);
	free(many);
	baro_arena_free(a, p);
	baro_arena_close(a);
}

static void the_program_s_malloc_is_libc_s(void **state)
{
#ifndef OTHER_MALLOC
	struct baro_arena *a = open_arena(NULL);
	struct mallinfo2 before = mallinfo2(), after;
	void *volatile mine = malloc(50000), *volatile p = baro_arena_alloc(a, 5 * MIB);
	Dl_info where;

	after = mallinfo2();
	assert_in_range(after.uordblks - before.uordblks, 50000, 60000);
	assert_int_equal(after.hblkhd, before.hblkhd);
	assert_true(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &where) != 0);
	assert_non_null(strstr(where.dli_fname, "libc.so"));
	free(mine);
	baro_arena_free(a, p);
	baro_arena_close(a);
#else
	(void)state;
#endif
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void memory_is_what_was_asked_for(void **state)
{
	struct baro_arena *a = open_arena(NULL);
	char *p = baro_arena_alloc(a, 100), *q, *r;

	assert_non_null(p);
	memset(p, 7, 100);
	p = baro_arena_realloc(a, p, 100 * KIB);
	assert_non_null(p);
	assert_int_equal(p[99], 7);
	memset(p, 8, 100 * KIB);
	q = baro_arena_alloc_zero(a, 3 * MIB);
	for (size_t i = 0; i < 3 * MIB; i += 512)
		assert_int_equal(q[i], 0);
	r = baro_arena_alloc_aligned(a, 10, 64 * KIB);
	assert_int_equal((uintptr_t)r % (64 * KIB), 0);
	assert_null(baro_arena_alloc_aligned(a, 10, 3));
	assert_null(baro_arena_alloc_aligned(a, 10, 0));
	assert_null(baro_arena_alloc(a, SIZE_MAX));
	assert_null(baro_arena_alloc(a, (size_t)PTRDIFF_MAX + 1));
	baro_arena_free(a, p);
	baro_arena_free(a, q);
	baro_arena_free(a, r);
	baro_arena_free(a, NULL);
	baro_arena_free_any(NULL);
	p = baro_arena_alloc(a, 0);
	assert_non_null(p);
	q = baro_arena_realloc(a, NULL, 0);
	assert_non_null(q);
	assert_ptr_not_equal(p, q);
	assert_non_null(baro_arena_realloc(a, q, 0));
	baro_arena_close(a);
	baro_arena_close(NULL);
}

static void each_arena_counts_its_own(void **state)
{
	struct baro_arena *a = open_arena(NULL), *b = open_arena(NULL);
	struct baro_arena_counts before = counts(b), all;
	void *p[64];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		memset(p[i] = baro_arena_alloc(a, 128 * KIB), 1, 128 * KIB);
	assert_in_range(counts(a).allocated_bytes, 8 * MIB, 11 * MIB);
	assert_in_range(counts(a).resident_bytes, 8 * MIB, 12 * MIB);
	assert_true(counts(a).active_bytes >= counts(a).allocated_bytes);
	assert_true(counts(a).mapped_bytes >= counts(a).resident_bytes);
	assert_true(counts(a).extents > 0);
	assert_int_equal(counts(a).misplaced, 0);
	assert_int_equal(counts(b).allocated_bytes, before.allocated_bytes);
	assert_int_equal(counts(b).resident_bytes, before.resident_bytes);
	assert_int_equal(baro_arena_read_all(&all), 0);
	assert_true(all.allocated_bytes >= counts(a).allocated_bytes);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		baro_arena_free(a, p[i]);
	(void)baro_arena_purge(a);
	assert_in_range(counts(a).allocated_bytes, 0, MIB);
	baro_arena_close(b);
	baro_arena_close(a);
}

/* Resident memory of this process; 0 where it is not only ours. */
static uint64_t rss_bytes(void)
{
#ifdef OTHER_MALLOC
	return 0;
#else
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	return (uint64_t)pages * 4096;
#endif
}

static void purging_gives_what_is_free_back_to_the_kernel(void **state)
{
	const struct baro_arena_options keep = { .size = sizeof(keep), .decay_ms = -1 };
	struct baro_arena *a = open_arena(&keep);
	static void *p[64 * 16];
	uint64_t full, freed;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		memset(p[i] = baro_arena_alloc(a, 64 * KIB), 1, 64 * KIB);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		baro_arena_free(a, p[i]);
	/* Free, and kept for the next allocation: it never decays here. */
	full = rss_bytes();
	assert_true(counts(a).resident_bytes >= 60 * MIB);
	assert_true(counts(a).dirty_bytes >= 50 * MIB);
	freed = (uint64_t)baro_arena_purge(a);
	assert_true(freed >= 60 * MIB);
	assert_in_range(counts(a).resident_bytes, 0, 4 * MIB);
	assert_int_equal(counts(a).dirty_bytes, 0);
	assert_true(!full || full - rss_bytes() >= 56 * MIB);
	assert_int_equal(baro_arena_purge(a), 0);
	baro_arena_close(a);
}

static void what_is_free_goes_back_by_itself_when_it_may_not_stay(void **state)
{
	const struct baro_arena_options hurry = { .size = sizeof(hurry), .decay_ms = 1 };
	struct baro_arena *a = open_arena(&hurry);
	uint64_t until_ns = clock_now_ns() + GIVE_UP_NS;
	void *p = baro_arena_alloc(a, 32 * MIB);

	memset(p, 1, 32 * MIB);
	baro_arena_free(a, p);
	/* it is when the arena is used that it looks at the clock */
	while (counts(a).resident_bytes > 8 * MIB) {
		assert_true(clock_now_ns() < until_ns);
		baro_arena_free(a, baro_arena_alloc(a, 64 * KIB));
	}
	baro_arena_close(a);
}

static void closing_or_resetting_frees_everything_at_once(void **state)
{
	uint64_t before = rss_bytes();

	for (int round = 0; round < 3; round++) {
		struct baro_arena *a = open_arena(NULL);

		for (int i = 0; i < 2000; i++)
			memset(baro_arena_alloc(a, 20000), 1, 20000);
		assert_true(!before || rss_bytes() - before >= 30 * MIB);
		if (round == 1) {
			assert_int_equal(baro_arena_reset(a), 0);
			assert_in_range(counts(a).allocated_bytes, 0, MIB);
			(void)baro_arena_purge(a);
			assert_in_range(rss_bytes(), 0, before + 16 * MIB);
			assert_non_null(memset(baro_arena_alloc(a, 100), 1, 100));
		}
		baro_arena_close(a);
		assert_in_range(rss_bytes(), 0, before + 16 * MIB);
	}
}

static void arenas_come_and_go_for_ever(void **state)
{
	for (int i = 0; i < 6000; i++) { /* more than there can be at a time */
		struct baro_arena *a = open_arena(NULL);

		if (i % 100 == 0)
			assert_non_null(baro_arena_alloc(a, 1000));
		baro_arena_close(a);
	}
}

static void there_are_so_many_arenas_and_no_more(void **state)
{
	static struct baro_arena *a[8192];
	size_t n = 0;
	int error = 0;

	while (n < ARRAY_SIZE(a) && (error = baro_arena_open(NULL, &a[n])) == 0)
		n++;
	assert_int_equal(error, -EAGAIN);
	assert_in_range(n, 3000, 4096);
	while (n)
		baro_arena_close(a[--n]);
	baro_arena_close(open_arena(NULL));
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void options_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		struct baro_arena_options o;
		int expected;
	} t[] = {
		{ { .size = 8 }, -EINVAL },
		{ { .size = sizeof(t[0].o), .flags = 32 }, -EINVAL },
		{ { .size = sizeof(t[0].o), .decay_ms = -2 }, -EINVAL },
		{ { .size = sizeof(t[0].o), .flags = BARO_ARENA_UNBOUND | BARO_ARENA_NODE },
		  -EINVAL },
		{ { .size = sizeof(t[0].o), .flags = BARO_ARENA_UNBOUND | BARO_ARENA_STRICT },
		  -EINVAL },
		{ { .size = sizeof(t[0].o), .flags = BARO_ARENA_UNBOUND | BARO_ARENA_PIN },
		  -EINVAL },
		{ { .size = sizeof(t[0].o), .flags = BARO_ARENA_NODE, .node = 1000 }, -ENODEV },
		{ { .size = sizeof(t[0].o), .flags = BARO_ARENA_NODE, .node = UINT32_MAX },
		  -ENODEV },
	};
	struct baro_arena *a = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		if (baro_arena_open(&t[i].o, &a) != t[i].expected)
			fail_msg("options %zu", i);
	assert_null(a);
}

static void an_arena_says_which_node_it_is_on(void **state)
{
	struct baro_arena_options o = { .size = sizeof(o), .flags = BARO_ARENA_NODE };
	struct baro_arena *a;

	a = open_arena(&o);
	assert_true(counts(a).node == 0 || counts(a).node == BARO_ARENA_NO_NODE);
	baro_arena_close(a);
	o.flags = BARO_ARENA_UNBOUND;
	a = open_arena(&o);
	assert_int_equal(counts(a).node, BARO_ARENA_NO_NODE);
	baro_arena_close(a);
}

/* ---- threads and processes ------------------------------------------------------------------- */

#define ROUNDS 20000

/* What one thread allocated, another one frees. */
static void *mailbox[64];

static void *allocate_and_post(void *arg)
{
	struct baro_arena *a = open_arena(NULL);
	unsigned int seed = (unsigned int)(uintptr_t)&a;

	for (int i = 0; i < ROUNDS; i++) {
		size_t bytes = 16 + (size_t)rand_r(&seed) % 2000;
		uint64_t *p = baro_arena_alloc(a, bytes), *old;

		must(p != NULL);
		p[0] = bytes;
		memset(p + 1, (int)bytes, bytes - 8);
		old = __atomic_exchange_n(&mailbox[rand_r(&seed) % 64], p, __ATOMIC_ACQ_REL);
		if (!old)
			continue;
		for (size_t k = 8; k < old[0]; k++)
			must(((unsigned char *)old)[k] == (unsigned char)old[0]);
		baro_arena_free_any(old);
		if (i % 1000 == 0)
			must(baro_arena_purge(a) >= 0);
	}
	/* closed by the test, when nobody has anything of it any more */
	return a;
}

static void what_one_thread_allocates_another_may_free(void **state)
{
	struct baro_arena *a[4];
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, allocate_and_post, NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(thread[i], (void **)&a[i]), 0);
	for (int i = 0; i < 64; i++) {
		baro_arena_free_any(mailbox[i]);
		mailbox[i] = NULL;
	}
	for (int i = 0; i < 4; i++) {
		assert_in_range(counts(a[i]).allocated_bytes, 0, MIB); /* its owner's cache */
		baro_arena_close(a[i]);
	}
}

static void *share(void *arg)
{
	void *mine[16] = { NULL };

	for (int i = 0; i < ROUNDS; i++) {
		int k = i % 16;

		baro_arena_free(arg, mine[k]);
		mine[k] = baro_arena_alloc(arg, 100 + (size_t)k * 300);
		must(mine[k] != NULL);
		memset(mine[k], k, 100);
	}
	for (int k = 0; k < 16; k++)
		baro_arena_free(arg, mine[k]);
	return NULL;
}

static void a_shared_arena_takes_all_threads(void **state)
{
	const struct baro_arena_options o = { .size = sizeof(o), .flags = BARO_ARENA_SHARED };
	void *(*const bodies[])(void *) = { share, share, share };
	struct baro_arena *a = open_arena(&o);

	run_together(bodies, ARRAY_SIZE(bodies), a);
	assert_int_equal(counts(a).allocated_bytes, 0);
	baro_arena_close(a);
}

static void a_child_has_its_own_copy(void **state)
{
#ifndef FEW_LOCKS
	struct baro_arena *a = open_arena(NULL);
	int *p = baro_arena_alloc(a, sizeof(*p)), status;
	pid_t pid;

	*p = 5;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		void *q = baro_arena_alloc(a, MIB);

		*p = 6;
		baro_arena_free(a, q);
		_exit(q ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(*p, 5);
	baro_arena_close(a);
#endif
}

/* ---- metrics --------------------------------------------------------------------------------- */

static void its_metrics_are_documented_and_say_what_is_so(void **state)
{
	FILE *f = doc_section("docs/metrics.md", "Arenas");
	struct baro_arena *a = open_arena(NULL);
	struct baro_metrics *m = NULL;
	char text[8192], line[512], name[64], kind[16], where[16], meaning[128], expected[256];
	unsigned int rows = 0, samples = 0;
	size_t bytes;

	assert_int_equal(baro_metrics_new(&m), 0);
	assert_int_equal(baro_arena_add_metrics(a, m, "sort"), 0);
	assert_int_equal(baro_arena_add_metrics(a, m, "sort"), -EEXIST);
	memset(baro_arena_alloc(a, 3 * MIB), 1, 3 * MIB);
	assert_int_equal(baro_metrics_format(m, text, sizeof(text), &bytes), 0);
	while (doc_next_line(f, line, sizeof(line))) {
		if (sscanf(line, "| %63[a-z0-9_] | %15[a-z] | %15[a-z] | %127[^|] |", name, kind,
			   where, meaning) != 4 ||
		    !strcmp(name, "metric"))
			continue;
		meaning[strlen(meaning) - 1] = '\0';
		snprintf(expected, sizeof(expected), "# HELP %s %s\n# TYPE %s %s\n", name, meaning,
			 name, kind);
		if (!strstr(text, expected))
			fail_msg("no \"%s\" in %s", expected, text);
		rows++;
	}
	(void)fclose(f);
	for (const char *p = text; (p = strstr(p, "{name=\"sort\"}")); p++)
		samples++;
	assert_int_equal(rows, samples);
	assert_true(strstr(text, "baro_arena_allocated_bytes{name=\"sort\"} 3") != NULL);
	assert_true(strstr(text, "baro_arena_misplaced_total{name=\"sort\"} 0\n") != NULL);
	assert_int_equal(baro_metrics_remove(m, a), samples);
	baro_metrics_free(m);
	baro_arena_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_program_s_malloc_is_not_the_arenas),
		cmocka_unit_test(the_program_s_malloc_is_libc_s),
		cmocka_unit_test(memory_is_what_was_asked_for),
		cmocka_unit_test(each_arena_counts_its_own),
		cmocka_unit_test(purging_gives_what_is_free_back_to_the_kernel),
		cmocka_unit_test(what_is_free_goes_back_by_itself_when_it_may_not_stay),
		cmocka_unit_test(closing_or_resetting_frees_everything_at_once),
		cmocka_unit_test(arenas_come_and_go_for_ever),
		cmocka_unit_test(there_are_so_many_arenas_and_no_more),
		cmocka_unit_test(options_that_make_no_sense_are_refused),
		cmocka_unit_test(an_arena_says_which_node_it_is_on),
		cmocka_unit_test(what_one_thread_allocates_another_may_free),
		cmocka_unit_test(a_shared_arena_takes_all_threads),
		cmocka_unit_test(a_child_has_its_own_copy),
		cmocka_unit_test(its_metrics_are_documented_and_say_what_is_so),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
