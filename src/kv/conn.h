/* SPDX-License-Identifier: ISC */
/*
 * The clients' connections: sockets, what they wait for, and their end. What is said on them is in
 * exchange.h. A client that does not read its replies is not read from.
 */
#ifndef HEIR_KV_CONN_H
#define HEIR_KV_CONN_H

#include "kv.h"

#include <stdbool.h>

#define CONNS_MAX 1000

/* listener: -1 where there is none; it stays the caller's. 0 or negative. */
int conns_create(struct kv *kv, int listener, struct conns **ret);
/* Accept new connections, or leave them in the backlog for another instance. */
int conns_accept(struct conns *conns, bool on);
/* Read no more; connections close when what was read is answered and the replies have left. */
void conns_drain(struct conns *conns);
/* Drain, wait for what is left until timeout, close all. NULL is allowed. */
void conns_destroy(struct conns *conns, int64_t timeout);

#endif
