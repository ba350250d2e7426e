// SPDX-License-Identifier: BSD-2-Clause
/*
 * What memtable sizing, pools and the registry cost, beside the algorithms they replace, which are
 * written anew in seed_tables.h. See rounds.h for how it is measured.
 *
 *	build/bench/lib_tables [--json] [--rounds N]
 *
 * Exit status 1 when a figure is missed.
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/rounds.h"
#include "bench/seed_tables.h"
#include "include/barostat/memtable.h"
#include "include/barostat/page.h"
#include "include/barostat/pool.h"
#include "include/barostat/registry.h"

#define MANY      100000u
#define ADDED     10000u /* registered in one sample */
#define FEW       100u
#define HOT_NAME  "tenant-00042/orders/index-000042"
#define NAME_SIZE 48

static struct {
	struct baro_memtable *table;
	_Alignas(64) struct baro_slot slot; /* as on a pressure page: level warning */
	struct baro_slot_ref ref;
	uint64_t now_ns;
	struct seed_sizer sizer;

	struct baro_registry *many, *few;
	uint64_t hot; /* loaded, among the many */
	struct seed_registry seed_many, seed_few;

	char (*name)[NAME_SIZE]; /* [ADDED], to be registered */
	struct baro_registry *fresh;
	struct seed_registry seed_fresh;

	struct baro_pools *pools;
	struct seed_pools seed_pools;
} b;

/* ---- rows ------------------------------------------------------------------------------------ */

static __attribute__((noinline)) void call_nothing(struct baro_memtable *table, uint64_t bytes)
{
	__asm__ volatile("" ::"r"(table), "r"(bytes));
}

static void run_nothing(unsigned int n)
{
	struct baro_memtable *table = b.table;

	ROUNDS_LOOP(n, call_nothing(table, 100));
}

static void run_record(unsigned int n)
{
	struct baro_memtable *table = b.table;

	ROUNDS_LOOP(n, baro_memtable_record_write(table, 100));
}

static void run_seed_record(unsigned int n)
{
	ROUNDS_LOOP(n, seed_record_write(&b.sizer, 100));
}

static void run_should_flush(unsigned int n)
{
	const struct baro_memtable *table = b.table;
	unsigned int sink = 0;

	ROUNDS_LOOP(n, sink |= baro_memtable_should_flush(table, i_));
	__asm__ volatile("" ::"r"(sink));
}

static void run_seed_should_flush(unsigned int n)
{
	unsigned int sink = 0;

	ROUNDS_LOOP(n, sink |= seed_should_flush(&b.sizer, i_));
	__asm__ volatile("" ::"r"(sink));
}

/* Something was written since the last one, and time has passed: nothing is saved. */
static void run_update(unsigned int n)
{
	struct baro_pressure pressure;

	for (unsigned int i = 0; i < n; i++) {
		baro_memtable_record_write(b.table, 100);
		b.now_ns += 100000000;
		if (baro_page_read(&b.ref, &pressure) == 0)
			baro_memtable_update(b.table, b.now_ns, &pressure);
	}
}

static void run_seed_update(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		seed_record_write(&b.sizer, 100);
		seed_update(&b.sizer, seed_pressure());
	}
}

static void run_seed_update_blind(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		seed_record_write(&b.sizer, 100);
		seed_update(&b.sizer, 0);
	}
}

static void use_pinned(struct baro_pin *pin)
{
	__asm__ volatile("" ::"r"(pin->object) : "memory");
	baro_pin_release(pin);
}

static void run_get(unsigned int n)
{
	struct baro_registry *many = b.many;
	uint64_t hot = b.hot;
	struct baro_pin pin;

	ROUNDS_LOOP(n, if (baro_registry_get(many, hot, i_, &pin) == 0) use_pinned(&pin));
}

static void run_get_named(unsigned int n)
{
	struct baro_pin pin;

	ROUNDS_LOOP(n,
		    if (baro_registry_get_named(b.many, HOT_NAME, i_, &pin) == 0) use_pinned(&pin));
}

static void run_seed_get(unsigned int n)
{
	ROUNDS_LOOP(n, __asm__ volatile("" ::"r"(seed_get(&b.seed_many, HOT_NAME))));
}

static struct baro_registry *open_registry(unsigned int n, uint64_t *ret_name_bytes);

/* Into an empty one: the run before the sample, of a tenth, makes it and does not count. */
static void run_add(unsigned int n)
{
	struct baro_index_spec spec = { .bytes = 1 << 20 };
	uint64_t names;

	if (n < ADDED) {
		baro_registry_close(b.fresh);
		b.fresh = open_registry(0, &names);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		spec.name = b.name[i];
		if (baro_registry_add(b.fresh, &spec, NULL) < 0)
			abort();
	}
}

static void run_seed_add(unsigned int n)
{
	if (n < ADDED) {
		seed_close(&b.seed_fresh);
		seed_open(&b.seed_fresh, 16);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		if (!seed_register(&b.seed_fresh, b.name[i]))
			abort();
}

static void run_count(unsigned int n)
{
	struct baro_registry_counts counts;

	ROUNDS_LOOP(n, baro_registry_count(b.many, &counts));
}

static void run_count_few(unsigned int n)
{
	struct baro_registry_counts counts;

	ROUNDS_LOOP(n, baro_registry_count(b.few, &counts));
}

static void run_seed_count(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		__asm__ volatile("" ::"r"(seed_loaded_count(&b.seed_many)));
}

static void run_tick(unsigned int n)
{
	/* the mapped pool above 80 % of what it has: something is looked for, and nothing moves */
	const struct baro_pool_usage usage[] = { { 300u << 20, 0 }, { 790u << 20, 0 } };
	struct baro_pressure pressure;
	struct baro_pools_action act;

	for (unsigned int i = 0; i < n; i++) {
		b.now_ns += 5000000000u;
		if (baro_page_read(&b.ref, &pressure) == 0)
			baro_pools_tick(b.pools, b.now_ns, usage, &pressure, &act);
	}
}

static void run_seed_tick(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		seed_tick(&b.seed_pools);
}

enum row {
	NOTHING,
	RECORD,
	RECORD_2,
	RECORD_4,
	SEED_RECORD,
	SEED_RECORD_2,
	SEED_RECORD_4,
	FLUSH,
	SEED_FLUSH,
	UPDATE,
	SEED_UPDATE,
	SEED_BLIND,
	GET,
	GET_2,
	NAMED,
	NAMED_2,
	SEED_GET,
	SEED_GET_2,
	ADD,
	SEED_ADD,
	COUNT,
	COUNT_FEW,
	SEED_COUNT,
	POOL_TICK,
	SEED_TICK,
	ROWS,
};

static struct rounds_row rows[ROWS] = {
	[NOTHING] = { "call", "a call that does nothing, for comparison", run_nothing, 200000, 1,
		      NULL },
	[RECORD] = { "record_write", "memtable: a write is counted", run_record, 200000, 1, NULL },
	[RECORD_2] = { "record_write_2", "by two threads at once", run_record, 200000, 2, NULL },
	[RECORD_4] = { "record_write_4", "by four", run_record, 200000, 4, NULL },
	[SEED_RECORD] = { "seed_record_write", "one shared atomic counter", run_seed_record, 200000,
			  1, NULL },
	[SEED_RECORD_2] = { "seed_record_write_2", "by two threads at once", run_seed_record,
			    200000, 2, NULL },
	[SEED_RECORD_4] = { "seed_record_write_4", "by four", run_seed_record, 200000, 4, NULL },
	[FLUSH] = { "should_flush", "memtable: should it be flushed", run_should_flush, 1000000, 1,
		    NULL },
	[SEED_FLUSH] = { "seed_should_flush", "the same", run_seed_should_flush, 1000000, 1, NULL },
	[UPDATE] = { "update", "sizer: page read, rate, target, with a write before it", run_update,
		     50000, 1, NULL },
	[SEED_UPDATE] = { "seed_update", "the same with /proc/meminfo", run_seed_update, 500, 1,
			  NULL },
	[SEED_BLIND] = { "seed_update_blind", "the same without pressure", run_seed_update_blind,
			 50000, 1, NULL },
	[GET] = { "get_release", "registry of 100000: a loaded index by id", run_get, 100000, 1,
		  NULL },
	[GET_2] = { "get_release_2", "the same one by two threads at once", run_get, 100000, 2,
		    NULL },
	[NAMED] = { "get_named", "by name", run_get_named, 100000, 1, NULL },
	[NAMED_2] = { "get_named_2", "by two threads at once", run_get_named, 100000, 2, NULL },
	[SEED_GET] = { "seed_get", "by name, under the lock", run_seed_get, 100000, 1, NULL },
	[SEED_GET_2] = { "seed_get_2", "by two threads at once", run_seed_get, 100000, 2, NULL },
	[ADD] = { "add", "one of 10000 is registered", run_add, ADDED, 1, NULL },
	[SEED_ADD] = { "seed_add", "the same, an allocation each", run_seed_add, ADDED, 1, NULL },
	[COUNT] = { "count", "all counts, of 100000", run_count, 50000, 1, NULL },
	[COUNT_FEW] = { "count_few", "all counts, of 100", run_count_few, 50000, 1, NULL },
	[SEED_COUNT] = { "seed_count", "loaded ones of 100000, counted", run_seed_count, 3, 1,
			 NULL },
	[POOL_TICK] = { "pool_tick", "two pools, with the page read", run_tick, 50000, 1, NULL },
	[SEED_TICK] = { "seed_tick", "two pools, 100 indexes summed up", run_seed_tick, 20000, 1,
			NULL },
};

/* ---- what is measured ------------------------------------------------------------------------ */

static int load(void *arg, const struct baro_index *index, void **ret_object, uint64_t *ret_bytes)
{
	(void)arg;
	(void)index;
	*ret_object = &b;
	*ret_bytes = 1 << 20;
	return 0;
}

static void unload(void *arg, const struct baro_index *index, void *object)
{
	(void)arg;
	(void)index;
	(void)object;
}

static size_t name_of(unsigned int i, char *buf)
{
	return (size_t)snprintf(buf, NAME_SIZE, "tenant-%05u/orders/index-%06u", i % 1000, i);
}

static struct baro_registry *open_registry(unsigned int n, uint64_t *ret_name_bytes)
{
	const struct baro_registry_options options = { .size = sizeof(options),
						       .load = load,
						       .unload = unload };
	struct baro_registry *r;

	if (baro_registry_open(&options, &r) < 0)
		abort();
	*ret_name_bytes = 0;
	for (unsigned int i = 0; i < n; i++) {
		char name[NAME_SIZE];
		const struct baro_index_spec spec = { .name = name, .bytes = 1 << 20 };

		*ret_name_bytes += name_of(i, name);
		if (baro_registry_add(r, &spec, NULL) < 0)
			abort();
	}
	return r;
}

static uint64_t resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		abort();
	(void)fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* In a process of its own, where nothing was freed before. */
static double bytes_per_index(void)
{
	double bytes = -1;
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		uint64_t before = resident_bytes(), names;

		(void)open_registry(MANY, &names);
		bytes = ((double)(resident_bytes() - before) - (double)names) / MANY;
		_exit(write(ends[1], &bytes, sizeof(bytes)) != sizeof(bytes));
	}
	if (pid < 0 || read(ends[0], &bytes, sizeof(bytes)) != sizeof(bytes) ||
	    waitpid(pid, &status, 0) != pid)
		abort();
	close(ends[0]);
	close(ends[1]);
	return bytes;
}

static void set_up(void)
{
	const struct baro_pools_options pools = { .size = sizeof(pools),
						  .budget_bytes = UINT64_C(1000) << 20 };
	uint64_t names;
	struct baro_pin pin;

	b.slot.pressure.status = BARO_LEVEL_WARNING | BARO_SLOT_ACTIVE << 8 | UINT64_C(1) << 32;
	b.slot.pressure.score_ppm = 720000;
	b.ref = (struct baro_slot_ref){ &b.slot, 1, 0 };
	if (baro_memtable_open(NULL, NULL, &b.table) < 0 || baro_pools_open(&pools, &b.pools) < 0)
		abort();
	b.many = open_registry(MANY, &names);
	b.few = open_registry(FEW, &names);
	if (baro_registry_find(b.many, HOT_NAME, &b.hot) < 0 ||
	    baro_registry_get(b.many, b.hot, 1, &pin) < 0)
		abort();
	baro_pin_release(&pin);
	b.name = calloc(ADDED, sizeof(*b.name));
	if (!b.name)
		abort();
	for (unsigned int i = 0; i < ADDED; i++)
		name_of(i, b.name[i]);
	seed_open(&b.seed_fresh, 16);
	seed_open(&b.seed_many, MANY);
	seed_open(&b.seed_few, FEW);
	for (unsigned int i = 0; i < MANY; i++) {
		char name[NAME_SIZE];

		name_of(i, name);
		seed_add(&b.seed_many, name, i % 10 == 2);
		if (i < FEW)
			seed_add(&b.seed_few, name, true);
	}
	b.seed_pools = (struct seed_pools){ .registry = &b.seed_few,
					    .budget = UINT64_C(1000) << 20,
					    .cache_ratio = 0.4 };
	pthread_mutex_init(&b.seed_pools.lock, NULL);
}

static void tear_down(void)
{
	baro_memtable_close(b.table);
	baro_pools_close(b.pools);
	baro_registry_close(b.many);
	baro_registry_close(b.few);
	baro_registry_close(b.fresh);
	seed_close(&b.seed_fresh);
	free(b.name);
	seed_close(&b.seed_many);
	seed_close(&b.seed_few);
}

int main(int argc, char **argv)
{
	struct rounds r = {
		.name = "lib_tables", .row = rows, .rows = ROWS, .rounds = ROUNDS_DEFAULT
	};
	double per_index;
	int status;

	if (rounds_parse(argc, argv, &r) < 0) {
		fprintf(stderr, "usage: lib_tables [--json] [--rounds N]\n");
		return 2;
	}
	per_index = bytes_per_index();
	set_up();
	rounds_measure(&r);
	const struct rounds_figure figures[] = {
		{ "record_write, ns", rounds_median_ns(&r, RECORD), 2 },
		{ "record_write, two threads to one",
		  rounds_median_ns(&r, RECORD_2) / rounds_median_ns(&r, RECORD), 1.3 },
		{ "record_write, four threads, times the seed's",
		  rounds_median_ns(&r, RECORD_4) / rounds_median_ns(&r, SEED_RECORD_4), 1 },
		{ "should_flush, ns", rounds_median_ns(&r, FLUSH), 0.5 },
		{ "sizer update with real pressure, ns", rounds_median_ns(&r, UPDATE), 60 },
		{ "registry get and release, ns", rounds_median_ns(&r, GET), 30 },
		{ "registry get and release by name, times the seed's get",
		  rounds_median_ns(&r, NAMED) / rounds_median_ns(&r, SEED_GET), 1 },
		{ "registry get and release, two threads to one",
		  rounds_median_ns(&r, GET_2) / rounds_median_ns(&r, GET), 1.5 },
		{ "counts of 100000 indexes, times those of 100",
		  rounds_median_ns(&r, COUNT) / rounds_median_ns(&r, COUNT_FEW), 1.5 },
		{ "registering an index, times the seed's",
		  rounds_median_ns(&r, ADD) / rounds_median_ns(&r, SEED_ADD), 1 },
		{ "memory of one of 100000 indexes beyond its name, bytes", per_index, 100 },
		{ "pool tick, times the seed's",
		  rounds_median_ns(&r, POOL_TICK) / rounds_median_ns(&r, SEED_TICK), 1 },
	};
	status = rounds_report(&r, figures, sizeof(figures) / sizeof(figures[0]));
	tear_down();
	return status;
}
