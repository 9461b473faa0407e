/* SPDX-License-Identifier: ISC */
/* Transactions: what the mail and worker parts of the library need of them. */
#ifndef HEIR_LIB_TXN_H
#define HEIR_LIB_TXN_H

#include "lib/handle.h"

typedef int txn_handler(heir_t *h, const struct heir_message *message, void *arg);

/* The request of a taken cell, copied and checked, into h->in. HEIR_ECORRUPT */
int lib_load(heir_t *h, uint32_t mailbox, const struct mail_head *head);
/*
 * One message of the lead role's mailbox, in a transaction: taken, handled, answered, committed. 1 done, 0 none
 * there, ESTALE, EWANTED, or what is wrong.
 */
int txn_message(heir_t *h, uint32_t role, txn_handler *handle, void *arg);
/* One message of another role's mailbox: at least once, no transaction. */
int plain_message(heir_t *h, uint32_t role, txn_handler *handle, void *arg);
/* After a handler of direct mail: what it left undone is answered. */
void direct_done(heir_t *h, int rc);

#endif
