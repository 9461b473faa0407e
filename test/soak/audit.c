/* SPDX-License-Identifier: ISC */
/* The end: what the banks have in their state, what the payers have in their ledgers, and nothing left. */
#include "storm.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe.h"

#define PATIENCE (20 * NS_PER_SECOND)

static unsigned differences;

static void same(const char *bank, const char *what, unsigned which, int64_t has, int64_t should)
{
	if (has == should)
		return;
	tell("%s, %s %u: the bank has %lld, the ledgers %lld", bank, what, which, (long long)has, (long long)should);
	differences++;
}

static void get_statement(heir_t *h, unsigned bank, struct statement *ret)
{
	struct order o = {.kind = STATEMENT};
	size_t size = sizeof(*ret);
	int rc = heir_call(h, bank_names[bank], &o, sizeof(o), ret, &size, PATIENCE);

	if (rc || size != sizeof(*ret))
		amiss("the statement of %s: %s", bank_names[bank], heir_strerror(rc));
}

static void compare(unsigned bank, const struct statement *s)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < ACCOUNTS; i++) {
		int64_t should = 0;

		for (unsigned p = 0; p < storm.payers; p++)
			should += ledger_book(storm.ledger[p])->delta[bank][i];
		same(bank_names[bank], "account", i, s->balance[i], should);
		sum += s->balance[i];
	}
	same(bank_names[bank], "sum of accounts", 0, sum, s->total);
	for (unsigned p = 0; p < storm.payers; p++) {
		const struct book *b = ledger_book(storm.ledger[p]);

		same(bank_names[bank], "orders of payer", p, (int64_t)s->paid[p], (int64_t)b->paid[bank]);
		same(bank_names[bank], "credits of payer", p, (int64_t)s->credited[p], (int64_t)b->credited[bank]);
	}
	same(bank_names[bank], "doubled", 0, (int64_t)s->doubled, 0);
	same(bank_names[bank], "backwards", 0, (int64_t)s->backwards, 0);
}

static void nothing_left(void)
{
	const char *argv[] = {storm.heir, "down", NULL};
	int64_t end = deadline_after(PATIENCE);
	char pattern[256];
	int status = 0;
	glob_t found;

	heir_close(storm.h);
	if (waitpid(troupe_start(argv, "askers.log", false), &status, 0) < 0 || status)
		amiss("heir down: status %#x", (unsigned)status);
	while (troupe_count()) {
		if (deadline_passed(end))
			amiss("%u processes are left after heir down", troupe_count());
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
		troupe_reap(NULL);
	}
	snprintf(pattern, sizeof(pattern), "/dev/shm/heir.%u.%s*", (unsigned)getuid(), storm.domain);
	if (glob(pattern, 0, NULL, &found) == 0)
		amiss("%s is left after heir down", found.gl_pathv[0]);
}

void audit(void)
{
	struct statement s[BANKS];
	heir_t *h;
	int rc = heir_open(NULL, 0, &h);

	if (rc)
		amiss("opening the domain: %s", heir_strerror(rc));
	for (unsigned i = 0; i < BANKS; i++)
		get_statement(h, i, &s[i]);
	heir_close(h);
	for (unsigned i = 0; i < BANKS; i++)
		compare(i, &s[i]);
	if (s[EAST].total + s[WEST].total != 0)
		tell("the sum of all accounts is %lld", (long long)(s[EAST].total + s[WEST].total));
	if (differences || s[EAST].total + s[WEST].total != 0)
		wrong("the books of banks and payers differ in %u places", differences);
	nothing_left();
}

void print_counts(void)
{
	struct book sum = {0};
	struct page *p = storm.page;

	for (unsigned i = 0; i < storm.payers; i++) {
		const struct book *b = ledger_book(storm.ledger[i]);

		sum.next += b->next;
		sum.done += b->done;
		sum.refused += b->refused;
		sum.busy += b->busy;
		sum.never_taken += b->never_taken;
		sum.unknown += b->unknown;
		sum.found_done += b->found_done;
		sum.found_not_done += b->found_not_done;
		sum.asked += b->asked;
		sum.lives += b->lives;
	}
	printf("orders %llu: answered %llu, refused %llu, never taken %llu, unknown %llu; found done %llu, not done "
	       "%llu; questions %llu\n",
	       (unsigned long long)sum.next, (unsigned long long)sum.done,
	       (unsigned long long)(sum.refused + sum.busy), (unsigned long long)sum.never_taken,
	       (unsigned long long)sum.unknown, (unsigned long long)sum.found_done,
	       (unsigned long long)sum.found_not_done, (unsigned long long)sum.asked);
	printf("kills: owner %llu, in a transaction %llu, standby or target %llu, leader %llu, payer %llu, up %llu, "
	       "asker %llu, clerk %llu\n",
	       (unsigned long long)storm.kills[OWNER], (unsigned long long)atom_load_relaxed(&p->deaths),
	       (unsigned long long)storm.kills[STANDBY], (unsigned long long)storm.kills[LEADER],
	       (unsigned long long)storm.kills[PAYER], (unsigned long long)storm.kills[UP],
	       (unsigned long long)storm.kills[ASKER], (unsigned long long)storm.kills[CLERK]);
	printf("stops: owner %llu, in a transaction %llu, standby or target %llu, leader %llu, payer %llu, up %llu, "
	       "asker %llu, clerk %llu\n",
	       (unsigned long long)storm.stops[OWNER], (unsigned long long)atom_load_relaxed(&p->stops),
	       (unsigned long long)storm.stops[STANDBY], (unsigned long long)storm.stops[LEADER],
	       (unsigned long long)storm.stops[PAYER], (unsigned long long)storm.stops[UP],
	       (unsigned long long)storm.stops[ASKER], (unsigned long long)storm.stops[CLERK]);
	printf("takeovers asked for %llu, done as told to who asked %llu; nodes that left and returned %llu\n"
	       "disturbances %llu; messages handled %llu; lives of payers %llu; longest way back %.0f ms\n",
	       (unsigned long long)storm.asked, (unsigned long long)storm.moved, (unsigned long long)storm.returned,
	       (unsigned long long)storm.storms, (unsigned long long)atom_load_relaxed(&p->handled),
	       (unsigned long long)sum.lives, (double)storm.longest / 1e6);
}
