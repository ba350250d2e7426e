/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Major faults and their latency (bpf/faults.bpf.c). One software event per CPU runs the program
 * that counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/faults.skel.h"
#include "user/common/cleanup.h"
#include "user/common/io.h"
#include "user/daemon/sensors_bpf.h"

struct fault_counters { /* as in bpf/faults.bpf.c */
	uint64_t count;
	uint64_t ns;
	uint64_t latency[LATENCY_BINS];
};

struct faults {
	struct faults_bpf *skel;
	struct sensor_counters counters;
	struct bpf_link **events; /* one per CPU that is on */
	int cpus;
};

static void faults_close(void *private)
{
	struct faults *f = private;

	if (!f)
		return;
	for (int cpu = 0; f->events && cpu < f->cpus; cpu++)
		bpf_link__destroy(f->events[cpu]);
	free(f->events);
	sensor_counters_unmap(&f->counters);
	faults_bpf__destroy(f->skel);
	free(f);
}

static void faults_closep(struct faults **f)
{
	faults_close(*f);
}

static int open_event(int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS_MAJ,
		.sample_period = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Debian's own level, which asks for more than CAP_PERFMON. */
#define PARANOID_DEBIAN 3

static int paranoia(void)
{
	char text[16];

	return io_read_file_at(AT_FDCWD, "/proc/sys/kernel/perf_event_paranoid", text,
			       sizeof(text)) > 0
		   ? atoi(text)
		   : 0;
}

static void note_refusal(int err)
{
	if (err == -EACCES && paranoia() >= PARANOID_DEBIAN)
		sensor_note("software events are for CAP_SYS_ADMIN here: sysctl "
			    "kernel.perf_event_paranoid=2 would give them to CAP_PERFMON");
	else
		sensor_note("kernel refuses the software event page-faults-maj (%s): needs "
			    "CONFIG_PERF_EVENTS and CAP_PERFMON",
			    strerrorname_np(-err));
}

static int attach_events(struct faults *f)
{
	int attached = 0, err = 0;

	f->cpus = libbpf_num_possible_cpus();
	if (f->cpus < 0)
		return f->cpus;
	f->events = calloc((size_t)f->cpus, sizeof(struct bpf_link *));
	if (!f->events)
		return -ENOMEM;
	for (int cpu = 0; cpu < f->cpus; cpu++) {
		int fd = open_event(cpu);

		if (fd == -ENODEV || fd == -ENXIO)
			continue; /* possible, but off */
		if (fd < 0) {
			note_refusal(fd);
			return fd;
		}
		f->events[cpu] = bpf_program__attach_perf_event(f->skel->progs.on_major_fault, fd);
		if (!f->events[cpu]) {
			err = -errno;
			close(fd); /* the link owns it only when there is one */
			return err;
		}
		attached++;
	}
	return attached ? 0 : -ENODEV;
}

static int faults_open(const struct sensor_ctx *ctx, enum sensor_variant variant,
		       void **ret_private)
{
	_cleanup_(faults_closep) struct faults *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->skel = faults_bpf__open();
	if (!f->skel)
		return -errno;
	sensor_pick_programs(f->skel->obj, variant);
	bpf_program__set_autoattach(f->skel->progs.on_major_fault, false);
	err = sensor_share(ctx, f->skel->obj);
	if (!err)
		err = sensor_size_counters(ctx, f->skel->maps.counters);
	if (!err)
		err = faults_bpf__load(f->skel);
	if (!err)
		err = faults_bpf__attach(f->skel);
	if (!err)
		err = attach_events(f);
	if (!err)
		err = sensor_counters_map(ctx, f->skel->maps.counters, &f->counters);
	if (err)
		return err;
	*ret_private = TAKE_PTR(f);
	return 0;
}

static void faults_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	const struct faults *f = private;
	struct fault_counters sum;

	sensor_counters_head(&f->counters, slot, 2, &sum.count);
	if (sum.count == reading->majfault_count && sum.ns == reading->majfault_ns)
		return;
	reading->moved |= 1u << SENSOR_FAULTS;
	reading->majfault_count = sum.count;
	reading->majfault_ns = sum.ns;
	sensor_counters_sum(&f->counters, slot, &sum);
	memcpy(reading->majfault_latency, sum.latency, sizeof(sum.latency));
}

static void faults_reset(void *private, uint32_t slot)
{
	struct faults *f = private;

	sensor_counters_reset(&f->counters, slot);
}

const struct sensor_module sensor_faults = {
	.id = SENSOR_FAULTS,
	.name = "faults",
	.rungs = { SENSOR_FENTRY, SENSOR_TRACEPOINT },
	.open = faults_open,
	.close = faults_close,
	.read = faults_read,
	.reset = faults_reset,
};
