/* SPDX-License-Identifier: BSD-2-Clause */
/* Which memory cgroups count into which slot: the `engines` hash of bpf/shared.bpf.h. */
#ifndef BAROSTAT_DAEMON_SENSORS_BPF_ENGINES_H
#define BAROSTAT_DAEMON_SENSORS_BPF_ENGINES_H

#include <stdint.h>

struct engine_set;

int engine_set_open(uint32_t slots, struct engine_set **ret);
void engine_set_close(struct engine_set *set);
int engine_set_fd(const struct engine_set *set);

/* The cgroup and everything already below it. Cgroups made later are the kernel side's to add. */
int engine_set_add(struct engine_set *set, uint32_t slot, int dirfd, uint64_t cgroup_id);
int engine_set_remove(struct engine_set *set, uint32_t slot);

/* How many cgroups below the engine were found by engine_set_add(). */
uint32_t engine_set_scanned(const struct engine_set *set, uint32_t slot);

#endif
