/* SPDX-License-Identifier: BSD-2-Clause */
/* A local socket of the daemon's own. */
#ifndef BAROSTAT_DAEMON_LISTEN_H
#define BAROSTAT_DAEMON_LISTEN_H

/*
 * Listens at `path`, open to every local user (who may ask for what is decided per connection);
 * `type` is SOCK_STREAM or SOCK_SEQPACKET. Makes the last directory when it is missing, and takes
 * the place of a socket that nobody listens on. Returns the descriptor, which does not block.
 *  -EADDRINUSE	somebody listens there
 *  -EEXIST	a file that is no socket is in the way
 *  -ENAMETOOLONG, -EACCES, ...
 */
int listen_at(const char *path, int type, int backlog);

#endif
