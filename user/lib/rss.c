// SPDX-License-Identifier: BSD-2-Clause
/* What of this process is resident and backed by no file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lib/rss.h"

#define KB_BYTES UINT64_C(1024)

/* "RssAnon:\t    1234 kB" on a line of its own, which is never the first: that is the name, and may
 * look like anything. */
static bool value_of(const char *text, const char *key, uint64_t *ret_bytes)
{
	const char *at = strstr(text, key);
	char *end;
	unsigned long long kb;

	if (!at)
		return false;
	kb = strtoull(at + strlen(key), &end, 10);
	if (end == at + strlen(key) || kb > UINT64_MAX / KB_BYTES)
		return false;
	*ret_bytes = kb * KB_BYTES;
	return true;
}

int rss_read(const char *status_file, uint64_t *ret_rss_bytes)
{
	int fd = open(status_file, O_RDONLY | O_CLOEXEC);
	uint64_t anon, shmem;
	char text[8192];
	ssize_t len;
	int error;

	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	error = len < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	text[len] = '\0';
	if (!value_of(text, "\nRssAnon:", &anon) || !value_of(text, "\nRssShmem:", &shmem))
		return -ENODATA;
	*ret_rss_bytes = anon + shmem;
	return 0;
}

int baro_rss_read(uint64_t *ret_rss_bytes)
{
	return rss_read("/proc/self/status", ret_rss_bytes);
}
