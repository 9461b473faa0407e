/* SPDX-License-Identifier: ISC */
/*
 * A payer's ledger: a file that it maps, so that it outlives the payer's own death. It holds the book twice: a
 * change is made in the copy that is not in force, then one store puts that in force. Whoever dies in between
 * has changed nothing.
 */
#ifndef HEIR_TEST_LEDGER_H
#define HEIR_TEST_LEDGER_H

#include "money.h"

#define IN_HAND 4

enum entry_state { ENTRY_NONE, ENTRY_MEANT, ENTRY_SENT }; /* SENT: accepted by heir_send, not answered */

struct entry {
	uint32_t state, bank;
	struct order order;
};

struct book {
	uint64_t next; /* id */
	int64_t delta[BANKS][ACCOUNTS];
	uint64_t paid[BANKS], credited[BANKS];
	struct entry entry[IN_HAND];
	/* calls and sends by what became of them */
	uint64_t done, refused, busy, never_taken, unknown, found_done, found_not_done, asked, lives;
};

struct ledger {
	atom32 which;    /* is in force */
	atom32 finished; /* 1: the payer was told to end, and has nothing in hand */
	char trouble[256];
	struct book book[2];
};

struct ledger *ledger_map(unsigned payer);
const struct book *ledger_book(const struct ledger *l); /* in force */
struct book *ledger_edit(struct ledger *l);             /* a copy of it */
void ledger_commit(struct ledger *l);
/* Of an entry that was carried out. */
void book_enter(struct book *b, const struct order *o, unsigned bank);
bool book_in_hand(const struct book *b);

#endif
