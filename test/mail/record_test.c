/* SPDX-License-Identifier: ISC */
/* Commit records and their redo: by several, again, late, cut off anywhere. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "heir.h"
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

static void test_round_trip(void **state)
{
	struct mail_record from = {{0xfffff, 0xfffffffe}, 0xfffffe, 0xfffffffd, MAIL_ASIDE,
				   SHM_OUTBOX_MAX,	  {{{0}}}},
			   to;
	struct shm_record at;
	(void)state;

	memset(&at, 0, sizeof(at));
	for (unsigned i = 0; i < SHM_OUTBOX_MAX; i++) {
		from.outbox[i].ref = (struct cell_ref){i + 1, 0xffffff00 + i};
		from.outbox[i].mailbox = 1000 + i;
	}
	record_store(&at, &from);
	record_load(&to, &at);
	assert_memory_equal(&to, &from, sizeof(to));
	/* Zeros are a record of nothing. */
	memset(&at, 0, sizeof(at));
	record_load(&to, &at);
	assert_int_equal(to.outcome, MAIL_NONE);
	assert_int_equal(to.sent, 0);
	/* Invariant 11 */
	atom_store_relaxed(&at.outbox, SHM_OUTBOX_MAX + 1);
	record_load(&to, &at);
	assert_int_equal(to.sent, 0);
}

/* One committed transaction: ROLE's head answered, and two messages sent. */
static struct mail_record transaction(uint32_t owner, enum mail_outcome outcome)
{
	struct mail_record r = {.outcome = outcome, .mailbox = ROLE, .sent = 2};
	struct mail_head head;

	assert_int_equal(mailfix_take(&shm, owner, ROLE, &head), 1);
	r.ref = head.ref;
	r.ticket = head.ticket;
	for (unsigned i = 0; i < 2; i++) {
		r.outbox[i].ref = mailfix_cell(&shm, owner, 0, OTHER_ROLE, 0, 100 + i);
		r.outbox[i].mailbox = OTHER_ROLE;
	}
	return r;
}

static void check_transaction(struct cell_ref call)
{
	struct mail_head head;

	assert_int_equal(state_of(call), CELL_DONE);
	mailfix_collect(&shm, call);
	assert_int_equal(mailbox_peek(&shm, ROLE, &head), 0);
	assert_int_equal(mailfix_serve(&shm, PEER, OTHER_ROLE), 100);
	assert_int_equal(mailfix_serve(&shm, PEER, OTHER_ROLE), 101);
	assert_int_equal(mailbox_peek(&shm, OTHER_ROLE, &head), 0);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

static void test_redo_again(void **state)
{
	struct cell_ref call = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1);
	struct mail_record r = transaction(ACTOR, MAIL_ANSWERED);
	uint32_t replies;
	(void)state;

	for (int i = 0; i < 5; i++) {
		replies = atom_load_relaxed(&shm_slot(&shm, CALLER)->doorbell);
		record_redo(&shm, &r); /* Invariant 5: once, however often */
		/* Woken each time: whoever committed may have died before its wake. */
		assert_int_equal(atom_load_relaxed(&shm_slot(&shm, CALLER)->doorbell), replies + 1);
	}
	check_transaction(call);
}

static void test_outcomes(void **state)
{
	struct cell_ref call, sent;
	struct mail_record r;
	uint32_t replies;
	(void)state;

	/* Nobody waits: a send, and a call that was given up meanwhile. */
	sent = mailfix_send(&shm, CALLER, 0, ROLE, 0, 1);
	r = transaction(ACTOR, MAIL_ANSWERED);
	r.sent = 0;
	record_redo(&shm, &r);
	assert_int_equal(state_of(sent), CELL_FREE);
	call = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1);
	r = transaction(ACTOR, MAIL_ANSWERED);
	r.sent = 0;
	mailfix_give_up(&shm, call);
	record_redo(&shm, &r);
	assert_int_equal(state_of(call), CELL_FREE);
	/* Invariant 7: poison is kept, and its caller woken. */
	call = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1);
	r = transaction(ACTOR, MAIL_ASIDE);
	r.sent = 0;
	replies = atom_load_relaxed(&shm_slot(&shm, CALLER)->doorbell);
	record_redo(&shm, &r);
	record_redo(&shm, &r);
	assert_int_equal(state_of(call), CELL_ASIDE);
	assert_true(atom_load_relaxed(&shm_slot(&shm, CALLER)->doorbell) > replies);
	/* No message: nothing is touched, whatever the rest says. */
	r = (struct mail_record){.outcome = MAIL_ANSWERED, .mailbox = ROLE, .ticket = 3};
	record_redo(&shm, &r);
	assert_int_equal(mailfix_serve(&shm, ACTOR, ROLE), 0);
	mailfix_send(&shm, CALLER, 0, ROLE, 0, 77);
	assert_int_equal(mailfix_serve(&shm, ACTOR, ROLE), 77);
}

struct redo {
	struct mail_record record;
	enum points_how how;
	int n;
};

static void redo(void *arg)
{
	struct redo *r = arg;

	points_arm(r->how, r->n);
	record_redo(&shm, &r->record);
}

/* Whoever redoes dies at each point; the next one completes it. Invariants 2 and 5 */
static void test_redo_dies(void **state)
{
	enum points_end end = POINTS_DIED;
	int status = 0, n;
	(void)state;

	for (n = 1; end != POINTS_ENDED; n++) {
		struct cell_ref call = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1);
		struct redo r = {transaction(ACTOR, MAIL_ANSWERED), POINTS_DIE, n};

		end = points_wait(spawn(redo, &r), &status);
		record_redo(&shm, &r.record);
		check_transaction(call);
	}
	print_message("a redo died at %d points\n", n - 2);
	assert_true(n - 2 >= 9);
}

/* The old owner stops at each point of its redo, another completes it and goes on for long; then it
 * wakes. */
static void test_redo_stops(void **state)
{
	enum points_end end = POINTS_STOPPED;
	int status = 0;
	(void)state;

	for (int n = 1; end != POINTS_ENDED; n++) {
		struct cell_ref call = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1), later;
		struct redo r = {transaction(ACTOR, MAIL_ANSWERED), POINTS_STOP, n};
		pid_t child = spawn(redo, &r);

		end = points_wait(child, &status);
		record_redo(&shm, &r.record);
		check_transaction(call);
		/* Both rings go round, the cells are used anew; at the end some messages wait. */
		for (uint64_t i = 0; i < 2 * shm.ring_entries; i++) {
			mailfix_send(&shm, PEER, 0, ROLE, 0, i + 1);
			assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), i + 1);
			mailfix_send(&shm, PEER, 0, OTHER_ROLE, 0, i + 1);
			assert_int_equal(mailfix_serve(&shm, PEER, OTHER_ROLE), i + 1);
		}
		later = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 8);
		mailfix_send(&shm, PEER, 0, OTHER_ROLE, 0, 9);
		if (end == POINTS_STOPPED) {
			points_continue(child);
			assert_int_equal(points_wait(child, &status), POINTS_ENDED);
		}
		assert_int_equal(state_of(later), CELL_PUBLISHED);
		assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 8);
		assert_int_equal(mailfix_serve(&shm, PEER, OTHER_ROLE), 9);
		mailfix_collect(&shm, later);
		assert_int_equal(mailfix_free_cells(&shm), CELLS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redo_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outcomes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redo_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redo_stops, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
