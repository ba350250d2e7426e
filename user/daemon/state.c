/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state file: what every cgroup looked like before us. It is written whenever that set changes,
 * by rename, so that after a kill -9 the next daemon knows which limits are ours to adopt and what
 * an orderly end must put back. It lives in /run: a reboot forgets it together with the cgroups.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/daemon.h"

#define STATE_VERSION 1

static json_t *origin_to_json(const char *name, const struct engine_origin *o)
{
	json_t *limits = json_object();

	/* As text: json's integers are signed, and "max" is UINT64_MAX. */
	for (int w = 0; w < CG_LIMIT_COUNT; w++) {
		char text[24];

		snprintf(text, sizeof(text), "%llu", (unsigned long long)o->limits.bytes[w]);
		json_object_set_new(limits, limits_name((enum cg_limit)w), json_string(text));
	}
	return json_pack("{s:s, s:I, s:b, s:o}", "name", name, "cgroup_id",
			 (json_int_t)o->cgroup_id, "created", o->created, "limits", limits);
}

static int origin_from_json(json_t *j, const char **ret_name, struct engine_origin *ret)
{
	struct engine_origin o = { .known = true };
	json_t *limits;
	json_int_t id;
	int created;

	if (json_unpack(j, "{s:s, s:I, s:b, s:o}", "name", ret_name, "cgroup_id", &id, "created",
			&created, "limits", &limits) < 0)
		return -EINVAL;
	for (int w = 0; w < CG_LIMIT_COUNT; w++) {
		const char *text =
		    json_string_value(json_object_get(limits, limits_name((enum cg_limit)w)));

		if (!text || units_parse_u64(text, &o.limits.bytes[w]) < 0)
			return -EINVAL;
	}
	o.cgroup_id = (uint64_t)id;
	o.created = created;
	*ret = o;
	return 0;
}

int state_save(struct daemon *d)
{
	char tmp[CONFIG_PATH_MAX + 8];
	json_t *root, *engines;
	int r;

	if (d->dry_run)
		return 0;
	root = json_object();
	engines = json_array();
	json_object_set_new(root, "version", json_integer(STATE_VERSION));
	if (d->parent_origin.known)
		json_object_set_new(root, "parent",
				    origin_to_json(d->config->parent, &d->parent_origin));
	for_each_engine (d, e)
		if (e->origin.known)
			json_array_append_new(engines, origin_to_json(e->name, &e->origin));
	json_object_set_new(root, "engines", engines);
	snprintf(tmp, sizeof(tmp), "%s.tmp", d->config->state);
	r = json_dump_file(root, tmp, JSON_INDENT(1)) < 0 ? -EIO : 0;
	json_decref(root);
	if (r == 0 && rename(tmp, d->config->state) < 0)
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		log_limited(LOG_LEVEL_WARN,
			    "event=state_not_saved path=%s error=\"%s\" detail=\"a restart after a "
			    "crash would take our limits for the operator's\", ignoring",
			    d->config->state, strerror(-r));
		return r;
	}
	d->state_dirty = false;
	return 0;
}

/* Fills the origins of engines and parent; they count only if the cgroup ids still match. */
int state_load(struct daemon *d)
{
	struct engine_origin origin;
	json_error_t error;
	json_t *root, *j;
	const char *name;
	size_t i;

	if (access(d->config->state, F_OK) < 0)
		return 0;
	root = json_load_file(d->config->state, 0, &error);
	if (!root || json_integer_value(json_object_get(root, "version")) != STATE_VERSION) {
		log_warn("event=state_unreadable path=%s error=\"%s\", ignoring", d->config->state,
			 root ? "of another version" : error.text);
		json_decref(root);
		return -EINVAL;
	}
	j = json_object_get(root, "parent");
	if (j && origin_from_json(j, &name, &origin) == 0 && !strcmp(name, d->config->parent))
		d->parent_origin = origin;
	json_array_foreach (json_object_get(root, "engines"), i, j) {
		struct engine *e;

		if (origin_from_json(j, &name, &origin) < 0)
			continue;
		e = engine_find(d, name);
		if (e)
			e->origin = origin;
		else if (origin.created)
			log_info("event=leftover engine=%s detail=\"made by a daemon before and no "
				 "longer configured: left alone\"",
				 name);
	}
	json_decref(root);
	return 0;
}
