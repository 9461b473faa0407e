/* SPDX-License-Identifier: ISC */
/* One run: what it is to do, what it has done, and what it says when it fails. */
#ifndef HEIR_TEST_STORM_H
#define HEIR_TEST_STORM_H

#include "ledger.h"

#include <sys/types.h>

enum role { OWNER, STANDBY, LEADER, PAYER, UP, ASKER, CLERK, ROLES };

struct storm {
	/* what it is to do */
	char heir[4096], self[4096], domain[64];
	uint64_t first_seed, seed;
	unsigned seconds, nodes, payers, patience;
	bool exclusive, clerks, cold, must_fail, keep;
	const char *broken;

	/* what there is */
	heir_t *h; /* an observer */
	struct page *page;
	struct ledger *ledger[PAYERS];
	pid_t up, payer[PAYERS], asker[4];
	int64_t began;

	/* what was done */
	uint64_t kills[ROLES], stops[ROLES], asked, moved, returned, storms;
	int64_t longest; /* ns from the last disturbance of a round until all was served, protected, and used again */
};

extern struct storm storm;

/* One line of what happens; the last ones are printed when the run fails. */
__attribute__((format(printf, 1, 2))) void tell(const char *format, ...);
/* The books are wrong: something was lost, done twice, or half done. Ends the run. */
__attribute__((noreturn, format(printf, 1, 2))) void wrong(const char *format, ...);
/* Not served, or something else is amiss. Ends the run. */
__attribute__((noreturn, format(printf, 1, 2))) void amiss(const char *format, ...);

/* cast.c: who plays, and whether the service is served */
void cast_begin(void);    /* the domain, and the payers */
void cast_look(void);     /* who has died is started again; who is to go on goes on; troubles of payers */
pid_t cast_find(enum role role, enum bank_name bank, const char *node);
const char *cast_node(unsigned n); /* name */
const char *cast_owner_node(enum bank_name bank);
void cast_ask(enum bank_name bank, const char *node, const char *how); /* for a takeover; not waited for */
void cast_leave(const char *node); /* it hands over and goes; cast_calm brings it back */
void cast_calm(void);     /* until all is served, and protected, and each payer has gone on */
void cast_end(void);      /* the payers end in order */

/* disturb.c: one thing happens, chosen by the seed */
void disturb(void);

/* audit.c: the books of banks and payers agree; then the domain is taken down, and nothing is left */
void audit(void);
void print_counts(void);

#endif
