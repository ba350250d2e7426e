/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/log.h"
#include "user/common/suggest.h"
#include "user/daemon/config_endpoint.h"
#include "user/daemon/config_internal.h"

void config_complain(struct config_complaints *to, struct config_where where, const char *fmt, ...)
{
	const struct config *c = to->config;
	va_list args;

	if (to->count++ >= CONFIG_COMPLAINTS_MAX || !to->out)
		return;
	if (c && where.file < c->files) {
		fprintf(to->out, "%s:", c->file[where.file]);
		if (where.line)
			fprintf(to->out, "%u:", where.line);
		fputc(' ', to->out);
	}
	va_start(args, fmt);
	vfprintf(to->out, fmt, args);
	va_end(args);
	fputc('\n', to->out);
}

void config_complain_end(struct config_complaints *to)
{
	if (to->out && to->count > CONFIG_COMPLAINTS_MAX)
		fprintf(to->out, "and %u complaints more\n", to->count - CONFIG_COMPLAINTS_MAX);
}

static const struct config_size all_of_it = { .relative = true, .value = 1000000 };

struct config_group *config_group_add(struct config *c, const char *name)
{
	struct config_group *group = reallocarray(c->group, c->groups + 1, sizeof(*group)), *g;

	if (!group)
		return NULL;
	c->group = group;
	g = &group[c->groups++];
	*g = (struct config_group){ .weight = 100, .max = all_of_it };
	snprintf(g->name, sizeof(g->name), "%s", name);
	return g;
}

struct config_engine *config_engine_add(struct config *c, const char *name)
{
	struct config_engine *e;

	/* Room doubles whenever the number of engines is a power of two. */
	if (!(c->engines & (c->engines - 1))) {
		size_t room = c->engines ? 2 * (size_t)c->engines : 1;

		e = reallocarray(c->engine, room, sizeof(*e));
		if (!e)
			return NULL;
		c->engine = e;
	}
	e = &c->engine[c->engines++];
	*e = (struct config_engine){ .weight = 100, .max = all_of_it };
	snprintf(e->name, sizeof(e->name), "%s", name);
	return e;
}

struct config_group *config_group_find(const struct config *c, const char *name)
{
	for (uint32_t i = 0; i < c->groups; i++)
		if (!strcmp(c->group[i].name, name))
			return &c->group[i];
	return NULL;
}

int config_find_engine(const struct config *c, const char *name)
{
	for (uint32_t i = 0; i < c->engines; i++)
		if (!strcmp(c->engine[i].name, name))
			return (int)i;
	return -ENOENT;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	free(c->engine);
	free(c->group);
	free(c->file);
	free(c);
}

static void cleanup_config(struct config **c)
{
	config_free(*c);
}

struct config *config_new(void)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ceiling = (struct config_size){ .relative = true, .value = 800000 };
	c->reserve = (struct config_size){ .relative = true, .value = 50000 };
	c->burst = (struct config_size){ .relative = true, .value = 20000 };
	c->interval_ns = 100000000;
	snprintf(c->parent, sizeof(c->parent), "barostat");
	snprintf(c->page, sizeof(c->page), "/run/barostat/pressure");
	snprintf(c->socket, sizeof(c->socket), "/run/barostat/control.sock");
	snprintf(c->state, sizeof(c->state), "/run/barostat/state.json");
	snprintf(c->metrics, sizeof(c->metrics), ENDPOINT_OFF);
	c->page_mode = 0644;
	c->policy = LAW_POLICY_MARGINAL;
	c->gamma_ppm = 1000000;
	c->bpf = true;
	c->reuse = true;
	c->log_level = LOG_LEVEL_INFO;
	if (!config_group_add(c, "")) {
		config_free(c);
		return NULL;
	}
	return c;
}

int config_load(const char *path, uint64_t ram_bytes, FILE *complaints, struct config **ret)
{
	_cleanup_(cleanup_config) struct config *c = config_new();
	struct config_complaints to = { .out = complaints, .config = c };
	int r;

	if (!c)
		return -ENOMEM;
	r = config_read_file(c, path, &to);
	if (r < 0)
		return r;
	config_read_drop_ins(c, path, &to);
	config_check_daemon(c, ram_bytes, &to);
	config_check_shares(c, &to);
	config_complain_end(&to);
	if (to.count)
		return -EINVAL;
	*ret = TAKE_PTR(c);
	return 0;
}

static bool settable(const char *key)
{
	static const char *const keys[] = { "min", "max", "weight", "stall_target", "limit" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

/* The first complaint as one sentence without its place. */
static int first_line(char *text, char *ret_why, size_t why_size)
{
	text[strcspn(text, "\n")] = 0;
	snprintf(ret_why, why_size, "%s", text);
	return -EINVAL;
}

int config_set_engine(struct config *c, const char *engine, const char *key, const char *value,
		      char *ret_why, size_t why_size)
{
	_cleanup_free_ char *text = NULL;
	struct config_complaints to = { 0 }, quiet = { 0 };
	struct config_engine before;
	size_t text_bytes;
	int i = config_find_engine(c, engine);

	if (i < 0) {
		snprintf(ret_why, why_size, "there is no engine '%.64s'", engine);
		return -ENOENT;
	}
	if (!settable(key)) {
		snprintf(ret_why, why_size,
			 "'%.64s' cannot be set while running; allowed: min, max, weight, "
			 "stall_target and limit",
			 key);
		return -EINVAL;
	}
	to.out = open_memstream(&text, &text_bytes);
	if (!to.out)
		return -ENOMEM;
	before = c->engine[i];
	config_key_set(config_key_find(CONFIG_ENGINE, key), CONFIG_ENGINE, &c->engine[i], engine,
		       value, (struct config_where){ 0 }, &to);
	if (!to.count)
		config_check_shares(c, &to);
	fclose(to.out);
	if (!to.count)
		return 0;
	c->engine[i] = before;
	config_check_shares(c, &quiet);
	return first_line(text, ret_why, why_size);
}
