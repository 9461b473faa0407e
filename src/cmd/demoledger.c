/* SPDX-License-Identifier: ISC */
#include "demoledger.h"

void ledger_unanswered(struct ledger *ledger, uint64_t increments)
{
	ledger->doubt += increments;
}

void ledger_read(struct ledger *ledger, uint64_t value)
{
	uint64_t more = value > ledger->value ? value - ledger->value : 0;
	uint64_t late = more < ledger->doubt ? more : ledger->doubt;

	if (value < ledger->value)
		ledger->lost += ledger->value - value;
	ledger->doubt -= late;
	ledger->twice += more - late;
	ledger->value = value;
}

void ledger_raised(struct ledger *ledger, uint64_t value)
{
	ledger->value++;
	ledger_read(ledger, value);
}

void ledger_settle(struct ledger *ledger)
{
	ledger->doubt = 0;
}
