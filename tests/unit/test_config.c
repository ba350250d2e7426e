/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration: what is read, what is refused, and in which words. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "user/common/cleanup.h"
#include "user/common/log.h"
#include "user/common/suggest.h"
#include "user/common/units.h"
#include "user/daemon/config.h"
#include "user/daemon/config_endpoint.h"

#define RAM (100 * GIB)

static char dir[] = "/tmp/barostat-test-config-XXXXXX";

static void put_bytes(const char *name, const void *text, size_t n)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

/* Loads barostat.conf of the current directory; the caller frees the complaints. */
static int load(struct config **ret, char **ret_complaints)
{
	size_t n;
	FILE *f = open_memstream(ret_complaints, &n);
	int r = config_load("barostat.conf", RAM, f, ret);

	fclose(f);
	return r;
}

static struct config *accepted(const char *text)
{
	_cleanup_free_ char *complaints = NULL;
	struct config *c = NULL;
	int r;

	put("barostat.conf", text);
	r = load(&c, &complaints);
	if (r)
		print_message("%s\nwas refused:\n%s", text, complaints);
	assert_int_equal(r, 0);
	assert_string_equal(complaints, "");
	return c;
}

static void refuse_now(const char *what, const char *expected)
{
	_cleanup_free_ char *complaints = NULL;
	struct config *c = (void *)dir;
	int r = load(&c, &complaints);

	if (r != -EINVAL || strcmp(complaints, expected) != 0)
		print_message("%s\ngave %d and:\n%s\ninstead of:\n%s\n", what, r, complaints,
			      expected);
	assert_int_equal(r, -EINVAL);
	assert_string_equal(complaints, expected);
	assert_ptr_equal(c, dir);
}

static void refuse(const char *text, const char *expected)
{
	put("barostat.conf", text);
	refuse_now(text, expected);
}

#define KEYS_DAEMON                                                                                                          \
	"ceiling, reserve, burst, interval, interval_min, interval_max, lease, parent, page, socket, engine_socket, state, " \
	"metrics, metrics_remote, page_mode, policy, gamma, bpf, reuse and log_level"
#define KEYS_ENGINE "group, cgroup, min, max, initial, weight, stall_target, limit and user"
#define SHARE       UNITS_SIZE_ALLOWED ", or a percentage of the ceiling like 25%"
#define NAME        "1 to 63 letters, digits, '.', '_' and '-', the first a letter, a digit or '_'"
#define CGROUP                                                                                     \
	"a path below the cgroup root without leading '/' and without '.', '..' or ';', at most "  \
	"511 bytes"
#define AT(line) "barostat.conf:" #line ": "

/* One row: a configuration, and everything that is said of it. */
static const struct {
	const char *text, *complaints;
} refused[] = {
	/* lines */
	{ "ceiling = 1G\n",
	  AT(1) "'ceiling' before any section; allowed: [daemon], [group NAME] or [engine NAME] "
		"first\n" },
	{ "[daemon]\nceiling\n",
	  AT(2) "neither a section nor a key with a value; allowed: [SECTION], KEY = VALUE or a "
		"comment after ';' or '#'\n" },
	{ "[daemon]\n= 5\nceiling ; = 4G",
	  AT(2) "neither a section nor a key with a value; allowed: [SECTION], KEY = VALUE or a "
		"comment after ';' or '#'\n" AT(
		    3) "neither a section nor a key with a value; "
		       "allowed: [SECTION], KEY = VALUE or a comment after ';' or '#'\n" },
	{ "[daemon\nceiling = 7\n",
	  AT(1) "a section header without ']'; allowed: [daemon], [group NAME] and [engine NAME]\n" },
	{ "[daemon] ceiling = 4G\n",
	  AT(1) "'ceiling = 4G' after a section header; allowed: only a comment after ';'\n" },
	{ "[daemon]\nparent = a\rb\n",
	  AT(2) "the line contains a control character; allowed: text\n" },
	/* sections */
	{ "[egnine pg]\nnonsense = 1\n",
	  AT(1) "unknown section [egnine pg], did you mean 'engine'?; allowed: [daemon], [group "
		"NAME] and [engine NAME]\n" },
	{ "[]\n[whatever]\n",
	  AT(1) "unknown section []; allowed: [daemon], [group NAME] and [engine NAME]\n" AT(
	      2) "unknown section [whatever]; allowed: [daemon], [group NAME] and [engine "
		 "NAME]\n" },
	{ "[daemon x]\n",
	  AT(1) "[daemon x]: 'x' is not a name; allowed: [daemon] without a name\n" },
	{ "[engine]\n", AT(1) "[engine]: '' is not a name; allowed: " NAME "\n" },
	{ "[engine ../x]\n[group a b]\n",
	  AT(1) "[engine ../x]: '../x' is not a name; allowed: " NAME
		"\n" AT(2) "[group a b]: 'a b' is not a name; allowed: " NAME "\n" },
	{ "[engine .x]\n", AT(1) "[engine .x]: '.x' is not a name; allowed: " NAME "\n" },
	{ "[engine a]\n[daemon]\n[engine a]\n",
	  AT(3) "[engine a] again, first at line 1; allowed: each section once in a file\n" },
	{ "[group a]\n[group a]\n",
	  AT(2) "[group a] again, first at line 1; allowed: each section once in a file\n" },
	{ "[daemon]\n[daemon]\n",
	  AT(2) "[daemon] again, first at line 1; allowed: each section once in a file\n" },
	/* keys */
	{ "[daemon]\nceilng = 1G\n",
	  AT(2) "[daemon] unknown key 'ceilng', did you mean 'ceiling'?; allowed: " KEYS_DAEMON
		"\n" },
	{ "[engine pg]\nsocket = /x\n",
	  AT(2) "[engine pg] unknown key 'socket', it belongs to daemon; allowed: " KEYS_ENGINE
		"\n" },
	{ "[group a]\nzzz = 1\n",
	  AT(2) "[group a] unknown key 'zzz'; allowed: weight, min and max\n" },
	{ "[engine pg]\nmin = 1G\nmin = 2G\n",
	  AT(3) "[engine pg] min again, first at line 2; allowed: each key once in a section\n" },
	/* values */
	{ "[daemon]\nceiling = lots\n",
	  AT(2) "[daemon] ceiling = lots is not a size; allowed: " UNITS_SIZE_ALLOWED
		", or a percentage of RAM like 80%\n" },
	{ "[daemon]\nceiling =\n",
	  AT(2) "[daemon] ceiling =  is not a size; allowed: " UNITS_SIZE_ALLOWED
		", or a percentage of RAM like 80%\n" },
	{ "[daemon]\nceiling = 99999999P\n",
	  AT(2) "[daemon] ceiling = 99999999P does not fit 64 bits; allowed: " UNITS_SIZE_ALLOWED
		", or a percentage of RAM like 80%\n" },
	{ "[engine a]\nmin = 18446744073709551616\nmax = -1\n",
	  AT(2) "[engine a] min = 18446744073709551616 does not fit 64 bits; allowed: " SHARE
		"\n" AT(3) "[engine a] max = -1 is not a size; allowed: " SHARE "\n" },
	{ "[engine a]\nmin = 101%\n",
	  AT(2) "[engine a] min = 101% is more than 100%; allowed: " SHARE "\n" },
	{ "[daemon]\ninterval = 5\n",
	  AT(2) "[daemon] interval = 5 is not a time; allowed: a time from 10ms to 60s\n" },
	{ "[daemon]\ninterval = 9ms\n",
	  AT(2) "[daemon] interval = 9ms is too small; allowed: a time from 10ms to 60s\n" },
	{ "[daemon]\ninterval = 61s\n",
	  AT(2) "[daemon] interval = 61s is too large; allowed: a time from 10ms to 60s\n" },
	{ "[daemon]\ninterval = 99999999999h\n",
	  AT(2) "[daemon] interval = 99999999999h is too large; allowed: a time from 10ms to 60s\n" },
	{ "[daemon]\ninterval = 2s\nlease = 3s\n",
	  AT(3) "[daemon] lease is shorter than two intervals of 2s; allowed: at least twice the "
		"interval\n" },
	{ "[daemon]\ninterval_min = 200ms\n",
	  AT(2) "[daemon] interval_min exceeds the interval of 100ms; allowed: at most the "
		"interval\n" },
	{ "[daemon]\ninterval_max = 50ms\n",
	  AT(2) "[daemon] interval_max is not between the interval of 100ms and half the lease; "
		"allowed: at least the interval, at most half the lease\n" },
	{ "[daemon]\ninterval_max = 2s\nlease = 3s\n",
	  AT(2) "[daemon] interval_max is not between the interval of 100ms and half the lease; "
		"allowed: at least the interval, at most half the lease\n" },
	{ "[engine a]\nweight = 0\n",
	  AT(2) "[engine a] weight = 0 is too small; allowed: a whole number from 1 to 10000\n" },
	{ "[group a]\nweight = 10001\n",
	  AT(2) "[group a] weight = 10001 is too large; allowed: a whole number from 1 to 10000\n" },
	{ "[engine a]\nweight = 1.5\n",
	  AT(2) "[engine a] weight = 1.5 is not a whole number; allowed: "
		"a whole number from 1 to 10000\n" },
	{ "[engine a]\nstall_target = 5\n",
	  AT(2) "[engine a] stall_target = 5 is not a percentage; "
		"allowed: a percentage of time from 0% to 100%\n" },
	{ "[engine a]\nlimit = medium\n",
	  AT(2) "[engine a] limit = medium is not a kind of limit; allowed: soft or hard\n" },
	{ "[engine a]\nuser = no such\n",
	  AT(2) "[engine a] user = no such is not a name; allowed: the name of a user: " NAME
		"\n" },
	{ "[daemon]\npolicy = psy\n",
	  AT(2) "[daemon] policy = psy is not a policy; allowed: marginal, static, proportional, senpai, "
		"idle-tax or psi\n" },
	{ "[daemon]\ngamma = 0.5\n",
	  AT(2) "[daemon] gamma = 0.5 is not a percentage; allowed: a percentage from 0% "
		"(proportional fairness) to 100% (throughput)\n" },
	{ "[daemon]\nbpf = maybe\nlog_level = loud\n",
	  AT(2) "[daemon] bpf = maybe is neither yes nor no; allowed: yes or no\n" AT(
	      3) "[daemon] log_level = loud is not a level; allowed: error, warning, info or "
		 "debug\n" },
	{ "[daemon]\nmetrics = 9469\n",
	  AT(2) "[daemon] metrics = 9469 is neither an address with a port nor a path; "
		"allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = 127.0.0.1:0\n",
	  AT(2) "[daemon] metrics = 127.0.0.1:0 has no port from 1 to 65535; "
		"allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = 127.0.0.1:65536\n",
	  AT(2) "[daemon] metrics = 127.0.0.1:65536 has no port from 1 to 65535; "
		"allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = localhost:9469\n",
	  AT(2) "[daemon] metrics = localhost:9469 is no IPv4 address, and no IPv6 address in "
		"brackets; allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = ::1:9469\n",
	  AT(2) "[daemon] metrics = ::1:9469 is no IPv4 address, and no IPv6 address in "
		"brackets; allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = [::1]9469\n",
	  AT(2) "[daemon] metrics = [::1]9469 has no port from 1 to 65535; "
		"allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = [::g]:9469\n",
	  AT(2) "[daemon] metrics = [::g]:9469 is no IPv6 address in brackets; "
		"allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = /run/../metrics\n",
	  AT(2) "[daemon] metrics = /run/../metrics contains '.' or '..' as a component; "
		"allowed: " ENDPOINT_ALLOWED "\n" },
	{ "[daemon]\nmetrics = 0.0.0.0:9469\n",
	  AT(2) "[daemon] metrics = 0.0.0.0:9469 can be reached from other machines; allowed: a "
		"loopback address, or metrics_remote = yes beside it\n" },
	{ "[daemon]\nmetrics = [::]:9469\n",
	  AT(2) "[daemon] metrics = [::]:9469 can be reached from other machines; allowed: a "
		"loopback address, or metrics_remote = yes beside it\n" },
	{ "[daemon]\nmetrics = /run/barostat/pressure\n",
	  AT(2) "[daemon] metrics is the same file as page; allowed: a path of its own\n" },
	{ "[daemon]\npage_mode = 0666\n",
	  AT(2) "[daemon] page_mode = 0666 lets others than its owner write, or execute; allowed: "
		"an octal mode like 0644, 0640 or 0600\n" },
	{ "[daemon]\npage_mode = 0044\n",
	  AT(2) "[daemon] page_mode = 0044 does not let its owner read; "
		"allowed: an octal mode like 0644, 0640 or 0600\n" },
	{ "[daemon]\npage_mode = 9\n",
	  AT(2) "[daemon] page_mode = 9 is not an octal mode; allowed: an "
		"octal mode like 0644, 0640 or 0600\n" },
	/* paths */
	{ "[engine a]\ncgroup = /x\n",
	  AT(2) "[engine a] cgroup = /x starts with '/'; allowed: " CGROUP "\n" },
	{ "[engine a]\ncgroup = x/../y\n",
	  AT(2) "[engine a] cgroup = x/../y contains '.' or '..' as a component; allowed: " CGROUP
		"\n" },
	{ "[engine a]\ncgroup = ..\n",
	  AT(2) "[engine a] cgroup = .. contains '.' or '..' as a component; allowed: " CGROUP
		"\n" },
	{ "[engine a]\ncgroup = x//y\n",
	  AT(2) "[engine a] cgroup = x//y contains '//'; allowed: " CGROUP "\n" },
	{ "[engine a]\ncgroup = x/\n",
	  AT(2) "[engine a] cgroup = x/ ends in '/'; allowed: " CGROUP "\n" },
	{ "[engine a]\ncgroup =\n", AT(2) "[engine a] cgroup =  is empty; allowed: " CGROUP "\n" },
	{ "[engine a]\ncgroup = a;b\n",
	  AT(2) "[engine a] cgroup = a;b contains ';'; allowed: " CGROUP "\n" },
	{ "[daemon]\npage = run/page\n",
	  AT(2) "[daemon] page = run/page is not an absolute path; allowed: an absolute path "
		"without '.', '..' or ';', at most 511 bytes\n" },
	{ "[daemon]\npage = /\n",
	  AT(2) "[daemon] page = / is not a file; allowed: an absolute path without '.', '..' or "
		"';', at most 511 bytes\n" },
	{ "[daemon]\nstate = /run/barostat/pressure\n",
	  AT(2) "[daemon] state is the same file as page; allowed: a path of its own\n" },
	/* what must hold together */
	{ "[daemon]\nceiling = 101G\n",
	  AT(2) "[daemon] ceiling 101G is more than the 100G there are; allowed: at most that, or a "
		"percentage\n" },
	{ "[daemon]\nceiling = 64K\n[engine a]\nmin = 1G\n",
	  AT(2) "[daemon] ceiling 64K is too small; allowed: 1M or more\n" },
	{ "[daemon]\nceiling = 0%\n",
	  AT(2) "[daemon] ceiling 0B is too small; allowed: 1M or more\n" },
	{ "[daemon]\nceiling = 1G\nreserve = 1G\n",
	  AT(3) "[daemon] reserve 1G leaves nothing of the ceiling 1G; allowed: less than the "
		"ceiling\n" },
	{ "[daemon]\nceiling = 1G\nreserve = 0\nburst = 100%\n",
	  AT(4) "[daemon] burst 1G leaves nothing of the ceiling less reserve, 1G; allowed: less "
		"than that\n" },
	{ "[engine a]\nmin = 2G\nmax = 1G\n",
	  AT(3) "[engine a] max 1G is below min 2G; allowed: max from min upwards\n" },
	{ "[group g]\nmax = 1G\nmin = 2G\n",
	  AT(2) "[group g] max 1G is below min 2G; allowed: max from min upwards\n" },
	{ "[engine a]\nmax = 4095\n",
	  AT(2) "[engine a] max 4095B is less than a page; allowed: 4096 or more\n" },
	{ "[engine a]\nmin = 5000\nmax = 6000\n",
	  AT(3) "[engine a] no whole page of 4096 bytes lies between min 5000B and max "
		"6000B; allowed: sizes at least a page apart, or whole pages\n" },
	{ "[engine a]\nmin = 1G\nmax = 2G\ninitial = 3G\n",
	  AT(4) "[engine a] initial 3G is not between min and max; allowed: 1G to 2G\n" },
	{ "[group oltp]\n[engine a]\ngroup = olpt\n",
	  AT(3) "[engine a] there is no group 'olpt', did you mean 'oltp'?; allowed: a group with a "
		"[group NAME] section\n" },
	{ "[daemon]\nceiling = 10G\nreserve = 1G\n[engine a]\nmin = 5G\n[engine b]\nmin = 5G\n",
	  AT(7) "the minima of all groups and engines add up to 10G, over the ceiling less reserve "
		"from here on; allowed: at most 9G\n" },
	{ "[daemon]\nceiling = 10G\nreserve = 1G\n[group g]\nmin = 9G\n[engine a]\nmin = 1G\n",
	  AT(7) "the minima of all groups and engines add up to 10G, over the ceiling less reserve "
		"from here on; allowed: at most 9G\n" },
	{ "[daemon]\nceiling = 10G\nreserve = 1G\n[group g]\nmin = 5G\n[group h]\nmin = 5G\n",
	  AT(7) "the minima of all groups and engines add up to 10G, over the ceiling less reserve "
		"from here on; allowed: at most 9G\n" },
	{ "[engine a]\nmin = 15000P\n[engine b]\nmin = 15000P\n",
	  AT(2) "[engine a] max 80G is below min 15000P; allowed: max from min upwards\n" AT(
	      4) "[engine b] max 80G is below min 15000P; allowed: max from min upwards\n" AT(2) "the minima of all groups and engines add up to more than 64 bits can say, over the ceiling less "
												 "reserve from here on; allowed: at most 76G\n" },
	{ "[group g]\nmin = 15000P\nmax = 15000P\n[engine b]\nmin = 15000P\nmax = 15000P\n",
	  AT(2) "the minima of all groups and engines add up to more than 64 bits can say, over the "
		"ceiling less reserve from here on; allowed: at most 76G\n" },
	{ "[group g]\nmax = 2G\n[engine a]\ngroup = g\nmin = 1G\n[engine b]\ngroup = g\nmin = 2G\n",
	  AT(8) "[engine b] the minima of group 'g' add up to 3G with this one; allowed: at most "
		"the group's max, 2G\n" },
	{ "[engine a]\ncgroup = x/y\n[engine b]\ncgroup = x/y\n",
	  AT(4) "[engine b] cgroup x/y belongs already to engine a; allowed: a cgroup of its own, "
		"neither in nor above another engine's\n" },
	{ "[engine a]\ncgroup = x/y\n[engine z]\ncgroup = x-y\n[engine b]\ncgroup = x\n",
	  AT(2) "[engine a] cgroup x/y lies in the cgroup of engine b, x; allowed: a cgroup of its "
		"own, neither in nor above another engine's\n" },
	{ "[engine a]\n[engine b]\ncgroup = barostat/a/b\n",
	  AT(3) "[engine b] cgroup barostat/a/b lies in the cgroup of engine a, barostat/a; "
		"allowed: a cgroup of its own, neither in nor above another engine's\n" },
	{ "[daemon]\nparent = db/engines\n[engine a]\ncgroup = db\n",
	  AT(4) "[engine a] cgroup db contains the common parent db/engines; allowed: a cgroup "
		"below or beside it\n" },
	/* everything at once, not only the first */
	{ "[daemon]\npolicy = x\nfoo = 1\n[engine a]\nmin = q\nweight = 0\ngroup = g\n[engine b]\n"
	  "cgroup = barostat/a\n",
	  AT(2) "[daemon] policy = x is not a policy; allowed: marginal, static, proportional, senpai, "
		"idle-tax or psi\n" AT(
		    3) "[daemon] unknown key 'foo'; allowed: " KEYS_DAEMON
		       "\n" AT(5) "[engine a] min = q is not a size; allowed: " SHARE "\n" AT(
			   6) "[engine a] weight = 0 is too small; allowed: a whole number from 1 to "
			      "10000\n" AT(
				  7) "[engine a] there is no group 'g'; allowed: a group with a "
				     "[group NAME] section\n" AT(
					 9) "[engine b] cgroup barostat/a belongs already to "
					    "engine a; allowed: a cgroup of its own, neither "
					    "in nor above another engine's\n" },
};

static void test_every_complaint(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		refuse(refused[i].text, refused[i].complaints);
}

static void test_long_and_binary_lines(void **state)
{
	char text[2048];

	memset(text, 'v', sizeof(text));
	memcpy(text, "[daemon]\npage = /", 17);
	text[sizeof(text) - 1] = 0;
	refuse(text, AT(2) "the line is too long; allowed: at most 1023 bytes\n");
	text[9 + 1023] = '\n';
	text[9 + 1024] = 0;
	text[9 + 7 + 200] = '/';
	text[9 + 7 + 400] = '/';
	put("barostat.conf", text);
	{
		_cleanup_free_ char *complaints = NULL;
		struct config *c = NULL;

		assert_int_equal(load(&c, &complaints), -EINVAL);
		assert_non_null(strstr(complaints, "... is too long; allowed: an absolute path"));
	}
	put_bytes("barostat.conf", "[daemon]\ninterval\0 = 1s\n", 24);
	refuse_now("NUL", AT(2) "the line contains a NUL byte; allowed: text\n");
}

/* The longest path, on a line far longer than libinih takes by itself. */
static void test_longest_path(void **state)
{
	char path[CONFIG_PATH_MAX], text[CONFIG_PATH_MAX + 32];
	struct config *c;

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	path[0] = path[200] = path[400] = '/';
	snprintf(text, sizeof(text), "[daemon]\npage = %s\n", path);
	c = accepted(text);
	assert_string_equal(c->page, path);
	config_free(c);
}

static void test_long_names(void **state)
{
	char text[256], expected[512], name[65];
	struct config *c;

	memset(name, 'n', 64);
	name[64] = 0;
	snprintf(text, sizeof(text), "[engine %s]\n", name);
	snprintf(expected, sizeof(expected),
		 AT(1) "[engine %s]: '%s' is not a name; allowed: " NAME "\n", name, name);
	refuse(text, expected);
	name[63] = 0;
	snprintf(text, sizeof(text), "[engine %s]\nmin = 1G\n", name);
	c = accepted(text);
	assert_string_equal(c->engine[0].name, name);
	config_free(c);
}

static void test_defaults(void **state)
{
	struct config *c = accepted("");

	assert_int_equal(c->engines, 0);
	assert_int_equal(c->groups, 1);
	assert_string_equal(c->group[0].name, "");
	assert_int_equal(c->ceiling_bytes, 80 * GIB);
	assert_int_equal(c->reserve_bytes, 4 * GIB);
	assert_int_equal(c->burst_bytes, (80 * GIB / 50 + 4095) / 4096 * 4096);
	assert_int_equal(c->interval_ns, 100000000);
	assert_int_equal(c->interval_min_ns, 25000000);
	assert_int_equal(c->interval_max_ns, 400000000);
	assert_int_equal(c->lease_ns, 1000000000);
	assert_string_equal(c->parent, "barostat");
	assert_string_equal(c->page, "/run/barostat/pressure");
	assert_string_equal(c->socket, "/run/barostat/control.sock");
	assert_string_equal(c->engine_socket, "/run/barostat/engine.sock");
	assert_string_equal(c->state, "/run/barostat/state.json");
	assert_string_equal(c->metrics, "off");
	assert_false(c->metrics_remote);
	assert_int_equal(c->page_mode, 0644);
	assert_int_equal(c->policy, LAW_POLICY_MARGINAL);
	assert_int_equal(c->gamma_ppm, 1000000);
	assert_true(c->bpf);
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	config_free(c);
}

static void test_metrics_are_off_local_loopback_or_said_twice(void **state)
{
	static const struct {
		const char *text, *expected;
	} t[] = {
		{ "metrics = OFF", "off" },
		{ "metrics = 127.0.0.1:1", "127.0.0.1:1" },
		{ "metrics = 127.9.9.9:65535", "127.9.9.9:65535" },
		{ "metrics = [::1]:9469 ; six", "[::1]:9469" },
		{ "metrics = /run/barostat/metrics.sock", "/run/barostat/metrics.sock" },
		{ "metrics = 0.0.0.0:9469\nmetrics_remote = yes", "0.0.0.0:9469" },
		{ "metrics_remote = yes\nmetrics = [2001:db8::1]:9469", "[2001:db8::1]:9469" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char text[128];
		struct config *c;

		snprintf(text, sizeof(text), "[daemon]\n%s\n", t[i].text);
		c = accepted(text);
		assert_string_equal(c->metrics, t[i].expected);
		config_free(c);
	}
}

/* The example of the design, with CRLF, a byte order mark, indents and comments. */
static const char example[] =
    "\xEF\xBB\xBF; comment\r\n"
    "# another\n"
    "[daemon]   ; the daemon\r\n"
    "  ceiling = 16G\r\n"
    "  reserve = 1G ; kept\r\n"
    "\tinterval = 200ms\n"
    "policy=static\nbpf = no\nlog_level = debug\npage_mode = 0640\ngamma = 12.5%\n"
    "[group oltp]\nweight = 300\nmin = 1G\nmax = 50%\n"
    "[ engine pg ]\n"
    "group = oltp\n"
    "cgroup = system.slice/postgresql.service\n"
    "min = 5000\nmax = 1073741823\nweight = 250\nstall_target = 5%\nuser = postgres\n"
    "limit = hard\n"
    "[engine redis]\nmin = 10%\ninitial = 25%\n";

static void check_example(const struct config *c)
{
	const struct config_engine *pg = &c->engine[0], *redis = &c->engine[1];

	assert_int_equal(c->ceiling_bytes, 16 * GIB);
	assert_int_equal(c->reserve_bytes, GIB);
	assert_int_equal(c->interval_ns, 200000000);
	assert_int_equal(c->lease_ns, 2000000000);
	assert_int_equal(c->policy, LAW_POLICY_STATIC);
	assert_false(c->bpf);
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->page_mode, 0640);
	assert_int_equal(c->gamma_ppm, 125000);
	assert_int_equal(c->groups, 2);
	assert_int_equal(c->group[1].weight, 300);
	assert_int_equal(c->group[1].min_bytes, GIB);
	assert_int_equal(c->group[1].max_bytes, 8 * GIB);
	assert_int_equal(c->engines, 2);
	assert_int_equal(config_find_engine(c, "redis"), 1);
	assert_int_equal(config_find_engine(c, "mysql"), -ENOENT);
	assert_int_equal(pg->group, 1);
	assert_string_equal(pg->cgroup, "system.slice/postgresql.service");
	assert_true(pg->cgroup_given);
	assert_int_equal(pg->min_bytes, 8192);
	assert_int_equal(pg->max_bytes, GIB - 4096);
	assert_int_equal(pg->weight, 250);
	assert_int_equal(pg->stall_target_ppm, 50000);
	assert_string_equal(pg->user, "postgres");
	assert_int_equal(pg->limit, CONFIG_LIMIT_HARD);
	assert_true(pg->limit_given);
	assert_int_equal(redis->group, 0);
	assert_string_equal(redis->cgroup, "barostat/redis");
	assert_false(redis->cgroup_given);
	assert_false(redis->limit_given);
	assert_int_equal(redis->min_bytes, (16 * GIB / 10 + 4095) / 4096 * 4096);
	assert_int_equal(redis->max_bytes, 15 * GIB);
	assert_int_equal(redis->initial_bytes, 4 * GIB);
	assert_int_equal(redis->weight, 100);
}

static void test_example(void **state)
{
	struct config *c = accepted(example);

	check_example(c);
	config_free(c);
}

static char *printed(const struct config *c)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	config_print(c, f);
	fclose(f);
	return text;
}

static void test_print_parses_back(void **state)
{
	_cleanup_free_ char *first = NULL, *second = NULL;
	struct config *c = accepted(example), *again;

	check_example(c);
	first = printed(c);
	again = accepted(first);
	check_example(again);
	second = printed(again);
	assert_string_equal(first, second);
	config_free(c);
	config_free(again);
}

static void test_drop_ins_override_in_name_order(void **state)
{
	struct config *c;

	assert_int_equal(mkdir("conf.d", 0755), 0);
	put("conf.d/20-b.conf", "[engine a]\nmin = 3G\n[engine late]\n");
	put("conf.d/10-a.conf", "[engine a]\nmin = 2G\nmax = 4G\n[daemon]\ninterval = 1s\n");
	put("conf.d/.hidden.conf", "nonsense");
	put("conf.d/30-c.conf~", "nonsense");
	c = accepted("[daemon]\ninterval = 2s\n[engine a]\nmin = 1G\nmax = 5G\nweight = 7\n");
	assert_int_equal(c->engines, 2);
	assert_int_equal(c->engine[0].min_bytes, 3 * GIB);
	assert_int_equal(c->engine[0].max_bytes, 4 * GIB);
	assert_int_equal(c->engine[0].weight, 7);
	assert_int_equal(c->interval_ns, 1000000000);
	assert_string_equal(c->engine[1].name, "late");
	config_free(c);

	put("conf.d/20-b.conf", "\n[engine a]\nmin = 30G\n");
	refuse("[engine a]\nmin = 1G\nmax = 5G\n",
	       "./conf.d/10-a.conf:3: [engine a] max 4G is below min 30G; allowed: max from min "
	       "upwards\n");
	assert_int_equal(unlink("conf.d/20-b.conf"), 0);
	assert_int_equal(mkdir("conf.d/40-d.conf", 0755), 0);
	refuse("", "./conf.d/40-d.conf: is not a regular file; allowed: a regular file\n");
	assert_int_equal(rmdir("conf.d/40-d.conf"), 0);
	assert_int_equal(symlink("nowhere", "conf.d/50-e.conf"), 0);
	refuse("[daemon]\nx = 1\n",
	       "barostat.conf:2: [daemon] unknown key 'x'; allowed: " KEYS_DAEMON "\n"
	       "./conf.d/50-e.conf: cannot be read: No such file or directory; allowed: a readable "
	       "file\n");
	assert_int_equal(unlink("conf.d/50-e.conf"), 0);
	assert_int_equal(unlink("conf.d/10-a.conf"), 0);
	assert_int_equal(unlink("conf.d/.hidden.conf"), 0);
	assert_int_equal(unlink("conf.d/30-c.conf~"), 0);
	assert_int_equal(rmdir("conf.d"), 0);
	put("conf.d", "a file");
	refuse("", "./conf.d: cannot be read: Not a directory; allowed: a readable directory\n");
	assert_int_equal(unlink("conf.d"), 0);
}

static void test_main_file_that_cannot_be_read(void **state)
{
	_cleanup_free_ char *complaints = NULL, *big = NULL;
	struct config *c = (void *)dir;

	unlink("barostat.conf");
	assert_int_equal(load(&c, &complaints), -ENOENT);
	assert_string_equal(complaints, "barostat.conf: cannot be read: No such file or directory; "
					"allowed: a readable file\n");
	free(complaints);
	assert_int_equal(mkfifo("barostat.conf", 0644), 0);
	assert_int_equal(load(&c, &complaints), -EINVAL);
	assert_string_equal(complaints,
			    "barostat.conf: is not a regular file; allowed: a regular file\n");
	free(complaints);
	assert_int_equal(unlink("barostat.conf"), 0);
	big = malloc((4 << 20) + 1);
	memset(big, '\n', (4 << 20) + 1);
	put_bytes("barostat.conf", big, (4 << 20) + 1);
	assert_int_equal(load(&c, &complaints), -EINVAL);
	assert_string_equal(complaints, "barostat.conf: is too large; allowed: at most 4M\n");
	assert_ptr_equal(c, dir);
}

static void test_ten_thousand_engines(void **state)
{
	_cleanup_free_ char *text = NULL, *complaints = NULL;
	struct config *c = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	for (int i = 0; i < 10000; i++)
		fprintf(f, "[engine e%d]\nmin = 4096\n", i);
	fclose(f);
	put("barostat.conf", text);
	assert_int_equal(load(&c, &complaints), -EINVAL);
	assert_non_null(strstr(complaints, "barostat.conf:8193: [engine e4096] is one engine too "
					   "many; allowed: at most 4096 engines\n"));
	assert_non_null(strstr(complaints, "\nand 5804 complaints more\n"));
	free(TAKE_PTR(complaints));
	*strstr(text, "[engine e4096]") = 0;
	c = accepted(text);
	assert_int_equal(c->engines, 4096);
	assert_string_equal(c->engine[4095].name, "e4095");
	config_free(c);
}

static void test_too_many_groups(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	for (int i = 0; i < 256; i++)
		fprintf(f, "[group g%d]\n", i);
	fclose(f);
	refuse(text, "barostat.conf:256: [group g255] is one group too many; allowed: at most 255 "
		     "groups\n");
}

static void expect_set(struct config *c, const char *key, const char *value, int result,
		       const char *expected)
{
	char why[256] = "";

	assert_int_equal(config_set_engine(c, "a", key, value, why, sizeof(why)), result);
	assert_string_equal(why, expected);
}

static void test_set_engine(void **state)
{
	struct config *c = accepted("[daemon]\nceiling = 10G\nreserve = 1G\n"
				    "[engine a]\nmin = 1G\nmax = 4G\n[engine b]\nmin = 6G\n");
	struct config_engine *a = &c->engine[0], before;
	char why[256];

	expect_set(c, "min", "2G", 0, "");
	assert_int_equal(a->min_bytes, 2 * GIB);
	expect_set(c, "max", "50%", 0, "");
	assert_int_equal(a->max_bytes, 5 * GIB);
	expect_set(c, "weight", "42", 0, "");
	assert_int_equal(a->weight, 42);
	expect_set(c, "stall_target", "10%", 0, "");
	assert_int_equal(a->stall_target_ppm, 100000);
	expect_set(c, "limit", "hard", 0, "");
	assert_int_equal(a->limit, CONFIG_LIMIT_HARD);
	before = *a;
	expect_set(c, "weight", "0", -EINVAL,
		   "[engine a] weight = 0 is too small; allowed: a whole number from 1 to 10000");
	expect_set(c, "max", "1G", -EINVAL,
		   "[engine a] max 1G is below min 2G; allowed: max from min upwards");
	expect_set(c, "min", "4G", -EINVAL,
		   "the minima of all groups and engines add up to 10G, over the ceiling less "
		   "reserve from here on; allowed: at most 9G");
	expect_set(c, "cgroup", "x", -EINVAL,
		   "'cgroup' cannot be set while running; allowed: min, max, weight, stall_target "
		   "and limit");
	assert_memory_equal(a, &before, sizeof(before));
	assert_int_equal(config_set_engine(c, "z", "min", "1G", why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "there is no engine 'z'");
	config_free(c);
}

static void test_key_table(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	config_print_keys(f);
	fclose(f);
	assert_non_null(strstr(text, "daemon\tinterval\t100ms\ta time from 10ms to 60s\n"));
	assert_non_null(strstr(text, "engine\tlimit\tsoft\tsoft or hard\n"));
}

static void test_suggestions(void **state)
{
	const char *best = NULL;
	unsigned int d = suggest_limit("staus") + 1;

	assert_int_equal(suggest_distance("kitten", "sitting"), 3);
	assert_int_equal(suggest_distance("abcd", "abdc"), 1);
	assert_int_equal(suggest_distance("", "abc"), 3);
	assert_int_equal(suggest_distance("ABC", "abc"), 0);
	suggest_consider("staus", "list", &best, &d);
	assert_null(best);
	suggest_consider("staus", "status", &best, &d);
	suggest_consider("staus", "stats", &best, &d);
	assert_string_equal(best, "status");
}

static int setup(void **state)
{
	return mkdtemp(dir) ? chdir(dir) : -1;
}

static int teardown(void **state)
{
	unlink("barostat.conf");
	return chdir("/") || rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_complaint),
		cmocka_unit_test(test_long_and_binary_lines),
		cmocka_unit_test(test_longest_path),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_metrics_are_off_local_loopback_or_said_twice),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_print_parses_back),
		cmocka_unit_test(test_drop_ins_override_in_name_order),
		cmocka_unit_test(test_main_file_that_cannot_be_read),
		cmocka_unit_test(test_ten_thousand_engines),
		cmocka_unit_test(test_too_many_groups),
		cmocka_unit_test(test_set_engine),
		cmocka_unit_test(test_key_table),
		cmocka_unit_test(test_suggestions),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
