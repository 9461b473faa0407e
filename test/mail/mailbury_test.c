/* SPDX-License-Identifier: ISC */
/*
 * The burial of what a dead process left in the mail. It dies at every point of what one does with
 * mail; whoever buries it dies or stops at every point. After it every caller is answered or told,
 * nothing is there twice, and every cell is free.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testpoint.h"
#include "heir.h"
#include "mail/doorbell.h"
#include "mail/mailfix.h"
#include "support/points.h"

#define CELLS	   40u
#define ROLE	   0u
#define OTHER_ROLE 1u

enum { CALLER = 1, ACTOR = 2, SUCCESSOR = 3, PEER = 4 };

static struct shm shm;

static int setup(void **state)
{
	(void)state;
	alarm(120);
	mailfix_init(&shm, CELLS, 64);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mailfix_finish(&shm);
	alarm(0);
	return 0;
}

static pid_t spawn(void (*body)(void *arg), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(20);
		body(arg);
		_exit(0);
	}
	return pid;
}

static enum cell_state state_of(struct cell_ref ref)
{
	struct cell_word w = mailfix_word(&shm, ref.cell);

	return w.generation == ref.generation ? w.state : CELL_FREE;
}

/* The burial of the mail of slots. A handle fits a pointer. */
static bool still_dead(void *arg)
{
	uint64_t handle = (uint64_t)(uintptr_t)arg,
		 w = atom_load_acquire(&shm_slot(&shm, handle_slot(handle))->word);

	return (w >> 24 & 0xff) == SLOT_DEAD && w >> 32 == handle_incarnation(handle);
}

static void bury_mail(uint64_t handle)
{
	mail_bury(&shm, handle, still_dead, (void *)(uintptr_t)handle);
}

/*
 * Stories: what ACTOR was doing when it died. `call` is CALLER's, and ends answered or refused,
 * unless it was given up.
 */
#define INCARNATION 5u

static struct cell_ref call;

static uint64_t actor(void)
{
	return handle_make(ACTOR, INCARNATION);
}

static void nothing(void)
{
}

static void call_role(void)
{
	call = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1);
}

static void call_actor(void)
{
	call = mailfix_send(&shm, CALLER, CELL_CALL, mailfix_own(&shm, ACTOR), actor(), 1);
}

static void call_two(void)
{
	struct cell_ref first = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 2);

	mailfix_give_up(&shm, first);
	first = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 3);
	mailfix_give_up(&shm, first);
	call_role();
}

static void answered_actor(void)
{
	mailfix_send(&shm, ACTOR, CELL_CALL, ROLE, 0, 1);
	mailfix_serve(&shm, SUCCESSOR, ROLE);
}

static uint64_t peer;

static void call_actor_with_peer(void)
{
	peer = mailfix_slot(&shm, PEER, 3, SLOT_ALIVE);
	call_actor();
}

static void peer_is_gone(void)
{
	mailfix_slot(&shm, PEER, 3, SLOT_FREE);
}

static void act_send(void)
{
	mailfix_send(&shm, ACTOR, 0, ROLE, 0, 1);
}

static void act_call(void)
{
	mailfix_send(&shm, ACTOR, CELL_CALL, ROLE, 0, 1);
}

static void act_call_twice(void)
{
	mailfix_send(&shm, ACTOR, CELL_CALL, ROLE, 0, 1);
	mailfix_send(&shm, ACTOR, CELL_CALL, mailfix_own(&shm, ACTOR), actor(), 1);
}

static void act_answer(void)
{
	mailfix_serve(&shm, ACTOR, mailfix_own(&shm, ACTOR));
}

static void act_serve_role(void)
{
	mailfix_serve(&shm, ACTOR, ROLE);
}

static struct cell_ref forward(uint64_t me, uint32_t to, uint64_t target)
{
	uint32_t own = mailfix_own(&shm, handle_slot(me));
	struct mail_head head = {0};
	struct cell_word next;

	if (!mailfix_take(&shm, handle_slot(me), own, &head))
		abort();
	mailbox_pass(&shm, own, head.ticket, head.ref.cell);
	atom_store_relaxed(&shm_cell(&shm, head.ref.cell)->mailbox, to);
	testpoint("test: new mailbox");
	atom_store_relaxed(&shm_cell(&shm, head.ref.cell)->target, target);
	testpoint("test: new target");
	next = cell_unpack(head.word);
	next.state = CELL_OWNED;
	next.flags |= CELL_FORWARDED;
	next.deliveries = 0;
	(void)cell_move(&shm, head.ref.cell, head.word, next);
	testpoint("test: forwarding");
	return head.ref;
}

static void act_forward(void)
{
	(void)mailbox_publish(&shm, ROLE, forward(actor(), ROLE, 0));
	mailbox_ring(&shm, ROLE);
}

static void act_forward_to_peer(void)
{
	(void)mailbox_publish(&shm, mailfix_own(&shm, PEER),
			      forward(actor(), mailfix_own(&shm, PEER), peer));
}

static void act_call_the_gone(void)
{
	peer = handle_make(PEER, 3);
	mailfix_send(&shm, ACTOR, CELL_CALL, mailfix_own(&shm, PEER), peer, 1);
	mail_return(&shm, peer);
}

static const struct story {
	const char *name;
	void (*prepare)(void);
	void (*act)(void);
} stories[] = {
	{"send", nothing, act_send},
	{"call", nothing, act_call},
	{"call, also of itself", nothing, act_call_twice},
	{"not collected", answered_actor, nothing},
	{"answer", call_actor, act_answer},
	{"not answered", call_actor, nothing},
	{"serve a role", call_role, act_serve_role},
	{"skip what was given up", call_two, act_serve_role},
	{"forward", call_actor, act_forward},
	{"forward to another", call_actor_with_peer, act_forward_to_peer},
	{"call one who is gone", peer_is_gone, act_call_the_gone},
};
#define STORIES (sizeof(stories) / sizeof(stories[0]))

struct scene {
	const struct story *story;
	enum points_how how;
	int n;
};

static void play(void *arg)
{
	struct scene *s = arg;

	points_arm(s->how, s->n);
	s->story->act();
}

static void bury_actor(void *arg)
{
	struct scene *s = arg;

	points_arm(s->how, s->n);
	bury_mail(actor());
}

static void set_up(const struct story *s)
{
	teardown(NULL);
	setup(NULL);
	call = (struct cell_ref){0, 0};
	mailfix_slot(&shm, ACTOR, INCARNATION, SLOT_ALIVE);
	s->prepare();
}

static void fail_at(const struct scene *s, int m, const char *what)
{
	fail_msg("%s: %s after a death at point %d (%s), burier at %d", s->story->name, what, s->n,
		 points_label(), m);
}

/* The actor is buried. Nobody waits for ever, nothing is there twice, not one cell is lost. */
static void check(const struct scene *s, int m)
{
	struct mail_head head;
	unsigned served = 0;

	while (mailfix_serve(&shm, SUCCESSOR, ROLE) ||
	       mailfix_serve(&shm, PEER, mailfix_own(&shm, PEER)))
		if (++served > 1)
			fail_at(s, m, "a message served twice"); /* Invariant 5 */
	if (call.cell) {
		if (state_of(call) != CELL_DONE)
			fail_at(s, m, "a caller without an answer");
		mailfix_collect(&shm, call);
	}
	for (uint32_t i = 0; i < shm_mailbox_count(&shm); i++)
		if (mailbox_peek(&shm, i, &head))
			fail_at(s, m, "a mailbox that is not empty");
	if (mailfix_free_cells(&shm) != CELLS)
		fail_at(s, m, "a cell lost");
}

/* Whoever dies at any point, in the act or in the burial, is buried by the next. Invariants 2 and 5
 */
static void test_death_in_each_story(void **state)
{
	int status = 0, deaths = 0, nested = 0;
	(void)state;

	for (size_t i = 0; i < STORIES; i++) {
		struct scene s = {&stories[i], POINTS_DIE, 1};
		enum points_end acted = POINTS_DIED, buried;

		for (; acted != POINTS_ENDED; s.n++) {
			struct scene burial = s;

			buried = POINTS_DIED;
			for (burial.n = 1; buried != POINTS_ENDED; burial.n++) {
				set_up(s.story);
				acted = points_wait(spawn(play, &s), &status);
				mailfix_slot(&shm, ACTOR, INCARNATION, SLOT_DEAD);
				buried = points_wait(spawn(bury_actor, &burial), &status);
				bury_mail(actor());
				check(&s, burial.n);
				nested += buried == POINTS_DIED;
			}
			deaths += acted == POINTS_DIED;
		}
	}
	print_message("%d deaths in the act, %d of buriers\n", deaths, nested);
	assert_true(deaths >= 20 && nested >= 60);
}

/* The successor in the actor's slot has mail of each kind; a burier of its predecessor wakes, and
 * touches none. */
static void check_successor(const struct scene *s, int m, pid_t burier)
{
	uint64_t next = mailfix_slot(&shm, ACTOR, INCARNATION + 1, SLOT_ALIVE);
	uint32_t own = mailfix_own(&shm, ACTOR);
	struct cell_ref held = mailfix_send(&shm, PEER, CELL_CALL, own, next, 1), waits, owned,
			passed, sent;
	struct mail_head head;
	int status = 0;

	assert_int_equal(mailfix_take(&shm, ACTOR, own, &head), 1);
	mailbox_pass(&shm, own, head.ticket, head.ref.cell);
	passed = mailfix_send(&shm, PEER, CELL_CALL, own, next, 2);
	forward(next, OTHER_ROLE, 0);
	waits = mailfix_send(&shm, PEER, CELL_CALL, own, next, 3);
	owned = mailfix_cell(&shm, ACTOR, CELL_CALL, OTHER_ROLE, 0, 4);
	sent = mailfix_send(&shm, ACTOR, CELL_CALL, OTHER_ROLE, 0, 5);
	points_continue(burier);
	assert_int_equal(points_wait(burier, &status), POINTS_ENDED);
	if (state_of(held) != CELL_TAKEN || state_of(passed) != CELL_OWNED ||
	    state_of(waits) != CELL_PUBLISHED || state_of(owned) != CELL_OWNED ||
	    state_of(sent) != CELL_PUBLISHED || mailfix_word(&shm, sent.cell).slot != ACTOR)
		fail_at(s, m, "a successor disturbed"); /* Invariant 3 */
	assert_int_equal(mailbox_peek(&shm, own, &head), 1);
	assert_int_equal(head.ref.cell, waits.cell);
}

static void test_stopped_burier(void **state)
{
	int status = 0, stops = 0;
	(void)state;

	for (size_t i = 0; i < STORIES; i++) {
		struct scene s = {&stories[i], POINTS_DIE, 1};
		enum points_end acted = POINTS_DIED, buried;

		for (; acted != POINTS_ENDED; s.n++) {
			struct scene burial = {s.story, POINTS_STOP, 1};

			for (buried = POINTS_STOPPED; buried != POINTS_ENDED; burial.n++) {
				pid_t burier;

				set_up(s.story);
				acted = points_wait(spawn(play, &s), &status);
				mailfix_slot(&shm, ACTOR, INCARNATION, SLOT_DEAD);
				burier = spawn(bury_actor, &burial);
				buried = points_wait(burier, &status);
				bury_mail(actor());
				check(&s, burial.n);
				if (buried != POINTS_STOPPED)
					continue;
				check_successor(&s, burial.n, burier);
				stops++;
			}
		}
	}
	print_message("a burier stopped %d times\n", stops);
	assert_true(stops >= 60);
}

/* What happens while a burier looks: done in its n-th question whether the dead one is still dead.
 */
static void (*meanwhile)(void);
static int questions;

static bool still_dead_but(void *arg)
{
	if (--questions == 0 && meanwhile)
		meanwhile();
	return still_dead(arg);
}

static void bury_with(void (*what)(void), int n)
{
	mailfix_slot(&shm, ACTOR, INCARNATION, SLOT_DEAD);
	meanwhile = what;
	questions = n;
	mail_bury(&shm, actor(), still_dead_but, (void *)(uintptr_t)actor());
}

static struct cell_ref late;

static void publish_late(void)
{
	assert_int_equal(mailbox_publish(&shm, mailfix_own(&shm, ACTOR), late), 0);
}

/*
 * A sender that found the actor alive publishes when its ring has been emptied: the message is
 * refused, and does not stay in the ring, where it would be taken for a successor's, or for a
 * damaged segment.
 */
static void test_published_during_burial(void **state)
{
	struct mail_head head;
	(void)state;

	mailfix_cell(&shm, ACTOR, 0, ROLE, 0, 1); /* something to ask about */
	late = mailfix_cell(&shm, CALLER, CELL_CALL, mailfix_own(&shm, ACTOR), actor(), 2);
	bury_with(publish_late, 1);
	assert_int_equal(state_of(late), CELL_DONE);
	assert_true(mailfix_word(&shm, late.cell).flags & CELL_REFUSED);
	assert_int_equal(mailbox_peek(&shm, mailfix_own(&shm, ACTOR), &head), 0);
	mailfix_collect(&shm, late);
	assert_int_equal(mailbox_peek(&shm, mailfix_own(&shm, ACTOR), &head), 0);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

static struct mail_head taken;

static void take_it(void)
{
	assert_int_equal(mailfix_take(&shm, SUCCESSOR, ROLE, &taken), 1);
}

/* The dead caller's message is taken under the burier's hands: its slot leaves the cell all the
 * same. */
static void test_taken_during_burial(void **state)
{
	(void)state;
	for (int n = 1; n <= 4; n++) {
		taken = (struct mail_head){0};
		mailfix_send(&shm, ACTOR, CELL_CALL, ROLE, 0, 1);
		bury_with(take_it, n);
		if (taken.ref.cell) {
			assert_int_equal(mailfix_word(&shm, taken.ref.cell).slot, 0);
			mailbox_pass(&shm, ROLE, taken.ticket, taken.ref.cell);
			mail_answer(&shm, taken.ref);
		}
		assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 0);
		assert_int_equal(mailfix_free_cells(&shm), CELLS);
	}
}

/* A message for an earlier incarnation, which its reader took out of the ring, and died before it
 * refused it. */
static void test_older_incarnation(void **state)
{
	uint32_t own = mailfix_own(&shm, ACTOR);
	struct cell_ref old =
		mailfix_send(&shm, CALLER, CELL_CALL, own, handle_make(ACTOR, INCARNATION - 1), 1);
	struct mail_head head;
	(void)state;

	assert_int_equal(mailbox_peek(&shm, own, &head), 1);
	mailbox_pass(&shm, own, head.ticket, head.ref.cell);
	bury_with(NULL, 0);
	assert_int_equal(state_of(old), CELL_DONE);
	mailfix_collect(&shm, old);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

/* A role's message in the dead one's hand, still at the head, is the next reader's, with a delivery
 * more. */
static void test_taken_again(void **state)
{
	struct cell_ref ref = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1);
	struct mail_head head;
	(void)state;

	assert_int_equal(mailfix_take(&shm, ACTOR, ROLE, &head), 1);
	bury_with(NULL, 0);
	assert_int_equal(state_of(ref), CELL_TAKEN);
	assert_int_equal(mailfix_take(&shm, SUCCESSOR, ROLE, &head), 1);
	assert_int_equal(cell_unpack(head.word).deliveries, 2);
}

/* Sent to one who is buried: refused at once, also by a commit's redo; what is for its successor
 * stays. */
static void test_return(void **state)
{
	uint64_t peer = mailfix_slot(&shm, PEER, 3, SLOT_ALIVE), next;
	uint32_t own = mailfix_own(&shm, PEER);
	struct cell_ref first = mailfix_send(&shm, CALLER, CELL_CALL, own, peer, 1), second, third;
	struct mail_record r = {.sent = 1};
	(void)state;

	mail_return(&shm, peer);
	assert_int_equal(state_of(first), CELL_PUBLISHED);
	mailfix_slot(&shm, PEER, 3, SLOT_FREE);
	mail_return(&shm, peer);
	assert_int_equal(state_of(first), CELL_DONE);
	assert_true(mailfix_word(&shm, first.cell).flags & CELL_REFUSED);
	mailfix_collect(&shm, first);

	r.outbox[0].ref = mailfix_cell(&shm, ACTOR, 0, own, peer, 2);
	r.outbox[0].mailbox = own;
	record_redo(&shm, &r);
	record_redo(&shm, &r);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);

	next = mailfix_slot(&shm, PEER, 4, SLOT_ALIVE);
	second = mailfix_send(&shm, CALLER, CELL_CALL, own, next, 3);
	mail_return(&shm, peer);
	assert_int_equal(state_of(second), CELL_PUBLISHED);
	mailfix_slot(&shm, PEER, 4, SLOT_DEAD);
	third = mailfix_send(&shm, CALLER, CELL_CALL, own, peer, 4);
	mail_return(&shm, peer); /* stops at the successor's; its burial sees to both */
	assert_int_equal(state_of(third), CELL_PUBLISHED);
	mail_return(&shm, next);
	assert_int_equal(state_of(second), CELL_DONE);
	assert_int_equal(state_of(third), CELL_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_death_in_each_story, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_burier, setup, teardown),
		cmocka_unit_test_setup_teardown(test_published_during_burial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_during_burial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older_incarnation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_return, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
