/* SPDX-License-Identifier: ISC */
/*
 * What banks, payers, the storm and the audit have in common: orders and answers, what a bank keeps in its
 * state, and the page on which the processes of one run tell each other things.
 */
#ifndef HEIR_TEST_MONEY_H
#define HEIR_TEST_MONEY_H

#include "base/atom.h"
#include "base/clock.h"
#include "heir.h"

#define ACCOUNTS 32
#define PAYERS	 8
#define WINDOW	 64 /* orders of each payer that a bank remembers */
#define HALTED	 16

enum bank_name { EAST, WEST, BANKS };
extern const char *const bank_names[BANKS];

/*
 * PAY debits an account of the bank that gets it, and credits one of the same bank, or sends CREDIT to the
 * other within the same transaction. ASK: how often was this order carried out here? STATEMENT: all balances.
 */
enum order_kind { PAY = 1, CREDIT, ASK, STATEMENT };
/* What befalls the bank in the middle of an order, at its first delivery. REFUSE: each time. */
enum mishap { MISHAP_NONE, MISHAP_REFUSE, MISHAP_DIE, MISHAP_STOP };
enum place { PLACE_BEGUN, PLACE_MARKED, PLACE_HALF, PLACE_CHANGED, PLACE_SENT, PLACE_REPLIED, PLACE_COMMITTED, PLACES };

struct order {
	uint32_t kind;
	uint16_t payer;
	uint8_t from, to;      /* accounts */
	uint8_t to_bank;
	uint8_t mishap, place; /* of PAY */
	uint8_t pad[5];
	uint64_t id;           /* rises with each order of a payer */
	int64_t amount;
};

#define REFUSED (-11) /* by the bank: nothing was changed */
#define BUSY	(-12) /* the other bank's mailbox is full: nothing was changed */

struct answer { /* to PAY and ASK */
	uint32_t paid, credited; /* how often that order was carried out by this bank, as either side */
	uint32_t forgotten, pad; /* too old to be known */
};

struct seen {
	uint64_t id;
	uint64_t times;
};

struct statement {
	int64_t total; /* of the balances */
	int64_t balance[ACCOUNTS];
	uint64_t paid[PAYERS], credited[PAYERS];
	uint64_t doubled;   /* orders carried out more than once */
	uint64_t backwards; /* orders that came after later ones of the same payer */
};

struct bank_state {
	struct statement books;
	struct seen paid[PAYERS][WINDOW], credited[PAYERS][WINDOW];
};

/* A file that all processes of a run map; what is told there is not undone by anybody's death. */
struct page {
	atom32 quiet;         /* no more mishaps */
	atom32 inside[BANKS]; /* pid of the bank's process that is within a transaction */
	atom32 halted[HALTED]; /* pids that stopped themselves: the storm takes them out and continues them */
	/* how many banks are to die, or to stop, within a transaction: each goes into some payer's next order */
	atom32 to_die, to_stop;
	atom64 deaths, stops; /* of banks, by their own hand, within a transaction */
	atom64 overlaps;      /* a bank was within a transaction while another was */
	atom64 torn;          /* the balances did not add up */
	atom64 locked_out;    /* an exclusive bank was started while another had its lock */
	atom64 handled;
};

/* Both end the process where the file cannot be had. */
struct page *page_map(void);
void *file_map(const char *name, size_t size);

static inline uint64_t random_next(uint64_t *seed) /* xorshift64* */
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

static inline unsigned random_below(uint64_t *seed, unsigned n)
{
	return (unsigned)((random_next(seed) >> 33) % n);
}

int bank_main(const char *name);
int clerk_main(void); /* the other child of a bank with clerks: each answers, and that is all */
void bank_committed(void); /* by this process, and nobody knows yet */
int payer_main(unsigned number, uint64_t seed);
int storm_main(int argc, char **argv);

#endif
