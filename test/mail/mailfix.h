/* SPDX-License-Identifier: ISC */
/*
 * A segment of mail alone, for tests: in an anonymous shared mapping, which threads share and
 * forked children keep. Nobody has joined: slots are numbers, and their words are set by hand.
 */
#ifndef HEIR_TEST_MAILFIX_H
#define HEIR_TEST_MAILFIX_H

#include "mail/record.h"

#define MAILFIX_ROLES 2u
#define MAILFIX_SLOTS 8u /* 1 to 7 */

void mailfix_init(struct shm *shm, uint32_t cells, uint32_t message);
void mailfix_finish(struct shm *shm);

/* The slot's word: incarnation and state as given; its handle. */
uint64_t mailfix_slot(struct shm *shm, uint32_t slot, uint32_t incarnation, enum slot_state state);
uint32_t mailfix_own(const struct shm *shm, uint32_t slot);
uint32_t mailfix_free_cells(const struct shm *shm);
struct cell_word mailfix_word(const struct shm *shm, uint32_t cell);

/* An OWNED cell with an 8-byte request for that mailbox; target: the handle of a direct message, or
 * 0. */
struct cell_ref mailfix_cell(struct shm *shm, uint32_t slot, uint32_t flags, uint32_t mailbox,
			     uint64_t target, uint64_t value);
struct cell_ref mailfix_send(struct shm *shm, uint32_t slot, uint32_t flags, uint32_t mailbox,
			     uint64_t target, uint64_t value);
uint64_t mailfix_value(const struct shm *shm, uint32_t cell);
/* Take the head, as the reader `slot` of the mailbox: 1 and *ret, or 0. */
int mailfix_take(struct shm *shm, uint32_t slot, uint32_t mailbox, struct mail_head *ret);
/* Take, pass and answer the head, and return its value; 0 if there is none. */
uint64_t mailfix_serve(struct shm *shm, uint32_t slot, uint32_t mailbox);
/* As its caller does with a DONE cell. */
void mailfix_collect(struct shm *shm, struct cell_ref ref);
/* As its caller does at its deadline. */
void mailfix_give_up(struct shm *shm, struct cell_ref ref);

#endif
