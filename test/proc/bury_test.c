/* SPDX-License-Identifier: ISC */
/*
 * Processes that die at every point of what they do with the library, buriers that die or stop at
 * every point: afterwards every caller has an answer or an error, no cell, slot or name is lost,
 * and whoever has the slot next is not disturbed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/futex.h"
#include "lib/txn.h"
#include "name/names.h"
#include "proc/bury.h"
#include "proc/burystory.h"
#include "support/owner.h"
#include "support/points.h"

struct scene {
	const struct story *story;
	enum points_how how;
	int n;
};

static int play(void *arg)
{
	struct scene *s = arg;

	if (s->how)
		points_arm(s->how, s->n);
	s->story->act();
	return 0;
}

static int bury_as_child(void *arg)
{
	struct scene *s = arg;
	heir_t *h = client();

	points_arm(s->how, s->n);
	(void)bury_all(&h->shm, h->slot);
	points_disarm();
	heir_close(h);
	return 0;
}

static uint64_t published(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < shm_mailbox_count(&d.shm); i++)
		n += atom_load_acquire(&shm_mailbox(&d.shm, i)->tail);
	return n;
}

static pid_t begin_call(const char *name)
{
	int64_t deadline = deadline_after(20 * SECOND);
	uint64_t before = published();
	pid_t caller = domain_fork(&d, NULL, call_for_ever, (void *)(uintptr_t)name);

	while (published() == before) {
		assert_false(deadline_passed(deadline));
		usleep(100);
	}
	return caller;
}

/* Played to its end, be it death. The caller, if there is one, is running; *ret_end: how the actor
 * ended. */
static pid_t play_story(struct scene *s, enum points_end *ret_end)
{
	pid_t actor = domain_fork(&d, NULL, play, s), caller = 0;
	int status = 0;

	*ret_end = points_wait(actor, &status);
	if (*ret_end == POINTS_STOPPED && s->story->called)
		caller = begin_call(s->story->called);
	while (*ret_end == POINTS_STOPPED) {
		serve();
		points_continue(actor);
		*ret_end = points_wait(actor, &status);
	}
	if (status)
		fail_msg("%s: the actor ended with %d", s->story->name, status);
	return caller;
}

static void fail_at(const struct scene *s, int m, const char *what)
{
	fail_msg("%s: %s, after a death at point %d (%s), burier at %d", s->story->name, what, s->n,
		 points_label(), m);
}

/* The actor is buried; others do what is left to them. */
static void check(const struct scene *s, int m, pid_t caller)
{
	struct mail_head head;
	heir_t *box;
	int status, rc;

	serve();
	box = worker_of_box(0);
	while (plain_message(box, 1, echo, NULL) == 1)
		;
	heir_close(box);
	if (caller) {
		rc = points_wait(caller, &status) == POINTS_ENDED ? status
								  : 99; /* bounded by its alarm */
		if (rc != ANSWERED && rc != WAS_DEAD && rc != UNKNOWN)
			fail_at(s, m, "a caller without an answer");
	}
	bury_the_dead();
	for (uint32_t i = 0; i < shm_mailbox_count(&d.shm); i++)
		if (mailbox_peek(&d.shm, i, &head))
			fail_at(s, m, "a mailbox that is not empty");
	if (free_cells() != CELLS)
		fail_at(s, m, "a cell lost");
	if (free_slots() != SLOTS - 4)
		fail_at(s, m, "a slot lost");
	if (names_lookup(&d.shm, "one", 3, NULL, NULL) == 0 ||
	    names_lookup(&d.shm, "two", 3, NULL, NULL) == 0 || names_check(&d.shm))
		fail_at(s, m, "a name left");
}

/* Invariants 2 and 5 */
static void test_deaths(void **state)
{
	int status, deaths = 0, nested = 0;
	(void)state;

	end_domain();
	for (size_t i = 0; i < STORIES; i++) {
		struct scene s = {&stories[i], POINTS_DIE, 1};
		enum points_end acted = POINTS_DIED, buried;

		for (; acted != POINTS_ENDED; s.n++) {
			struct scene burial = s;

			buried = POINTS_DIED;
			/* Every third point of the burier's: each is met from many points of the
			 * actor's. */
			for (burial.n = 1 + s.n % 3; buried != POINTS_ENDED; burial.n += 3) {
				pid_t caller;

				begin_domain(SLOTS);
				caller = play_story(&s, &acted);
				buried = points_wait(domain_fork(&d, NULL, bury_as_child, &burial),
						     &status);
				bury_the_dead();
				check(&s, burial.n, caller);
				end_domain();
				nested += buried == POINTS_DIED;
			}
			deaths += acted == POINTS_DIED;
		}
	}
	print_message("actors died at %d points, buriers %d times\n", deaths, nested);
	assert_true(deaths >= 80 && nested >= 200);
}

/* Nobody dies: each story as it should be. */
static void test_stories(void **state)
{
	(void)state;
	end_domain();
	for (size_t i = 0; i < STORIES; i++) {
		struct scene s = {&stories[i], 0, 0};
		enum points_end end;
		pid_t caller;

		begin_domain(SLOTS);
		caller = play_story(&s, &end);
		assert_int_equal(end, POINTS_ENDED);
		bury_the_dead();
		check(&s, 0, caller);
		end_domain();
	}
}

static int succeed(void *arg)
{
	heir_t *h = client();
	(void)arg;

	MUST(heir_register(h, "three", HEIR_SELF) == 0);
	MUST(move_begin(&h->shm, 0, h->self, HEIR_TAKEOVER, 1, 2, NULL) == 0);
	ready();
	while (pause() < 0)
		;
	return 0;
}

/*
 * A burier stops at each point; the burial is completed, the slot is another's: a driver, the heir,
 * with a name. Then the burier goes on, and takes nothing away. Invariant 3
 */
static void test_stopped_burier(void **state)
{
	struct scene s = {&stories[STORY_NAMES], POINTS_DIE, 0};
	enum points_end end = POINTS_STOPPED;
	int status, n;
	(void)state;

	end_domain();
	for (n = 1; end != POINTS_ENDED; n++) {
		struct scene burial = {s.story, POINTS_STOP, n};
		pid_t burier, next;
		uint64_t actor, handle, binding, old, now;
		uint32_t slot = 0;

		begin_domain(
			6); /* three leaders, the server, the burier and the actor: not one more */
		s.n = 12;
		(void)play_story(&s, &end);
		assert_int_equal(end, POINTS_DIED);
		for (uint32_t i = 1; i < d.shm.limits.slots; i++)
			if ((actor = slot_handle(&d.shm, i)) && handle_gone(&d.shm, actor))
				slot = i;
		assert_true(slot);
		/* It was heir and driver as well. */
		assert_int_equal(
			control_apply(&d.shm.apps[0].control, &old, &now, control_name_heir, slot),
			0);
		atom_store_seq(&d.shm.apps[0].move,
			       move_pack((struct move_word){.slot = slot, .step = 5}));
		burier = domain_fork(&d, NULL, bury_as_child, &burial);
		end = points_wait(burier, &status);
		if (end == POINTS_STOPPED) {
			bury_the_dead();
			assert_int_equal(slot_handle(&d.shm, slot), 0);
			next = domain_fork(&d, NULL, succeed, NULL);
			assert_int_equal(points_wait(next, &status), POINTS_STOPPED);
			handle = slot_handle(&d.shm, slot);
			assert_true(handle_alive(&d.shm, handle));
			assert_int_equal(control_apply(&d.shm.apps[0].control, &old, &now,
						       control_name_heir, slot),
					 0);
			points_continue(burier);
			assert_int_equal(points_wait(burier, &status), POINTS_ENDED);
			assert_int_equal(owner_control(&d.shm).heir, slot);
			assert_int_equal(move_unpack(atom_load_seq(&d.shm.apps[0].move)).slot,
					 slot);
			assert_int_equal(names_lookup(&d.shm, "three", 5, &binding, NULL), 0);
			assert_int_equal(binding, handle);
			assert_true(handle_alive(&d.shm, handle));
			assert_int_equal(names_check(&d.shm), 0);
		}
		end_domain();
	}
	print_message("a burier stopped at %d points\n", n - 2);
	assert_true(n - 2 >= 8);
}

static int call_and_stop(void *arg)
{
	char reply[8];
	size_t size = sizeof(reply);
	heir_t *h = client();
	int rc;
	(void)arg;

	points_arm_at(POINTS_STOP, "mail: publishing", 1);
	rc = heir_call(h, "app@b", "hello", 5, reply, &size, HEIR_FOREVER);
	heir_close(h);
	return rc == HEIR_EDEAD ? WAS_DEAD : 21;
}

/* A caller has found the process alive; it dies and is buried before the call is in its mailbox:
 * refused, at once. */
static void test_call_after_burial(void **state)
{
	struct scene s = {&stories[STORY_DO_NOTHING], 0, 0};
	pid_t worker = domain_fork(&d, NULL, play, &s), caller;
	int status;
	(void)state;

	assert_int_equal(points_wait(worker, &status), POINTS_STOPPED);
	caller = domain_fork(&d, NULL, call_and_stop, NULL);
	assert_int_equal(points_wait(caller, &status), POINTS_STOPPED);
	domain_kill(&d, worker);
	bury_the_dead();
	points_continue(caller);
	assert_int_equal(points_wait(caller, &status), POINTS_ENDED);
	assert_int_equal(status, WAS_DEAD);
	assert_int_equal(free_cells(), CELLS);
}

/* Who has looked and does not sleep yet is told as well: the word that it will sleep on changes. */
static void test_burial_wakes(void **state)
{
	struct scene s = {&stories[STORY_DO_NOTHING], 0, 0};
	heir_t *h = client();
	atom32 *doorbell = &d.shm.slots[h->slot].doorbell;
	pid_t worker = domain_fork(&d, NULL, play, &s);
	uint32_t seen;
	int status;
	(void)state;

	assert_int_equal(points_wait(worker, &status), POINTS_STOPPED);
	domain_kill(&d, worker);
	seen = atom_load_seq(doorbell);
	bury_the_dead();
	assert_true(atom_load_seq(doorbell) != seen);
	heir_close(h);
}

static int own_and_stop(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 1);
	(void)arg;

	MUST(owner_acquire(h, ACQUIRE_SWITCH, &got) == 0);
	ready();
	return 0;
}

/*
 * The slot of an owner is not given away before the next owner has claimed and redone. Invariant 1. Who called that
 * process itself is told at once: it may be who is to claim.
 */
static void test_owner_waits_for_claim(void **state)
{
	pid_t pid = domain_fork(&d, NULL, own_and_stop, NULL), caller;
	struct acquired got;
	uint64_t owner;
	int status;
	(void)state;

	assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
	owner = slot_handle(&d.shm, owner_control(&d.shm).owner);
	caller = begin_call("app@b");
	domain_kill(&d, pid);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), owner), 0);
	assert_int_equal(slot_handle(&d.shm, handle_slot(owner)), owner);
	assert_int_equal(points_wait(caller, &status), POINTS_ENDED); /* bounded by its alarm */
	assert_int_equal(status, WAS_DEAD);
	assert_int_equal(owner_acquire(server, ACQUIRE_CLAIM, &got), 0);
	owner_serve(server);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), owner), 1);
}

static int take_places(void *arg)
{
	heir_t *h = owner_open(d.name, 1);
	uint64_t none = 0;
	(void)arg;

	atom_store_seq(&h->shm.nodes[1].leader, h->self);
	MUST(atom_cas(&h->shm.head->opener, &none, h->self));
	MUST(move_begin(&h->shm, 0, h->self, HEIR_TAKEOVER, 1, 2, NULL) == 0);
	MUST(heir_register(h, "one", HEIR_SELF) == 0);
	ready();
	return 0;
}

/* All that names it is cleared, and what names others is not. */
static void test_places(void **state)
{
	pid_t pid = domain_fork(&d, NULL, take_places, NULL);
	uint64_t handle, old, now;
	int status;
	(void)state;

	assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
	handle = atom_load_seq(&d.shm.roles[0].candidate[1]);
	assert_int_equal(control_apply(&d.shm.apps[0].control, &old, &now, control_name_heir,
				       handle_slot(handle)),
			 0);
	domain_kill(&d, pid);
	/* Without a slot of one's own its names are left to others, and so is the rest. */
	assert_int_equal(bury(&d.shm, 0, handle), 0);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), handle), 1);
	assert_int_equal(atom_load_seq(&d.shm.roles[0].candidate[1]), 0);
	assert_int_equal(atom_load_seq(&d.shm.roles[0].candidate[0]), server->self);
	assert_int_equal(atom_load_seq(&d.shm.nodes[1].leader), 0);
	assert_int_equal(atom_load_seq(&d.shm.nodes[0].leader), d.leader[0]);
	assert_int_equal(atom_load_seq(&d.shm.head->opener), 0);
	assert_int_equal(move_unpack(atom_load_seq(&d.shm.apps[0].move)).slot, 0);
	assert_int_equal(owner_control(&d.shm).heir, 0);
	assert_int_equal(owner_control(&d.shm).owner, server->slot);
	assert_int_equal(names_lookup(&d.shm, "one", 3, NULL, NULL), HEIR_ENOENT);
	assert_int_equal(names_lookup(&d.shm, "app", 3, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stories, burystory_setup, burystory_teardown),
		cmocka_unit_test_setup_teardown(test_deaths, burystory_setup, burystory_teardown),
		cmocka_unit_test_setup_teardown(test_stopped_burier, burystory_setup,
						burystory_teardown),
		cmocka_unit_test_setup_teardown(test_call_after_burial, burystory_setup,
						burystory_teardown),
		cmocka_unit_test_setup_teardown(test_burial_wakes, burystory_setup,
						burystory_teardown),
		cmocka_unit_test_setup_teardown(test_owner_waits_for_claim, burystory_setup,
						burystory_teardown),
		cmocka_unit_test_setup_teardown(test_places, burystory_setup, burystory_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
