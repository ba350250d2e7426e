/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run: this process moves into the engine's cgroup, gives up its rights, and becomes the command,
 * so that all its memory is charged to the engine from its first page on.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "user/cli/attach.h"
#include "user/cli/fields.h"
#include "user/cli/page_view.h"

/* As shells and env(1) have it. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND      127

/* NULL, and said so, when there is none. */
static const struct passwd *find_user(const char *name)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw)
		cli_fail(CLI_FAILED, "there is no user '%s'%s%s", name, errno ? ": " : "",
			 errno ? strerror(errno) : "");
	return pw;
}

/* Nothing to give up: the caller is that user already, and has not the right to change groups. */
static bool is_already(const struct passwd *user)
{
	return user->pw_uid && getuid() == user->pw_uid && geteuid() == user->pw_uid &&
	       getgid() == user->pw_gid && getegid() == user->pw_gid;
}

/* For good: real, effective and saved ids, and looked at again. */
static int give_up_rights(const struct passwd *user)
{
	if (initgroups(user->pw_name, user->pw_gid) < 0 ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return cli_fail(CLI_FAILED, "cannot become user '%s': %s", user->pw_name,
				strerror(errno));
	if (getuid() != user->pw_uid || geteuid() != user->pw_uid || getgid() != user->pw_gid ||
	    getegid() != user->pw_gid || (user->pw_uid && !setuid(0)))
		return cli_fail(CLI_FAILED, "did not become user '%s' wholly: not going on",
				user->pw_name);
	return CLI_OK;
}

static int become(const struct passwd *user)
{
	int r = is_already(user) ? CLI_OK : give_up_rights(user);

	if (r)
		return r;
	if (setenv("HOME", user->pw_dir, 1) < 0 || setenv("USER", user->pw_name, 1) < 0 ||
	    setenv("LOGNAME", user->pw_name, 1) < 0)
		return cli_fail(CLI_FAILED, "cannot set the environment: %s", strerror(errno));
	return CLI_OK;
}

/* Where the daemon is to be found: its page, unless the caller names one, and its engine socket. */
static int announce(const struct cli *cli, struct client *client, const char *engine)
{
	_cleanup_json_ json_t *status = NULL;
	const char *page = cli->page_path, *engines;
	int r = client_ask(client, json_pack("{s:s}", "cmd", "status"), &status);

	if (r)
		return r;
	if (!page)
		page = json_string_value(json_object_get(status, "page"));
	engines = json_string_value(json_object_get(status, "engine_socket"));
	if (setenv("BAROSTAT_ENGINE", engine, 1) < 0 ||
	    setenv("BAROSTAT_PAGE", page && *page ? page : BARO_PAGE_PATH, 1) < 0)
		return CLI_FAILED;
	if (engines && *engines && setenv("BAROSTAT_ENGINE_SOCKET", engines, 1) < 0)
		return CLI_FAILED;
	return CLI_OK;
}

/* "some 200000 2000000": 200 ms of stall within 2 s, which the kernel grants to every user; with
 * the NUL at its end, in base64. */
#define PRESSURE_TRIGGER "c29tZSAyMDAwMDAgMjAwMDAwMAA="

/* The command's user may set a trigger, if the file is what it is said to be. */
static bool let_watch(const char *path, const struct passwd *user)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || !user || getuid() == user->pw_uid)
		return fd >= 0;
	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC &&
	       fchownat(fd, "", user->pw_uid, (gid_t)-1, AT_EMPTY_PATH) == 0;
}

/*
 * For engines without our library: the protocol of systemd (systemd.io/MEMORY_PRESSURE), which
 * allocators and runtimes listen to. What we were told ourselves is about another cgroup.
 */
static int announce_pressure(const json_t *answer, const struct passwd *user)
{
	const char *path = json_string_value(json_object_get(answer, "pressure"));

	if (!path || !let_watch(path, user)) {
		unsetenv("MEMORY_PRESSURE_WATCH");
		unsetenv("MEMORY_PRESSURE_WRITE");
		return CLI_OK;
	}
	if (setenv("MEMORY_PRESSURE_WATCH", path, 1) < 0 ||
	    setenv("MEMORY_PRESSURE_WRITE", PRESSURE_TRIGGER, 1) < 0)
		return cli_fail(CLI_FAILED, "cannot set the environment: %s", strerror(errno));
	return CLI_OK;
}

static int move_here(const struct cli *cli, const char *engine, const struct passwd *user)
{
	_cleanup_json_ json_t *answer = NULL;
	struct client client;
	int r = client_connect(&client, cli->socket_path);

	if (!r)
		r = announce(cli, &client, engine);
	if (!r)
		r = attach_ask(&client, engine, json_pack("[i]", (int)getpid()), &answer);
	client_close(&client);
	if (r)
		return client_fail(&client, r);
	return attach_print_failed(answer) ? CLI_FAILED : announce_pressure(answer, user);
}

int cmd_run(const struct cli *cli)
{
	const char *engine = cli_value(cli, "engine"), *user_name = cli_value(cli, "user");
	const struct passwd *user = NULL;
	int r;

	if (!engine || !*engine)
		return cli_fail_usage(cli->command, "run needs --engine NAME");
	if (user_name)
		user = find_user(user_name);
	if (user_name && !user)
		return CLI_FAILED;
	r = move_here(cli, engine, user);
	if (!r && user)
		r = become(user);
	if (r)
		return r;
	execvp(cli->arg[0], cli->arg);
	return cli_fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE, "cannot run %s: %s",
			cli->arg[0], strerror(errno));
}
