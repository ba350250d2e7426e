/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where spilled bytes go: a region of memory whose pages are those of a nameless file, so that the
 * kernel can write them out and take the memory.
 *
 *	struct baro_overflow *region;
 *	void *run;
 *
 *	if (baro_overflow_open(NULL, &region) == 0) {
 *		if (baro_overflow_alloc(region, run_bytes, &run) == 0) {	// or: spill less
 *			memcpy(run, sorted, run_bytes);
 *			baro_overflow_evict(region, run);	// to the disk, and out of memory
 *			merge(run);				// comes back as it is read
 *			baro_overflow_free(region, run);
 *		}
 *		baro_overflow_close(region);
 *	}
 *
 * The region begins with 64 MiB and doubles as it is needed up to 1 GiB; addresses do not move.
 * Allocations are whole pages, contiguous, the lowest that fit. Their blocks are allocated on the
 * disk before the memory is handed out: a full disk, a quota or a file size limit is an error of
 * baro_overflow_alloc(), never a SIGBUS. (A disk that fails when pages are read back is one, as for
 * any mapped file.) What is freed goes back to the file system at once. The file has no name: it is
 * gone with the process, however that ends. What it costs besides: 3 bits per page of the maximum.
 *
 * Threads: everything but close may be called from any number of threads at once; no lock is held
 * over a system call that may wait for the disk. After fork() the child does not have the region.
 *
 * Errors: 0 (or a count) or -errno; outputs are untouched on failure.
 */
#ifndef BAROSTAT_OVERFLOW_H
#define BAROSTAT_OVERFLOW_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BARO_OVERFLOW_DIR           "/var/tmp" /* not /tmp, which is often memory itself */
#define BARO_OVERFLOW_INITIAL_BYTES (UINT64_C(64) << 20)
#define BARO_OVERFLOW_MAX_BYTES     (UINT64_C(1) << 30)
#define BARO_OVERFLOW_LARGEST_BYTES (UINT64_C(1) << 40) /* that max_bytes may be */

struct baro_metrics;
struct baro_overflow;

enum baro_overflow_flag {
	/* The file may be on tmpfs: then nothing but swap gets it out of memory. */
	BARO_OVERFLOW_ALLOW_MEMORY = 1,
};

struct baro_overflow_options {
	size_t size; /* sizeof(struct baro_overflow_options) */
	const char *dir; /* where the file lives; NULL: BARO_OVERFLOW_DIR */
	uint64_t initial_bytes; /* 0: 64 MiB; rounded up to pages */
	uint64_t max_bytes; /* 0: 1 GiB, or initial_bytes when that is more; rounded up to pages */
	uint32_t flags; /* enum baro_overflow_flag */
	uint32_t reserved0;
};

struct baro_overflow_counts {
	uint64_t used_bytes, peak_bytes; /* allocated, in whole pages */
	uint64_t capacity_bytes; /* what the region has grown to */
	uint64_t max_bytes;
	uint64_t file_bytes; /* what the file occupies on its file system */
	uint64_t live; /* allocations */
	uint64_t allocations, frees; /* ever */
	uint64_t grown; /* times */
	uint64_t refused_full; /* allocations: no room below max_bytes */
	uint64_t refused_disk; /* allocations: the file system or a limit said no */
	uint64_t bad_frees; /* freed twice, or never allocated: nothing was done */
	uint64_t unpunched; /* frees whose blocks the file system did not take back */
};

/*
 * NULL as options: the defaults.
 *  -EINVAL	sizes in the wrong order or above BARO_OVERFLOW_LARGEST_BYTES, unknown flags
 *  -EMEDIUMTYPE	the directory is on tmpfs or ramfs, and that was not allowed
 *  -EOPNOTSUPP	the file system cannot promise blocks (no fallocate)
 *  -ENOENT, -EACCES, -ENOSPC, ...	as open(2)
 *  -ENOMEM	no address space of max_bytes
 */
BARO_API int baro_overflow_open(const struct baro_overflow_options *options,
				struct baro_overflow **ret_region);

/* The last call: all of its memory is gone. NULL is fine. */
BARO_API void baro_overflow_close(struct baro_overflow *region);

/*
 * At least `bytes`, from the beginning of a page on. What is in there is undefined.
 *  -EINVAL	0 bytes
 *  -ENOBUFS	no contiguous room of that size below max_bytes
 *  -ENOSPC	the disk is full
 *  -EDQUOT, -EFBIG, -EIO	a quota, the file size limit (RLIMIT_FSIZE), the disk
 */
BARO_API int baro_overflow_alloc(struct baro_overflow *region, uint64_t bytes, void **ret_memory);

/*
 * Gives it back, to the file system too, and returns how many bytes it was. NULL is fine.
 *  -EINVAL	it is not an allocation of this region, or not any more: nothing is done but counted
 */
BARO_API int64_t baro_overflow_free(struct baro_overflow *region, void *memory);

/* How many bytes an allocation has. -EINVAL as above, but not counted. */
BARO_API int64_t baro_overflow_size(struct baro_overflow *region, const void *memory);

/*
 * Writes an allocation to the disk and drops it from memory; waits for the disk. It comes back page
 * by page as it is touched. How many bytes it is, or
 *  -EINVAL	as above
 *  -EIO, ...	it could not be written; it is still in memory
 */
BARO_API int64_t baro_overflow_evict(struct baro_overflow *region, void *memory);

/* What is held where, and what was moved since it was opened. */
BARO_API void baro_overflow_read(struct baro_overflow *region,
				 struct baro_overflow_counts *ret_counts);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several regions apart; NULL:
 * none. Their owner is the region: baro_metrics_remove(metrics, region) before it goes. All or
 * none: the errors of baro_metrics_add().
 */
BARO_API int baro_overflow_add_metrics(struct baro_overflow *region, struct baro_metrics *metrics,
				       const char *label);

#ifdef __cplusplus
}
#endif

#endif
