/* SPDX-License-Identifier: BSD-2-Clause */
/* The main file and its drop-ins. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/common/cleanup.h"
#include "user/daemon/config_internal.h"

#define FILE_BYTES_MAX (4u << 20)
#define FILES_MAX      1024u

static int read_whole(const char *path, char **ret_text, size_t *ret_bytes, const char **ret_why)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t n = 0;

	*ret_why = NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		*ret_why = "is not a regular file; allowed: a regular file";
		return -EINVAL;
	}
	text = malloc(FILE_BYTES_MAX + 1);
	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t got = read(fd, text + n, FILE_BYTES_MAX + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		n += (size_t)got;
		if (n > FILE_BYTES_MAX) {
			*ret_why = "is too large; allowed: at most 4M";
			return -EINVAL;
		}
	}
	*ret_bytes = n;
	*ret_text = TAKE_PTR(text);
	return 0;
}

static int note_file(struct config *c, const char *path, uint16_t *ret_index)
{
	void *file = reallocarray(c->file, c->files + 1, sizeof(*c->file));

	if (!file)
		return -ENOMEM;
	c->file = file;
	snprintf(c->file[c->files], CONFIG_PATH_MAX, "%s", path);
	*ret_index = (uint16_t)c->files++;
	return 0;
}

int config_read_file(struct config *c, const char *path, struct config_complaints *to)
{
	_cleanup_free_ char *text = NULL;
	struct config_where where = { 0 };
	size_t bytes = 0;
	const char *why;
	int err;

	if (strlen(path) >= CONFIG_PATH_MAX || c->files >= FILES_MAX)
		err = strlen(path) >= CONFIG_PATH_MAX ? -ENAMETOOLONG : -EMFILE;
	else
		err = note_file(c, path, &where.file);
	if (err < 0) {
		config_complain(
		    to, (struct config_where){ .file = CONFIG_NO_FILE },
		    "%s: cannot be read: %s; allowed: at most %u files with paths below "
		    "%u bytes",
		    path, strerror(-err), FILES_MAX, CONFIG_PATH_MAX);
		return err;
	}
	err = read_whole(path, &text, &bytes, &why);
	if (err < 0) {
		if (why)
			config_complain(to, where, "%s", why);
		else
			config_complain(to, where, "cannot be read: %s; allowed: a readable file",
					strerror(-err));
		return err;
	}
	return config_read_lines(c, where.file, text, bytes, to);
}

static int is_conf(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && !strcmp(d->d_name + n - 5, ".conf");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int config_read_drop_ins(struct config *c, const char *main_path, struct config_complaints *to)
{
	char beside[CONFIG_PATH_MAX], dir[CONFIG_PATH_MAX + 8], path[CONFIG_PATH_MAX + 264];
	struct dirent **entry;
	int n, r = 0;

	snprintf(beside, sizeof(beside), "%s", main_path);
	snprintf(dir, sizeof(dir), "%s/conf.d", dirname(beside));
	n = scandir(dir, &entry, is_conf, by_name);
	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0) {
		r = -errno;
		config_complain(to, (struct config_where){ .file = CONFIG_NO_FILE },
				"%s: cannot be read: %s; allowed: a readable directory", dir,
				strerror(-r));
		return r;
	}
	for (int i = 0; i < n; i++) {
		int failed;

		snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
		failed = config_read_file(c, path, to);
		if (!r)
			r = failed;
		free(entry[i]);
	}
	free(entry);
	return r;
}
