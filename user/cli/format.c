/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/format.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "user/cli/fields.h"
#include "user/common/units.h"

uint64_t share_ppm(uint64_t part, uint64_t whole)
{
	return whole ? mul_div_u64(part, PPM, whole) : 0;
}

char *duration_text(uint64_t s, char *buf)
{
	if (s >= 86400)
		snprintf(buf, FIELD_BYTES, "%" PRIu64 "d %" PRIu64 "h", s / 86400,
			 s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(buf, FIELD_BYTES, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(buf, FIELD_BYTES, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
	else
		snprintf(buf, FIELD_BYTES, "%" PRIu64 "s", s);
	return buf;
}

char *age_text(uint64_t ms, char *buf)
{
	if (ms < 100000)
		snprintf(buf, FIELD_BYTES, "%" PRIu64 ".%" PRIu64 " s ago", ms / 1000,
			 ms % 1000 / 100);
	else
		snprintf(buf, FIELD_BYTES, "%" PRIu64 " min ago", ms / 60000);
	return buf;
}

char *change_text(uint64_t before, uint64_t now, char *buf)
{
	char size[16];

	if (before == now)
		return memcpy(buf, "=", 2);
	units_format_size(now > before ? now - before : before - now, size, sizeof(size));
	snprintf(buf, FIELD_BYTES, "%c%s", now > before ? '+' : '-', size);
	return buf;
}

unsigned int output_width(void)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_col)
		return 80;
	return w.ws_col < 40 ? 40 : w.ws_col;
}

void print_wrapped(const char *text, unsigned int indent, unsigned int width, FILE *out)
{
	unsigned int column = 0;

	for (const char *p = text + strspn(text, " "); *p; p += strspn(p, " ")) {
		unsigned int n = (unsigned int)strcspn(p, " ");

		if (column && column + 1 + n > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = 0;
		}
		fprintf(out, "%s%.*s", column ? " " : "", (int)n, p);
		column += n + !!column;
		p += n;
	}
	fputc('\n', out);
}
