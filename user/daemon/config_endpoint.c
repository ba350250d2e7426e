/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/config_endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "user/common/units.h"
#include "user/daemon/config_values.h"

static int refuse(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EINVAL;
}

static int parse_v4(const char *host, in_port_t port, struct endpoint *e)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&e->address;

	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		return -EINVAL;
	in->sin_family = AF_INET;
	in->sin_port = port;
	e->address_bytes = sizeof(*in);
	e->loopback = ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return 0;
}

static int parse_v6(const char *host, in_port_t port, struct endpoint *e)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&e->address;

	if (inet_pton(AF_INET6, host, &in->sin6_addr) != 1)
		return -EINVAL;
	in->sin6_family = AF_INET6;
	in->sin6_port = port;
	e->address_bytes = sizeof(*in);
	e->loopback = IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *ret, const char **ret_why)
{
	struct endpoint e = { .kind = ENDPOINT_INET };
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port;

	if (!strcasecmp(text, ENDPOINT_OFF) || *text == '/') {
		e.kind = *text == '/' ? ENDPOINT_LOCAL : ENDPOINT_NONE;
		e.loopback = true;
		*ret = e;
		return 0;
	}
	if (!n || n >= sizeof(host))
		return refuse(ret_why,
			      *text ? "is neither an address with a port nor a path" : "is empty");
	if (units_parse_u64(colon + 1, &port) < 0 || !port || port > 65535)
		return refuse(ret_why, "has no port from 1 to 65535");
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		if (parse_v6(host + 1, htons((in_port_t)port), &e) < 0)
			return refuse(ret_why, "is no IPv6 address in brackets");
	} else if (parse_v4(host, htons((in_port_t)port), &e) < 0) {
		return refuse(ret_why, "is no IPv4 address, and no IPv6 address in brackets");
	}
	*ret = e;
	return 0;
}

int config_parse_endpoint(const struct config_key *key, const char *text, void *field,
			  const char **ret_why)
{
	struct endpoint e;
	int r = endpoint_parse(text, &e, ret_why);

	if (r < 0)
		return r;
	if (e.kind == ENDPOINT_LOCAL)
		return config_parse_path(key, text, field, ret_why);
	memcpy(field, e.kind == ENDPOINT_NONE ? ENDPOINT_OFF : text,
	       e.kind == ENDPOINT_NONE ? sizeof(ENDPOINT_OFF) : strlen(text) + 1);
	return 0;
}

void config_print_endpoint(const struct config_key *key, const void *field, FILE *out)
{
	fputs(field, out);
}
