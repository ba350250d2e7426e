/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector search over a file that is larger than what there is for it.
 *
 * A list that a search looks into is mapped, and when it is looked into again soon it is copied into
 * a cache of the engine's own. Both are registries, whose cold lists go when their pool of the
 * budget is full, or when memory is asked back: then searches are slower, and find the same.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <barostat/pool.h>
#include <barostat/registry.h>

#include "bench/mixed/mixed.h"
#include "bench/mixed/vector_index.h"

#define FOLLOW_PPM  750000 /* of the budget for the pools: the rest is heap, code, the kernel's */
#define HOT_PART    3 /* a third of the lists ... */
#define HOT_PERCENT 90 /* ... is meant by so many of the queries */
#define TRUTH_EVERY 8
#define CACHE_HITS  2 /* gets of a mapped list that bring it into the cache */

struct vector {
	struct engine *engine;
	int fd;
	uint32_t lists;
	uint64_t seed;
	float *centres;
	struct truth truth[TRUTHS];
	struct baro_registry *mapped, *cached;
	struct baro_pools *pools; /* NULL: not managed */
	uint64_t cache_fixed_bytes; /* then */
	uint64_t evictions; /* of the cache, for the pools */
	uint64_t *mapped_id, *cached_id; /* by list */
	_Atomic uint8_t *hits;
	uint64_t searches, scans_cached, scans_mapped, checked, wrong, true_found;
};

/* ---- lists come and go ----------------------------------------------------------------------- */

/* Exactly its own pages are read, with one request, and none around them. */
static int map_list(void *arg, const struct baro_index *index, void **ret_object,
		    uint64_t *ret_bytes)
{
	const struct vector *v = arg;
	off_t at = (off_t)(index->tag * LIST_BYTES);
	void *p = mmap(NULL, LIST_BYTES, PROT_READ, MAP_SHARED, v->fd, at);

	if (p == MAP_FAILED)
		return -errno;
	posix_fadvise(v->fd, at, LIST_BYTES, POSIX_FADV_WILLNEED);
	madvise(p, LIST_BYTES, MADV_RANDOM);
	madvise(p, LIST_BYTES, MADV_POPULATE_READ);
	*ret_object = p;
	return 0;
}

/*
 * What is unmapped for want of room stays cached until the kernel needs the page: it may be wanted
 * again soon, and that it is, the kernel then sees. What is asked back, or copied, goes now.
 */
static _Thread_local bool drop_pages;

static void unmap_list(void *arg, const struct baro_index *index, void *object)
{
	const struct vector *v = arg;

	munmap(object, LIST_BYTES);
	if (drop_pages)
		posix_fadvise(v->fd, (off_t)(index->tag * LIST_BYTES), LIST_BYTES,
			      POSIX_FADV_DONTNEED);
}

/* The mapped list goes, so that it is not in memory twice. */
static int copy_list(void *arg, const struct baro_index *index, void **ret_object,
		     uint64_t *ret_bytes)
{
	struct vector *v = arg;
	struct baro_pin pin;
	void *p;
	int r = baro_registry_get(v->mapped, v->mapped_id[index->tag], clock_now_ns(), &pin);

	if (r < 0)
		return r;
	p = mmap(NULL, LIST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		memcpy(p, pin.object, LIST_BYTES);
	baro_pin_release(&pin);
	if (p == MAP_FAILED)
		return -ENOMEM;
	drop_pages = true;
	baro_registry_unload(v->mapped, v->mapped_id[index->tag], NULL);
	drop_pages = false;
	*ret_object = p;
	return 0;
}

static void drop_list(void *arg, const struct baro_index *index, void *object)
{
	struct vector *v = arg;

	v->hits[index->tag] = 0;
	__atomic_add_fetch(&v->evictions, 1, __ATOMIC_RELAXED);
	munmap(object, LIST_BYTES);
}

static struct baro_registry *open_lists(struct vector *v, uint64_t *ret_id, const char *what,
					int (*load)(void *, const struct baro_index *, void **,
						    uint64_t *),
					void (*unload)(void *, const struct baro_index *, void *))
{
	const struct baro_registry_options options = {
		.size = sizeof(options), .load = load, .unload = unload, .arg = v
	};
	struct baro_registry *registry;

	must(baro_registry_open(&options, &registry), what);
	for (uint32_t i = 0; i < v->lists; i++) {
		char name[32];
		const struct baro_index_spec spec = { .name = name, .bytes = LIST_BYTES, .tag = i };

		snprintf(name, sizeof(name), "%s/%" PRIu32, what, i);
		must(baro_registry_add(registry, &spec, &ret_id[i]), name);
	}
	return registry;
}

static uint64_t loaded_bytes(struct baro_registry *registry)
{
	struct baro_registry_counts counts;

	baro_registry_count(registry, &counts);
	return counts.loaded_bytes;
}

/* ---- what it may use ------------------------------------------------------------------------- */

static uint64_t cache_budget(const struct vector *v)
{
	return v->pools ? baro_pools_budget(v->pools, BARO_POOL_CACHE) : v->cache_fixed_bytes;
}

static uint64_t mapped_budget(const struct vector *v)
{
	return v->pools ? baro_pools_budget(v->pools, BARO_POOL_MMAP) : BARO_PAGE_NONE;
}

/* Down to its budget, with room for one list more. */
static void trim(struct baro_registry *registry, uint64_t budget_bytes, uint64_t room_bytes)
{
	uint64_t used = loaded_bytes(registry) + room_bytes;

	if (used > budget_bytes)
		baro_registry_unload_cold(registry, used - budget_bytes, NULL);
}

static void vector_apply(void *self, const struct baro_pressure *now, uint64_t now_ns)
{
	struct vector *v = self;
	const struct baro_pool_usage usage[] = {
		[BARO_POOL_CACHE] = { loaded_bytes(v->cached),
				      __atomic_load_n(&v->evictions, __ATOMIC_RELAXED) },
		[BARO_POOL_MMAP] = { loaded_bytes(v->mapped), 0 },
	};
	struct baro_pools_action action;

	baro_pools_tick(v->pools, now_ns, usage, now, &action);
	if (action.verb == BARO_POOLS_RELEASE)
		baro_registry_unload_cold(v->mapped, action.release_bytes, NULL);
	trim(v->cached, cache_budget(v), 0);
	trim(v->mapped, mapped_budget(v), 0);
	baro_client_set_accounted(v->engine->client, loaded_bytes(v->cached));
}

static uint64_t cached_bytes(void *self)
{
	return loaded_bytes(((struct vector *)self)->cached);
}

static uint64_t mapped_bytes(void *self)
{
	return loaded_bytes(((struct vector *)self)->mapped);
}

static int64_t unload(struct baro_registry *registry, uint64_t bytes)
{
	uint64_t freed = 0;

	drop_pages = true;
	baro_registry_unload_cold(registry, bytes, &freed);
	drop_pages = false;
	return (int64_t)freed;
}

static int64_t release_cached(void *self, uint64_t bytes, uint64_t deadline_ns)
{
	return unload(((struct vector *)self)->cached, bytes);
}

static int64_t release_mapped(void *self, uint64_t bytes, uint64_t deadline_ns)
{
	return unload(((struct vector *)self)->mapped, bytes);
}

/* ---- searching ------------------------------------------------------------------------------- */

static bool pin_cached(struct vector *v, uint32_t list, uint64_t now_ns, struct baro_pin *ret_pin)
{
	if (baro_registry_get_loaded(v->cached, v->cached_id[list], now_ns, ret_pin) == 0)
		return true;
	if (v->hits[list] < CACHE_HITS || cache_budget(v) < LIST_BYTES)
		return false;
	trim(v->cached, cache_budget(v), LIST_BYTES);
	return baro_registry_get(v->cached, v->cached_id[list], now_ns, ret_pin) == 0;
}

static void scan(struct vector *v, uint32_t list, const float *query, struct nearest *best)
{
	uint64_t now_ns = clock_now_ns();
	struct baro_pin pin;

	if (pin_cached(v, list, now_ns, &pin)) {
		v->scans_cached++;
	} else {
		trim(v->mapped, mapped_budget(v), LIST_BYTES);
		must(baro_registry_get(v->mapped, v->mapped_id[list], now_ns, &pin), "map");
		if (v->hits[list] < CACHE_HITS)
			v->hits[list]++;
		v->scans_mapped++;
	}
	index_scan(pin.object, list * LIST_VECTORS, query, best);
	baro_pin_release(&pin);
}

static void search(struct vector *v, const float *query, struct nearest *ret_best)
{
	uint32_t list[PROBES];

	ret_best->count = 0;
	index_probe(v->centres, v->lists, query, list);
	for (int i = 0; i < PROBES; i++)
		scan(v, list[i], query, ret_best);
	v->searches++;
}

/* The same lists must give the same, and as much of the truth as they have. */
static void check(struct vector *v, const struct truth *t, const struct nearest *best)
{
	bool wrong = best->count != NEIGHBOURS;

	for (uint32_t i = 0; i < best->count; i++) {
		wrong |= best->of[i].id != t->found_id[i];
		for (int k = 0; k < NEIGHBOURS; k++)
			v->true_found += best->of[i].id == t->true_id[k];
	}
	v->checked++;
	v->wrong += wrong;
}

static uint32_t pick_list(const struct vector *v, uint64_t *random)
{
	uint64_t r = next_random(random);
	uint32_t hot = v->lists / HOT_PART + 1;

	return (uint32_t)(r % 100 < HOT_PERCENT ? (r >> 32) % hot : (r >> 32) % v->lists);
}

static void work(struct vector *v)
{
	uint64_t random = 7, turn = 0, begin_ns;
	struct nearest best;
	float query[DIMENSIONS];

	do {
		const struct truth *t = NULL;

		if (turn++ % TRUTH_EVERY == 0)
			t = &v->truth[turn / TRUTH_EVERY % TRUTHS];
		else
			index_query(v->seed, pick_list(v, &random), &random, query);
		begin_ns = clock_now_ns();
		search(v, t ? t->query : query, &best);
		if (t)
			check(v, t, &best);
	} while (!engine_step(v->engine, clock_now_ns() - begin_ns));
}

/* What a search of unlimited memory finds of the truth. */
static double recall_reference(const struct vector *v)
{
	uint64_t both = 0;

	for (int i = 0; i < TRUTHS; i++)
		for (int k = 0; k < NEIGHBOURS; k++)
			for (int m = 0; m < NEIGHBOURS; m++)
				both += v->truth[i].found_id[k] == v->truth[i].true_id[m];
	return (double)both / (TRUTHS * NEIGHBOURS);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void open_index(struct vector *v, const char *path)
{
	struct index_header h;
	char name[4096];
	FILE *in;

	snprintf(name, sizeof(name), "%s.truth", path);
	in = fopen(name, "re");
	if (!in || fread(&h, sizeof(h), 1, in) != 1 ||
	    fread(v->truth, sizeof(v->truth), 1, in) != 1)
		errx(1, "%s: not there, or too short", name);
	fclose(in);
	v->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (v->fd < 0)
		err(1, "%s", path);
	v->lists = (uint32_t)h.lists;
	v->seed = h.seed;
	v->centres = calloc(h.lists, VECTOR_BYTES);
	v->mapped_id = calloc(h.lists, sizeof(*v->mapped_id));
	v->cached_id = calloc(h.lists, sizeof(*v->cached_id));
	v->hits = calloc(h.lists, 1);
	if (!v->centres || !v->mapped_id || !v->cached_id || !v->hits)
		errx(1, "out of memory");
	for (uint32_t i = 0; i < v->lists; i++)
		index_centre(v->seed, i, v->centres + (size_t)i * DIMENSIONS);
}

static void report(struct vector *v, FILE *out)
{
	double recall = v->checked ? (double)v->true_found / ((double)v->checked * NEIGHBOURS) : 0;

	fprintf(out, "{");
	engine_report(v->engine, out);
	fprintf(out,
		",\"right\":%s,\"checked\":%" PRIu64 ",\"wrong\":%" PRIu64
		",\"recall\":%.4f,\"recall_reference\":%.4f,\"scans_cached\":%" PRIu64
		",\"scans_mapped\":%" PRIu64 ",\"index_bytes\":%" PRIu64 "}\n",
		v->checked && !v->wrong ? "true" : "false", v->checked, v->wrong, recall,
		recall_reference(v), v->scans_cached, v->scans_mapped,
		(uint64_t)v->lists * LIST_BYTES);
}

int vector_run(struct engine *e, FILE *out)
{
	static struct vector v;
	struct baro_pools_options pools = { .size = sizeof(pools),
					    .budget_bytes = e->ceiling_bytes / 8,
					    .follow_ppm = FOLLOW_PPM };

	v.engine = e;
	v.cache_fixed_bytes = e->ceiling_bytes * 4 / 10;
	e->self = &v;
	e->apply = vector_apply;
	open_index(&v, e->path);
	v.mapped = open_lists(&v, v.mapped_id, "mapped", map_list, unmap_list);
	v.cached = open_lists(&v, v.cached_id, "cached", copy_list, drop_list);
	if (e->managed)
		must(baro_pools_open(&pools, &v.pools), "pools");
	engine_open(e);
	engine_want(e, e->ceiling_bytes * 7 / 10);
	engine_relief(e, "mapped", 10, BARO_LEVEL_WARNING, 0, mapped_bytes, release_mapped);
	engine_relief(e, "cache", 20, BARO_LEVEL_CRITICAL, 0, cached_bytes, release_cached);
	engine_begin(e);
	work(&v);
	engine_end(e);
	report(&v, out);
	engine_close(e);
	must(baro_registry_close(v.cached), "cache");
	must(baro_registry_close(v.mapped), "maps");
	baro_pools_close(v.pools);
	return !v.checked || v.wrong;
}
