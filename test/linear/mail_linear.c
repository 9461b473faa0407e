/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes under takeover: histories of clients that send and call, owners that take, count and pass on in
 * transactions, take over from each other and claim from the dead, and a reader of the second role; killed and
 * stopped anywhere. Each mailbox is a queue: what was accepted comes out once, in order, and "there is none" was
 * so. Besides, by the journal that the owners keep in the state: each accepted message is in it once, in the order
 * in which they were handled; who called was told its place in it, or, at its deadline, that it was never taken.
 *
 * mail_linear [SECONDS [SEED]]
 */
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "linearstorm.h"
#include "lib/txn.h"
#include "name/names.h"
#include "proc/bury.h"
#include "proc/move.h"
#include "support/domain.h"
#include "support/owner.h"

#define OWNERS	3u
#define SENDERS 2u
#define READER                                                                                                 \
	(OWNERS + SENDERS)   /* place of the one who reads the second role's mailbox; stopped, never killed */
#define DRAIN	(READER + 1) /* places of the parent, in the end */
#define CELLS	48u
#define QUEUED	8u
#define JOURNAL 6000u

enum what { SEND, CALL, TRY, HANDLE, EMPTY, READ }; /* TRY: a call with a short deadline */
enum { APP, BOX };				    /* objects: mailboxes of the two roles */

struct journal { /* the state */
	uint64_t count, value[JOURNAL];
};

static struct domain d;
static pid_t first_process;
static atom32 *senders_gone; /* a bit each */

static struct journal *journal_of(heir_t *h)
{
	return (struct journal *)(void *)h->state.data;
}

/* Its event: what it handled, and where in the journal that is. */
static int handle(heir_t *h, const struct heir_message *m, void *arg)
{
	struct journal *j = journal_of(h);
	struct event *e = arg;
	uint64_t value;

	if (m->size != sizeof(value) || j->count >= JOURNAL)
		return -1;
	memcpy(&value, m->data, sizeof(value));
	e->got[1] = j->count;
	e->got[0] = value;
	if (heir_mark(h, &j->count, 8) || heir_mark(h, &j->value[j->count], 8))
		return -2;
	j->value[j->count++] = value;
	if (heir_send(h, "box", &value, sizeof(value)))
		return -3;
	return heir_reply(h, &e->got[1], sizeof(e->got[1]));
}

/* By plan: whoever drives first may. */
static int switch_to(heir_t *h, struct acquired *got)
{
	int rc = move_begin(&h->shm, 0, h->self, HEIR_TAKEOVER, 0, (uint32_t)h->place.node + 1, NULL);

	if (rc)
		return rc;
	rc = app_acquire(&h->shm, 0, h->self, ACQUIRE_SWITCH, &h->state, got);
	move_end(&h->shm, 0, h->self);
	return rc;
}

/* 0, or 1: something is wrong. */
static int take_over(heir_t *h, uint64_t *random)
{
	uint64_t owner = slot_handle(&h->shm, owner_control(&h->shm).owner);
	struct acquired got;
	uint32_t generation;
	int rc;

	if (owner == h->self)
		rc = app_recover(&h->shm, 0, h->self, &h->state);
	else if (!owner || handle_noticed(&h->shm, owner))
		rc = app_acquire(&h->shm, 0, h->self, ACQUIRE_CLAIM, &h->state, &got);
	else if (draw(random, 6) == 0)
		rc = switch_to(h, &got);
	else
		return sched_yield();
	if (rc == 0)
		rc = app_serve(&h->shm, 0, h->self, HEIR_FAILOVER, 0, &generation);
	if (rc == 0 || rc == HEIR_EAGAIN || rc == HEIR_ESTALE || rc == HEIR_EALREADY || rc == HEIR_EOPEN ||
	    rc == HEIR_EBUSY || rc == HEIR_ETIMEDOUT)
		return 0;
	printf("a takeover returned %d\n", rc);
	return 1;
}

/* So few wait in each mailbox that the cells do not run out, whoever is stopped or dead with some in hand. */
static bool room(heir_t *h, uint32_t mailbox)
{
	struct shm_mailbox *m = shm_mailbox(&h->shm, mailbox);
	uint64_t tail = atom_load_acquire(&m->tail), head = atom_load_acquire(&m->head);

	return head >= tail || tail - head < QUEUED;
}

static bool senders_are_there(void)
{
	return atom_load_acquire(senders_gone) != (1u << SENDERS) - 1;
}

/* One message, if there is one. 1, 0 none, or what hindered it */
static int handle_one(heir_t *h, unsigned place, uint64_t *random)
{
	struct event *e = history_next(place);
	int rc;

	if (!e)
		return -1;
	e->what = HANDLE;
	e->by = h->slot;
	history_call(place, e);
	rc = txn_message(h, 0, handle, e);
	if (rc == 0) {
		e->what = EMPTY;
		e->got[0] = 0;
	}
	if (rc == HEIR_ESTALE || rc == HEIR_EWANTED || (rc == 0 && draw(random, 4))) {
		history_forget(place);
	} else {
		e->result = rc < 0 ? rc : 0;
		history_return(e);
	}
	return rc;
}

static int be_owner(unsigned place, uint64_t seed)
{
	heir_t *h = owner_open(d.name, (int)place);
	uint64_t random = seed;
	int bad = 0;

	while (!bad && senders_are_there()) {
		int rc = room(h, BOX) ? handle_one(h, place, &random) : 0;

		if (rc == -1)
			break;
		if (rc == HEIR_ESTALE || rc == HEIR_EWANTED)
			bad = take_over(h, &random);
		else if (rc == 0)
			sched_yield();
		else
			bad = rc < 0;
	}
	return bad;
}

/* Never taken, or outcome unknown. */
static bool was_given_up(const struct event *e)
{
	return e->result == HEIR_ETIMEDOUT || e->result == HEIR_EUNKNOWN;
}

static int be_sender(unsigned place, uint64_t seed)
{
	uint64_t random = seed, n = 0, value;
	struct event *e;
	heir_t *h;
	int bad = 0;

	MUST(heir_open(d.name, 0, &h) == 0);
	while (!bad && history_goes_on() && (e = history_next(place))) {
		size_t size = sizeof(e->got[1]);
		int64_t timeout;

		if (!room(h, APP)) {
			sched_yield();
			continue;
		}
		value = seed << 20 | ++n;
		e->what = draw(&random, 2) ? SEND : draw(&random, 3) ? TRY : CALL;
		e->by = h->slot;
		e->arg[0] = value;
		timeout = e->what == CALL ? HEIR_FOREVER : (int64_t)draw(&random, 100000);
		history_call(place, e);
		if (e->what == SEND)
			e->result = heir_send(h, "app", &value, sizeof(value));
		else
			e->result = heir_call(h, "app", &value, sizeof(value), &e->got[1], &size, timeout);
		if (e->result == HEIR_EAGAIN) {
			history_forget(place);
			sched_yield();
			continue;
		}
		history_return(e);
		bad = e->result != 0 && !(e->what == TRY && was_given_up(e));
	}
	heir_close(h);
	atom_or_seq(senders_gone, 1u << (place - OWNERS));
	return bad;
}

static int read_value(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)h;
	if (m->size == sizeof(uint64_t))
		memcpy(arg, m->data, sizeof(uint64_t));
	return 0;
}

static int read_one(heir_t *box, unsigned place)
{
	struct event *e = history_next(place);
	int rc;

	if (!e)
		return -1;
	e->what = READ;
	e->by = box->slot;
	history_call(place, e);
	rc = plain_message(box, 1, read_value, &e->got[0]);
	e->result = rc < 0 ? rc : 0;
	if (rc < 0 || (rc == 1 && e->got[0]))
		history_return(e);
	else
		history_forget(place); /* 1 and no value: the cell had changed under it, so look again */
	return rc;
}

static heir_t *open_box(int node)
{
	heir_t *h;

	MUST(lib_open(d.name, (struct slot_place){KIND_WORKER, node, 0, 1}, &h) == 0);
	return h;
}

static int be_reader(unsigned place)
{
	heir_t *box = open_box(0);
	int rc = 0;

	while (senders_are_there() && (rc = read_one(box, place)) >= 0)
		if (rc == 0)
			sched_yield();
	heir_close(box);
	return rc < -1;
}

static int work(unsigned place, uint64_t seed)
{
	if (place < OWNERS)
		return be_owner(place, seed);
	return place < READER ? be_sender(place, seed) : be_reader(place);
}

static void died(unsigned place)
{
	if (place >= OWNERS && place < READER && !history_goes_on())
		atom_or_seq(senders_gone, 1u << (place - OWNERS)); /* it is not replaced */
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
}

static bool puts_in(const struct event *e, uint32_t key)
{
	return key == BOX ? e->what == HANDLE : e->what == SEND || e->what == CALL || e->what == TRY;
}

/* A queue of values. */
struct queue {
	uint64_t count, value[CELLS + 2];
};

static void begin(void *state)
{
	memset(state, 0, sizeof(struct queue));
}

static bool happen(void *state, const struct operation *op)
{
	const struct event *e = op->what;
	struct queue q;
	memcpy(&q, state, sizeof(q));
	if (e->what == EMPTY)
		return q.count == 0;
	if (!op->died && e->result != 0)
		return false; /* a mailbox that is said to be corrupt */
	if (puts_in(e, e->key)) {
		if (q.count == sizeof(q.value) / sizeof(q.value[0]))
			return false;
		q.value[q.count++] = e->key == BOX ? e->got[0] : e->arg[0];
	} else {
		if (q.count == 0 || q.value[0] != e->got[0])
			return false;
		memmove(&q.value[0], &q.value[1], (q.count - 1) * sizeof(q.value[0]));
		q.value[--q.count] = 0;
	}
	memcpy(state, &q, sizeof(q));
	return true;
}

static bool of_mailbox(const struct event *e, uint32_t key)
{
	if (key == BOX)
		return e->what == READ || (e->what == HANDLE && e->got[0]);
	if (e->what == TRY && e->result == HEIR_ETIMEDOUT)
		return false; /* it was never taken, and is skipped: the journal says whether that is so */
	return puts_in(e, APP) || e->what == EMPTY || (e->what == HANDLE && (e->got[0] || e->result));
}

/* Who took that value, if anybody is known to have. */
static const struct operation *taker(const struct operation *ops, size_t count, uint32_t key, uint64_t value)
{
	for (size_t i = 0; i < count; i++) {
		const struct event *e = ops[i].what;

		if (e->what == (key == BOX ? READ : HANDLE) && e->got[0] == value)
			return &ops[i];
	}
	return NULL;
}

/*
 * What one who died put in, and nobody took, need not have been put in: nothing is left in the end, and calls of
 * the dead may be skipped. What it put in by a transaction is put in by whoever claims next: before somebody took
 * it.
 */
static size_t settle_dead(struct operation *ops, size_t count, uint32_t key)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const struct event *e = ops[i].what;

		if (e->what == TRY && e->result == HEIR_EUNKNOWN)
			ops[i].died = true;
		if (ops[i].died && puts_in(e, key)) {
			const struct operation *by = taker(ops, count, key, key == BOX ? e->got[0] : e->arg[0]);

			if (!by)
				continue;
			if (key == BOX)
				ops[i].returned = by->returned;
		}
		ops[n++] = ops[i];
	}
	return n;
}

static void print(const struct event *e)
{
	static const char *const what[] = {"send", "call", "try", "handle", "handle: none", "read"};

	printf("%s %" PRIx64 ": %d, %" PRIx64 " at %" PRIu64 "\n", what[e->what], e->arg[0], e->result,
	       e->got[0], e->got[1]);
}

static bool check_mailbox(uint32_t key, struct tally *tally)
{
	static const struct specification spec = {sizeof(struct queue), begin, happen};
	size_t n;
	struct operation *ops = history_operations(of_mailbox, key, &n);
	bool good;

	for (unsigned place = 0; place < HISTORY_PLACES; place++)
		for (uint32_t i = 0; i < history->count[place]; i++)
			history->event[place][i].key = key;
	n = settle_dead(ops, n, key);
	good = history_check(&spec, ops, n, key == BOX ? "mailbox of \"box\"" : "mailbox of \"app\"", print,
			     tally);
	free(ops);
	return good;
}

static bool check_mailboxes(struct tally *tally)
{
	bool app = check_mailbox(APP, tally), box = check_mailbox(BOX, tally);

	return app && box;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Is what the operation returned so, by the journal? */
static bool is_told_right(const struct event *e, const struct journal *j, const uint64_t *sorted)
{
	bool handled = bsearch(&e->arg[0], sorted, j->count, sizeof(sorted[0]), compare);

	if (e->returned < 0 || e->what == EMPTY || e->what == READ || e->result == HEIR_EUNKNOWN)
		return true;
	if (e->what == SEND)
		return handled;
	if (e->result == HEIR_ETIMEDOUT)
		return !handled;
	return e->got[1] < j->count && j->value[e->got[1]] == (e->what == HANDLE ? e->got[0] : e->arg[0]);
}

static bool check_journal(const struct journal *j)
{
	static uint64_t sorted[JOURNAL];

	memcpy(sorted, j->value, j->count * sizeof(sorted[0]));
	qsort(sorted, j->count, sizeof(sorted[0]), compare);
	for (uint64_t i = 1; i < j->count; i++)
		if (sorted[i] == sorted[i - 1]) {
			printf("handled twice: %" PRIx64 "\n", sorted[i]);
			return false;
		}
	for (unsigned place = 0; place < HISTORY_PLACES; place++)
		for (uint32_t i = 0; i < history->count[place]; i++) {
			const struct event *e = &history->event[place][i];

			if (is_told_right(e, j, sorted))
				continue;
			printf("by the journal that is not so: ");
			print(e);
			return false;
		}
	return true;
}

/* By the parent, when all are gone. */
static bool drain(struct tally *tally)
{
	heir_t *h = owner_open(d.name, 0), *box = open_box(1);
	struct acquired got;
	uint64_t random = 1;
	int rc, rc2;
	bool good;

	MUST(owner_acquire(h, ACQUIRE_SWITCH, &got) == 0);
	owner_serve(h);
	do {
		rc = handle_one(h, DRAIN, &random);
		rc2 = read_one(box, DRAIN + 1);
	} while (rc == 1 || rc2 == 1);
	if (rc || rc2)
		printf("the mailboxes cannot be emptied: %d, %d\n", rc, rc2);
	good = check_mailboxes(tally);
	good = check_journal(journal_of(h)) && good && !rc && !rc2;
	heir_close(box);
	MUST(app_release(&h->shm, 0, h->self) == 0);
	heir_close(h);
	return good;
}

static bool nothing_is_lost(void)
{
	unsigned cells = 0, slots = 0;

	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	for (uint32_t i = 1; i < d.shm.limits.cells; i++)
		cells += cell_unpack(atom_load_acquire(&shm_cell(&d.shm, i)->word)).state != CELL_FREE;
	for (uint32_t i = 1; i < d.shm.limits.slots; i++)
		slots += slot_handle(&d.shm, i) != 0;
	if (cells || slots != 3 || names_check(&d.shm))
		printf("lost: %u cells, %d slots; names: %d\n", cells, (int)slots - 3, names_check(&d.shm));
	return !cells && slots == 3 && names_check(&d.shm) == 0;
}

static bool round_of(uint64_t seed, struct tally *tally)
{
	const struct storm storm = {.workers = READER + 1,
				    .seed = seed,
				    .length = 60000000,
				    .spared = READER,
				    .work = work,
				    .died = died};
	const struct domain_options options = {.cells = CELLS,
					       .message = 64,
					       .slots = 40,
					       .roles = 2,
					       .max_deliveries = 250,
					       .yield_timeout = 2000000};
	bool good;

	domain_init(&d, &options);
	MUST(names_register(&d.shm, handle_slot(d.leader[0]), "box", 3, name_binding_role(0, 1), NULL, NULL) ==
	     0);
	atom_store_release(senders_gone, 0);
	good = storm_run(&storm, tally);
	if (good)
		good = drain(tally) && nothing_is_lost();
	else
		(void)check_mailboxes(tally);
	domain_finish(&d);
	d = (struct domain){0};
	return good;
}

static void clean_up(void)
{
	if (getpid() == first_process && d.name[0])
		domain_finish(&d);
}

int main(int argc, char **argv)
{
	senders_gone = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (senders_gone == MAP_FAILED)
		return 1;
	first_process = getpid();
	atexit(clean_up);
	return storm_main(argc, argv, "mail", round_of);
}
