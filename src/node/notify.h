/* SPDX-License-Identifier: ISC */
/* The sd_notify protocol: said to a service manager, heard from children. */
#ifndef HEIR_NODE_NOTIFY_H
#define HEIR_NODE_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>

/* To $NOTIFY_SOCKET, if there is one: "READY=1", "STOPPING=1", … */
void notify_say(const char *text);

/* A datagram socket of an address of its own; address is what NOTIFY_SOCKET has to be. The
 * descriptor or -errno. */
int notify_listen(char *address, size_t size);
/* Reads all that is there, from processes of this user. Whether READY=1 was said. */
bool notify_heard_ready(int fd);

#endif
