// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which engine am I? /proc/self/cgroup names the caller's cgroup in each hierarchy, the mount table
 * says where its directory is, and the directory's inode is the cgroup id that slots carry. An
 * engine's children count for the engine, so the search goes up to the root. Inodes, not paths,
 * are compared: inside a container the paths differ, the inodes do not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "user/lib/page_internal.h"

#define DIR_PATH_MAX 4096

/* One line of /proc/self/cgroup: "4:memory:/db/pg" or "0::/db/pg". */
struct membership {
	uint32_t hierarchy; /* 0: unified */
	char path[DIR_PATH_MAX];
};

/* Whether the comma-separated list has the word. */
static bool list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len) {
		bool begins = p == list || p[-1] == ',';

		if (begins && (p[len] == '\0' || p[len] == ',' || p[len] == '\n'))
			return true;
	}
	return false;
}

/* Only the unified hierarchy and that of the memory controller are of interest. */
static bool parse_membership(char *line, struct membership *ret)
{
	char *controllers = strchr(line, ':');
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;
	char *end;
	unsigned long hierarchy = strtoul(line, &end, 10);

	if (!path || end != controllers || hierarchy > UINT32_MAX)
		return false;
	*controllers++ = '\0';
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	if (path[0] != '/' || strlen(path) >= sizeof(ret->path))
		return false;
	if (hierarchy ? !list_has(controllers, "memory") : *controllers)
		return false;
	ret->hierarchy = (uint32_t)hierarchy;
	memcpy(ret->path, path, strlen(path) + 1);
	return true;
}

/* The mount table writes blanks and backslashes of paths in octal ("\040"). */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		*to = *s;
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		}
	}
	*to = '\0';
}

/*
 * One line of mountinfo: "ID PARENT DEV ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPEROPTIONS".
 * True when it is a mount of the wanted hierarchy; ROOT and POINT point into the line.
 */
static bool parse_mount(char *line, bool unified, char **ret_root, char **ret_point)
{
	char *tail = strstr(line, " - "), *save = NULL, *field[5], *type, *super;

	if (!tail)
		return false;
	*tail = '\0';
	type = strtok_r(tail + 3, " \n", &save);
	if (!type || !strtok_r(NULL, " \n", &save))
		return false;
	super = strtok_r(NULL, " \n", &save);
	if (strcmp(type, unified ? "cgroup2" : "cgroup") != 0)
		return false;
	if (!unified && (!super || !list_has(super, "memory")))
		return false;
	save = NULL;
	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	unescape(field[3]);
	unescape(field[4]);
	*ret_root = field[3];
	*ret_point = field[4];
	return true;
}

/* The part of the cgroup path that lies below the mount's root; NULL when it is not below it. */
static const char *below_root(const char *path, const char *root)
{
	size_t len = strlen(root);

	if (len == 1)
		return path;
	if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

static bool goes_on(int r)
{
	return r == -ENOENT || r == -EAGAIN;
}

/* The cgroup's id; 0: there is no such directory, or none that we may see. Id 0 marks an engine
 * without a cgroup; no directory has it. */
static int read_id(const char *dir, uint64_t *ret_id)
{
	struct stat st = { 0 };

	if (stat(dir, &st) < 0 && errno != ENOENT && errno != ENOTDIR && errno != ENODEV &&
	    errno != EACCES)
		return -errno;
	*ret_id = st.st_ino;
	return 0;
}

/* From the directory upwards to the mount point, which in a container may itself be an engine's
 * cgroup. */
static int visit_upwards(uint32_t hierarchy, const char *point, const char *below, self_visit visit,
			 void *arg)
{
	char dir[DIR_PATH_MAX];
	size_t point_len = strlen(point);
	int n = snprintf(dir, sizeof(dir), "%s%s", point, below), missed = -ENOENT;

	if (n < 0 || (size_t)n >= sizeof(dir))
		return -ENOENT;
	while (strlen(dir) >= point_len) {
		uint64_t id = 0;
		char *slash;
		int r = read_id(dir, &id);

		if (!r)
			r = id ? visit(arg, hierarchy, dir, id) : -ENOENT;
		if (!goes_on(r))
			return r;
		if (r == -EAGAIN)
			missed = r;
		slash = strrchr(dir, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	return missed;
}

/* 1: a line; 0: the end; or -errno. An error in the middle of a line is one, too. */
static int next_line(FILE *f, char **line, size_t *size)
{
	errno = 0;
	if (getline(line, size, f) > 0 && !ferror(f))
		return 1;
	if (feof(f) && !ferror(f))
		return 0;
	return errno ? -errno : -EIO;
}

static int visit_member(const struct membership *me, const char *mountinfo_file, self_visit visit,
			void *arg)
{
	FILE *f = fopen(mountinfo_file, "re");
	int r = -ENOENT, more = 0;
	size_t size = 0;
	char *line = NULL;

	if (!f)
		return -errno;
	while (goes_on(r) && (more = next_line(f, &line, &size)) > 0) {
		char *root, *point;
		const char *below;
		int found;

		if (!parse_mount(line, !me->hierarchy, &root, &point))
			continue;
		below = below_root(me->path, root);
		if (!below)
			continue;
		found = visit_upwards(me->hierarchy, point, below, visit, arg);
		if (found != -ENOENT)
			r = found;
	}
	free(line);
	(void)fclose(f);
	return more < 0 ? more : r;
}

int self_walk(const char *cgroup_file, const char *mountinfo_file, self_visit visit, void *arg)
{
	FILE *f = fopen(cgroup_file, "re");
	int r = -ENOENT, more = 0;
	size_t size = 0;
	char *line = NULL;

	if (!f)
		return -errno;
	while (goes_on(r) && (more = next_line(f, &line, &size)) > 0) {
		struct membership me;
		int found;

		if (!parse_membership(line, &me))
			continue;
		found = visit_member(&me, mountinfo_file, visit, arg);
		if (found != -ENOENT)
			r = found;
	}
	free(line);
	(void)fclose(f);
	return more < 0 ? more : r;
}

struct search {
	const struct baro_page *page;
	struct baro_slot_ref *ret_ref;
};

/* The slot whose cgroup this directory is. */
static int find_id(void *arg, uint32_t hierarchy, const char *dir, uint64_t id)
{
	const struct search *s = arg;
	uint32_t slots = baro_page_slots(s->page);
	int missed = -ENOENT;

	for (uint32_t i = 0; i < slots; i++) {
		struct baro_slot_ref ref;
		struct baro_slot slot;
		int r = baro_page_slot(s->page, i, &ref);

		if (!r)
			r = baro_page_read_slot(&ref, &slot);
		if (r == -EAGAIN)
			missed = r;
		if (r)
			continue;
		if ((slot.cgroup_hierarchy == hierarchy && slot.cgroup_id == id) ||
		    (!hierarchy && slot.psi_cgroup_id == id)) {
			*s->ret_ref = ref;
			return 0;
		}
	}
	return missed;
}

int page_find_self(const struct baro_page *page, const char *cgroup_file,
		   const char *mountinfo_file, struct baro_slot_ref *ret_ref)
{
	struct search s = { page, ret_ref };

	return self_walk(cgroup_file, mountinfo_file, find_id, &s);
}

int baro_page_find_self(const struct baro_page *page, struct baro_slot_ref *ret_ref)
{
	return page_find_self(page, "/proc/self/cgroup", "/proc/self/mountinfo", ret_ref);
}
