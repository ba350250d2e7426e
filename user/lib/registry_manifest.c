// SPDX-License-Identifier: BSD-2-Clause
/*
 * The manifest: what is registered, for the next start. A JSON object a line, so that neither side
 * ever holds more of it than a line and what it registers:
 *
 *	{"barostat_registry":1}				the format's version, first
 *	{"dir":1,"path":"/data","prefix":""}		before the indexes that are in it
 *	{"name":"a.idx","bytes":4096,"tag":0,"accesses":3,"loaded":true,"dir":1}
 *	{"name":"b","bytes":0,"tag":-1,"accesses":0,"loaded":false,"path":"/other/b"}
 *	{"end":true,"indexes":2}			last: without it the file was cut
 *
 * tag is two's complement. Keys that are not known are passed over: a later version may add some.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/lib/arith.h"
#include "user/lib/registry_manifest.h"

#define SAVE_BATCH  64u /* indexes described under one hold of the lock */
#define SAVE_SUFFIX ".XXXXXX"

/* ---- writing --------------------------------------------------------------------------------- */

struct writer {
	struct baro_registry *registry;
	FILE *file;
	uint32_t dirs; /* written */
	uint64_t indexes;
	json_t *line[SAVE_BATCH + BARO_REGISTRY_DIRS_MAX];
	uint32_t lines;
};

static json_int_t to_json(uint64_t value)
{
	return (json_int_t)lib_min(value, INT64_MAX);
}

static int line_add(struct writer *w, json_t *line)
{
	if (!line)
		return -ENOMEM;
	w->line[w->lines++] = line;
	return 0;
}

/* With the lock held. */
static int describe_dirs(struct writer *w, uint32_t until)
{
	int status = 0;

	while (w->dirs < until && !status) {
		const struct registry_dir *dir = w->registry->dir[w->dirs++];

		status = line_add(w, json_pack("{s:i,s:s,s:s}", "dir", (int)w->dirs, "path",
					       dir->path, "prefix", dir->prefix));
	}
	return status;
}

/* With the lock held. */
static int describe(struct writer *w, const struct registry_entry *e)
{
	const struct baro_registry *r = w->registry;
	uint32_t state = word_state(e->word);
	uint64_t accesses = e->accesses, bytes = e->bytes;
	bool loaded = state == BARO_INDEX_LOADED;
	/* not again yet since the last start: it still was */
	bool warm = state == BARO_INDEX_REGISTERED && word_is_warm(e->word);
	int status = describe_dirs(w, e->dir);
	json_t *line;

	if (status < 0)
		return status;
	if (loaded) {
		const struct registry_block *b = block_at(r, word_block(e->word));

		accesses += lib_less(registry_gets(r, word_block(e->word)), b->puts_before);
		bytes = b->bytes;
	}
	line = json_pack("{s:s,s:I,s:I,s:I,s:b}", "name", registry_name_of(e), "bytes",
			 to_json(bytes), "tag", (json_int_t)e->tag, "accesses", to_json(accesses),
			 "loaded", loaded || warm);
	if (line && e->dir)
		status = json_object_set_new(line, "dir", json_integer(e->dir));
	else if (line && registry_path_of(e))
		status = json_object_set_new(line, "path", json_string(registry_path_of(e)));
	if (status < 0) {
		json_decref(line);
		line = NULL;
	}
	w->indexes++;
	return line_add(w, line);
}

static int write_lines(struct writer *w)
{
	int status = 0;

	for (uint32_t i = 0; i < w->lines; i++) {
		errno = 0;
		if (!status && (json_dumpf(w->line[i], w->file, JSON_COMPACT) < 0 ||
				fputc('\n', w->file) == EOF))
			status = errno ? -errno : -ENOMEM;
		json_decref(w->line[i]);
	}
	w->lines = 0;
	return status;
}

/* Indexes from *next on, some of them; *next goes on behind them. */
static int write_some(struct writer *w, uint32_t *next, bool *ret_more)
{
	struct baro_registry *r = w->registry;
	uint32_t number = *next;
	int status = 0, written;

	pthread_mutex_lock(&r->lock);
	for (uint32_t n = 0; n < SAVE_BATCH && number < r->entries && !status; number++) {
		const struct registry_entry *e = entry_at(r, number);

		if (word_state(e->word) == WORD_FREE)
			continue;
		status = describe(w, e);
		n++;
	}
	*ret_more = number < r->entries;
	pthread_mutex_unlock(&r->lock);
	*next = number;
	written = write_lines(w);
	return status < 0 ? status : written;
}

static int write_one(struct writer *w, json_t *line)
{
	int status = line_add(w, line);

	return status < 0 ? status : write_lines(w);
}

int manifest_write(struct baro_registry *r, FILE *f)
{
	struct writer *w = calloc(1, sizeof(*w));
	uint32_t next = 0;
	bool more = true;
	int status;

	if (!w)
		return -ENOMEM;
	w->registry = r;
	w->file = f;
	status = write_one(w, json_pack("{s:i}", MANIFEST_FORMAT_KEY, MANIFEST_FORMAT_VERSION));
	while (!status && more)
		status = write_some(w, &next, &more);
	if (!status)
		status =
		    write_one(w, json_pack("{s:b,s:I}", "end", 1, "indexes", to_json(w->indexes)));
	free(w);
	return status;
}

static int flush_to_disk(FILE *f)
{
	return fflush(f) == EOF || fsync(fileno(f)) < 0 ? -errno : 0;
}

/* The directory knows the new name for good. */
static int sync_dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int fd, status = 0;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		status = -errno;
	if (fd >= 0)
		close(fd);
	free(dir);
	return status;
}

static int write_beside(struct baro_registry *r, const char *path, char *beside)
{
	int fd = mkostemp(beside, O_CLOEXEC), status;
	FILE *f;

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		status = -errno;
		close(fd);
	} else {
		status = manifest_write(r, f);
		if (!status)
			status = flush_to_disk(f);
		if (fclose(f) == EOF && !status)
			status = -errno;
	}
	if (!status && rename(beside, path) < 0)
		status = -errno;
	if (status < 0)
		unlink(beside);
	return status;
}

int baro_registry_save(struct baro_registry *r, const char *path)
{
	size_t bytes = strlen(path) + sizeof(SAVE_SUFFIX);
	char *beside = malloc(bytes);
	int status;

	if (!beside)
		return -ENOMEM;
	snprintf(beside, bytes, "%s%s", path, SAVE_SUFFIX);
	status = write_beside(r, path, beside);
	free(beside);
	return status < 0 ? status : sync_dir_of(path);
}
