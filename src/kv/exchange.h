/* SPDX-License-Identifier: ISC */
/*
 * One client's commands and replies, without the socket: two buffers and what lies between them.
 * Commands are taken from the input in order, and their replies stand in the output in that order:
 *
 *  - The owner runs a batch of them in one transaction. The replies become visible by the commit:
 *    where it fails, or a command in it does, nothing was run, no reply is in the output, and the
 *    commands are still in the input.
 *  - Where no transaction may begin (another instance owns the state now, or a takeover waits for
 *    it), each command is sent to the role by mail, a few at a time. Whoever owns it then answers.
 *  - Never both at once: nothing is run here while a forwarded command of the same client is
 *    unanswered.
 *
 * The buffers are fixed. Without room for a reply no command is taken, and then the input fills up.
 */
#ifndef HEIR_KV_EXCHANGE_H
#define HEIR_KV_EXCHANGE_H

#include "kv.h"

#include <stdbool.h>

#define EXCHANGE_IN_SIZE (2 * RESP_BULK_MAX)
#define EXCHANGE_OUT_SIZE (4 * RESP_BULK_MAX)
#define EXCHANGE_CALLS_MAX 16 /* forwarded and not yet answered */

enum phase {
	OPEN,
	DRAINING, /* nothing more is read; the commands that were read are answered */
	ENDING,   /* no more commands are taken; the replies leave */
};

struct exchange {
	struct kv *kv;
	enum phase phase;
	bool is_stalled; /* a command could not be sent for want of room: take again soon */
	size_t in_start, in_end, out_start, out_end;
	unsigned calls, first_call;
	struct heir_ticket call[EXCHANGE_CALLS_MAX];
	char in[EXCHANGE_IN_SIZE], out[EXCHANGE_OUT_SIZE];
};

void exchange_init(struct exchange *x, struct kv *kv);
/* Where the next bytes are read to, and how many: advance in_end by those that came. */
char *exchange_input(struct exchange *x, size_t *ret_room);
/*
 * Take the replies that have come, then commands until there is none that can be taken now. How
 * many of both: if any, call it again when the output has been written.
 */
int exchange_take(struct exchange *x);
/*
 * With calls > 0: take the reply of the oldest; after the timeout it is given up, and the reply
 * says so.
 */
void exchange_wait(struct exchange *x, int64_t timeout);

#endif
