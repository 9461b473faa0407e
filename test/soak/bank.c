/* SPDX-License-Identifier: ISC */
/*
 * A bank: the worker. Each order is one transaction over several accounts, its own books of what it has done,
 * the reply, and perhaps a message to the other bank. It notes how often it has carried out each order and
 * refuses none for that: that nothing is done twice is for heir to see to. With SOAK_BREAK it is broken on
 * purpose, in one of the ways listed in soak.c.
 */
#include "money.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct bank {
	enum bank_name name;
	const char *broken; /* "": not */
	int exclusive, lock;
};

static struct page *page;
static enum mishap after_commit;

static bool is_broken(const struct bank *b, const char *way)
{
	return strcmp(b->broken, way) == 0;
}

static struct bank_state *books(heir_t *h)
{
	size_t size;
	struct bank_state *s = heir_state(h, &size);

	return s && size >= sizeof(*s) ? s : NULL;
}

static int mark(heir_t *h, const struct bank *b, const void *what, size_t size)
{
	return is_broken(b, "unmarked") ? 0 : heir_mark(h, what, size);
}

static void halt(void)
{
	for (unsigned i = 0; i < HALTED; i++) {
		uint32_t none = 0;

		if (!atom_cas(&page->halted[i], &none, (uint32_t)getpid()))
			continue;
		atom_add_relaxed(&page->stops, 1);
		raise(SIGSTOP);
		return;
	}
}

static void suffer(enum mishap mishap)
{
	if (mishap == MISHAP_STOP)
		halt();
	if (mishap != MISHAP_DIE)
		return;
	atom_add_relaxed(&page->deaths, 1);
	(void)raise(SIGKILL);
}

/* What the order says befalls this process here. Negative: it refuses. */
static int befall(const struct order *o, unsigned deliveries, enum place place)
{
	if (o->place != place || o->mishap == MISHAP_NONE)
		return 0;
	if (o->mishap == MISHAP_REFUSE)
		return REFUSED;
	if (deliveries > 1 || atom_load_relaxed(&page->quiet))
		return 0;
	if (place == PLACE_COMMITTED)
		after_commit = o->mishap;
	else
		suffer(o->mishap);
	return 0;
}

void bank_committed(void)
{
	enum mishap mishap = after_commit;

	after_commit = MISHAP_NONE;
	suffer(mishap);
}

static int note(heir_t *h, const struct bank *b, const struct order *o, struct bank_state *s, struct seen *seen,
		uint64_t *count)
{
	int rc = mark(h, b, &s->books, sizeof(s->books));

	if (rc == 0)
		rc = mark(h, b, seen, sizeof(*seen));
	if (rc)
		return rc;
	++*count;
	if (seen->id == o->id) {
		seen->times++;
		s->books.doubled++;
	} else if (seen->id > o->id) {
		s->books.backwards++;
	} else {
		*seen = (struct seen){o->id, 1};
	}
	return 0;
}

static int credit(heir_t *h, const struct bank *b, const struct order *o, struct bank_state *s)
{
	int rc = note(h, b, o, s, &s->credited[o->payer][o->id % WINDOW], &s->books.credited[o->payer]);

	if (rc)
		return rc;
	s->books.balance[o->to] += o->amount;
	s->books.total += o->amount;
	return 0;
}

/* Between any two of these lines the process may be killed or stopped, by itself or by the storm. */
static int pay(heir_t *h, const struct bank *b, const struct order *o, unsigned deliveries, struct bank_state *s)
{
	struct order onward = *o;
	int rc = befall(o, deliveries, PLACE_BEGUN);

	if (rc == 0)
		rc = note(h, b, o, s, &s->paid[o->payer][o->id % WINDOW], &s->books.paid[o->payer]);
	if (rc == 0)
		rc = befall(o, deliveries, PLACE_MARKED);
	if (rc)
		return rc;
	s->books.balance[o->from] -= o->amount;
	s->books.total -= o->amount;
	rc = befall(o, deliveries, PLACE_HALF);
	if (rc == 0 && o->to_bank == b->name)
		rc = credit(h, b, o, s);
	if (rc == 0)
		rc = befall(o, deliveries, PLACE_CHANGED);
	if (rc || o->to_bank == b->name)
		return rc;
	onward.kind = CREDIT;
	rc = heir_send(h, bank_names[o->to_bank], &onward, sizeof(onward));
	return rc == HEIR_EAGAIN || rc == HEIR_EFULL ? BUSY : rc ? rc : befall(o, deliveries, PLACE_SENT);
}

static int reply_to(heir_t *h, const struct order *o, const struct bank_state *s)
{
	const struct seen *paid = &s->paid[o->payer][o->id % WINDOW],
			  *credited = &s->credited[o->payer][o->id % WINDOW];
	struct answer a = {
		.paid = paid->id == o->id ? (uint32_t)paid->times : 0,
		.credited = credited->id == o->id ? (uint32_t)credited->times : 0,
		.forgotten = paid->id > o->id || credited->id > o->id,
	};

	return heir_reply(h, &a, sizeof(a));
}

static int carry_out(heir_t *h, const struct bank *b, const struct order *o, unsigned deliveries,
		     struct bank_state *s)
{
	int rc = 0;

	if (o->kind == STATEMENT)
		return heir_reply(h, &s->books, sizeof(s->books));
	if (o->kind == PAY && !(deliveries > 1 && is_broken(b, "lost")))
		rc = pay(h, b, o, deliveries, s);
	if (rc == 0 && o->kind == PAY && deliveries > 1 && is_broken(b, "doubled"))
		rc = pay(h, b, o, deliveries, s);
	if (o->kind == CREDIT)
		return credit(h, b, o, s);
	if (rc == 0)
		rc = reply_to(h, o, s);
	if (rc == 0)
		rc = befall(o, deliveries, PLACE_REPLIED);
	return rc ? rc : befall(o, deliveries, PLACE_COMMITTED);
}

static void add_up(const struct bank_state *s)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < ACCOUNTS; i++)
		sum += s->books.balance[i];
	if (sum != s->books.total)
		atom_add_relaxed(&page->torn, 1);
}

static int handle(heir_t *h, const struct heir_message *m, void *arg)
{
	const struct bank *b = arg;
	struct bank_state *s = books(h);
	struct order o;
	int rc;

	if (m->direct || m->size != sizeof(o) || !s)
		return HEIR_EINVAL;
	memcpy(&o, m->data, sizeof(o));
	if (o.payer >= PAYERS || o.from >= ACCOUNTS || o.to >= ACCOUNTS || o.to_bank >= BANKS)
		return HEIR_EINVAL;
	atom_store_seq(&page->inside[b->name], (uint32_t)getpid());
	add_up(s);
	rc = carry_out(h, b, &o, m->deliveries, s);
	/* Whoever wrote its pid there meanwhile was within a transaction of the same bank while this process was. */
	if (atom_load_seq(&page->inside[b->name]) != (uint32_t)getpid())
		atom_add_relaxed(&page->overlaps, 1);
	atom_add_relaxed(&page->handled, 1);
	return rc;
}

/* What an exclusive bank has alone: a lock that the kernel gives back when all of its process is gone. */
static int start(heir_t *h, const struct heir_start *start, void *arg)
{
	struct bank *b = arg;
	char path[64];

	(void)h;
	(void)start;
	if (!b->exclusive || b->lock >= 0)
		return 0;
	snprintf(path, sizeof(path), "%s.lock", bank_names[b->name]);
	b->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->lock < 0 || flock(b->lock, LOCK_EX | LOCK_NB) < 0) {
		atom_add_relaxed(&page->locked_out, 1);
		return REFUSED;
	}
	return 0;
}

int bank_main(const char *name)
{
	struct heir_worker worker = {.size = sizeof(worker), .version = 1, .start = start, .handle = handle};
	struct bank b = {.name = strcmp(name, bank_names[WEST]) == 0 ? WEST : EAST, .lock = -1};
	heir_t *h;
	int rc;

	page = page_map();
	b.broken = getenv("SOAK_BREAK") ? getenv("SOAK_BREAK") : "";
	b.exclusive = getenv("SOAK_EXCLUSIVE") != NULL;
	rc = heir_worker_open(&worker, &b, &h);
	if (rc == 0)
		rc = heir_serve(h);
	if (rc && rc != HEIR_ESTALE)
		fprintf(stderr, "bank %s: %s\n", name, heir_strerror(rc));
	return rc != 0;
}

static int answer(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)arg;
	return heir_reply(h, m->data, m->size);
}

int clerk_main(void)
{
	struct heir_worker worker = {.size = sizeof(worker), .handle = answer};
	heir_t *h;
	int rc = heir_worker_open(&worker, NULL, &h);

	if (rc == 0)
		rc = heir_serve(h);
	return rc != 0;
}
