/* SPDX-License-Identifier: BSD-2-Clause */
/* barostatd: options, one sentence for each unmet requirement, then the loop. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/common/io.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/daemon.h"

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
	const char *config_path;
	bool dry_run, check, verbose;
};

static void usage(FILE *out)
{
	fputs("usage: barostatd [--config FILE] [--dry-run] [--check] [--verbose]\n"
	      "\n"
	      "  -c, --config FILE  read FILE and FILE's conf.d/*.conf (default " CONFIG_DEFAULT
	      ")\n"
	      "  -n, --dry-run      sense, decide, explain, publish; change nothing\n"
	      "      --check        check the configuration and exit; with --verbose print it\n"
	      "  -v, --verbose      log every decision\n"
	      "  -h, --help\n"
	      "  -V, --version\n"
	      "\n"
	      "Exit status: 0 ok, 1 failed, 2 usage. See barostatd(8).\n",
	      out);
}

/* -1: go on; otherwise the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "check", no_argument, NULL, 'C' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread */
	while ((c = getopt_long(argc, argv, "c:nvhV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config_path = optarg;
			break;
		case 'n':
			o->dry_run = true;
			break;
		case 'C':
			o->check = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		case 'V':
			puts("barostatd " BAROSTAT_VERSION);
			return EXIT_OK;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "barostatd: unexpected argument \"%s\"\n", argv[optind]);
		usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* What a ceiling in percent refers to. */
static uint64_t ram_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

#define LOCK_PROBE_BYTES (1ull << 30) /* address space, not memory */

/*
 * Locks what there is and what comes. With RLIMIT_MEMLOCK and without CAP_IPC_LOCK the call may
 * succeed and every later mapping, a thread's stack too, fail: then nothing is locked.
 */
static int lock_memory(void)
{
	void *probe;

	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		return -errno;
	probe = mmap(NULL, LOCK_PROBE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (probe == MAP_FAILED) {
		munlockall();
		return -EPERM;
	}
	munmap(probe, LOCK_PROBE_BYTES);
	return 0;
}

/*
 * The daemon must survive the pressure it manages: what it has touched stays in memory
 * (MCL_ONFAULT, so that libraries' untouched pages cost nothing), and the kernel kills others
 * first.
 */
static void harden(void)
{
	int r = lock_memory();

	if (r < 0)
		log_info("event=not_locked error=\"%s\" detail=\"the daemon's own memory can be "
			 "reclaimed; CAP_IPC_LOCK brings this\", ignoring",
			 strerror(-r));
	/* Without CAP_SYS_RESOURCE the score cannot be lowered; nothing else depends on it. */
	if (io_write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", "-900") < 0)
		log_debug("event=oom_score_kept, ignoring");
}

static int open_backend(struct daemon *d)
{
	struct cg_options options = {
		.size = sizeof(options),
		.dry_run = d->dry_run,
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread */
		.cgroup_root = getenv("BAROSTAT_CGROUP_ROOT"),
	};
	const char *why = "";
	int r = cg_backend_open(&options, &d->backend, &why);

	if (r < 0) {
		log_err("event=no_hierarchy detail=\"%s\"", why);
		return r;
	}
	d->abilities = cg_backend_abilities(d->backend);
	if (!d->abilities->writable && !d->dry_run) {
		/* Observe: everything but writing. */
		log_warn("event=observe_only detail=\"no right to write limits in %s: decisions "
			 "are made and published, nothing is changed\"",
			 d->abilities->memory_mount);
		cg_backend_close(d->backend);
		d->dry_run = true;
		return open_backend(d);
	}
	return 0;
}

static int run(struct daemon *d)
{
	int r = open_backend(d);

	if (r == 0) {
		harden();
		r = daemon_init(d);
	}
	if (r == 0)
		r = daemon_run(d);
	daemon_fini(d);
	cg_backend_close(d->backend);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = { .config_path = CONFIG_DEFAULT };
	struct daemon *d;
	int r = parse_options(argc, argv, &o);

	if (r >= 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		return EXIT_FAILED;
	d->config_path = o.config_path;
	d->dry_run = o.dry_run;
	d->ram_bytes = ram_bytes();
	r = config_load(o.config_path, d->ram_bytes, stderr, &d->config);
	if (r < 0) {
		if (r != -EINVAL)
			fprintf(stderr, "barostatd: %s: %s\n", o.config_path, strerror(-r));
		free(d);
		return EXIT_FAILED;
	}
	if (o.check) {
		if (o.verbose)
			config_print(d->config, stdout);
		printf("%s: ok, %u engines in %u groups\n", o.config_path, d->config->engines,
		       d->config->groups);
		r = 0;
	} else {
		log_set_level(o.verbose ? LOG_LEVEL_DEBUG : (enum log_level)d->config->log_level);
		r = run(d);
	}
	config_free(d->config);
	free(d);
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}
