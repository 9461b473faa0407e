/* SPDX-License-Identifier: ISC */
/*
 * An owner is stopped at every test point of what it does. Another takes over and commits; the old one goes on and
 * can change nothing: every byte of segment and state is compared. Where it is stopped within a transaction it is
 * fenced instead, and never goes on. Also with a third owner by then, with the application given back to it
 * meanwhile, and with its slot another's. It shows nothing of what lies between two test points.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fence/image.h"
#include "lib/txn.h"
#include "proc/bury.h"
#include "proc/txnfix.h"
#include "support/points.h"

#define OWN_WORK   4096 /* offset in the state of what the old owner changes besides the counter */
#define NEXT_WORK  8192 /* of what the next ones do */
#define WORK	   512
#define DIRTY	   16384
#define DIRTY_SIZE 20000

/* --- what an owner does ------------------------------------------------------------------------- */

static void do_serve(heir_t *h)
{
	(void)serve_one(h);
}

static int refuse(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)m;
	(void)arg;
	MUST(heir_mark(h, counter(h), 8) == 0);
	*counter(h) = 77;
	MUST(heir_send(h, "box", "x", 1) == 0);
	return -5;
}

/* What it is asked for does not matter, but must not be counted. */
static void do_refuse(heir_t *h)
{
	(void)txn_message(h, 0, refuse, NULL);
}

static void work(heir_t *h, size_t offset, int value)
{
	for (size_t at = 0; at < WORK; at += 64) {
		MUST(heir_mark(h, h->state.data + offset + at, 64) == 0);
		memset(h->state.data + offset + at, value, 64);
	}
}

static void do_write(heir_t *h)
{
	if (heir_begin(h))
		return;
	work(h, OWN_WORK, 'a');
	MUST(heir_send(h, "box", "written", 7) == 0);
	(void)heir_commit(h);
}

static void do_take_back(heir_t *h)
{
	if (heir_begin(h))
		return;
	work(h, OWN_WORK, 'x');
	MUST(heir_send(h, "box", "never", 5) == 0);
	(void)heir_abort(h);
}

static void do_register(heir_t *h)
{
	(void)heir_register(h, "later", HEIR_ROLE);
	(void)heir_unregister(h, "later");
}

static const struct deed {
	const char *name;
	void (*act)(heir_t *h);
	int least; /* points that it has, at least */
} deeds[] = {
	{"serve", do_serve, 12},
	{"refuse", do_refuse, 12},
	{"write", do_write, 20},
	{"take back", do_take_back, 20},
	{"register", do_register, 10},
};

/* The deeds of one who is not the owner yet: another is, at rest and stopped, or dead within a transaction. */
static void do_switch(heir_t *h)
{
	struct acquired got;
	uint64_t old, now;

	if (owner_acquire(h, ACQUIRE_SWITCH, &got) == 0)
		(void)control_apply(&h->shm.apps[0].control, &old, &now, control_serve, h->slot);
	(void)serve_one(h);
}

static void do_claim(heir_t *h)
{
	struct acquired got;
	uint64_t old, now;

	if (owner_acquire(h, ACQUIRE_CLAIM, &got) == 0)
		(void)control_apply(&h->shm.apps[0].control, &old, &now, control_serve, h->slot);
	(void)serve_one(h);
}

static const struct deed ways[] = {{"switch", do_switch, 12}, {"claim", do_claim, 12}};

struct owner {
	const struct deed *deed;
	int n;
};

static atom32 *done; /* shared: the owner has come to the end of its deed */

static bool is_target(const struct owner *o)
{
	return o->deed->act == do_switch || o->deed->act == do_claim;
}

static int own_before(void *arg)
{
	const struct owner *o = arg;
	struct acquired got;
	heir_t *h = owner_open(d.name, 2);

	MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(h);
	MUST(serve_one(h) == 1);
	if (o->deed->act == do_claim)
		open_dirty(h);
	raise(SIGSTOP);
	return 0;
}

static int own(void *arg)
{
	const struct owner *o = arg;
	struct acquired got;
	heir_t *h = owner_open(d.name, 0);

	if (!is_target(o)) {
		MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
		owner_serve(h);
		MUST(serve_one(h) == 1);
	}
	points_arm(POINTS_STOP, o->n);
	o->deed->act(h);
	points_disarm();
	atom_store_seq(done, 1);
	raise(SIGSTOP); /* what its end would change is not looked at */
	return 0;
}

/* --- the story ---------------------------------------------------------------------------------- */

struct tale {
	const struct owner *of;
	heir_t *client, *owner;
	struct heir_ticket first, second;
	unsigned counted, sent; /* calls that were answered, messages that were sent on */
	pid_t pid; /* the old owner's, unless it was fenced */
	uint32_t slot;
	bool amidst; /* it wakes while the next owner handles a message, else while that waits */
	char when[160];
};

static bool is_called(const struct owner *o)
{
	return o->deed->act == do_serve || o->deed->act == do_refuse || is_target(o);
}

static void begin_tale(struct tale *t, struct owner *o)
{
	pid_t before;
	int status;

	begin_domain();
	atom_store_seq(done, 0);
	t->of = o;
	t->client = open_client();
	assert_int_equal(heir_call_start(t->client, "app", "inc", 3, &t->first), 0);
	if (is_called(o))
		assert_int_equal(heir_call_start(t->client, "app", "inc", 3, &t->second), 0);
	if (is_target(o)) {
		before = domain_fork(&d, NULL, own_before, o);
		assert_int_equal(points_wait(before, &status), POINTS_STOPPED);
		if (o->deed->act == do_claim)
			domain_kill(&d, before);
	}
	t->pid = domain_fork(&d, NULL, own, o);
	assert_int_equal(points_wait(t->pid, &status), POINTS_STOPPED);
	t->slot = handle_slot(atom_load_seq(&d.shm.roles[0].candidate[0]));
	snprintf(t->when, sizeof(t->when), "%s, stopped at point %d (%s), to wake %s", o->deed->name, o->n,
		 points_label(), t->amidst ? "amidst" : "at rest");
}

/* The application is taken over by the node, at rest or by force; the next owner works on it. */
static void take_over(struct tale *t, int node, char value)
{
	bool was_open = word().open && handle_alive(&d.shm, slot_handle(&d.shm, word().owner));
	struct acquired got;
	heir_t *h = owner_open(d.name, node);
	int status;

	if (owner_acquire(h, ACQUIRE_SWITCH, &got))
		fail_msg("%s: cannot be taken over", t->when);
	if (got.forced != was_open)
		fail_msg("%s: %s", t->when, was_open ? "its open transaction was let be" : "fenced though at rest");
	if (was_open) {
		assert_int_equal(points_wait(t->pid, &status), POINTS_DIED);
		t->pid = 0;
	}
	assert_int_equal(heir_begin(h), 0);
	work(h, NEXT_WORK, value);
	assert_int_equal(heir_commit(h), 0);
	t->owner = h;
}

/* To the end of its deed. */
static void go_on(struct tale *t)
{
	int status = 0;

	points_continue(t->pid);
	if (points_wait(t->pid, &status) != POINTS_STOPPED || !atom_load_seq(done))
		fail_msg("%s: woken, it does not come to the end of its deed (%d)", t->when, status);
}

static void empty_box(struct tale *t)
{
	struct mail_head head;

	for (; mailbox_peek(&d.shm, BOX, &head) == 1; t->sent++) {
		assert_int_equal(mailbox_take(&d.shm, handle_slot(d.leader[0]), &head), 0);
		mailbox_pass(&d.shm, BOX, head.ticket, head.ref.cell);
		mail_answer(&d.shm, head.ref);
	}
}

static void check_call(struct tale *t, struct heir_ticket ticket)
{
	uint64_t n = 0;
	size_t size = sizeof(n);
	int rc = heir_call_finish(t->client, ticket, &n, &size, 20 * SECOND);

	t->counted += rc == 0;
	if (rc && !(rc == -5 && t->of->deed->act == do_refuse))
		fail_msg("%s: a call ends with %s", t->when, heir_strerror(rc));
	if (rc == 0 && n != t->counted)
		fail_msg("%s: call %u is answered with %llu", t->when, t->counted, (unsigned long long)n);
}

/* So much goes on that each cell and each entry of the ring is used again. */
static void serve_more(struct tale *t)
{
	for (unsigned i = 0; i < 2 * d.shm.ring_entries; i++) {
		struct heir_ticket ticket;

		assert_int_equal(heir_call_start(t->client, "app", "inc", 3, &ticket), 0);
		assert_int_equal(serve_one(t->owner), 1);
		check_call(t, ticket);
		empty_box(t);
	}
}

/* What was there is answered by the new owner, and more. */
static void serve_on(struct tale *t)
{
	owner_serve(t->owner);
	while (serve_one(t->owner) == 1)
		;
	check_call(t, t->first);
	if (is_called(t->of))
		check_call(t, t->second);
	serve_more(t);
}

/* The old one goes on. */
static void compare_around(struct tale *t)
{
	struct image image;

	image_take(&image, &d.shm, &t->owner->state);
	go_on(t);
	image_compare(&image, &d.shm, &t->owner->state, t->slot, t->when);
	image_drop(&image);
}

static int wake_amidst(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)m;
	assert_int_equal(heir_mark(h, h->state.data + DIRTY, DIRTY_SIZE), 0);
	memset(h->state.data + DIRTY, 'd', DIRTY_SIZE);
	assert_int_equal(heir_send(h, "box", "not yet", 7), 0);
	assert_int_equal(heir_reply(h, "no", 2), 0);
	compare_around(arg);
	return -5;
}

/* A call that lies in the cell which the old owner knows. */
static struct heir_ticket call_in_its_cell(struct tale *t)
{
	uint32_t cell = is_called(t->of) ? t->second.cell : t->first.cell;
	struct heir_ticket ticket;

	for (unsigned i = 0; i < 2 * CELLS; i++) {
		assert_int_equal(heir_call_start(t->client, "app", "inc", 3, &ticket), 0);
		if (ticket.cell == cell)
			return ticket;
		assert_int_equal(serve_one(t->owner), 1);
		check_call(t, ticket);
		empty_box(t);
	}
	fail_msg("%s: its cell is not used again", t->when);
	return ticket;
}

static void wake_and_compare(struct tale *t)
{
	struct heir_ticket ticket;
	size_t none = 0;

	if (!t->pid)
		return;
	ticket = call_in_its_cell(t);
	if (t->amidst) {
		assert_int_equal(txn_message(t->owner, 0, wake_amidst, t), 1);
		assert_int_equal(heir_call_finish(t->client, ticket, NULL, &none, 20 * SECOND), -5);
		return;
	}
	compare_around(t);
	assert_int_equal(serve_one(t->owner), 1);
	check_call(t, ticket);
}

static unsigned free_cells(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < d.shm.limits.cells; i++)
		n += cell_unpack(atom_load_acquire(&shm_cell(&d.shm, i)->word)).state == CELL_FREE;
	return n;
}

/* Everything was done once or not at all. */
static void end_tale(struct tale *t, char value)
{
	const unsigned char *own = t->owner->state.data + OWN_WORK, *next = t->owner->state.data + NEXT_WORK;

	if (t->pid)
		domain_kill(&d, t->pid);
	assert_int_equal(*counter(t->owner), t->counted);
	for (size_t at = 0; at < WORK; at++)
		if (own[at] != own[0] || next[at] != value)
			fail_msg("%s: the state is %#x %#x at %zu", t->when, own[at], next[at], at);
	assert_true(own[0] == 0 || (own[0] == 'a' && t->of->deed->act == do_write));
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	empty_box(t);
	if (t->sent != t->counted + (own[0] == 'a'))
		fail_msg("%s: %u messages were sent on, %u transactions committed", t->when, t->sent,
			 t->counted + (own[0] == 'a'));
	assert_int_equal(free_cells(), CELLS);
	heir_close(t->owner);
	heir_close(t->client);
	end_domain();
}

static void next_owner(struct tale *t, int node, char value)
{
	heir_t *before = t->owner;

	take_over(t, node, value);
	heir_close(before);
}

static void one_other(struct tale *t)
{
	take_over(t, 1, '1');
	serve_on(t);
	wake_and_compare(t);
}

static void two_others(struct tale *t)
{
	take_over(t, 1, '2');
	owner_serve(t->owner);
	next_owner(t, 2, '1');
	serve_on(t);
	wake_and_compare(t);
}

/* It is the owner again when it wakes, at another generation: it goes on from what was committed meanwhile. */
static void back_again(struct tale *t)
{
	uint64_t old, now;

	take_over(t, 1, '2');
	if (t->pid) {
		assert_int_equal(control_apply(&d.shm.apps[0].control, &old, &now, control_switch_back,
					       t->owner->slot, t->slot),
				 0);
		heir_close(t->owner);
		go_on(t);
		take_over(t, 2, '1');
	} else {
		next_owner(t, 2, '1');
	}
	serve_on(t);
}

/* One tale: whether the deed had an end before that point. */
static bool tell_tale(void (*story)(struct tale *t), struct owner *o, bool amidst, unsigned *woken, unsigned *fenced)
{
	struct tale t = {.amidst = amidst};
	bool ended;

	begin_tale(&t, o);
	ended = atom_load_seq(done);
	if (ended) {
		domain_kill(&d, t.pid);
		t.pid = 0;
	}
	story(&t);
	*woken += t.pid != 0;
	*fenced += t.pid == 0 && !ended;
	end_tale(&t, '1');
	return ended;
}

static void sweep_deeds(void (*story)(struct tale *t), const struct deed *deed, unsigned count, unsigned least)
{
	unsigned woken = 0, fenced = 0;

	end_domain();
	for (unsigned i = 0; i < count; i++) {
		struct owner o = {&deed[i], 0};
		bool ended = false;

		while (!ended) {
			o.n++;
			(void)tell_tale(story, &o, false, &woken, &fenced);
			ended = tell_tale(story, &o, true, &woken, &fenced);
		}
		if (o.n <= deed[i].least)
			fail_msg("%s has only %d points: the sweep is broken", deed[i].name, o.n - 1);
	}
	print_message("stopped at %u points at rest and woken, at %u within a transaction and fenced\n", woken / 2,
		      fenced / 2);
	assert_true(woken / 2 >= least && fenced / 2 >= least);
}

static void sweep(void (*story)(struct tale *t))
{
	sweep_deeds(story, deeds, sizeof(deeds) / sizeof(deeds[0]), 20);
}

static void test_one_other(void **state)
{
	(void)state;
	sweep(one_other);
}

static void test_two_others(void **state)
{
	(void)state;
	sweep(two_others);
}

static void test_back_again(void **state)
{
	(void)state;
	sweep(back_again);
}

/* It was on its way to become the owner, or just had. */
static void test_target(void **state)
{
	(void)state;
	sweep_deeds(one_other, ways, sizeof(ways) / sizeof(ways[0]), 10);
}

/* --- its slot is another's ---------------------------------------------------------------------- */

static int own_and_leave(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 0);

	MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(h);
	points_arm_at(POINTS_STOP, "slot: life unlocked", *(int *)arg);
	heir_close(h);
	return 0;
}

static int join_as_owner(void *arg)
{
	struct acquired got;
	heir_t *h;

	MUST(heir_open(d.name, 0, &h) == 0);
	if (h->slot != *(uint32_t *)arg) {
		raise(SIGSTOP); /* holds its slot, that the next one gets another */
		return 0;
	}
	heir_close(h);
	h = NULL;
	while (!h || h->slot != *(uint32_t *)arg) {
		if (h)
			heir_close(h);
		h = owner_open(d.name, 0);
	}
	MUST(owner_acquire(h, ACQUIRE_SWITCH, &got) == 0);
	owner_serve(h);
	open_dirty(h);
	atom_store_seq(done, 1);
	raise(SIGSTOP);
	return 0;
}

/*
 * The owner leaves in order, and is stopped when all its life words are unlocked, before it has done the rest. Its
 * slot is freed by others, and joined by the next owner but one: the control word names the same slot number.
 */
static void test_slot_of_another(void **state)
{
	int last = SHM_LIVES, status;
	pid_t old = domain_fork(&d, NULL, own_and_leave, &last);
	struct acquired got;
	struct image image;
	uint32_t slot;
	heir_t *b;
	(void)state;

	atom_store_seq(done, 0);
	assert_int_equal(points_wait(old, &status), POINTS_STOPPED);
	slot = word().owner;
	b = owner_open(d.name, 1);
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), 0);
	owner_serve(b);
	assert_true(bury_all(&d.shm, handle_slot(d.leader[0])) >= 1);
	assert_int_equal(slot_handle(&d.shm, slot), 0);
	for (int i = 0; i < 12 && !atom_load_seq(done); i++)
		assert_int_equal(points_wait(domain_fork(&d, NULL, join_as_owner, &slot), &status), POINTS_STOPPED);
	assert_int_equal(atom_load_seq(done), 1);
	assert_int_equal(word().owner, slot);
	assert_int_equal(word().open, 1);
	image_take(&image, &d.shm, &b->state);
	points_continue(old);
	assert_int_equal(points_wait(old, &status), POINTS_ENDED);
	assert_int_equal(status, 0);
	image_compare(&image, &d.shm, &b->state, 0, "woken in the middle of leaving");
	image_drop(&image);
	heir_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_other, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_two_others, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_back_again, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_target, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_slot_of_another, txnfix_setup, txnfix_teardown),
	};

	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
