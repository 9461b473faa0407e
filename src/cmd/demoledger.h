/* SPDX-License-Identifier: ISC */
/*
 * The books of one counter that one client alone raises by INCR: each reply must be one more than
 * the last, else increments were lost or applied twice. Increments whose reply never came may have
 * been applied or not: as many may show up late.
 */
#ifndef HEIR_CMD_DEMOLEDGER_H
#define HEIR_CMD_DEMOLEDGER_H

#include <stdint.h>

struct ledger {
	uint64_t value; /* as the last reply had it */
	uint64_t doubt; /* unanswered and not seen */
	uint64_t lost, twice;
};

void ledger_unanswered(struct ledger *ledger, uint64_t increments);
/* The reply to an increment. */
void ledger_raised(struct ledger *ledger, uint64_t value);
/* What the counter was read as, none under way. */
void ledger_read(struct ledger *ledger, uint64_t value);
/* What went unanswered will not be applied any more. */
void ledger_settle(struct ledger *ledger);

#endif
