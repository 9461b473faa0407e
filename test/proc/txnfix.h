/* SPDX-License-Identifier: ISC */
/*
 * A domain for tests of transactions and their recovery: the role "app" counts in its state; each
 * message is one more, which is said to its caller and sent to the second role, "box", where nobody
 * reads.
 */
#ifndef HEIR_TEST_TXNFIX_H
#define HEIR_TEST_TXNFIX_H

#include "support/domain.h"
#include "support/owner.h"

#define SECOND INT64_C(1000000000)
#define YIELD  3000000 /* ns */
#define CELLS  64u
#define BOX    1u /* the mailbox of "box" */

extern struct domain d;

void begin_domain(void);
void end_domain(void); /* if there is one */
int txnfix_setup(void **state);
int txnfix_teardown(void **state);

struct control word(void);
uint64_t *counter(heir_t *h);
/* 1: a message was handled; 0: there was none; negative */
int serve_one(heir_t *h);
/* A transaction that is left open, with the counter at 99. */
void open_dirty(heir_t *h);
heir_t *open_client(void);
/* The answer to a call. */
uint64_t finish_call(heir_t *client, struct heir_ticket t);

#endif
