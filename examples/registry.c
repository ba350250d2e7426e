// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lazy indexes: every file below a directory is an index, mapped by its first use and unmapped
 *again when the engine is asked for memory, or after a minute without use.
 *
 *	cc registry.c $(pkg-config --cflags --libs libbarostat) -o registry
 *	./registry DIRECTORY [MANIFEST] < names
 *
 * Reads names of indexes and prints the sum of each one's bytes. With MANIFEST it begins where it
 * stopped the last time, without looking at the directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <barostat/client.h>
#include <barostat/registry.h>

#define SECOND_NS UINT64_C(1000000000)

/* What load hands out. */
struct mapped {
	size_t bytes;
	void *at;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static int map_file(int fd, struct mapped *m)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	m->bytes = (size_t)st.st_size;
	m->at = m->bytes ? mmap(NULL, m->bytes, PROT_READ, MAP_SHARED, fd, 0) : NULL;
	return m->at == MAP_FAILED ? -errno : 0;
}

static int load(void *arg, const struct baro_index *index, void **ret_object, uint64_t *ret_bytes)
{
	int fd = open(index->path, O_RDONLY | O_CLOEXEC), r;
	struct mapped *m;

	(void)arg;
	if (fd < 0)
		return -errno;
	m = calloc(1, sizeof(*m));
	r = m ? map_file(fd, m) : -ENOMEM;
	close(fd);
	if (r < 0) {
		free(m);
		return r;
	}
	*ret_object = m;
	*ret_bytes = m->bytes;
	return 0;
}

static void unload(void *arg, const struct baro_index *index, void *object)
{
	struct mapped *m = object;

	(void)arg;
	(void)index;
	if (m->at)
		munmap(m->at, m->bytes);
	free(m);
}

static void use(struct baro_registry *indexes, const char *name)
{
	const struct mapped *m;
	struct baro_pin pin;
	uint64_t sum = 0;
	int r = baro_registry_get_named(indexes, name, now_ns(), &pin);

	if (r < 0) {
		printf("%s: %s\n", name, strerror(-r));
		return;
	}
	m = pin.object;
	for (size_t i = 0; i < m->bytes; i++)
		sum += ((const unsigned char *)m->at)[i];
	printf("%s: %zu bytes, sum %" PRIu64 "\n", name, m->bytes, sum);
	baro_pin_release(&pin);
}

/* What the daemon asks for, coldest first, and what nobody uses. */
static void give_back(struct baro_registry *indexes, struct baro_client *client)
{
	struct baro_pressure now;
	uint64_t freed = 0;

	if (baro_client_read(client, &now) == 0 && now.release_bytes)
		baro_registry_unload_cold(indexes, now.release_bytes, &freed);
	baro_registry_unload_idle(indexes, 60 * SECOND_NS, now_ns(), NULL);
}

int main(int argc, char **argv)
{
	const struct baro_registry_options options = { .size = sizeof(options),
						       .load = load,
						       .unload = unload };
	struct baro_registry *indexes;
	struct baro_client *client;
	char name[BARO_INDEX_NAME_MAX], why[BARO_REGISTRY_WHY_MAX];
	int r = -ENOENT;

	if (argc < 2 || baro_client_open(NULL, &client) < 0 ||
	    baro_registry_open(&options, &indexes) < 0)
		return 1;
	if (argc > 2)
		r = baro_registry_restore(indexes, argv[2], NULL, why, sizeof(why));
	if (r < 0)
		r = baro_registry_add_dir(indexes, argv[1], NULL, NULL);
	while (!r && fgets(name, sizeof(name), stdin)) {
		name[strcspn(name, "\n")] = '\0';
		use(indexes, name);
		give_back(indexes, client);
	}
	if (!r && argc > 2)
		r = baro_registry_save(indexes, argv[2]);
	if (r < 0)
		fprintf(stderr, "registry: %s\n", strerror(-r));
	baro_registry_close(indexes);
	baro_client_close(client);
	return r < 0;
}
