/* SPDX-License-Identifier: ISC */
/*
 * The clients' connections. Commands are taken from a connection's buffer in order, and its replies
 * leave in that order:
 *
 *  - The owner runs a batch of them in one transaction. The replies become visible by the commit:
 *    where it fails, or a command in it does, nothing was run, no reply is left in the output
 *    buffer, and the commands are still in the input buffer.
 *  - Where no transaction may begin (another instance owns the state now, or a takeover waits for
 *    it), each command is sent to the role by mail, a few at a time. Whoever owns it then answers,
 *    after the commands that came before.
 *  - Never both at once: nothing is run here while a forwarded command of the same connection is
 *    unanswered.
 *
 * Buffers are fixed. A client that does not read its replies is not read from.
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
