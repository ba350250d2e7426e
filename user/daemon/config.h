/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: INI files read whole or refused whole.
 *
 * /etc/barostat/barostat.conf, then the .conf files of conf.d beside it in name order. Later files
 * may add sections and override keys. Every complaint names file, line, what is wrong and what is
 * allowed.
 */
#ifndef BAROSTAT_DAEMON_CONFIG_H
#define BAROSTAT_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "user/daemon/law.h"

#define CONFIG_NAME_MAX    64 /* names: [A-Za-z0-9._-], with the NUL */
#define CONFIG_PATH_MAX    512
#define CONFIG_ENGINES_MAX LAW_ENGINES_MAX
#define CONFIG_GROUPS_MAX  LAW_GROUPS_MAX
#define CONFIG_DEFAULT     "/etc/barostat/barostat.conf"

enum config_limit_mode {
	CONFIG_LIMIT_SOFT, /* protection (memory.low) under the parent's ceiling: default on v2 */
	CONFIG_LIMIT_HARD, /* the target is the limit */
};

/* Where something was said, for complaints about the whole; line 0: nowhere, it is a default. */
struct config_where {
	uint32_t line;
	uint16_t file; /* index into config.file */
};

/* A size that may be written as a percentage. The ceiling's refers to the RAM the caller names, all
 * others to the ceiling. */
struct config_size {
	bool set;
	bool relative;
	uint64_t value; /* bytes, or ppm when relative */
	struct config_where where;
};

struct config_engine {
	char name[CONFIG_NAME_MAX];
	char group_name[CONFIG_NAME_MAX]; /* "" = default group */
	uint32_t group; /* index into config.group */
	char cgroup[CONFIG_PATH_MAX]; /* relative to the hierarchy; default PARENT/NAME */
	bool cgroup_given; /* said by the operator: may exist already, is never deleted by us unless
			      created by us */
	struct config_size min, max, initial;
	uint32_t weight;
	uint64_t stall_target_ppm;
	enum config_limit_mode limit;
	bool limit_given;
	char user[CONFIG_NAME_MAX]; /* may open the demand page; "" = root */
	/* resolved, page multiples; max within ceiling less reserve; initial 0: not said */
	uint64_t min_bytes, max_bytes, initial_bytes;
	struct config_where where, group_where, cgroup_where;
};

struct config_group {
	char name[CONFIG_NAME_MAX];
	struct config_size min, max;
	uint32_t weight;
	uint64_t min_bytes, max_bytes;
	struct config_where where;
};

struct config {
	struct config_size ceiling; /* default 80% of RAM */
	struct config_size reserve; /* default 5% of the ceiling */
	struct config_size burst; /* burst reserve, default 2% of the ceiling */
	uint64_t ceiling_bytes, reserve_bytes, burst_bytes; /* resolved, page multiples */
	uint64_t interval_ns; /* default 100ms, 10ms..60s */
	uint64_t interval_min_ns; /* when a limit is near; default interval / 4, 10ms at least */
	uint64_t interval_max_ns; /* when nothing happens; default 4 x interval, 400ms at most */
	uint64_t lease_ns; /* page lease, default 10 x interval, at least 1s */
	char parent[CONFIG_PATH_MAX]; /* common parent cgroup, default "barostat" */
	char page[CONFIG_PATH_MAX]; /* /run/barostat/pressure */
	char socket[CONFIG_PATH_MAX]; /* /run/barostat/control.sock */
	char engine_socket[CONFIG_PATH_MAX]; /* default: engine.sock beside the control socket */
	char state[CONFIG_PATH_MAX]; /* /run/barostat/state.json */
	char metrics[CONFIG_PATH_MAX]; /* "off", or where they can be fetched: config_endpoint.h */
	bool metrics_remote; /* also from other machines */
	uint32_t page_mode; /* octal, default 0644 */
	enum law_policy policy;
	uint32_t gamma_ppm;
	bool bpf; /* bpf = no: files rung */
	bool reuse; /* reuse = no: without the sensor that every read() passes */
	int log_level; /* enum log_level of user/common/log.h */
	struct config_where where; /* the last [daemon] section */
	struct config_where interval_min_where, interval_max_where, lease_where, page_where,
	    socket_where, engine_socket_where, state_where, metrics_where;

	struct config_engine *engine;
	uint32_t engines;
	struct config_group *group; /* group[0] is the default group "" */
	uint32_t groups;
	char (*file)[CONFIG_PATH_MAX];
	uint32_t files;
};

/*
 * Reads and checks. On failure every complaint (not only the first, up to 100) was written to
 * `complaints` as "FILE:LINE: what is wrong; allowed: ...", *ret is untouched and -EINVAL (or the
 * errno of the main file) is returned. `ram_bytes` is what a percentage of the ceiling refers to
 * and what the ceiling must not exceed (the caller's view of RAM or of the parent's limit). A
 * configuration without engines is legal.
 */
int config_load(const char *path, uint64_t ram_bytes, FILE *complaints, struct config **ret);
void config_free(struct config *c);

/* One KEY=VALUE of an engine as `barostat set` sends it, checked against the whole; nothing is
 * changed on failure and ret_why says what is allowed. Keys: min, max, weight, stall_target, limit.
 */
int config_set_engine(struct config *c, const char *engine, const char *key, const char *value,
		      char *ret_why, size_t why_size);

/* Index of the engine, -ENOENT. */
int config_find_engine(const struct config *c, const char *name);

/* Writes the effective configuration as INI, for --check -v and tests (parses back to itself). */
void config_print(const struct config *c, FILE *out);

/* The table of keys, one "SECTION<TAB>KEY<TAB>DEFAULT<TAB>ALLOWED" per line: barostat.conf(5) is
 * checked against it. */
void config_print_keys(FILE *out);

#endif
