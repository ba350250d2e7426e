/* SPDX-License-Identifier: BSD-2-Clause */
/* How each kind of value is read. See struct sim_key for the contract. */
#ifndef BAROSTAT_SIM_VALUES_H
#define BAROSTAT_SIM_VALUES_H

#include "user/sim/scenario.h"

#define SIM_VALUE(kind)                                                                            \
	int sim_parse_##kind(const struct sim_key *key, const struct sim_scenario *scenario,       \
			     const char *text, void *field, const char **ret_why)

SIM_VALUE(share); /* double, parts */
SIM_VALUE(ppm); /* uint64_t */
SIM_VALUE(number); /* double */
SIM_VALUE(count); /* uint32_t */
SIM_VALUE(seed); /* uint64_t */
SIM_VALUE(grain); /* uint32_t, a power of 2 */
SIM_VALUE(seconds); /* double */
SIM_VALUE(ns); /* uint64_t */
SIM_VALUE(tick); /* uint64_t, whole slices of the simulation */
SIM_VALUE(word); /* an enum */
SIM_VALUE(flag); /* bool: the second word is true */
SIM_VALUE(turn); /* uint32_t turn, turns */
SIM_VALUE(reads); /* struct sim_part[SIM_PARTS_MAX] */
SIM_VALUE(engines); /* double[SIM_ENGINES_MAX] */
SIM_VALUE(policy); /* struct sim_options */

#endif
