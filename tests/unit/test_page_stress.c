// SPDX-License-Identifier: BSD-2-Clause
/*
 * One writer and several readers on the same slots, as fast as they can. Every value of a record
 * follows from one number, so a copy that mixes two writes is found out. Readers look through the
 * writer's own mapping, because the thread sanitizer knows memory by its address, and through a
 * mapping of their own, as engines do.
 */
#include "tests/unit/page_support.h"

#include <pthread.h>

#define SLOTS      3
#define READERS    3
#define WRITES_MIN 300000u
#define READS_MIN  50000u
#define QUIET                                                                                      \
	64 /* rounds between two commits: a commit with its system call leaves readers alone */
#define GIVE_UP_NS (60 * NS_PER_S)

struct stress {
	const struct baro_page *page;
	const struct baro_slot *slots; /* where this reader looks */
	_Atomic bool *done;
	_Atomic uint64_t *reads; /* good ones, of all readers */
	uint64_t torn, again;
	pthread_t thread;
};

static uint64_t value_of(uint64_t k, unsigned int field)
{
	return (k + 1) * 0x9e3779b97f4a7c15u + field;
}

static void fill(struct page_slot_values *v, uint64_t k)
{
	uint64_t *last = &v->evictions_per_s;

	memset(v, 0, sizeof(*v));
	v->state = k % 2 ? BARO_SLOT_ACTIVE : BARO_SLOT_MANUAL;
	v->level = (enum baro_level)(1 + k % 4);
	v->score_ppm = (uint32_t)value_of(k, 1);
	v->stall_avg_ppm = (uint32_t)value_of(k, 2);
	v->budget_bytes = k;
	v->target_bytes = value_of(k, 3);
	v->headroom_bytes = value_of(k, 4);
	v->velocity_bytes_per_s = (int64_t)value_of(k, 5);
	v->anon_bytes = value_of(k, 6);
	v->oom_kills = value_of(k, 7);
	v->stall_ns_per_s[3] = value_of(k, 8);
	*last = value_of(k, 9);
}

static bool pressure_is_whole(const struct baro_pressure *p)
{
	uint64_t k = p->budget_bytes;

	return BARO_STATUS_LEVEL(p->status) == 1 + k % 4 &&
	       BARO_STATUS_STATE(p->status) == (k % 2 ? BARO_SLOT_ACTIVE : BARO_SLOT_MANUAL) &&
	       p->score_ppm == (uint32_t)value_of(k, 1) &&
	       p->stall_avg_ppm == (uint32_t)value_of(k, 2) && p->updated_ns == k &&
	       p->target_bytes == value_of(k, 3) && p->headroom_bytes == value_of(k, 4) &&
	       p->velocity_bytes_per_s == value_of(k, 5) && !(p->seq & 1);
}

static bool slot_is_whole(const struct baro_slot *s)
{
	uint64_t k = s->pressure.budget_bytes;

	return pressure_is_whole(&s->pressure) && s->anon_bytes == value_of(k, 6) &&
	       s->oom_kills == value_of(k, 7) && s->stall_ns_per_s[3] == value_of(k, 8) &&
	       s->evictions_per_s == value_of(k, 9) && !strncmp(s->name, "engine", 6);
}

static bool header_is_whole(const struct baro_page_header *h)
{
	uint64_t k = h->ceiling_bytes;

	return !h->ticks || (h->usage_bytes == value_of(k, 1) && h->published_ns == k + 1 &&
			     h->dropped_events == value_of(k, 2) &&
			     h->score_ppm == (uint32_t)value_of(k, 3) && !(h->seq & 1));
}

/* One look at everything; -EAGAIN is legal (the writer may be off the CPU), a mixture is not. */
static void read_once(struct stress *me, uint32_t i)
{
	struct baro_slot_ref ref = { &me->slots[i], 1, i };
	struct baro_page_header header;
	struct baro_pressure hot;
	struct baro_slot slot;
	uint32_t level = baro_page_level(&ref);
	int r = baro_page_read(&ref, &hot);

	me->torn += level > BARO_LEVEL_EMERGENCY;
	me->again += r == -EAGAIN;
	me->torn += r ? r != -EAGAIN : !pressure_is_whole(&hot);
	*me->reads += !r;
	r = baro_page_read_slot(&ref, &slot);
	me->torn += r ? r != -EAGAIN : !slot_is_whole(&slot);
	r = baro_page_read_header(me->page, &header);
	me->torn += r ? r != -EAGAIN : !header_is_whole(&header);
}

static void *read_all(void *arg)
{
	struct stress *me = arg;

	for (uint32_t n = 0; !*me->done; n++)
		read_once(me, n % SLOTS);
	return NULL;
}

static void write_round(struct page_writer *w, uint64_t k)
{
	const struct page_header_values header = { .ceiling_bytes = k,
						   .usage_bytes = value_of(k, 1),
						   .dropped_events = value_of(k, 2),
						   .score_ppm = (uint32_t)value_of(k, 3),
						   .level = BARO_LEVEL_NORMAL };
	struct page_slot_values v;

	fill(&v, k);
	for (uint32_t i = 0; i < SLOTS; i++)
		page_writer_update(w, i, &v, k);
	if (k % QUIET == 0)
		page_writer_commit(w, &header, k + 1, LEASE_NS, false);
}

static void run(struct page_writer *w, const struct baro_page *page, const struct baro_slot *slots)
{
	struct stress reader[READERS];
	_Atomic bool done = false;
	_Atomic uint64_t reads = 0;
	uint64_t torn = 0, again = 0, k = 0, until = clock_now_ns() + GIVE_UP_NS;

	write_round(w, k);
	for (int i = 0; i < READERS; i++) {
		reader[i] = (struct stress){ page, slots, &done, &reads, 0, 0, 0 };
		assert_int_equal(pthread_create(&reader[i].thread, NULL, read_all, &reader[i]), 0);
	}
	/* Enough writes, and enough reads while writing. */
	while ((k < WRITES_MIN || reads < READS_MIN) && clock_now_ns() < until)
		write_round(w, ++k);
	done = true;
	for (int i = 0; i < READERS; i++) {
		pthread_join(reader[i].thread, NULL);
		torn += reader[i].torn;
		again += reader[i].again;
	}
	print_message("%llu writes, %llu good reads, %llu gave up\n", (unsigned long long)k,
		      (unsigned long long)reads, (unsigned long long)again);
	assert_int_equal(torn, 0);
	assert_true(reads >= READS_MIN);
}

static struct page_writer *open_stress(const struct page_dir *d)
{
	struct page_writer *w = page_open_writer(d, SLOTS, PAGE_CREATED);

	page_assign(w, 0, "engine0");
	page_assign(w, 1, "engine1");
	page_assign(w, 2, "engine2");
	return w;
}

static void readers_of_the_writer_s_memory_see_whole_records(void **state)
{
	struct page_writer *w = open_stress(*state);
	const struct baro_slot *slots = page_writer_slot(w, 0);
	struct baro_page page = { .base = (const uint8_t *)slots - 256,
				  .header_bytes = 256,
				  .slot_bytes = 512,
				  .slot_count = SLOTS };

	run(w, &page, slots);
	page_writer_close(w, true);
}

static void readers_with_their_own_mapping_see_whole_records(void **state)
{
	struct page_writer *w = open_stress(*state);
	struct baro_page *page = page_open_reader(*state);

	run(w, page, (const struct baro_slot *)(page->base + 256));
	baro_page_close(page);
	page_writer_close(w, true);
}

int main(void)
{
#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, page_dir_setup, page_dir_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DIR(readers_of_the_writer_s_memory_see_whole_records),
		WITH_DIR(readers_with_their_own_mapping_see_whole_records),
	};

	return cmocka_run_group_tests_name("page stress", tests, NULL, NULL);
}
