/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many indexes of which few are in memory: each is registered as some hundred bytes, loaded by its
 * first use, and unloaded again when it is cold and memory is wanted.
 *
 *	struct baro_registry_options options = { .size = sizeof(options), .load = map_index,
 *						 .unload = unmap_index, .arg = engine };
 *	struct baro_registry *indexes;
 *	struct baro_pin pin;
 *
 *	baro_registry_open(&options, &indexes);
 *	baro_registry_add_dir(indexes, "/var/lib/engine", NULL, NULL);	// all files below
 *	...
 *	if (baro_registry_get_named(indexes, "users/by_mail", now_ns, &pin) == 0) {
 *		search(pin.object);		// loaded, and cannot be unloaded
 *		baro_pin_release(&pin);
 *	}
 *	...
 *	baro_registry_unload_cold(indexes, wanted_bytes, &freed_bytes);	// memory presses
 *
 * States:
 *
 *	registered -> loading -> loaded -> unloading -> registered
 *	                 |
 *	                 +-> failed -> loading: the next get tries again
 *
 * Of any number of threads that get an index which is not loaded one loads it, and the others wait
 * for it and have its result, also its error. What is got is pinned: nothing unloads it before
 * baro_pin_release(). Coldest first means by the time of the last get, as the getters told it.
 *
 * Getting and releasing a loaded index are two atomic additions on memory of the caller's
 * processor, also when all threads use the same index; nothing is locked.
 *
 * Units: bytes, ns of CLOCK_MONOTONIC. Time is what the caller passes, that of a coarse clock will
 * do.
 *
 * Threads: everything but open and close may be called from any number of threads at once. load and
 * unload are called from the thread whose call made them necessary, never under a lock: they may
 * call everything here, for other indexes. A pin may be released by another thread.
 *
 * Errors: 0 (or a count) or -errno; outputs are untouched on failure unless said otherwise.
 */
#ifndef BAROSTAT_REGISTRY_H
#define BAROSTAT_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_metrics;

#define BARO_INDEX_NAME_MAX     1024 /* with the NUL */
#define BARO_INDEX_PATH_MAX     4096 /* with the NUL */
#define BARO_REGISTRY_MAX       (UINT32_C(1) << 24) /* indexes */
#define BARO_REGISTRY_DIRS_MAX  16384 /* directories registered by baro_registry_add_dir() */
#define BARO_REGISTRY_WHY_MAX   256 /* enough for the words of baro_registry_restore() */
#define BARO_REGISTRY_DEPTH_MAX 64 /* of directories below one that is registered */

struct baro_registry;

enum baro_index_state {
	BARO_INDEX_REGISTERED = 0,
	BARO_INDEX_LOADING = 1,
	BARO_INDEX_LOADED = 2,
	BARO_INDEX_UNLOADING = 3,
	BARO_INDEX_FAILED = 4, /* the last load did */
	BARO_INDEX_STATES = 5,
};

/* An index, as load and unload see it. Good until they return. */
struct baro_index {
	uint64_t id;
	const char *name;
	const char *path; /* NULL: none was given */
	uint64_t bytes; /* what it was expected to take */
	uint64_t tag; /* the engine's own */
};

struct baro_registry_options {
	size_t size; /* sizeof(struct baro_registry_options) */
	/*
	 * Loads an index: 0, and what baro_registry_get() is to hand out; or -errno.
	 * *ret_bytes is what it takes of memory; left alone, or 0: what was expected, or where that
	 * is unknown as well, one page.
	 */
	int (*load)(void *arg, const struct baro_index *index, void **ret_object,
		    uint64_t *ret_bytes);
	void (*unload)(void *arg, const struct baro_index *index, void *object);
	void *arg;
	uint32_t indexes_max; /* 0: 1048576; at most BARO_REGISTRY_MAX */
	uint32_t reserved0;
};

struct baro_index_spec {
	const char *name; /* UTF-8; copied */
	const char *path; /* UTF-8; copied; may be NULL */
	uint64_t bytes; /* expected; 0: unknown */
	uint64_t tag;
};

/* What keeps an index loaded. `object` is for the caller, the rest is private. */
struct baro_pin {
	void *object;
	void *lane;
};

struct baro_index_info {
	const char *name; /* good until the index is removed */
	uint64_t bytes; /* loaded: what it takes; else what is expected */
	uint64_t tag;
	uint64_t loads;
	uint64_t accesses; /* gets that handed it out */
	uint64_t pins; /* now */
	uint64_t last_ns; /* of the last get; 0: none yet */
	uint32_t state; /* enum baro_index_state */
	int32_t error; /* of the last load: -errno, or 0 */
	uint32_t warm; /* 1: it was loaded when the manifest it came from was written */
	uint32_t reserved0;
};

/* Kept as things happen: reading them does not depend on how many indexes there are. */
struct baro_registry_counts {
	uint64_t indexes;
	uint64_t by_state[BARO_INDEX_STATES];
	uint64_t loaded_bytes; /* of those that are loaded, or just being unloaded */
	uint64_t loads, load_failures, unloads;
	uint64_t accesses;
	uint64_t waits; /* gets that waited for somebody else's load or unload */
	uint64_t reserved0[4];
};

/*
 *  -EINVAL	a size that is none of ours, load or unload missing, indexes_max too large
 *  -ENOMEM
 */
BARO_API int baro_registry_open(const struct baro_registry_options *options,
				struct baro_registry **ret_registry);

/* Unloads everything and closes it; the last call. NULL is fine. -EBUSY: something is pinned, being
 * loaded or unloaded; then it goes on as it was, but for what has been unloaded by then. */
BARO_API int baro_registry_close(struct baro_registry *registry);

/* ---- registering ----------------------------------------------------------------------------- */

/*
 * Registers an index. ret_id may be NULL.
 *  -EINVAL	no name
 *  -EILSEQ	a name or path that is not UTF-8: no manifest could hold it
 *  -ENAMETOOLONG
 *  -EEXIST	there is one of that name
 *  -ENOSPC	indexes_max
 *  -ENOMEM
 */
BARO_API int baro_registry_add(struct baro_registry *registry, const struct baro_index_spec *spec,
			       uint64_t *ret_id);

/* Unloads it if need be, and forgets it: its id is never given out again. -ENOENT. -EBUSY: pinned,
 * or being loaded or unloaded. */
BARO_API int baro_registry_remove(struct baro_registry *registry, uint64_t id);

/* The index of that name. -ENOENT */
BARO_API int baro_registry_find(struct baro_registry *registry, const char *name, uint64_t *ret_id);

/* 0 in a field means its default. */
struct baro_registry_dir {
	size_t size; /* sizeof(struct baro_registry_dir) */
	const char *suffix; /* of the files to take; NULL: all */
	const char *prefix; /* of the names to give; NULL: none */
	uint64_t tag;
	uint32_t depth_max; /* of directories below; 0: 8; at most BARO_REGISTRY_DEPTH_MAX */
	uint32_t reserved0;
};

/* What became of what was found. */
struct baro_registry_report {
	uint32_t added;
	uint32_t known; /* already registered by that name: left as they are */
	uint32_t
	    skipped; /* names that are too long or not UTF-8, directories that cannot be read */
	uint32_t too_deep; /* directories below depth_max */
};

/*
 * Registers the regular files below a directory, all or none of them: name is prefix and path below
 * it, expected bytes are the file's size. Symbolic links are not followed, other file systems are.
 * In the order of their names, directory by directory. Both of the last arguments may be NULL.
 *  -EINVAL	a size that is none of ours, a depth beyond BARO_REGISTRY_DEPTH_MAX
 *  -ENOENT, -ENOTDIR, -EACCES, ...	of the directory itself
 *  -EILSEQ, -ENAMETOOLONG	its path, or the prefix
 *  -ENOSPC	more than indexes_max, or the registry has BARO_REGISTRY_DIRS_MAX directories
 *  -ENOMEM
 */
BARO_API int baro_registry_add_dir(struct baro_registry *registry, const char *dir,
				   const struct baro_registry_dir *options,
				   struct baro_registry_report *ret_report);

/* ---- using ----------------------------------------------------------------------------------- */

/*
 * Hands out the index, loading it when it is not loaded; waits for who loads or unloads it.
 *  -ENOENT	no such index (any more)
 *  -EDEADLK	its own load or unload asked for it
 *  -ENOMEM
 *  or what load returned, to all who waited for it
 */
BARO_API int baro_registry_get(struct baro_registry *registry, uint64_t id, uint64_t now_ns,
			       struct baro_pin *ret_pin);

/* baro_registry_find() and baro_registry_get() in one. */
BARO_API int baro_registry_get_named(struct baro_registry *registry, const char *name,
				     uint64_t now_ns, struct baro_pin *ret_pin);

/* Hands it out if it is loaded, and neither loads nor waits. -EAGAIN: it is not. -ENOENT */
BARO_API int baro_registry_get_loaded(struct baro_registry *registry, uint64_t id, uint64_t now_ns,
				      struct baro_pin *ret_pin);

/* Gives it back. Once: the pin is empty afterwards, and giving an empty one back does nothing. */
BARO_API void baro_pin_release(struct baro_pin *pin);

/* What a loaded index takes has changed. -ENOENT. -EAGAIN: it is not loaded. */
BARO_API int baro_registry_set_bytes(struct baro_registry *registry, uint64_t id, uint64_t bytes);

/* ---- unloading ------------------------------------------------------------------------------- */

/*
 * Unloads indexes that nobody has pinned, coldest first, until so many bytes are freed: none for 0,
 * one for 1. Returns how many; *ret_freed_bytes (may be NULL) is what they took. Fewer bytes than
 * wanted: the rest is in use.
 */
BARO_API int baro_registry_unload_cold(struct baro_registry *registry, uint64_t bytes,
				       uint64_t *ret_freed_bytes);

/* Unloads those that nobody has got for idle_ns. As above. */
BARO_API int baro_registry_unload_idle(struct baro_registry *registry, uint64_t idle_ns,
				       uint64_t now_ns, uint64_t *ret_freed_bytes);

/* Unloads this one; ret_freed_bytes may be NULL. 0 as well when it was not loaded: 0 bytes.
 * -ENOENT. -EBUSY: pinned, or being loaded or unloaded. */
BARO_API int baro_registry_unload(struct baro_registry *registry, uint64_t id,
				  uint64_t *ret_freed_bytes);

/* ---- looking --------------------------------------------------------------------------------- */

/* How many indexes are in which state, and what they hold. Takes as long for many as for few. */
BARO_API void baro_registry_count(struct baro_registry *registry,
				  struct baro_registry_counts *ret_counts);

/* -ENOENT */
BARO_API int baro_registry_info(struct baro_registry *registry, uint64_t id,
				struct baro_index_info *ret_info);

/* The index after that one, 0 for the first, in the order of registration as long as none was
 * removed. -ENOENT: there are no more. */
BARO_API int baro_registry_next(struct baro_registry *registry, uint64_t id, uint64_t *ret_id);

/* "registered", "loading", "loaded", "unloading", "failed"; "?" for unknown ones. */
BARO_API const char *baro_index_state_name(uint32_t state);

/* ---- manifest -------------------------------------------------------------------------------- */

/*
 * Writes what is registered, and what of it is loaded, for the next start: a JSON object a line.
 * The file is new and whole, or the old one is still there: it is written beside it, brought to the
 * disk (fsync) and put in its place (rename).
 *  -errno of these; -ENOMEM
 */
BARO_API int baro_registry_save(struct baro_registry *registry, const char *path);

/*
 * Registers what a manifest says, all or none of it; what is registered already stays as it is.
 * Nothing is loaded: see `warm` of baro_registry_info(). ret_report may be NULL.
 *  -ENOENT, ...	of open(2) and read(2)
 *  -EINVAL	not a regular file
 *  -EPERM	owned by neither root nor the caller, or writable by others
 *  -EBADMSG	not a manifest, or damaged
 *  -ENODATA	it ends in the middle
 *  -EPROTONOSUPPORT	of another version
 *  -ENOSPC	more than indexes_max
 *  -ENOMEM
 * Then ret_why (unless why_bytes is 0) is a sentence that says where and what.
 */
BARO_API int baro_registry_restore(struct baro_registry *registry, const char *path,
				   struct baro_registry_report *ret_report, char *ret_why,
				   size_t why_bytes);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several registries apart; NULL:
 * none. Their owner is the registry: baro_metrics_remove(metrics, registry) before it goes. All or
 * none: the errors of baro_metrics_add().
 */
BARO_API int baro_registry_add_metrics(struct baro_registry *registry, struct baro_metrics *metrics,
				       const char *label);

#ifdef __cplusplus
}
#endif

#endif
