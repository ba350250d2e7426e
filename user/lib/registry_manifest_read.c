// SPDX-License-Identifier: BSD-2-Clause
/* Reading a manifest: everything is checked and held aside before anything is registered. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/lib/registry_manifest.h"

#define LINE_BYTES 65536u /* names and paths as long as they may be, every byte escaped */

struct reader {
	struct baro_registry *registry;
	FILE *file;
	struct registry_batch batch; /* of indexes; dir is the manifest's number so far */
	struct registry_batch dirs; /* name is the path of it, path the prefix */
	bool ended;
	uint32_t line;
	char *why;
	size_t why_bytes;
	char text[LINE_BYTES];
};

static int complain(const struct reader *m, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int complain(const struct reader *m, int error, const char *format, ...)
{
	char what[BARO_REGISTRY_WHY_MAX];
	va_list list;

	va_start(list, format);
	vsnprintf(what, sizeof(what), format, list);
	va_end(list);
	if (m->why_bytes)
		snprintf(m->why, m->why_bytes, "line %u: %s", m->line, what);
	return error;
}

/* One line without its end; its length, 0 at the end of the file, or -errno. */
static int64_t read_line(struct reader *m)
{
	size_t n = 0;
	int c;

	m->line++;
	while ((c = getc_unlocked(m->file)) != EOF && c != '\n') {
		if (n == sizeof(m->text))
			return complain(m, -EBADMSG, "longer than any line of a manifest");
		m->text[n++] = (char)c;
	}
	if (ferror(m->file))
		return complain(m, errno ? -errno : -EIO, "cannot be read: %s",
				strerrordesc_np(errno ? errno : EIO));
	if (c == EOF && n)
		return complain(m, -ENODATA, "the file ends in the middle of it");
	return c == EOF ? 0 : n ? (int64_t)n : complain(m, -EBADMSG, "an empty line");
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int read_format(const struct reader *m, json_t *line)
{
	json_t *version = json_object_get(line, MANIFEST_FORMAT_KEY);

	if (!json_is_integer(version))
		return complain(m, -EBADMSG, "this is no manifest of a registry");
	if (json_integer_value(version) != MANIFEST_FORMAT_VERSION)
		return complain(m, -EPROTONOSUPPORT, "version %lld, where this library knows %d",
				(long long)json_integer_value(version), MANIFEST_FORMAT_VERSION);
	return 0;
}

static int read_dir(struct reader *m, json_t *line)
{
	struct registry_item item = { 0 };
	json_error_t error;
	json_int_t number;
	size_t path_bytes, prefix_bytes;

	if (json_unpack_ex(line, &error, 0, "{s:I,s:s%,s:s%}", "dir", &number, "path", &item.name,
			   &path_bytes, "prefix", &item.path, &prefix_bytes) < 0)
		return complain(m, -EBADMSG, "%s", error.text);
	if (number != (json_int_t)m->dirs.n + 1 || number > BARO_REGISTRY_DIRS_MAX)
		return complain(m, -EBADMSG, "directory %lld is out of turn", (long long)number);
	if (!path_bytes || registry_check_path(item.name, path_bytes) < 0 ||
	    registry_check_path(item.path, prefix_bytes) < 0)
		return complain(m, -EBADMSG, "a path or prefix that no directory can have");
	item.name_bytes = (uint32_t)path_bytes;
	item.path_bytes = (uint32_t)prefix_bytes;
	return registry_batch_add(&m->dirs, &item);
}

/* The name begins with the directory's prefix, and path and rest fit together. */
static bool fits_dir(const struct reader *m, const struct registry_item *item)
{
	const struct registry_item *dir = &m->dirs.item[item->dir - 1];

	return item->name_bytes > dir->path_bytes &&
	       (!dir->path_bytes || !memcmp(item->name, dir->path, dir->path_bytes)) &&
	       dir->name_bytes + 1 + item->name_bytes - dir->path_bytes < BARO_INDEX_PATH_MAX;
}

static int check_index(const struct reader *m, const struct registry_item *item, size_t name_bytes,
		       size_t path_bytes, json_int_t dir)
{
	if (registry_check_name(item->name, name_bytes) < 0)
		return complain(m, -EBADMSG, "a name that no index can have");
	if (item->path && registry_check_path(item->path, path_bytes) < 0)
		return complain(m, -EBADMSG, "a path that no index can have");
	if (dir < 0 || dir > (json_int_t)m->dirs.n || (dir && item->path))
		return complain(m, -EBADMSG, "it is in directory %lld, which there is not",
				(long long)dir);
	return 0;
}

static int read_index(struct reader *m, json_t *line)
{
	struct registry_item item = { 0 };
	json_int_t bytes, tag = 0, accesses = 0, dir = 0;
	size_t name_bytes, path_bytes = 0;
	int loaded = 0, status;
	json_error_t error;

	if (json_unpack_ex(line, &error, 0, "{s:s%,s:I,s?I,s?I,s?b,s?I,s?s%}", "name", &item.name,
			   &name_bytes, "bytes", &bytes, "tag", &tag, "accesses", &accesses,
			   "loaded", &loaded, "dir", &dir, "path", &item.path, &path_bytes) < 0)
		return complain(m, -EBADMSG, "%s", error.text);
	if (bytes < 0 || accesses < 0)
		return complain(m, -EBADMSG, "a number below 0");
	status = check_index(m, &item, name_bytes, path_bytes, dir);
	if (status < 0)
		return status;
	item.name_bytes = (uint32_t)name_bytes;
	item.path_bytes = (uint32_t)path_bytes;
	item.bytes = (uint64_t)bytes;
	item.tag = (uint64_t)tag;
	item.accesses = (uint64_t)accesses;
	item.warm = loaded != 0;
	item.dir = (uint16_t)dir;
	if (dir && !fits_dir(m, &item))
		return complain(m, -EBADMSG, "a name that its directory cannot have");
	if (m->batch.n >= m->registry->indexes_max)
		return complain(m, -ENOSPC, "more indexes than the registry can take");
	return registry_batch_add(&m->batch, &item);
}

static int read_end(struct reader *m, json_t *line)
{
	json_t *indexes = json_object_get(line, "indexes");

	if (!json_is_integer(indexes) || json_integer_value(indexes) != (json_int_t)m->batch.n)
		return complain(m, -EBADMSG, "%zu indexes came before the end, which says other",
				m->batch.n);
	m->ended = true;
	return 0;
}

static int read_object(struct reader *m, json_t *line)
{
	if (!json_is_object(line))
		return complain(m, -EBADMSG, "not a JSON object");
	if (m->line == 1)
		return read_format(m, line);
	if (m->ended)
		return complain(m, -EBADMSG, "something comes after the end");
	if (json_object_get(line, "name"))
		return read_index(m, line);
	if (json_object_get(line, "path"))
		return read_dir(m, line);
	if (json_object_get(line, "end"))
		return read_end(m, line);
	return complain(m, -EBADMSG, "neither an index nor a directory nor the end");
}

/*
 * Where it has no memory for a token, jansson leaves out characters and says nothing. So a line is
 * parsed twice: what does not come out the same was not understood, and is not to be registered.
 */
static int read_text(struct reader *m, size_t bytes)
{
	json_error_t error;
	json_t *line, *again;
	int status;

	errno = 0;
	line = json_loadb(m->text, bytes, JSON_REJECT_DUPLICATES, NULL);
	again = json_loadb(m->text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!line != !again || errno == ENOMEM || (line && !json_equal(line, again)))
		status = -ENOMEM;
	else if (!line)
		status = complain(m, -EBADMSG, "not JSON: %s", error.text);
	else
		status = read_object(m, line);
	json_decref(line);
	json_decref(again);
	return status < 0 && errno == ENOMEM ? -ENOMEM : status;
}

static int read_all(struct reader *m)
{
	int64_t n;

	while ((n = read_line(m)) > 0) {
		int status = read_text(m, (size_t)n);

		if (status < 0)
			return status;
	}
	if (n < 0)
		return (int)n;
	if (m->line == 1)
		return complain(m, -ENODATA, "the file is empty");
	return m->ended ? 0 : complain(m, -ENODATA, "the file ends here, and its end is missing");
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The registry's own numbers instead of the manifest's. A directory without indexes is harmless. */
static int renumber(struct reader *m)
{
	for (size_t i = 0; i < m->dirs.n; i++) {
		struct registry_item *dir = &m->dirs.item[i];
		int number =
		    registry_dir_number(m->registry, dir->name, dir->path_bytes ? dir->path : "");

		if (number < 0)
			return number;
		dir->dir = (uint16_t)number;
	}
	for (size_t i = 0; i < m->batch.n; i++) {
		struct registry_item *item = &m->batch.item[i];

		item->dir = item->dir ? m->dirs.item[item->dir - 1].dir : 0;
	}
	return 0;
}

static int commit(struct reader *m, struct baro_registry_report *report)
{
	int status = renumber(m);

	if (!status)
		status = registry_commit(m->registry, m->batch.item, m->batch.n, report, NULL);
	return status == -ENOSPC ? complain(m, status, "more than the registry can take") : status;
}

int manifest_read(struct baro_registry *r, FILE *f, struct baro_registry_report *report,
		  char *ret_why, size_t why_bytes)
{
	struct reader *m = calloc(1, sizeof(*m));
	int status = -ENOMEM;

	if (m) {
		m->registry = r;
		m->file = f;
		m->why = ret_why;
		m->why_bytes = why_bytes;
		status = read_all(m);
		if (!status)
			status = commit(m, report);
		registry_batch_free(&m->batch);
		registry_batch_free(&m->dirs);
		free(m);
	}
	if (status == -ENOMEM && why_bytes)
		snprintf(ret_why, why_bytes, "there is not enough memory for it");
	return status;
}

/* Why it is not to be believed, or NULL: it could be somebody else's. */
static const char *judge_file(int fd, int *ret_status)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		*ret_status = -errno;
		return "its owner cannot be found out";
	}
	if (!S_ISREG(st.st_mode)) {
		*ret_status = -EINVAL;
		return "it is not a regular file";
	}
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		*ret_status = -EPERM;
		return "it is not ours alone: it belongs to another user, or others may write it";
	}
	return NULL;
}

static FILE *open_manifest(const char *path, int *ret_status, const char **ret_why)
{
	/* not blocking: somebody may have put a FIFO there */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why = fd < 0 ? NULL : judge_file(fd, ret_status);
	FILE *f = fd < 0 || why ? NULL : fdopen(fd, "r");

	if (f)
		return f;
	if (!why) {
		*ret_status = -errno;
		why = strerrordesc_np(errno);
	}
	*ret_why = why;
	if (fd >= 0)
		close(fd);
	return NULL;
}

int baro_registry_restore(struct baro_registry *r, const char *path,
			  struct baro_registry_report *ret_report, char *ret_why, size_t why_bytes)
{
	struct baro_registry_report report = { 0 };
	const char *why = NULL;
	int status = 0;
	FILE *f = open_manifest(path, &status, &why);

	if (!f) {
		if (why_bytes)
			snprintf(ret_why, why_bytes, "%s", why);
		return status;
	}
	status = manifest_read(r, f, &report, ret_why, why_bytes);
	fclose(f);
	if (!status && ret_report)
		*ret_report = report;
	return status;
}
