/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The utility curve of one engine from reuse times: how many of its own accesses lie between two to
 * the same page, whether or not the page was still there. What hits is seen as well as what misses,
 * so the curve inside the present size is measured, not remembered, and as soon as outside.
 *
 * From reuse times to sizes: under LRU a page moves away from the front by one place for each access
 * whose own reuse time exceeds the page's age, so an access of reuse time T hits in memory of
 *   size(T) = sum over t < T of P(reuse time > t)
 * or more (X. Hu et al., "Kinetic Modeling of Data Eviction in Cache", USENIX ATC 2016; the same in
 * D. Eklov and E. Hagersten, "StatStack", ISPASS 2010). Pages that were never seen before count as
 * never used again. Everything is sampled by page, so counts and sizes are 1 in 2^shift.
 *
 * The kernel's lists are not quite LRU. What tells is where misses begin: the bin that straddles the
 * present size is divided by the share of it that was read in again.
 */
#include "user/daemon/law_internal.h"

#define TAU_REUSE_NS    (350 * LAW_MS) /* or ACCESSES_ENOUGH, if they take longer */
#define COUNT_SHIFT     8 /* fractional bits of decayed counts */
#define SIZE_SHIFT      16 /* of sizes, in sampled pages */
#define SIZE_CAP        (1ull << 34) /* pages; no machine is larger */
#define ACCESSES_FEW    16 /* from which no curve is drawn */
#define ACCESSES_FOLD   64 /* are taken together */
#define NEW_MAX_NS      (1000 * LAW_S)
#define ACCESSES_ENOUGH 1000 /* after so many the last ones count for half */

#define SHORT_PASSES 2 /* over its pages: in the first it reads in what the second would find */
#define SHORT_16     15 /* of a bin, missed: all of it */
#define SHORT_NS     (300 * LAW_S) /* then it may try again */

#define MISFIT_AFTER_NS (4 * LAW_S) /* of missing what should fit: a new set is read in */
#define MISFIT_PART     8 /* of what it has, and a bucket, may be what it lacks */
#define MISFIT_NS       (60 * LAW_S) /* since it last missed so; then it may claim again */

#define NEXT_TO_NOTHING 2 /* buckets: a 64th of the ceiling */
#define NEEDS_PART      100 /* of its work, stalled, is no need */
#define MAPPED_PART     4 /* of the cache: beyond it too much is touched without the kernel */
#define SWAPPABLE_PART  8 /* of usage: beyond it too much is no file's */

static uint64_t cache_of(const struct law_sample *is)
{
	return law_less(is->file_bytes, is->shmem_bytes);
}

bool law_reuse_speaks(const struct law_sample *is)
{
	uint32_t needed = LAW_VALID_REUSE | LAW_VALID_KINDS;
	uint64_t cache = cache_of(is);
	uint64_t mapped = law_less(is->file_mapped_bytes, is->shmem_bytes);
	uint64_t other = law_less(law_less(is->usage_bytes, cache), is->unreclaimable_bytes);

	return (is->valid & needed) == needed && cache > 0 && mapped <= cache / MAPPED_PART &&
	       other <= is->usage_bytes / SWAPPABLE_PART;
}

/* A count per fold, in 1/2^8; with `shift` and a cost in ns it still fits 64 bits. */
static uint64_t count_of(uint64_t now, uint64_t before, uint32_t shift)
{
	return law_min(law_delta(now, before), (1ull << 30) >> shift) << COUNT_SHIFT;
}

static uint64_t width_of(unsigned int bin)
{
	return bin < REUSE_SUB_BINS ? 1 : 1ull << law_min(bin / REUSE_SUB_BINS - 1, 40);
}

/* The counts of a fold. */
struct fold {
	uint64_t times[REUSE_BINS], missed[REUSE_BINS];
};

/* Adds `count` to the bins from `first` on as they are in `known`; to `other` if none is. */
static void add_longer(uint64_t bins[REUSE_BINS], uint64_t count, unsigned int first,
		       const uint64_t known[REUSE_BINS], unsigned int other)
{
	uint64_t all = 0;

	for (unsigned int i = first; i < REUSE_BINS; i++)
		all += known[i];
	if (all == 0)
		bins[other] += count;
	else
		for (unsigned int i = first; i < REUSE_BINS; i++)
			bins[i] += law_part(count, law_ratio_32(known[i], all));
}

/*
 * What was last read before the sensor rested has a longer reuse time than what the sensor has
 * counted since. How much longer, those tell that were counted as longer before, missed and hit: the
 * estimate of a distribution from observations some of which are cut off (E. Kaplan and P. Meier,
 * "Nonparametric estimation from incomplete observations", JASA 1958). Where none was counted it is
 * taken to be just that long; of misses where none missed, as long as the longest of those that hit.
 */
static void add_beyond(const struct law_reuse *r, const struct reuse_beyond *was,
		       const struct reuse_beyond *is, uint32_t shift, struct fold *f)
{
	uint64_t looked =
	    law_delta(is->looked, was->looked) / law_delta(is->accesses, was->accesses);
	uint64_t count = count_of(is->accesses, was->accesses, shift);
	uint64_t missed = law_min(count_of(is->missed, was->missed, shift), count);
	uint64_t hit[REUSE_BINS], added[REUSE_BINS] = { 0 };
	unsigned int first = law_histogram_bin(looked, REUSE_SUB_BINS, REUSE_BINS);
	unsigned int longest = first;

	for (unsigned int i = 0; i < REUSE_BINS; i++) {
		hit[i] = law_less(r->times[i], r->missed[i]);
		if (hit[i] > 0 && i > longest)
			longest = i;
	}
	add_longer(added, missed, first, r->missed, longest);
	for (unsigned int i = 0; i < REUSE_BINS; i++) {
		f->missed[i] += added[i];
		f->times[i] += added[i];
	}
	add_longer(f->times, count - missed, first, hit, first);
}

/*
 * Counts and the work they were counted in fade together: their ratio is that of sums, so that a
 * second of many accesses counts for more than one of few.
 */
static void gather(struct law_reuse *r, const struct law_sample *was, const struct law_sample *is,
		   uint64_t work_ns, uint64_t alpha)
{
	uint32_t shift = law_min(is->reuse_sample_shift, 30);
	struct fold f;

	for (unsigned int i = 0; i < REUSE_BINS; i++) {
		f.times[i] = count_of(is->reused[i], was->reused[i], shift);
		f.missed[i] = count_of(is->missed[i], was->missed[i], shift);
	}
	if (law_delta(is->beyond.accesses, was->beyond.accesses) > 0)
		add_beyond(r, &was->beyond, &is->beyond, shift, &f);
	for (unsigned int i = 0; i < REUSE_BINS; i++) {
		r->times[i] = law_ewma(r->times[i], f.times[i], alpha);
		r->missed[i] = law_ewma(r->missed[i], f.missed[i], alpha);
	}
	r->first =
	    law_ewma(r->first, count_of(is->first_accesses, was->first_accesses, shift), alpha);
	r->work_ns = law_ewma(r->work_ns, law_min(work_ns, 1ull << 50) << COUNT_SHIFT, alpha);
}

void law_reuse_start(struct law_estimate *e, const struct law_sample *is)
{
	memset(&e->memory.reuse, 0, sizeof(e->memory.reuse));
	memset(&e->memory.phases, 0, sizeof(e->memory.phases));
	law_copy_reuse(&e->last, is);
}

static uint64_t accesses_in(const struct law_sample *was, const struct law_sample *is)
{
	uint64_t n = law_delta(is->first_accesses, was->first_accesses) +
		     law_delta(is->beyond.accesses, was->beyond.accesses);

	for (unsigned int i = 0; i < REUSE_BINS; i++)
		n += law_delta(is->reused[i], was->reused[i]);
	return n;
}

/* For how many accesses the engine has had how much memory: until it grows by a bucket. */
static void hold(struct law_estimate *e, uint64_t accesses)
{
	struct law_reuse *r = &e->memory.reuse;
	uint64_t base = law_pages(e->base_bytes);

	r->held_accesses += accesses;
	if (base >= r->held_pages + e->bucket_bytes / LAW_PAGE_BYTES) {
		r->held_accesses = 0;
		r->held_pages = base;
	}
	r->held_pages = law_min(r->held_pages, base);
}

/*
 * Folds wait for accesses, not for time: of a slow reader there are few in each interval, and of a
 * mean of a few nothing is drawn. The work in between counts, reads or none, but not that of a time
 * in which nothing was counted.
 */
uint64_t law_reuse_fold(struct law_estimate *e, const struct law_sample *is, uint64_t window_ns,
			uint64_t work_ns)
{
	struct law_reuse *r = &e->memory.reuse;
	uint64_t accesses, alpha, folded_ns;

	r->short_age_ns = law_min(r->short_age_ns + window_ns, NEW_MAX_NS);
	if (r->short_age_ns > SHORT_NS)
		r->short_pages = 0;
	r->misfit_age_ns = law_min(r->misfit_age_ns + window_ns, NEW_MAX_NS);
	if (is->reuse_rests)
		return 0;
	r->new_ns = law_min(r->new_ns + window_ns, NEW_MAX_NS);
	r->new_work_ns = law_min(r->new_work_ns + law_min(work_ns, 1ull << 50), 1ull << 50);
	accesses = law_min(accesses_in(&e->last, is), 1ull << 40);
	if (accesses < ACCESSES_FOLD)
		return 0;
	/* how much of what is known comes from this fold: who reads little forgets slowly */
	alpha = law_min(law_alpha(r->new_ns, TAU_REUSE_NS),
			(accesses << 16) / (accesses + ACCESSES_ENOUGH));
	hold(e, accesses);
	gather(r, &e->last, is, r->new_work_ns, alpha);
	law_copy_reuse(&e->last, is);
	folded_ns = r->new_ns;
	r->new_ns = r->new_work_ns = 0;
	return folded_ns;
}

/* Stall per work if these accesses missed. */
static uint64_t stall_of(const struct law_estimate *e, uint64_t count, uint32_t shift)
{
	if (count == 0)
		return 0;
	return law_fraction((count << shift) * e->refault_cost_ns, e->memory.reuse.work_ns);
}

/* What bin i needs: more than `from` pages, about `to`, at most `most`. */
struct need {
	uint64_t from, to, most;
};

static void draw(uint64_t curve[LAW_BUCKETS], uint64_t bucket, const struct need *need,
		 uint64_t base_pages, uint64_t stall, uint64_t missed)
{
	if (need->from >= base_pages || base_pages >= need->most) {
		law_spread(curve, bucket, need->from, need->to, stall);
		return;
	}
	law_spread(curve, bucket, need->from, base_pages, stall - missed);
	law_spread(curve, bucket, base_pages, need->most, missed);
}

/*
 * Where the pages of a bin are read evenly, each page more is worth the same; where they are read in
 * turn, nothing is gained until the last one fits. The bin does not tell, but memory in which they
 * have been read over and over, and missed each time, does: what they need begins beyond it. Else a
 * loop that is larger than all there is by less than a bin would hold all there is.
 */
static void learn_short(struct law_reuse *r, uint32_t bin, uint64_t times, uint64_t all_missed)
{
	if (2 * r->missed[bin] < all_missed)
		return;
	if (16 * r->missed[bin] < SHORT_16 * r->times[bin]) {
		if (bin == r->short_bin && r->held_pages <= r->short_pages)
			r->short_pages = 0;
		return;
	}
	if (r->held_accesses < SHORT_PASSES * times)
		return;
	if (bin != r->short_bin || r->held_pages >= r->short_pages) {
		r->short_bin = bin;
		r->short_pages = r->held_pages;
		r->short_age_ns = 0;
	}
	r->held_accesses = 0;
}

static void need_more(struct need *need, uint64_t pages)
{
	need->from = law_max(need->from, law_min(pages, need->most - 1));
	need->to = law_max(need->to, need->from + 1);
}

static uint64_t sum_of(const uint64_t bins[REUSE_BINS])
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < REUSE_BINS; i++)
		sum += bins[i];
	return sum;
}

/* How long, and in how many pages, it has missed what should fit. */
static void learn_misfit(struct law_estimate *e, uint64_t base_pages, uint64_t stall,
			 uint64_t window_ns)
{
	struct law_reuse *r = &e->memory.reuse;
	bool misses = (stall * e->memory.kappa) >> LAW_ONE_SHIFT > LAW_ONE / NEEDS_PART;

	/* a single fold may have taken longer than is waited for: it is two at least */
	r->misfit_ns = !misses ? 0 : r->misfit_ns > 0 ? r->misfit_ns + window_ns : 1;
	if (r->misfit_age_ns > MISFIT_NS)
		r->misfit_pages = 0;
	if (r->misfit_ns < MISFIT_AFTER_NS)
		return;
	if (r->misfit_pages == 0 || base_pages < r->misfit_pages) {
		r->misfit_pages = base_pages;
		r->misfit_stall = stall;
	}
	/* slowly: there is less and less while it is being cured */
	r->misfit_stall =
	    law_ewma(r->misfit_stall, stall, law_alpha(window_ns, 4 * MISFIT_AFTER_NS));
	r->misfit_age_ns = 0;
}

/*
 * What misses though by its reuse time it should fit: a set whose pages are sampled may be larger
 * than it looks, and the kernel may keep others than those read last. As much of it as is not made
 * up for by what hits though it should not is taken to be ended by an eighth more memory; what of
 * that was enough is kept in mind. Where all of it was not, more would not be: what an engine drops
 * itself misses with any memory. Returns the stall per work that it has added to the curve.
 */
static uint64_t draw_misfit(const struct law_estimate *e, uint64_t curve[LAW_BUCKETS],
			    uint64_t usage_pages)
{
	const struct law_reuse *r = &e->memory.reuse;
	uint64_t bucket = e->bucket_bytes / LAW_PAGE_BYTES;
	uint64_t to = r->misfit_pages + r->misfit_pages / MISFIT_PART + bucket;

	if (r->misfit_ns == 0)
		to = law_min(to, usage_pages);
	if (r->misfit_pages == 0 || to <= r->misfit_pages)
		return 0;
	law_spread(curve, bucket, r->misfit_pages, to, r->misfit_stall);
	return r->misfit_stall;
}

void law_reuse_curve(struct law_estimate *e, const struct law_sample *is, uint64_t base_pages,
		     uint64_t window_ns)
{
	struct law_reuse *r = &e->memory.reuse;
	uint32_t shift = law_min(is->reuse_sample_shift, 30);
	uint64_t other = law_pages(law_less(is->usage_bytes, cache_of(is)));
	uint64_t curve[LAW_BUCKETS] = { 0 }, all = 0, reached = 0;
	uint64_t total = r->first + sum_of(r->times), all_missed = sum_of(r->missed), size = 0,
		 times = 0;
	/* accesses of a longer reuse time than the bins so far, and their share in 1/2^32 */
	uint64_t longer = total, share = 1ull << 32;
	uint64_t missed_inside = 0, hit_outside = 0;

	if (total >> COUNT_SHIFT < ACCESSES_FEW)
		return;
	for (unsigned int i = 0;
	     i < REUSE_BINS && longer > 0 && size >> SIZE_SHIFT << shift < SIZE_CAP; i++) {
		uint64_t stall = stall_of(e, r->times[i], shift);
		uint64_t missed = law_min(stall_of(e, r->missed[i], shift), stall);
		uint64_t most = law_part(width_of(i) << SIZE_SHIFT, share);
		struct need need = {
			.from = other + (size >> SIZE_SHIFT << shift),
			.most = other + ((size + most) >> SIZE_SHIFT << shift),
		};

		longer -= r->times[i];
		share = law_ratio_32(longer, total);
		size += (most + law_part(width_of(i) << SIZE_SHIFT, share)) / 2;
		need.to = law_max(other + (size >> SIZE_SHIFT << shift), need.from + 1);
		need.most = law_max(need.most, need.to);
		times += width_of(i);
		if (r->times[i] > 0 && need.from < base_pages && base_pages < need.most)
			learn_short(r, i, times, all_missed);
		if (i == r->short_bin)
			need_more(&need, r->short_pages);
		draw(curve, e->bucket_bytes / LAW_PAGE_BYTES, &need, base_pages, stall, missed);
		all += stall;
		if (need.most <= base_pages)
			missed_inside += missed;
		else if (need.from >= base_pages)
			hit_outside += stall - missed;
	}
	learn_misfit(e, base_pages, law_less(missed_inside, hit_outside), window_ns);
	all += draw_misfit(e, curve, law_pages(is->usage_bytes));
	for (unsigned int b = 0; b < LAW_BUCKETS; b++) {
		e->curve[b] = (uint32_t)law_min(curve[b], UINT32_MAX);
		reached += e->curve[b];
	}
	e->memory.far = (uint32_t)law_min(law_less(all, reached), LAW_STALL_MAX);
	e->memory.top = LAW_BUCKETS;
}

uint64_t law_reuse_needs(const struct law_estimate *e)
{
	uint64_t most = LAW_ONE / NEEDS_PART, stall = 0;
	uint32_t b = e->memory.top;

	while (b > 0) {
		stall += (e->curve[b - 1] * e->memory.kappa) >> LAW_ONE_SHIFT;
		if (stall > most)
			break;
		b--;
	}
	return b * e->bucket_bytes;
}

uint64_t law_reuse_worth(const struct law_estimate *e)
{
	uint64_t stall = 0;

	/* a stream that reads a page in pieces comes back to it at once */
	for (uint32_t b = NEXT_TO_NOTHING; b < e->memory.top; b++)
		stall += e->curve[b];
	return law_min(stall, UINT32_MAX);
}
