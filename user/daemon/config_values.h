/* SPDX-License-Identifier: BSD-2-Clause */
/* How each kind of value is read and written. See struct config_key for the contract. */
#ifndef BAROSTAT_DAEMON_CONFIG_VALUES_H
#define BAROSTAT_DAEMON_CONFIG_VALUES_H

#include "user/daemon/config_internal.h"

#define CONFIG_VALUE(kind)                                                                         \
	int config_parse_##kind(const struct config_key *key, const char *text, void *field,       \
				const char **ret_why);                                             \
	void config_print_##kind(const struct config_key *key, const void *field, FILE *out)

CONFIG_VALUE(size); /* struct config_size */
CONFIG_VALUE(time); /* uint64_t, ns */
CONFIG_VALUE(weight); /* uint32_t */
CONFIG_VALUE(percent32); /* uint32_t, ppm */
CONFIG_VALUE(percent64); /* uint64_t, ppm */
CONFIG_VALUE(cgroup); /* char[CONFIG_PATH_MAX], relative */
CONFIG_VALUE(path); /* char[CONFIG_PATH_MAX], absolute */
CONFIG_VALUE(endpoint); /* char[CONFIG_PATH_MAX], see config_endpoint.h */
CONFIG_VALUE(name); /* char[CONFIG_NAME_MAX] */
CONFIG_VALUE(octal); /* uint32_t */
CONFIG_VALUE(bool); /* bool */
CONFIG_VALUE(policy); /* enum law_policy */
CONFIG_VALUE(limit); /* enum config_limit_mode */
CONFIG_VALUE(log_level); /* int */

#endif
