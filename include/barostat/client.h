/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine's side of barostat, in one object: it reads what memory the engine may use, and says
 * what it could use and give back. It needs no configuration: the daemon sees by the process's
 * cgroup which engine it is. Without a daemon it reads the cgroup's own limits, and finds the
 * daemon by itself when it comes (back).
 *
 *	struct baro_client *client;
 *	struct baro_pressure now = { 0 };
 *
 *	if (baro_client_open(NULL, &client) == 0) {
 *		baro_client_set_reclaimable(client, cache_bytes());
 *		// a thread of its own
 *		while (baro_client_wait(client, &now, BARO_PAGE_NONE) == 0) {
 *			if (now.release_bytes)
 *				cache_free(now.release_bytes);
 *			cache_limit(now.budget_bytes);
 *			baro_client_set_reclaimable(client, cache_bytes());
 *			baro_client_acknowledge(client, now.grant_epoch);
 *		}
 *		baro_client_close(client);
 *	}
 *
 * Threads: everything but close may be called from any number of threads at once. The setters cost
 * some tens of nanoseconds and make no system call. The library starts no thread and touches no
 * signal; whoever waits keeps the heartbeat, an engine that never waits calls
 * baro_client_heartbeat() every few seconds. After fork() only the parent may go on with a client.
 *
 * Errors: 0 or -errno; outputs are untouched on failure unless said otherwise.
 */
#ifndef BAROSTAT_CLIENT_H
#define BAROSTAT_CLIENT_H

#include <barostat/demand.h>
#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_client;
struct baro_metrics;

/* Where what is read comes from; higher is better. */
enum baro_source {
	BARO_SOURCE_FILES = 1, /* the cgroup's own limits: nobody moves them */
	BARO_SOURCE_PAGE = 2, /* the pressure page by its path: the daemon does not hear us */
	BARO_SOURCE_DAEMON = 3, /* the engine socket: it does */
};

/*
 * Opens a client. NULL as path means $BAROSTAT_ENGINE_SOCKET, or BARO_ENGINE_SOCKET_PATH. A daemon
 * that is not there, or refuses, is no error: see baro_client_source(). Waits for the daemon at
 * most a second.
 *  -ENOMEM
 *  -ENAMETOOLONG	the path does not fit a socket's address
 */
BARO_API int baro_client_open(const char *path, struct baro_client **ret_client);

/* The last call: what was declared is no longer heard. NULL is fine. */
BARO_API void baro_client_close(struct baro_client *client);

/* Where baro_client_read() would read from now: enum baro_source. */
BARO_API uint32_t baro_client_source(struct baro_client *client);

/* Why the daemon does not hear us: 0 when it does, otherwise
 *  -ENOENT, -ECONNREFUSED	no daemon listens; or this process is in no engine's cgroup
 *  -EACCES	neither root nor the user in the engine's configuration
 *  -EBUSY	the engine has as many clients as it may
 *  -EPERM	what listens there is neither root's nor ours
 *  -EPROTO, -EPROTONOSUPPORT	it is no barostatd, or one of another version
 *  -EMFILE, -ENOMEM, ...	what the connection or its pages need is not to be had
 * It is tried again about once a second.
 */
BARO_API int baro_client_error(struct baro_client *client);

/*
 * What the engine may use now. From files only limit, usage, headroom and what follows from them
 * (budget, target, level, and as score how much of the limit is held by what cannot be dropped) are
 * known; the rest is 0, or BARO_PAGE_NONE where there is none.
 *  -EAGAIN	as baro_page_read()
 *  -ENOENT	no daemon, and no memory cgroup either
 *  -EMFILE, -ENFILE, -ENOMEM, -EIO, -EACCES, ...	no daemon, and the files cannot be read: what
 *		they say is not known, which is not the same as no limit
 */
BARO_API int baro_client_read(struct baro_client *client, struct baro_pressure *ret_pressure);

/*
 * Sleeps until level, state, budget, release request or grant epoch differ from *seen, which is
 * what the caller acted upon last (all zeros at first), and then puts what is now into *seen. Keeps
 * the heartbeat and the connection meanwhile. BARO_PAGE_NONE waits for ever. What cannot be read is
 * no news.
 *  -ETIMEDOUT	nothing moved in time
 *  -EINTR	a signal came
 */
BARO_API int baro_client_wait(struct baro_client *client, struct baro_pressure *seen,
			      uint64_t timeout_ns);

/* What the engine is doing: enum baro_hint. */
BARO_API void baro_client_set_hint(struct baro_client *client, uint32_t hint);
/* How many bytes it could make use of in all; 0: no idea. It gets no more than that. */
BARO_API void baro_client_set_wanted(struct baro_client *client, uint64_t bytes);
/* How many bytes it could give back on request, without harm to more than its speed. */
BARO_API void baro_client_set_reclaimable(struct baro_client *client, uint64_t bytes);
/* How many bytes it counts itself as using. */
BARO_API void baro_client_set_accounted(struct baro_client *client, uint64_t bytes);

/* Publishes these metrics (see <barostat/metrics.h>) now, and about once a second with the
 * heartbeat. NULL: no longer; when that returns, nothing reads them on behalf of this client. Not
 * from a metric's callback. */
BARO_API void baro_client_set_metrics(struct baro_client *client, struct baro_metrics *metrics);

/* It has acted on what it read: budget and release request of that epoch. */
BARO_API void baro_client_acknowledge(struct baro_client *client, uint64_t grant_epoch);

/* It lives. About once a second this also looks after the connection: some system calls, which do
 * not block. */
BARO_API void baro_client_heartbeat(struct baro_client *client);

/* "files", "page", "daemon"; "?" for unknown ones. */
BARO_API const char *baro_source_name(uint32_t source);

#ifdef __cplusplus
}
#endif

#endif
