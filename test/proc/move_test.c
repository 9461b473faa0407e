/* SPDX-License-Identifier: ISC */
/*
 * Who drives a move. A driver is stopped at every point from its beginning to its end: another may take its place
 * when its time is over, and what it does when it goes on changes nothing of that one's move.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/patience.h"
#include "proc/txnfix.h"
#include "support/points.h"

#define UNIT (INT64_C(1) << 24)
#define MS INT64_C(1000000)

/* How a driver ended that gave up where it should: not any more its move, not any more the owner. */
enum { DONE = 0, NOT_BEGUN = 20, NOT_STEPPED, NOT_SWITCHED, NOT_SERVED };

static struct shm_app *app(void)
{
	return &d.shm.apps[0];
}

static struct move_word move(void)
{
	return move_unpack(atom_load_seq(&app()->move));
}

static int64_t ends(uint32_t slot)
{
	return move_step_ends(move(), slot_handle(&d.shm, slot));
}

static int begin(heir_t *h, uint32_t type, uint32_t to)
{
	return move_begin(&h->shm, 0, h->self, type, 1, to, NULL);
}

/* From here on a driver has little time. */
static void hurry(void)
{
	app()->policy[0].step_timeout = MS;
	app()->policy[0].claim_grace = 0;
}

static heir_t *serving_owner(void)
{
	heir_t *a = owner_open(d.name, 0);
	struct acquired got;

	assert_int_equal(owner_acquire(a, ACQUIRE_CLAIM, &got), 0);
	owner_serve(a);
	return a;
}

/* A whole takeover by node b, as lib/drive.c makes it. */
static int drive(heir_t *h)
{
	struct acquired got;
	uint32_t generation;

	if (begin(h, HEIR_TAKEOVER, 2))
		return NOT_BEGUN;
	for (uint32_t step = 0; step < 2; step++)
		if (!move_step(&h->shm, 0, h->self, step, clock_ns() + MS))
			return NOT_STEPPED;
	if (app_acquire(&h->shm, 0, h->self, ACQUIRE_SWITCH, &h->state, &got))
		return NOT_SWITCHED;
	if (app_serve(&h->shm, 0, h->self, HEIR_TAKEOVER, 1, &generation))
		return NOT_SERVED;
	move_end(&h->shm, 0, h->self);
	return DONE;
}

static int drive_to_point(void *arg)
{
	heir_t *h = owner_open(d.name, 1);

	points_arm(POINTS_STOP, *(int *)arg);
	return drive(h);
}

/* Its place is taken as soon as it is late, and not before. */
static void take_its_place(heir_t *c)
{
	int64_t limit = clock_ns() + 5 * SECOND, late_at = move_late_at(&d.shm, 0);
	int rc;

	do {
		rc = begin(c, HEIR_FAILOVER, 3);
	} while (rc == HEIR_EBUSY && clock_ns() < limit);
	assert_int_equal(rc, 0);
	assert_true(late_at < 0 || clock_ns() >= late_at);
	assert_int_equal(move().slot, c->slot);
}

static void switch_and_serve(heir_t *c)
{
	struct acquired got;
	uint32_t generation;

	assert_true(move_step(&d.shm, 0, c->self, 3, clock_ns() + 60 * SECOND));
	assert_int_equal(app_acquire(&d.shm, 0, c->self, ACQUIRE_SWITCH, &c->state, &got), 0);
	assert_int_equal(app_serve(&d.shm, 0, c->self, HEIR_FAILOVER, 2, &generation), 0);
	assert_int_equal(word().generation, generation);
}

/* Goes on when c has ended, or (early) when c has only begun. false: there is no such point any more. */
static bool stop_at(int n, bool early)
{
	heir_t *a, *c;
	pid_t b;
	struct control before, after;
	uint64_t moved, started;
	int status;

	begin_domain();
	hurry();
	a = serving_owner();
	b = domain_fork(&d, NULL, drive_to_point, &n);
	if (points_wait(b, &status) == POINTS_ENDED) {
		assert_int_equal(status, DONE);
		assert_int_equal(move().slot, 0);
		heir_close(a);
		end_domain();
		return false;
	}
	c = owner_open(d.name, 2);
	take_its_place(c);
	if (!early)
		switch_and_serve(c);
	before = word();
	moved = atom_load_seq(&app()->move);
	started = atom_load_seq(&app()->start);
	points_continue(b);
	assert_int_equal(points_wait(b, &status), POINTS_ENDED);
	assert_true(status == DONE || (status >= NOT_BEGUN && status <= NOT_SERVED));
	assert_true(atom_load_seq(&app()->move) == moved);
	if (!early) {
		after = word();
		assert_memory_equal(&before, &after, sizeof(before));
		assert_true(atom_load_seq(&app()->start) == started);
		assert_true(status != DONE || strcmp(points_label(), "move: ending") == 0);
	} else {
		/* It had asked before: then it has switched, as one that is not late. */
		if (strcmp(points_label(), "move: beginning") == 0 || strcmp(points_label(), "move: stepping") == 0 ||
		    strcmp(points_label(), "move: begun") == 0 || strcmp(points_label(), "recover: looking") == 0)
			assert_int_equal(word().owner, a->slot);
		switch_and_serve(c);
	}
	assert_int_equal(word().owner, c->slot);
	assert_int_equal(word().phase, PHASE_SERVING);
	assert_int_equal(atom_load_seq(&app()->start) >> 56, HEIR_FAILOVER);
	move_end(&d.shm, 0, c->self);
	assert_int_equal(move().slot, 0);
	heir_close(c);
	heir_close(a);
	end_domain();
	return true;
}

static void test_stopped_at_every_point(void **state)
{
	int n = 1;
	(void)state;

	while (stop_at(n, false))
		n++;
	assert_true(n > 9);
	for (n = 1; stop_at(n, true); n++)
		;
	assert_true(n > 9);
}

/* It waits for a commit: late, it kills nobody for it, and withdraws its want. */
static int drive_over_open(void *arg)
{
	heir_t *h = owner_open(d.name, 1);
	(void)arg;

	return drive(h);
}

static int stay_open(void *arg)
{
	heir_t *h = owner_open(d.name, 0);
	struct acquired got;
	(void)arg;

	MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(h);
	open_dirty(h);
	raise(SIGSTOP);
	return 0;
}

static void test_late_while_it_waits(void **state)
{
	heir_t *c = owner_open(d.name, 2);
	pid_t a = domain_fork(&d, NULL, stay_open, NULL), b;
	int status;
	(void)state;

	hurry();
	app()->policy[0].yield_timeout = (uint64_t)(2 * SECOND);
	assert_int_equal(points_wait(a, &status), POINTS_STOPPED);
	b = domain_fork(&d, NULL, drive_over_open, NULL);
	while (!word().want)
		;
	take_its_place(c);
	control_wake_commit(&app()->control);
	assert_int_equal(points_wait(b, &status), POINTS_ENDED);
	assert_int_equal(status, NOT_SWITCHED);
	assert_false(word().want);
	assert_int_equal(word().open, 1);
	assert_true(handle_alive(&d.shm, slot_handle(&d.shm, word().owner)));
	heir_close(c);
}

static int begin_and_stop(void *arg)
{
	heir_t *h = owner_open(d.name, 1);
	(void)arg;

	MUST(begin(h, HEIR_TAKEOVER, 2) == 0);
	raise(SIGSTOP);
	move_end(&h->shm, 0, h->self); /* not its own any more */
	return 0;
}

static void test_one_drives(void **state)
{
	heir_t *c = owner_open(d.name, 2);
	struct move_word winner = {0}, before;
	pid_t b = domain_fork(&d, NULL, begin_and_stop, NULL);
	int64_t now = clock_ns();
	int status;
	(void)state;

	assert_int_equal(points_wait(b, &status), POINTS_STOPPED);
	/* The first wins; the second is told of it, though the winner is stopped. */
	assert_int_equal(move_begin(&d.shm, 0, c->self, HEIR_TAKEOVER, 1, 3, &winner), HEIR_EBUSY);
	assert_int_equal(winner.to, 2);
	assert_int_equal(winner.from, 1);
	assert_int_equal(winner.type, HEIR_TAKEOVER);
	assert_true(move_driver_alive(&d.shm, 0));
	assert_true(move_is_driven(&d.shm, 0, now));
	assert_true(move_late(&d.shm, 0, now) == 0);
	/* Its first step has its time before it says which it is. */
	assert_true(ends(winner.slot) >= now + (int64_t)app()->policy[0].step_timeout);
	assert_true(ends(winner.slot) <= clock_ns() + (int64_t)app()->policy[0].step_timeout + UNIT);
	assert_true(move_late_at(&d.shm, 0) ==
		    ends(winner.slot) + patience_driver((int64_t)app()->policy[0].claim_grace));
	assert_true(move_step_ends(move(), c->self) == DEADLINE_NEVER);
	assert_true(move_late(&d.shm, 0, move_late_at(&d.shm, 0)) == slot_handle(&d.shm, winner.slot));
	assert_false(move_is_driven(&d.shm, 0, move_late_at(&d.shm, 0)));
	assert_false(move_step(&d.shm, 0, c->self, 3, SECOND));
	move_end(&d.shm, 0, c->self);
	assert_int_equal(move().slot, winner.slot);
	assert_int_equal(move().step, 0);
	domain_kill(&d, b);
	/* Invariant 2: whoever finds the driver dead replaces it. */
	assert_false(move_driver_alive(&d.shm, 0));
	assert_false(move_is_driven(&d.shm, 0, now));
	assert_true(move_late(&d.shm, 0, move_late_at(&d.shm, 0)) == 0);
	assert_int_equal(begin(c, HEIR_FAILOVER, 3), 0);
	assert_true(move_is_mine(&d.shm, 0, c->self));
	assert_true(move_step(&d.shm, 0, c->self, 3, now + SECOND));
	assert_int_equal(move().step, 3);
	assert_true(ends(c->slot) >= now + SECOND && ends(c->slot) < now + SECOND + UNIT);
	before = move();
	move_end(&d.shm, 0, c->self);
	/* Whoever has loaded the word before it ended goes by what it said; after it, nobody drives. */
	assert_true(move_step_ends(before, c->self) >= now + SECOND);
	assert_true(move_step_ends(move(), c->self) == DEADLINE_NEVER);
	assert_false(move_driver_alive(&d.shm, 0));
	assert_false(move_is_mine(&d.shm, 0, c->self));
	assert_true(move_late_at(&d.shm, 0) == DEADLINE_NEVER);
	heir_close(c);
}

static void test_word(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		struct move_word m = {i, i & 0xf, i & 7, i & 0x1f, (i + 1) & 0x1f, (int64_t)i * 8388607 * UNIT};
		struct move_word u = move_unpack(move_pack(m));

		assert_int_equal(u.slot, m.slot);
		assert_int_equal(u.step, m.step);
		assert_int_equal(u.type, m.type);
		assert_int_equal(u.from, m.from);
		assert_int_equal(u.to, m.to);
		assert_true(u.until == m.until);
	}
	/* For ever, and what is beyond the word, is its last time. */
	assert_true(move_pack((struct move_word){.until = DEADLINE_NEVER}) ==
		    move_pack((struct move_word){.until = INT64_MAX}));
	assert_true(move_unpack(move_pack((struct move_word){.until = INT64_MAX})).until > 500000000 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_word),
		cmocka_unit_test_setup_teardown(test_one_drives, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_late_while_it_waits, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_teardown(test_stopped_at_every_point, txnfix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
