/* SPDX-License-Identifier: BSD-2-Clause */
/* record: everything the control law sees and decides, into a file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "user/cli/client.h"
#include "user/cli/fields.h"
#include "user/cli/trace_file.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"

#define SECONDS_MAX (365ull * 86400)
#define DRAIN_NS    (10 * NS_PER_S) /* for the daemon to send what is left once asked to end */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	interrupted = 1;
}

/* The old mask is what ppoll waits with, so that no signal falls between a look and a wait. */
static void catch_signals(sigset_t *ret_old)
{
	struct sigaction act = { .sa_handler = interrupt };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, ret_old);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigdelset(ret_old, SIGINT);
	sigdelset(ret_old, SIGTERM);
}

static int write_all(int fd, const char *data, size_t n)
{
	while (n) {
		ssize_t w = write(fd, data, n);

		if (w < 0 && errno != EINTR)
			return -errno;
		data += w > 0 ? w : 0;
		n -= w > 0 ? (size_t)w : 0;
	}
	return 0;
}

/* Until the daemon closes, having been asked to at the end of the time or by a signal. */
static int receive(int from, int to, uint64_t end_ns)
{
	char data[65536];
	bool asked = false;
	sigset_t mask;

	catch_signals(&mask);
	for (;;) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		uint64_t now_ns = clock_now_ns();
		struct timespec wait;
		ssize_t n;
		int r;

		if (now_ns >= end_ns || (interrupted && !asked)) {
			if (asked)
				return -ETIMEDOUT;
			asked = true;
			end_ns = now_ns + DRAIN_NS;
			shutdown(from, SHUT_WR);
		}
		wait.tv_sec = (time_t)((end_ns - now_ns) / NS_PER_S);
		wait.tv_nsec = (long)((end_ns - now_ns) % NS_PER_S);
		r = ppoll(&p, 1, &wait, &mask);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		n = recv(from, data, sizeof(data), MSG_DONTWAIT);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		r = n > 0 ? write_all(to, data, (size_t)n) : 0;
		if (r < 0)
			return r;
	}
}

/* Reads back what was written: the file is what counts. */
static int judge(struct trace_file *file, struct replay *replay, const char *path)
{
	int r = trace_file_open(file, path);

	if (r < 0)
		return r;
	r = replay_init(replay, file->header.slots, 1);
	while (r >= 0)
		r = trace_file_read(file, replay);
	return r == -ENODATA ? 0 : r;
}

static int report(const struct cli *cli, const struct trace_file *file, const struct replay *replay)
{
	static const char *const ends[TRACE_END_COUNT] = { "asked", "slow", "stopped" };
	double seconds =
	    replay->ticks ? (double)(replay->image.now_ns - replay->first_ns) / 1e9 : 0;
	uint64_t per_tick = replay->ticks ? file->bytes / replay->ticks : 0;
	char size[FIELD_BYTES];
	json_t *j;
	int r;

	if (!cli->json) {
		units_format_size(file->bytes, size, sizeof(size));
		printf("%" PRIu64 " ticks in %.1f s, %" PRIu64 " of them early: %s, %" PRIu64
		       " bytes a tick\n",
		       replay->ticks, seconds, replay->urgent_ticks, size, per_tick);
		return CLI_OK;
	}
	j = json_pack("{s:s, s:I, s:I, s:f, s:I, s:s?}", "file", file->path, "ticks",
		      (json_int_t)replay->ticks, "urgent_ticks", (json_int_t)replay->urgent_ticks,
		      "seconds", seconds, "bytes", (json_int_t)file->bytes, "end",
		      replay->ended ? ends[replay->end] : NULL);
	r = j ? print_json(j) : cli_fail(CLI_FAILED, "a file name is not UTF-8 text");
	json_decref(j);
	return r;
}

static int conclude(const struct cli *cli, const char *path)
{
	struct trace_file file;
	struct replay replay = { 0 };
	int r = judge(&file, &replay, path), status;

	if (r < 0 && !replay.begun) {
		status = cli_fail(CLI_FAILED, "%s", r == -ENOMEM ? "out of memory" : file.why);
	} else {
		status = report(cli, &file, &replay);
		if (r < 0)
			status = cli_fail(CLI_FAILED, "%s: the daemon did not end it", file.why);
		else if (replay.end == TRACE_END_SLOW)
			status = cli_fail(CLI_FAILED,
					  "the recording ended early: it was not written to disk "
					  "as fast as the daemon ticks");
		else if (replay.end == TRACE_END_STOPPED)
			status =
			    cli_fail(CLI_FAILED, "the recording ended early: so did the daemon");
	}
	replay_fini(&replay);
	trace_file_close(&file);
	return status;
}

static int record(const struct cli *cli, struct client *client, uint64_t seconds)
{
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t end_ns;
	int r = client_connect(client, cli->socket_path);

	if (!r)
		r = client_ask(client, json_pack("{s:s}", "cmd", "record"), &answer);
	if (r)
		return client_fail(client, r);
	fd = open(cli->arg[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return cli_fail(CLI_FAILED, "cannot write %s: %s", cli->arg[0], strerror(errno));
	end_ns = clock_now_ns() + (seconds ? seconds : SECONDS_MAX) * NS_PER_S;
	r = receive(client->fd, fd, end_ns);
	if (r < 0)
		cli_fail(CLI_FAILED, "the recording broke off: %s", strerror(-r));
	return r < 0 ? CLI_FAILED : CLI_OK;
}

int cmd_record(const struct cli *cli)
{
	const char *text = cli_value(cli, "seconds");
	uint64_t seconds = 0;
	struct client client;
	int r;

	if (text && (units_parse_u64(text, &seconds) < 0 || !seconds || seconds > SECONDS_MAX))
		return cli_fail_usage(cli->command, "'%s' is no number of seconds from 1", text);
	r = record(cli, &client, seconds);
	client_close(&client);
	return r ? r : conclude(cli, cli->arg[0]);
}
