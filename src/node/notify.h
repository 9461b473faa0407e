/* SPDX-License-Identifier: ISC */
/* The sd_notify protocol: said to a service manager, heard from children. */
#ifndef HEIR_NODE_NOTIFY_H
#define HEIR_NODE_NOTIFY_H

#include <stddef.h>

/* To $NOTIFY_SOCKET, if there is one: "READY=1", "STOPPING=1", … */
void notify_say(const char *text);

/* A datagram socket of an address of its own; address is what NOTIFY_SOCKET has to be. The
 * descriptor or -errno. */
int notify_listen(char *address, size_t size);
/* READY=1, WATCHDOG=1, WATCHDOG=trigger */
enum { NOTIFY_READY = 1, NOTIFY_ALIVE = 2, NOTIFY_FAILED = 4 };
/* Reads all that is there, from processes of this user. What was said. */
unsigned notify_hear(int fd);

#endif
