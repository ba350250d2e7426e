/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills the disk that a directory is on by way of the overflow region, then writes every byte it
 * was given, to the disk too, and reads it back.
 *
 *   overflow DIR: "full BYTES ERRNO" on stdout; a SIGBUS, or a byte that is another one, ends it
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/barostat/overflow.h"
#include "user/common/units.h"

#define PARTS_MAX 4096
#define BYTES_MAX (300ull * 1024)

static struct {
	unsigned char *memory;
	size_t bytes;
} part[PARTS_MAX];

static unsigned char value(size_t i, size_t k)
{
	return (unsigned char)(i * 31 + k * 7 + 1);
}

static void give_up(const char *what, int error)
{
	fprintf(stderr, "overflow: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* Large ones first; what is left goes to smaller ones. */
static size_t fill(struct baro_overflow *o, uint64_t *ret_bytes, int *ret_error)
{
	size_t n = 0;
	void *p;

	for (size_t bytes = BYTES_MAX; bytes && n < PARTS_MAX; bytes = bytes / 4) {
		while (n < PARTS_MAX && (*ret_error = baro_overflow_alloc(o, bytes, &p)) == 0) {
			part[n].memory = p;
			part[n++].bytes = bytes;
			*ret_bytes += bytes;
		}
	}
	return n;
}

static void use(struct baro_overflow *o, size_t n)
{
	int64_t r;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < part[i].bytes; k++)
			part[i].memory[k] = value(i, k);
	for (size_t i = 0; i < n; i++) {
		r = baro_overflow_evict(o, part[i].memory);
		if (r < 0)
			give_up("evict", (int)r);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < part[i].bytes; k++)
			if (part[i].memory[k] != value(i, k))
				give_up("another byte", -EIO);
}

int main(int argc, char **argv)
{
	const struct baro_overflow_options options = { .size = sizeof(options),
						       .dir = argc > 1 ? argv[1] : "." };
	struct baro_overflow *o;
	int error = baro_overflow_open(&options, &o);

	if (error < 0)
		give_up("open", error);
	for (int round = 0; round < 2; round++) {
		uint64_t bytes = 0;
		size_t n = fill(o, &bytes, &error);

		printf("full %" PRIu64 " %d\n", bytes, -error);
		fflush(stdout);
		use(o, n);
		for (size_t i = 0; i < n; i++)
			if (baro_overflow_free(o, part[i].memory) < 0)
				give_up("free", -EINVAL);
	}
	baro_overflow_close(o);
	return 0;
}
