/* SPDX-License-Identifier: ISC */
/*
 * A payer: a client that moves money by calls, several at once, or by messages without an answer, and keeps its
 * ledger. An order is in the ledger before it is sent. What became of it is in the answer; where there was none
 * (outcome unknown, a message, or this payer's own death, from which the next one goes on with the same ledger)
 * the bank is asked: the question stands behind the order in the bank's mailbox, so its answer is final.
 */
#include "ledger.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE (40 * NS_PER_SECOND)

struct payer {
	heir_t *h;
	struct ledger *ledger;
	struct page *page;
	unsigned number;
	bool clerks;
	uint64_t seed;
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

__attribute__((noreturn, format(printf, 2, 3))) static void trouble(struct payer *p, const char *format, ...)
{
	char text[sizeof(p->ledger->trouble)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(p->ledger->trouble + 1, text + 1, sizeof(text) - 1);
	p->ledger->trouble[0] = text[0];
	_exit(1);
}

static struct answer ask(struct payer *p, unsigned bank, const struct order *about)
{
	struct order o = *about;
	struct answer a;
	size_t size = sizeof(a);
	struct book *b;
	int rc;

	o.kind = ASK;
	o.mishap = MISHAP_NONE;
	rc = heir_call(p->h, bank_names[bank], &o, sizeof(o), &a, &size, PATIENCE);
	if (rc || size != sizeof(a))
		trouble(p, "asking %s about order %llu: %s", bank_names[bank], (unsigned long long)o.id,
			rc ? heir_strerror(rc) : "an answer of another size");
	if (a.forgotten)
		trouble(p, "%s has forgotten order %llu", bank_names[bank], (unsigned long long)o.id);
	b = ledger_edit(p->ledger);
	b->asked++;
	ledger_commit(p->ledger);
	return a;
}

/* Carried out so often, on both sides? */
static void expect(struct payer *p, unsigned bank, const struct order *o, uint32_t times, const char *why)
{
	struct answer a = ask(p, bank, o), other = o->to_bank == bank ? a : ask(p, o->to_bank, o);

	if (a.paid != times)
		trouble(p, "order %llu was %s, and paid %u times by %s", (unsigned long long)o->id, why, a.paid,
			bank_names[bank]);
	if (other.credited != times)
		trouble(p, "order %llu was %s, and credited %u times by %s", (unsigned long long)o->id, why,
			other.credited, bank_names[o->to_bank]);
}

/* Nobody has told what became of it. */
static void settle(struct payer *p, unsigned n)
{
	const struct entry *e = &ledger_book(p->ledger)->entry[n];
	struct answer a = ask(p, e->bank, &e->order);
	struct book *b;

	e = &ledger_book(p->ledger)->entry[n];
	if (e->state == ENTRY_SENT && a.paid == 0)
		trouble(p, "message %llu was accepted by %s, and is lost", (unsigned long long)e->order.id,
			bank_names[e->bank]);
	if (a.paid > 1)
		trouble(p, "order %llu was paid %u times by %s", (unsigned long long)e->order.id, a.paid,
			bank_names[e->bank]);
	if (e->order.to_bank != e->bank)
		a.credited = ask(p, e->order.to_bank, &e->order).credited;
	if (a.credited != a.paid)
		trouble(p, "order %llu was paid %u times by %s and credited %u times by %s",
			(unsigned long long)e->order.id, a.paid, bank_names[e->bank], a.credited,
			bank_names[e->order.to_bank]);
	b = ledger_edit(p->ledger);
	if (a.paid)
		book_enter(b, &b->entry[n].order, b->entry[n].bank);
	b->found_done += a.paid;
	b->found_not_done += !a.paid;
	b->entry[n].state = ENTRY_NONE;
	ledger_commit(p->ledger);
}

static void settle_all(struct payer *p)
{
	for (unsigned i = 0; i < IN_HAND; i++)
		if (ledger_book(p->ledger)->entry[i].state != ENTRY_NONE)
			settle(p, i);
}

static bool take_one(atom32 *tokens)
{
	uint32_t n = atom_load_relaxed(tokens);

	while (n && !atom_cas(tokens, &n, n - 1))
		;
	return n > 0;
}

static void mean(struct payer *p, struct book *b, unsigned n)
{
	struct entry *e = &b->entry[n];
	struct order *o = &e->order;

	memset(e, 0, sizeof(*e));
	e->state = ENTRY_MEANT;
	e->bank = random_below(&p->seed, BANKS);
	o->kind = PAY;
	o->payer = (uint16_t)p->number;
	o->from = (uint8_t)random_below(&p->seed, ACCOUNTS);
	o->to = (uint8_t)random_below(&p->seed, ACCOUNTS);
	o->to_bank = (uint8_t)random_below(&p->seed, BANKS);
	o->amount = 1 + random_below(&p->seed, 10000);
	o->id = ++b->next;
	o->place = (uint8_t)random_below(&p->seed, PLACES);
	if (random_below(&p->seed, 32) == 0)
		o->mishap = MISHAP_REFUSE;
	else if (take_one(&p->page->to_die))
		o->mishap = MISHAP_DIE;
	else if (take_one(&p->page->to_stop))
		o->mishap = MISHAP_STOP;
}

/* What the caller was told, entered; then, at times, whether that is so. */
static void enter(struct payer *p, unsigned n, int rc, const struct answer *a, int64_t timeout)
{
	struct book *b = ledger_edit(p->ledger);
	struct entry *e = &b->entry[n], was = *e;
	bool never = rc == HEIR_ETIMEDOUT || rc == HEIR_EAGAIN || rc == HEIR_EFULL,
	     not_done = never || rc == BUSY || rc == REFUSED;

	if (rc == 0 && (a->paid != 1 || (was.order.to_bank == was.bank && a->credited != 1)))
		trouble(p, "order %llu is answered by %s, paid %u times, credited %u times",
			(unsigned long long)was.order.id, bank_names[was.bank], a->paid, a->credited);
	if (rc && rc != HEIR_EUNKNOWN && !not_done)
		trouble(p, "calling %s: %s", bank_names[was.bank], heir_strerror(rc));
	if (rc == REFUSED && was.order.mishap != MISHAP_REFUSE)
		trouble(p, "order %llu is refused, though it is in order", (unsigned long long)was.order.id);
	if (rc && timeout >= PATIENCE && (never || rc == HEIR_EUNKNOWN))
		trouble(p, "%s does not answer: %s", bank_names[was.bank], heir_strerror(rc));
	if (rc == 0)
		book_enter(b, &was.order, was.bank);
	b->done += rc == 0;
	b->refused += rc == REFUSED;
	b->busy += rc == BUSY;
	b->never_taken += never;
	b->unknown += rc == HEIR_EUNKNOWN;
	if (rc != HEIR_EUNKNOWN)
		e->state = ENTRY_NONE;
	ledger_commit(p->ledger);
	if (never || (rc != HEIR_EUNKNOWN && random_below(&p->seed, 8) == 0))
		expect(p, was.bank, &was.order, rc == 0, rc == 0 ? "answered" : "refused or never taken");
}

static int64_t patience(struct payer *p)
{
	return random_below(&p->seed, 16) ? PATIENCE : 20000 + random_below(&p->seed, 2000000);
}

static const struct order *order(struct payer *p, unsigned n)
{
	return &ledger_book(p->ledger)->entry[n].order;
}

static const char *bank(struct payer *p, unsigned n)
{
	return bank_names[ledger_book(p->ledger)->entry[n].bank];
}

static void call_one(struct payer *p)
{
	int64_t timeout = patience(p);
	struct answer a = {0};
	size_t size = sizeof(a);
	int rc = heir_call(p->h, bank(p, 0), order(p, 0), sizeof(struct order), &a, &size, timeout);

	enter(p, 0, rc, &a, timeout);
}

static void call_several(struct payer *p, unsigned n)
{
	struct heir_ticket ticket[IN_HAND];
	int rc[IN_HAND];

	for (unsigned i = 0; i < n; i++)
		rc[i] = heir_call_start(p->h, bank(p, i), order(p, i), sizeof(struct order), &ticket[i]);
	for (unsigned i = 0; i < n; i++) {
		int64_t timeout = rc[i] ? 0 : patience(p);
		struct answer a = {0};
		size_t size = sizeof(a);

		if (rc[i] == 0)
			rc[i] = heir_call_finish(p->h, ticket[i], &a, &size, timeout);
		enter(p, i, rc[i], &a, timeout);
	}
}

static void send_one(struct payer *p)
{
	int rc = heir_send(p->h, bank(p, 0), order(p, 0), sizeof(struct order));
	struct book *b = ledger_edit(p->ledger);

	if (rc && rc != HEIR_EAGAIN && rc != HEIR_EFULL)
		trouble(p, "sending to %s: %s", bank(p, 0), heir_strerror(rc));
	if (rc == 0 && b->entry[0].order.mishap != MISHAP_REFUSE)
		b->entry[0].state = ENTRY_SENT;
	ledger_commit(p->ledger);
}

/* At least once is what it is promised: not known is as good an answer, none is not. */
static void ask_clerk(struct payer *p)
{
	struct order o = {.kind = ASK}, back;
	size_t size = sizeof(back);
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "%s.clerk", bank_names[random_below(&p->seed, BANKS)]);
	rc = heir_call(p->h, name, &o, sizeof(o), &back, &size, PATIENCE);
	if (rc && rc != HEIR_EUNKNOWN)
		trouble(p, "asking %s: %s", name, heir_strerror(rc));
	if (rc == 0 && (size != sizeof(back) || memcmp(&o, &back, size) != 0))
		trouble(p, "%s answers what it was not asked", name);
}

static void go_on(struct payer *p)
{
	unsigned how = random_below(&p->seed, 8), n = how < 5 || how == 7 ? 1 : 1 + random_below(&p->seed, IN_HAND);
	struct book *b = ledger_edit(p->ledger);

	for (unsigned i = 0; i < n; i++)
		mean(p, b, i);
	ledger_commit(p->ledger);
	if (how == 7)
		send_one(p);
	else if (n == 1)
		call_one(p);
	else
		call_several(p, n);
	settle_all(p);
	if (p->clerks && random_below(&p->seed, 32) == 0)
		ask_clerk(p);
}

int payer_main(unsigned number, uint64_t seed)
{
	struct payer p = {.number = number, .seed = seed, .ledger = ledger_map(number), .page = page_map()};
	struct book *b;
	int rc;

	p.clerks = getenv("SOAK_CLERKS") != NULL;
	(void)signal(SIGTERM, end);
	rc = heir_open(NULL, 0, &p.h);
	if (rc)
		trouble(&p, "opening the domain: %s", heir_strerror(rc));
	b = ledger_edit(p.ledger);
	b->lives++;
	ledger_commit(p.ledger);
	settle_all(&p);
	while (!ended)
		go_on(&p);
	atom_store_release(&p.ledger->finished, 1);
	heir_close(p.h);
	return 0;
}
