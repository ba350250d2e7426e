// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reads the pressure page without the library: one mmap, and the read loop of
 * docs/page-protocol.md. For engines that want no dependency; the header is used for the layout.
 *
 *	cc mmap_reader.c -o mmap_reader && ./mmap_reader [PAGE]
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <barostat/page.h>

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* 0 with a consistent copy, -1 when the writer did not finish in time. */
static int read_slot(const struct baro_slot *slot, struct baro_slot *copy)
{
	const uint64_t *from = (const uint64_t *)slot;
	uint64_t *to = (uint64_t *)copy;

	for (int tries = 0; tries < 1000; tries++) {
		uint32_t before = __atomic_load_n(&slot->pressure.seq, __ATOMIC_ACQUIRE);

		for (size_t i = 0; i < sizeof(*copy) / 8; i++)
			to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) &&
		    __atomic_load_n(&slot->pressure.seq, __ATOMIC_RELAXED) == before)
			return 0;
	}
	return -1;
}

/* The sizes are taken once, and checked against the file, before anything is believed. */
static const uint8_t *map_page(const char *path, struct baro_page_header *ret_header)
{
	struct baro_page_header h;
	struct stat st;
	const uint8_t *base;
	size_t bytes;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || pread(fd, &h, sizeof(h), 0) != sizeof(h))
		return NULL;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return NULL;
	if (h.magic != BARO_PAGE_MAGIC || h.abi_major != BARO_PAGE_ABI_MAJOR ||
	    h.header_bytes < sizeof(h) || h.slot_bytes < sizeof(struct baro_slot))
		return NULL;
	bytes = h.header_bytes + (size_t)h.slot_count * h.slot_bytes;
	if ((size_t)st.st_size < bytes)
		return NULL;
	base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (base == MAP_FAILED)
		return NULL;
	*ret_header = h;
	return base;
}

int main(int argc, char **argv)
{
	struct baro_page_header h;
	const uint8_t *base = map_page(argc > 1 ? argv[1] : BARO_PAGE_PATH, &h);
	const struct baro_page_header *live = (const struct baro_page_header *)base;

	if (!base) {
		fprintf(stderr, "mmap_reader: no page that can be read\n");
		return 3;
	}
	if (now_ns() >= __atomic_load_n(&live->void_after_ns, __ATOMIC_RELAXED))
		printf("the lease has run out: do not believe this\n");
	for (uint32_t i = 0; i < h.slot_count; i++) {
		struct baro_slot slot;

		if (read_slot((const void *)(base + h.header_bytes + (size_t)i * h.slot_bytes),
			      &slot) < 0 ||
		    BARO_STATUS_STATE(slot.pressure.status) == BARO_SLOT_FREE)
			continue;
		printf("%.*s level=%u budget=%" PRIu64 " usage=%" PRIu64 " release=%" PRIu64 "\n",
		       (int)sizeof(slot.name), slot.name, BARO_STATUS_LEVEL(slot.pressure.status),
		       slot.pressure.budget_bytes, slot.pressure.usage_bytes,
		       slot.pressure.release_bytes);
	}
	return 0;
}
