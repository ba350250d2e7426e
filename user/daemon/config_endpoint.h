/* SPDX-License-Identifier: BSD-2-Clause */
/* Where something can be fetched: nowhere, at a local socket, or at an address and a port. */
#ifndef BAROSTAT_DAEMON_CONFIG_ENDPOINT_H
#define BAROSTAT_DAEMON_CONFIG_ENDPOINT_H

#include <stdbool.h>
#include <sys/socket.h>

#define ENDPOINT_OFF "off"
#define ENDPOINT_ALLOWED                                                                           \
	"off, an address and port like 127.0.0.1:9469 or [::1]:9469, or an absolute path without " \
	"'.', '..' or ';', at most 107 bytes"

enum endpoint_kind { ENDPOINT_NONE, ENDPOINT_LOCAL, ENDPOINT_INET };

struct endpoint {
	enum endpoint_kind kind;
	bool loopback; /* only this machine reaches it */
	struct sockaddr_storage address; /* of ENDPOINT_INET */
	socklen_t address_bytes;
};

/* 0; -EINVAL with *ret_why = what is wrong with it. A path is not looked at any closer. */
int endpoint_parse(const char *text, struct endpoint *ret, const char **ret_why);

#endif
