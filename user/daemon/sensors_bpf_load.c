/* SPDX-License-Identifier: BSD-2-Clause */
/* Getting a sensor into the kernel: rung by rung, and a sentence about what the kernel refused. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "user/common/cleanup.h"
#include "user/common/log.h"
#include "user/daemon/sensors_bpf_load.h"

/* libbpf has one log callback for the process, so what it said last is kept in one place. */
static struct {
	char said[160]; /* libbpf's first complaint about the rung being opened */
	char note[160]; /* the module's own words */
} capture;

static bool is_complaint(const char *line)
{
	return strstr(line, "failed") || strstr(line, "not found") || strstr(line, "refused");
}

static int on_libbpf_message(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char line[256];
	char *end;

	if (level == LIBBPF_DEBUG)
		return 0; /* hundreds of relocations per object, of use to nobody but libbpf's
			     authors */
	vsnprintf(line, sizeof(line), fmt, args);
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	if (!capture.said[0] && is_complaint(line))
		snprintf(capture.said, sizeof(capture.said), "%.150s",
			 strncmp(line, "libbpf: ", 8) == 0 ? line + 8 : line);
	log_debug("%s", line);
	return 0;
}

void sensor_listen(void)
{
	libbpf_set_print(on_libbpf_message);
}

void sensor_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(capture.note, sizeof(capture.note), fmt, args);
	va_end(args);
}

/* One refusal in words: what, the errno, and what would bring it. */
static void explain(enum sensor_variant variant, int err, char *ret_text, size_t size)
{
	const char *remedy = "";

	if (capture.note[0]) {
		snprintf(ret_text, size, "%s", capture.note);
		return;
	}
	if (err == -EPERM && variant == SENSOR_FENTRY)
		remedy = ", kernel lockdown? boot with lockdown=none to have it";
	else if (err == -EPERM)
		remedy = ", needs CAP_BPF and CAP_PERFMON";
	else if (err == -ESRCH || err == -ENOENT)
		remedy = ", this kernel has no such hook";
	else if (err == -EINVAL || err == -EACCES)
		remedy = ", the verifier did not accept it";
	snprintf(ret_text, size, "kernel refuses %s (%s%s%s%.60s)", sensor_variant_name(variant),
		 strerrorname_np(-err) ? strerrorname_np(-err) : "error", remedy,
		 err != -EPERM && capture.said[0] ? ": " : "",
		 err != -EPERM && capture.said[0] ? capture.said : "");
}

void sensor_climb(const struct sensor_ctx *ctx, const struct sensor_module *module,
		  struct fentry_verdict *fentry, struct sensor_state *state, void **ret_private)
{
	char refused[160] = "";
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(module->rungs) && module->rungs[i]; i++) {
		enum sensor_variant variant = module->rungs[i];

		if (variant == SENSOR_FENTRY && fentry->refused) {
			snprintf(refused, sizeof(refused), "%s", fentry->why);
			continue;
		}
		memset(&capture, 0, sizeof(capture));
		err = module->open(ctx, variant, ret_private);
		if (!err) {
			state->variant = variant;
			if (capture.note[0] && refused[0])
				snprintf(state->why, sizeof(state->why), "%.85s: %.72s", refused,
					 capture.note);
			else if (capture.note[0])
				snprintf(state->why, sizeof(state->why), "%s", capture.note);
			else if (refused[0])
				snprintf(state->why, sizeof(state->why), "%.120s: %s variant used",
					 refused, sensor_variant_name(variant));
			return;
		}
		explain(variant, err, refused, sizeof(refused));
		log_debug("sensor %s: %s", module->name, refused);
		if (variant == SENSOR_FENTRY && err == -EPERM) {
			/* It is the mechanism that is refused, not this program: ask once. */
			fentry->refused = true;
			snprintf(fentry->why, sizeof(fentry->why), "%s", refused);
		}
	}
	state->variant = SENSOR_OFF;
	snprintf(state->why, sizeof(state->why), "%s", refused);
}

/* Sets one 32-bit `const volatile` of the object's .rodata, found by its name in the object's BTF.
 */
static int set_constant(struct bpf_object *obj, const char *name, uint32_t value)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".rodata");
	const struct btf *btf = bpf_object__btf(obj);
	size_t size;
	/* const in libbpf's signature only: before load this is the copy that will be loaded */
	char *data = map ? (char *)bpf_map__initial_value(map, &size) : NULL;
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -ENOENT;

	if (!data || id < 0)
		return -ENOENT;
	const struct btf_type *section = btf__type_by_id(btf, id);
	const struct btf_var_secinfo *var = btf_var_secinfos(section);

	for (int i = 0; i < btf_vlen(section); i++, var++) {
		const struct btf_type *t = btf__type_by_id(btf, var->type);

		if (strcmp(btf__name_by_offset(btf, t->name_off), name) == 0 &&
		    var->size == sizeof(value) && var->offset + sizeof(value) <= size) {
			memcpy(data + var->offset, &value, sizeof(value));
			return 0;
		}
	}
	return -ENOENT;
}

int sensor_share(const struct sensor_ctx *ctx, struct bpf_object *obj)
{
	const struct {
		const char *name;
		int fd;
	} shared[] = {
		{ "engines", ctx->engines_fd },
		{ "events", ctx->events_fd },
		{ "armed", ctx->armed_fd },
		{ "common", ctx->common_fd },
	};
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, shared[i].name);

		err = map ? bpf_map__reuse_fd(map, shared[i].fd) : -ENOENT;
		if (err)
			return err;
	}
	err = set_constant(obj, "lanes", ctx->lanes);
	if (!err)
		err = set_constant(obj, "slots", ctx->slots);
	if (!err)
		err = set_constant(obj, "memory_hierarchy", (uint32_t)ctx->memory_hierarchy);
	return err;
}

int sensor_size_counters(const struct sensor_ctx *ctx, struct bpf_map *map)
{
	return bpf_map__set_max_entries(map, ctx->slots * ctx->lanes);
}

uint64_t sensor_ceiling_bytes(const struct sensor_ctx *ctx)
{
	if (ctx->options->ceiling_bytes)
		return ctx->options->ceiling_bytes;
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return n >= s && strcmp(name + n - s, suffix) == 0;
}

void sensor_pick_programs(struct bpf_object *obj, enum sensor_variant variant)
{
	const char *other = variant == SENSOR_FENTRY ? "_tp" : "_fentry";
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		if (ends_in(bpf_program__name(prog), other))
			bpf_program__set_autoload(prog, false);
	}
}

bool sensor_kernel_has(const char *function)
{
	return libbpf_find_vmlinux_btf_id(function, BPF_TRACE_FENTRY) > 0;
}
