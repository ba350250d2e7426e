/* SPDX-License-Identifier: BSD-2-Clause */
#include "cgroup/parse.h"

#include <errno.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"

/* Moves *p past a decimal number. -EINVAL: none here; -ERANGE. */
static int take_number(const char **p, const char *end, uint64_t *ret_value)
{
	const char *s = *p;
	uint64_t v = 0;

	for (; s < end && (unsigned char)(*s - '0') <= 9; s++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	if (s == *p)
		return -EINVAL;
	*p = s;
	*ret_value = v;
	return 0;
}

static const char *line_end(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));

	return nl ? nl : end;
}

static const char *line_after(const char *eol, const char *end)
{
	return eol < end ? eol + 1 : end;
}

int cg_parse_number(const char *text, size_t len, uint64_t *ret_value)
{
	const char *p = text, *end = text + len;
	uint64_t v;
	int r;

	if (len && end[-1] == '\n')
		end--;
	if (end - p == 3 && !memcmp(p, "max", 3)) {
		*ret_value = BYTES_NO_LIMIT;
		return 0;
	}
	r = take_number(&p, end, &v);
	if (r < 0)
		return r;
	if (p != end)
		return -EINVAL;
	*ret_value = v;
	return 0;
}

/* One line of memory.stat that we want. */
struct stat_key {
	const char *key;
	uint8_t len;
	uint8_t field;
};

#define KEY(text, name)                                                                            \
	{                                                                                          \
		.key = (text), .len = sizeof(text) - 1, .field = CG_STAT_##name                    \
	}

static const struct stat_key v2_keys[] = {
	KEY("anon", ANON),
	KEY("file", FILE),
	KEY("shmem", SHMEM),
	KEY("file_mapped", FILE_MAPPED),
	KEY("file_dirty", FILE_DIRTY),
	KEY("file_writeback", FILE_WRITEBACK),
	KEY("kernel", KERNEL),
	KEY("unevictable", UNEVICTABLE),
	KEY("active_file", ACTIVE_FILE),
	KEY("inactive_file", INACTIVE_FILE),
	KEY("pgfault", PGFAULT),
	KEY("pgmajfault", PGMAJFAULT),
	KEY("workingset_refault_anon", REFAULT_ANON),
	KEY("workingset_refault_file", REFAULT_FILE),
	KEY("pgscan", PGSCAN),
	KEY("pgsteal", PGSTEAL),
};

/* After "total_", the hierarchical half of the v1 file. */
static const struct stat_key v1_keys[] = {
	KEY("rss", ANON),
	KEY("cache", FILE),
	KEY("shmem", SHMEM),
	KEY("mapped_file", FILE_MAPPED),
	KEY("dirty", FILE_DIRTY),
	KEY("writeback", FILE_WRITEBACK),
	KEY("unevictable", UNEVICTABLE),
	KEY("swap", SWAP),
	KEY("active_file", ACTIVE_FILE),
	KEY("inactive_file", INACTIVE_FILE),
	KEY("pgfault", PGFAULT),
	KEY("pgmajfault", PGMAJFAULT),
	KEY("workingset_refault_anon", REFAULT_ANON),
	KEY("workingset_refault_file", REFAULT_FILE),
};

#undef KEY

static const struct stat_key *find_key(const struct stat_key *keys, size_t count, const char *name,
				       size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (keys[i].len == len && keys[i].key[0] == name[0] &&
		    !memcmp(keys[i].key, name, len))
			return &keys[i];
	return NULL;
}

static int parse_stat(const char *text, size_t len, const char *prefix, const struct stat_key *keys,
		      size_t count, struct cg_stat *ret)
{
	struct cg_stat stat = { .missing = (1u << CG_STAT_COUNT) - 1 };
	const char *p = text, *end = text + len, *next;
	size_t prefix_len = strlen(prefix);

	for (; p < end; p = next) {
		const char *eol = line_end(p, end);
		const struct stat_key *k;
		const char *space;
		uint64_t v;
		int r;

		next = line_after(eol, end);
		if ((size_t)(eol - p) < prefix_len || memcmp(p, prefix, prefix_len) != 0)
			continue;
		p += prefix_len;
		space = memchr(p, ' ', (size_t)(eol - p));
		if (!space || space == p)
			continue;
		k = find_key(keys, count, p, (size_t)(space - p));
		if (!k)
			continue;
		p = space + 1;
		r = take_number(&p, eol, &v);
		if (r < 0)
			return r;
		if (p != eol)
			return -EINVAL;
		stat.value[k->field] = v;
		stat.missing &= ~(1u << k->field);
	}
	*ret = stat;
	return 0;
}

int cg_parse_stat_v2(const char *text, size_t len, struct cg_stat *ret)
{
	return parse_stat(text, len, "", v2_keys, ARRAY_SIZE(v2_keys), ret);
}

int cg_parse_stat_v1(const char *text, size_t len, struct cg_stat *ret)
{
	return parse_stat(text, len, "total_", v1_keys, ARRAY_SIZE(v1_keys), ret);
}

int cg_parse_key(const char *text, size_t len, const char *key, uint64_t *ret_value)
{
	const char *p = text, *end = text + len, *eol;
	size_t key_len = strlen(key);

	for (; p < end; p = line_after(eol, end)) {
		uint64_t v;
		int r;

		eol = line_end(p, end);
		if ((size_t)(eol - p) <= key_len || p[key_len] != ' ' ||
		    memcmp(p, key, key_len) != 0)
			continue;
		p += key_len + 1;
		r = take_number(&p, eol, &v);
		if (r < 0)
			return r;
		if (p != eol)
			return -EINVAL;
		*ret_value = v;
		return 0;
	}
	return -ENOENT;
}

int cg_parse_events(const char *text, size_t len, struct cg_events *ret)
{
	struct cg_events e = { 0 };
	const struct {
		const char *key;
		uint64_t *value;
	} keys[] = { { "low", &e.low },
		     { "high", &e.high },
		     { "max", &e.max },
		     { "oom", &e.oom },
		     { "oom_kill", &e.oom_kill } };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int r = cg_parse_key(text, len, keys[i].key, keys[i].value);

		/* Older kernels have fewer lines, but these five have always been there. */
		if (r < 0)
			return r == -ENOENT ? -EINVAL : r;
	}
	*ret = e;
	return 0;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=123": the total, in us. */
static int take_total(const char *p, const char *eol, uint64_t *ret_ns)
{
	static const char tag[] = "total=";
	uint64_t us;
	int r;

	/* The total ends the line, and no average can contain its tag. */
	p = memmem(p, (size_t)(eol - p), tag, sizeof(tag) - 1);
	if (!p)
		return -EINVAL;
	p += sizeof(tag) - 1;
	r = take_number(&p, eol, &us);
	if (r < 0)
		return r;
	if (p != eol)
		return -EINVAL;
	if (__builtin_mul_overflow(us, NS_PER_US, ret_ns))
		return -ERANGE;
	return 0;
}

int cg_parse_pressure(const char *text, size_t len, struct cg_pressure *ret)
{
	const char *p = text, *end = text + len, *eol;
	struct cg_pressure pressure = { 0 };
	bool some = false;
	int r = 0;

	for (; p < end; p = line_after(eol, end)) {
		eol = line_end(p, end);
		if (eol - p > 5 && !memcmp(p, "some ", 5)) {
			r = take_total(p, eol, &pressure.some_ns);
			some = true;
		} else if (eol - p > 5 && !memcmp(p, "full ", 5)) {
			r = take_total(p, eol, &pressure.full_ns);
		}
		if (r < 0)
			return r;
	}
	if (!some)
		return -EINVAL;
	*ret = pressure;
	return 0;
}

/* Whether a comma-separated list holds the word; an empty list holds the empty word. */
static bool list_has(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - p) == len && !memcmp(p, word, len))
			return true;
		if (!comma)
			return false;
		p = comma + 1;
	}
}

static int copy_path(const char *p, const char *end, char *ret_path, size_t size)
{
	size_t len;

	if (p >= end || *p != '/')
		return -EINVAL;
	p++;
	len = (size_t)(end - p);
	/* "/../x" is how the kernel shows what lies above the root of the reader's namespace. */
	if (len >= 2 && !memcmp(p, "..", 2) && (len == 2 || p[2] == '/'))
		return -EXDEV;
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(ret_path, p, len);
	ret_path[len] = '\0';
	return (int)len;
}

/* "ID:CONTROLLER,CONTROLLER:/path": the line that has the controller. */
struct proc_line {
	const char *id, *path, *eol;
};

static int find_proc_line(const char *text, size_t len, const char *controller,
			  struct proc_line *ret)
{
	const char *p = text, *end = text + len, *eol;

	for (; p < end; p = line_after(eol, end)) {
		const char *list, *path;

		eol = line_end(p, end);
		list = memchr(p, ':', (size_t)(eol - p));
		if (!list)
			continue;
		list++;
		path = memchr(list, ':', (size_t)(eol - list));
		if (!path || !list_has(list, path, controller))
			continue;
		*ret = (struct proc_line){ .id = p, .path = path + 1, .eol = eol };
		return 0;
	}
	return -ENOENT;
}

int cg_parse_proc_cgroup(const char *text, size_t len, const char *controller, char *ret_path,
			 size_t size)
{
	struct proc_line line;
	int r = find_proc_line(text, len, controller, &line);

	return r < 0 ? r : copy_path(line.path, line.eol, ret_path, size);
}

int cg_parse_hierarchy_id(const char *text, size_t len, const char *controller, uint32_t *ret_id)
{
	struct proc_line line;
	uint64_t id = 0;
	int r = find_proc_line(text, len, controller, &line);

	if (!r)
		r = take_number(&line.id, line.eol, &id);
	if (r < 0)
		return r;
	if (*line.id != ':' || id > UINT32_MAX)
		return -EINVAL;
	*ret_id = (uint32_t)id;
	return 0;
}

bool cg_parse_has_word(const char *text, size_t len, const char *word)
{
	const char *p = text, *end = text + len;
	size_t word_len = strlen(word);

	while (p < end) {
		const char *s = p;

		while (p < end && *p != ' ' && *p != '\n')
			p++;
		if ((size_t)(p - s) == word_len && !memcmp(s, word, word_len))
			return true;
		if (p < end)
			p++;
	}
	return false;
}

size_t cg_parse_pids(const char *text, size_t len, pid_t *ret_pids, size_t max, size_t *inout_count)
{
	const char *p = text, *end = text + len;

	for (;;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		uint64_t v;

		if (!nl)
			return (size_t)(p - text);
		/* 0 stands for a process of a PID namespace that we cannot see. */
		if (!take_number(&p, nl, &v) && v && v <= INT32_MAX) {
			if (*inout_count < max)
				ret_pids[*inout_count] = (pid_t)v;
			(*inout_count)++;
		}
		p = nl + 1;
	}
}
