/* SPDX-License-Identifier: ISC */
/* Ownership taken in every way: from the dead, the stopped, over open transactions; what is stale
 * is refused. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/futex.h"
#include "lib/txn.h"
#include "name/names.h"
#include "proc/bury.h"
#include "proc/txnfix.h"
#include "support/owner.h"
#include "support/points.h"

enum what { REST, DIRTY };
struct owner {
	enum what what;
	int node;
	enum points_how how;
	int n;
};

/* Serves one message; then stops, as told, until it is killed or continued; then tries a
 * transaction. */
static int own(void *arg)
{
	const struct owner *o = arg;
	struct acquired got;
	heir_t *h = owner_open(d.name, o->node);
	int rc;

	MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(h);
	MUST(serve_one(h) == 1);
	if (o->what == DIRTY)
		open_dirty(h);
	raise(SIGSTOP);
	if (o->what == DIRTY)
		return heir_commit(h) == 0 ? 1 : 0;
	rc = heir_begin(h);
	return rc == HEIR_ESTALE ? 2 : rc == 0 ? 3 : 4;
}

/* The owner on node a, stopped as described, and what it had committed. */
static pid_t begin_owner(heir_t *client, enum what what, struct heir_ticket *ret)
{
	struct owner o = {what, 0, 0, 0};
	int status;
	pid_t pid;

	assert_int_equal(heir_call_start(client, "app", "inc", 3, ret), 0);
	pid = domain_fork(&d, NULL, own, &o);
	assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
	return pid;
}

static void test_claim_at_rest(void **state)
{
	heir_t *client = open_client(), *b = owner_open(d.name, 1);
	struct acquired got = {.generation = 77}, was = got;
	struct heir_ticket t;
	pid_t a = begin_owner(client, REST, &t);
	struct control c = word();
	uint64_t owner = slot_handle(&d.shm, c.owner);
	(void)state;

	/* Not while it lives, be it stopped. */
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), HEIR_EAGAIN);
	assert_memory_equal(&got, &was, sizeof(got));
	domain_kill(&d, a);
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), 0);
	assert_int_equal(got.previous, owner);
	assert_int_equal(got.generation, c.generation + 1);
	assert_int_equal(got.undone, 0);
	assert_int_equal(got.forced, 0);
	assert_int_equal(word().phase, PHASE_MOVING);
	assert_int_equal(word().owner, b->slot);
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), HEIR_EALREADY);
	assert_int_equal(*counter(b), 1);
	assert_int_equal(finish_call(client, t), 1);
	heir_close(b);
	heir_close(client);
}

static void test_claim_over_open(void **state)
{
	heir_t *client = open_client(), *b = owner_open(d.name, 1);
	struct acquired got;
	struct heir_ticket t;
	pid_t a = begin_owner(client, DIRTY, &t);
	struct control c = word();
	(void)state;

	assert_int_equal(c.open, 1);
	assert_int_equal(*counter(b), 99);
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), HEIR_EAGAIN);
	assert_int_equal(*counter(b),
			 99); /* Invariant 4: nothing is undone under a writer that may live */
	domain_kill(&d, a);
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), 0);
	assert_int_equal(got.undone, 1);
	assert_int_equal(*counter(b), 1);
	assert_int_equal(word().open, 0);
	assert_int_equal(word().parity, c.parity);
	assert_int_equal(got.generation, c.generation + 2); /* claimed, recovered */
	assert_int_equal(finish_call(client, t), 1);
	heir_close(b);
	heir_close(client);
}

/* At rest a stopped owner is switched away from at once; when it wakes, its begin is refused.
 * Invariant 4 */
static void test_switch_from_stopped(void **state)
{
	heir_t *client = open_client(), *b = owner_open(d.name, 1);
	struct acquired got;
	struct heir_ticket t;
	pid_t a = begin_owner(client, REST, &t);
	int status;
	(void)state;

	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(got.forced, 0);
	assert_true(handle_alive(&d.shm, got.previous));
	owner_serve(b);
	open_dirty(b);
	points_continue(a);
	assert_int_equal(points_wait(a, &status), POINTS_ENDED);
	assert_int_equal(status, 2);
	assert_int_equal(*counter(b), 99);
	assert_int_equal(heir_commit(b), 0);
	heir_close(b);
	heir_close(client);
}

/* Open and stopped: fenced at the deadline, undone, forced. Invariant 4 */
static void test_switch_over_stopped_writer(void **state)
{
	heir_t *client = open_client(), *b = owner_open(d.name, 1);
	struct acquired got;
	struct heir_ticket t;
	pid_t a = begin_owner(client, DIRTY, &t);
	int status;
	(void)state;

	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(got.forced, 1);
	assert_int_equal(got.undone, 1);
	assert_int_equal(*counter(b), 1);
	assert_int_equal(points_wait(a, &status), POINTS_DIED);
	heir_close(b);
	heir_close(client);
}

static int target(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 1);
	(void)arg;

	MUST(owner_acquire(h, ACQUIRE_SWITCH, &got) == 0);
	MUST(!got.forced && !got.undone);
	return 0;
}

static int target_of_dirty(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 1);
	(void)arg;

	MUST(owner_acquire(h, ACQUIRE_SWITCH, &got) == 0);
	MUST(!got.forced && got.undone);
	return 0;
}

static void await_word(bool (*is)(struct control c))
{
	int64_t deadline = deadline_after(20 * SECOND);

	while (!is(word())) {
		assert_false(deadline_passed(deadline));
		usleep(100);
	}
}

static bool is_wanted(struct control c)
{
	return c.want;
}

/* Open and running: no new begin once it is wanted, and the switch with the commit. Invariant 4 */
static void test_switch_waits_for_commit(void **state)
{
	heir_t *a = owner_open(d.name, 0);
	struct acquired got;
	pid_t b;
	int status;
	(void)state;

	d.shm.apps[0].policy[0].yield_timeout = 20 * SECOND;
	assert_int_equal(owner_acquire(a, ACQUIRE_CLAIM, &got), 0);
	owner_serve(a);
	open_dirty(a);
	b = domain_fork(&d, NULL, target, NULL);
	await_word(is_wanted);
	*counter(a) = 100;
	assert_int_equal(heir_commit(a), 0);
	/* It is taken at once, or waits to be: either way there is no new transaction here. */
	status = heir_begin(a);
	assert_true(status == HEIR_EWANTED || status == HEIR_ESTALE);
	assert_int_equal(points_wait(b, &status), POINTS_ENDED);
	assert_int_equal(status, 0);
	assert_int_equal(heir_begin(a), HEIR_ESTALE);
	assert_int_equal(*counter(a), 100);
	heir_close(a);
}

static int sleep_on_life(void *arg)
{
	uint64_t owner;
	atom32 *life;
	uint32_t v;
	heir_t *h;
	(void)arg;

	MUST(heir_open(d.name, 0, &h) == 0);
	owner = slot_handle(&h->shm, owner_control(&h->shm).owner);
	life = slot_life(&h->shm, handle_slot(owner), LIFE_SPARE1);
	raise(SIGSTOP);
	while (!life_gone(v = atom_load_acquire(life)))
		(void)futex_wait(life, v, DEADLINE_NEVER);
	return 0;
}

/* In futex_wait or futex_waitv, as the kernel tells. */
static void await_asleep(pid_t pid)
{
	int64_t deadline = deadline_after(20 * SECOND);
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	while (atoi(text) != SYS_futex && atoi(text) != SYS_futex_waitv) {
		FILE *f = fopen(path, "r");

		assert_non_null(f);
		if (!fgets(text, sizeof(text), f))
			text[0] = 0;
		fclose(f);
		assert_false(deadline_passed(deadline));
	}
}

/*
 * The writer dies while a target waits for its commit; the kernel wakes one sleeper, and that is
 * another. The burial that cannot be done yet wakes the target: not at its deadline, an hour away.
 */
static void test_wake_goes_to_another(void **state)
{
	heir_t *client = open_client();
	struct heir_ticket t;
	pid_t a = begin_owner(client, DIRTY, &t), other, b;
	uint64_t owner = slot_handle(&d.shm, word().owner);
	int status;
	(void)state;

	d.shm.apps[0].policy[0].yield_timeout = 3600 * SECOND;
	other = domain_fork(&d, NULL, sleep_on_life, NULL);
	assert_int_equal(points_wait(other, &status), POINTS_STOPPED);
	points_continue(other);
	await_asleep(other);
	b = domain_fork(&d, NULL, target_of_dirty, NULL);
	await_word(is_wanted);
	await_asleep(b);
	domain_kill(&d, a);
	assert_int_equal(points_wait(other, &status), POINTS_ENDED);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), owner), 0);
	assert_int_equal(points_wait(b, &status), POINTS_ENDED);
	assert_int_equal(status, 0);
	heir_close(client);
}

/* A writer that cannot be killed is never declared dead; who wanted the application gives that up.
 * Invariants 4 and 6 */
static void test_writer_that_cannot_be_fenced(void **state)
{
	heir_t *a = owner_open(d.name, 0), *b;
	struct acquired got;
	struct slot_word w, other;
	(void)state;

	assert_int_equal(owner_acquire(a, ACQUIRE_CLAIM, &got), 0);
	owner_serve(a);
	open_dirty(a);
	w = other = slot_unpack(atom_load_seq(&d.shm.slots[a->slot].word));
	other.pid = 1;
	b = owner_open(d.name, 1);
	atom_store_seq(&d.shm.slots[a->slot].word, slot_pack(other));
	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), HEIR_ETIMEDOUT);
	assert_int_equal(word().want, 0);
	assert_int_equal(word().owner, a->slot);
	atom_store_seq(&d.shm.slots[a->slot].word, slot_pack(w));
	assert_int_equal(heir_commit(a), 0);
	assert_int_equal(heir_begin(a), 0);
	assert_int_equal(heir_abort(a), 0);
	heir_close(b);
	heir_close(a);
}

static int acquire_and_report(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 1);
	(void)arg;

	/* Its first look sets want, the second sees it set. */
	points_arm_at(POINTS_STOP, "recover: looking", 2);
	return owner_acquire(h, ACQUIRE_SWITCH, &got) == 0 ? 0 : 1;
}

static int sit(void *arg)
{
	heir_t *h;
	(void)arg;

	MUST(heir_open(d.name, 0, &h) == 0);
	while (pause() < 0)
		;
	return 0;
}

/*
 * A target looks at an open word, and stops until its deadline is long past; the owner is dead,
 * buried, its slot another's by then. That one is not killed in its stead. Invariant 10
 */
static void test_fence_hits_no_bystander(void **state)
{
	heir_t *client = open_client(), *c = owner_open(d.name, 2);
	struct acquired got;
	struct heir_ticket t;
	pid_t a, b, other = 0;
	uint32_t slot;
	int status;
	(void)state;

	a = begin_owner(client, DIRTY, &t);
	slot = word().owner;
	b = domain_fork(&d, NULL, acquire_and_report, NULL);
	assert_int_equal(points_wait(b, &status), POINTS_STOPPED);
	assert_true(word().open && word().want);
	domain_kill(&d, a);
	assert_int_equal(owner_acquire(c, ACQUIRE_CLAIM, &got), 0);
	owner_serve(c);
	assert_true(bury_all(&d.shm, handle_slot(d.leader[0])) >= 1);
	/* Bystanders, until one has the slot. */
	for (int i = 0; i < 12 && !slot_handle(&d.shm, slot); i++) {
		unsigned n = 0, before = 0;

		for (uint32_t k = 1; k < d.shm.limits.slots; k++)
			before += slot_handle(&d.shm, k) != 0;
		other = domain_fork(&d, NULL, sit, NULL);
		for (int64_t until = deadline_after(20 * SECOND); n <= before;) {
			assert_false(deadline_passed(until));
			for (uint32_t k = n = 0; ++k < d.shm.limits.slots;)
				n += handle_alive(&d.shm, slot_handle(&d.shm, k));
		}
	}
	assert_int_equal(handle_pid(&d.shm, slot_handle(&d.shm, slot)), other);
	usleep(2 * YIELD / 1000); /* at least: the deadline is past */
	points_continue(b);
	assert_int_equal(points_wait(b, &status), POINTS_ENDED);
	assert_int_equal(status, 0);
	assert_int_equal(waitpid(other, &status, WNOHANG), 0);
	assert_true(handle_alive(&d.shm, slot_handle(&d.shm, slot)));
	heir_close(c);
	heir_close(client);
}

/* A damaged word names one that is just joining, and says open: an error, and no look that has no end. Invariant 11 */
static void test_joining_owner(void **state)
{
	heir_t *b = owner_open(d.name, 1);
	uint32_t slot = d.shm.limits.slots - 1;
	struct acquired got;
	(void)state;

	assert_int_equal(slot_handle(&d.shm, slot), 0);
	atom_store_seq(&d.shm.slots[slot].word,
		       slot_pack((struct slot_word){1000, SLOT_JOINING, (uint32_t)getpid()}));
	atom_store_seq(&d.shm.apps[0].control,
		       control_pack((struct control){
			       .generation = 7, .owner = slot, .phase = PHASE_SERVING, .open = 1}));
	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), HEIR_ECORRUPT);
	atom_store_seq(&d.shm.apps[0].control, 0);
	atom_store_seq(&d.shm.slots[slot].word, slot_pack((struct slot_word){1000, SLOT_FREE, 0}));
	heir_close(b);
}

/* While a switch-back to it may come, the slot of the old owner is not given to another. Invariants
 * 1 and 6 */
static void test_old_owner_dies_while_moving(void **state)
{
	heir_t *client = open_client(), *b = owner_open(d.name, 1);
	struct acquired got;
	struct heir_ticket t;
	pid_t a = begin_owner(client, REST, &t);
	uint64_t old, now;
	(void)state;

	assert_int_equal(owner_acquire(b, ACQUIRE_SWITCH, &got), 0);
	assert_true(
		handle_alive(&d.shm, got.previous)); /* b is about to switch back, and is slow */
	domain_kill(&d, a);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), got.previous), 0);
	assert_int_equal(slot_handle(&d.shm, handle_slot(got.previous)), got.previous);
	assert_int_equal(control_apply(&d.shm.apps[0].control, &old, &now, control_switch_back,
				       b->slot, handle_slot(got.previous)),
			 0);
	/* The word names a dead owner, and no other: whoever is a candidate claims from it. */
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), got.previous), 0);
	assert_int_equal(owner_acquire(b, ACQUIRE_CLAIM, &got), 0);
	owner_serve(b);
	assert_int_equal(bury(&d.shm, handle_slot(d.leader[0]), got.previous), 1);
	heir_close(b);
	heir_close(client);
}

static int redo_and_stop(void *arg)
{
	struct acquired got;
	heir_t *h = owner_open(d.name, 1);
	(void)arg;

	points_arm_at(POINTS_STOP, "recover: redone", 1);
	(void)owner_acquire(h, ACQUIRE_SWITCH, &got);
	return 0;
}

/* What is redone is not said for a generation that is past. Invariant 3 */
static void test_redone_goes_forward(void **state)
{
	heir_t *c = owner_open(d.name, 2);
	struct acquired got;
	pid_t b = domain_fork(&d, NULL, redo_and_stop, NULL);
	int status;
	(void)state;

	assert_int_equal(points_wait(b, &status), POINTS_STOPPED);
	assert_int_equal(owner_acquire(c, ACQUIRE_SWITCH, &got), 0);
	assert_int_equal(atom_load_seq(&d.shm.apps[0].redone), word().generation);
	points_continue(b);
	assert_int_equal(points_wait(b, &status), POINTS_ENDED);
	assert_int_equal(atom_load_seq(&d.shm.apps[0].redone), word().generation);
	heir_close(c);
}

/* Two claim at once: one gets it, the other is told. */
static int claim(void *arg)
{
	heir_t *h = owner_open(d.name, *(int *)arg);
	struct acquired got;
	int rc;

	raise(SIGSTOP);
	rc = owner_acquire(h, ACQUIRE_CLAIM, &got);
	if (rc == 0)
		raise(SIGSTOP); /* alive until all have tried */
	return rc == 0 ? 0 : rc == HEIR_EAGAIN ? 1 : 2;
}

static void test_claims_at_once(void **state)
{
	(void)state;
	end_domain();
	for (int round = 0; round < 30; round++) {
		int nodes[2] = {1, 2}, status[2] = {0, 0}, winners = 0;
		pid_t child[2];

		begin_domain();
		for (int i = 0; i < 2; i++) {
			child[i] = domain_fork(&d, NULL, claim, &nodes[i]);
			assert_int_equal(points_wait(child[i], &status[i]), POINTS_STOPPED);
		}
		for (int i = 0; i < 2; i++)
			points_continue(child[i]);
		for (int i = 0; i < 2; i++)
			winners += points_wait(child[i], &status[i]) == POINTS_STOPPED;
		assert_int_equal(winners, 1);
		assert_int_equal(status[0] + status[1], 1);
		end_domain();
	}
}

static void test_release(void **state)
{
	heir_t *client = open_client();
	struct heir_ticket t;
	pid_t a = begin_owner(client, DIRTY, &t);
	uint32_t changed = atom_load_seq(&d.shm.head->changed);
	(void)state;

	assert_int_equal(app_release(&d.shm, 0, d.leader[1]), HEIR_EAGAIN);
	assert_int_equal(word().phase, PHASE_SERVING);
	domain_kill(&d, a);
	assert_int_equal(app_release(&d.shm, 0, d.leader[1]), 0);
	assert_int_equal(word().phase, PHASE_DOWN);
	assert_int_equal(word().owner, 0);
	assert_true(atom_load_seq(&d.shm.head->changed) != changed);
	assert_int_equal(finish_call(client, t), 1); /* what was committed was redone first */
	assert_int_equal(app_release(&d.shm, 0, d.leader[1]), 0);
	heir_close(client);
}

/* Invariant 6: failovers beyond the intensity are refused, and counted anew after the period. */
/* Whoever may claim is told, and nobody else, so that one between its look and its sleep does not sleep. */
static void test_nudge(void **state)
{
	uint32_t before[3];
	(void)state;

	for (unsigned n = 0; n < 3; n++)
		before[n] = atom_load_relaxed(&shm_slot(&d.shm, handle_slot(d.leader[n]))->doorbell);
	atom_store_release(&shm_role(&d.shm, 0)->candidate[0], d.leader[0]);
	atom_store_release(&shm_role(&d.shm, 0)->candidate[2], d.leader[2]);
	app_wake(&d.shm, 0);
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(atom_load_relaxed(&shm_slot(&d.shm, handle_slot(d.leader[n]))->doorbell),
				 before[n] + (n != 1));
	atom_store_release(&shm_role(&d.shm, 0)->candidate[0], 0);
	atom_store_release(&shm_role(&d.shm, 0)->candidate[2], 0);
}

static void test_failover_count(void **state)
{
	struct shm_app *a = &d.shm.apps[0];
	int64_t now = 1000 * SECOND;
	(void)state;

	a->policy[0].failover_intensity = 3;
	a->policy[0].failover_period = (uint64_t)(10 * SECOND);
	for (int i = 0; i < 3; i++)
		assert_int_equal(failover_count(&d.shm, 0, now + i * SECOND), 0);
	assert_int_equal(failover_count(&d.shm, 0, now + 9 * SECOND), HEIR_EFAILED);
	assert_int_equal(failover_count(&d.shm, 0, now + 9 * SECOND), HEIR_EFAILED);
	assert_int_equal(failover_count(&d.shm, 0, now + 10 * SECOND), 0);
	assert_int_equal(failover_count(&d.shm, 0, now + 11 * SECOND), 0);
	a->policy[0].failover_intensity = 0;
	assert_int_equal(failover_count(&d.shm, 0, now + 100 * SECOND), HEIR_EFAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_claim_at_rest, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_claim_over_open, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_switch_from_stopped, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_switch_over_stopped_writer, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_switch_waits_for_commit, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_wake_goes_to_another, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_writer_that_cannot_be_fenced, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_fence_hits_no_bystander, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_joining_owner, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_old_owner_dies_while_moving, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_redone_goes_forward, txnfix_setup,
						txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_claims_at_once, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_release, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_nudge, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_failover_count, txnfix_setup, txnfix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
