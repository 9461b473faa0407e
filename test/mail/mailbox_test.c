/* SPDX-License-Identifier: ISC */
/* The ring of a mailbox: order, limits, wrap, what is stale or corrupt; readers and senders that
 * die or stop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "heir.h"
#include "mail/doorbell.h"
#include "mail/mailfix.h"
#include "support/points.h"

#define CELLS	   12u
#define ROLE	   0u
#define OTHER_ROLE 1u

enum { CALLER = 1, READER = 2, SUCCESSOR = 3 };

static struct shm shm;

static int setup(void **state)
{
	(void)state;
	alarm(60);
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

static struct cell_ref send_value(uint32_t mailbox, uint64_t value)
{
	return mailfix_send(&shm, CALLER, 0, mailbox, 0, value);
}

static void assert_empty(uint32_t mailbox)
{
	struct mail_head head;

	assert_int_equal(mailbox_peek(&shm, mailbox, &head), 0);
}

static void test_order(void **state)
{
	(void)state;
	assert_empty(ROLE);
	for (uint64_t round = 0; round < 50; round++) {
		uint64_t n = 1 + round % CELLS;

		for (uint64_t i = 0; i < n; i++)
			send_value(ROLE, 100 * round + i + 1);
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(mailfix_serve(&shm, READER, ROLE), 100 * round + i + 1);
		assert_empty(ROLE);
		assert_int_equal(mailfix_free_cells(&shm), CELLS);
	}
}

static void test_take(void **state)
{
	struct mail_head head, again;
	(void)state;

	send_value(ROLE, 7);
	assert_int_equal(mailbox_peek(&shm, ROLE, &head), 1);
	assert_int_equal(mailbox_take(&shm, READER, &head), 0);
	assert_int_equal(cell_unpack(head.word).deliveries, 1);
	/* The next owner takes again what its dead predecessor held; the predecessor's look is
	 * stale then. */
	assert_int_equal(mailbox_peek(&shm, ROLE, &again), 1);
	assert_int_equal(mailbox_take(&shm, SUCCESSOR, &again), 0);
	assert_int_equal(cell_unpack(again.word).deliveries, 2);
	assert_int_equal(atom_load_relaxed(&shm_cell(&shm, again.ref.cell)->holder), SUCCESSOR);
	assert_int_equal(mailbox_take(&shm, READER, &head), HEIR_EAGAIN);
	/* The count stops at its largest. */
	for (int i = 0; i < 300; i++)
		assert_int_equal(mailbox_take(&shm, SUCCESSOR, &again), 0);
	assert_int_equal(cell_unpack(again.word).deliveries, 255);
}

static void test_limit(void **state)
{
	(void)state;
	/* Up to 64 cells the limit is the pool itself. */
	for (uint32_t i = 0; i < CELLS; i++) {
		assert_true(mailbox_has_room(&shm, ROLE));
		send_value(ROLE, i + 1);
	}
	assert_false(mailbox_has_room(&shm, ROLE));
	assert_true(mailbox_has_room(&shm, OTHER_ROLE));
	/* Invariant 12: what was accepted is there. */
	for (uint32_t i = 0; i < CELLS; i++)
		assert_int_equal(mailfix_serve(&shm, READER, ROLE), i + 1);
	assert_true(mailbox_has_room(&shm, ROLE));
}

static void test_limit_of_large_pool(void **state)
{
	struct shm large;
	uint32_t n = 0;
	(void)state;

	mailfix_init(&large, 100, 64);
	/* One mailbox leaves a quarter of the pool to the others; what a transaction accepted
	 * passes over that. */
	for (; mailbox_has_room(&large, ROLE); n++)
		mailfix_send(&large, CALLER, 0, ROLE, 0, n + 1);
	assert_int_equal(n, 75);
	for (; n < 100; n++)
		mailfix_send(&large, CALLER, 0, ROLE, 0, n + 1);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(mailfix_serve(&large, READER, ROLE), i + 1);
	mailfix_finish(&large);
}

/* A sender that loads the tail, and the head only after it was passed on, does not take that for a
 * full mailbox. */
static void test_room_while_head_moves(void **state)
{
	struct shm_mailbox *m = shm_mailbox(&shm, ROLE);
	(void)state;

	atom_store_relaxed(&m->tail, 5);
	atom_store_relaxed(&m->head, 6);
	assert_true(mailbox_has_room(&shm, ROLE));
}

static void lay(uint32_t mailbox, uint64_t ticket)
{
	for (uint64_t i = 0; i < shm.ring_entries; i++)
		atom_store_relaxed(&shm_ring(&shm, mailbox)[(ticket + i) & (shm.ring_entries - 1)],
				   (ticket + i) << 32);
	atom_store_relaxed(&shm_mailbox(&shm, mailbox)->head, ticket);
	atom_store_relaxed(&shm_mailbox(&shm, mailbox)->tail, ticket);
}

static void test_tickets_wrap(void **state)
{
	(void)state;
	/* In the ring the ticket has 32 bits, in head and tail 64. */
	lay(ROLE, UINT32_MAX - 20);
	for (uint64_t i = 1; i <= 100; i += 3) {
		for (uint64_t k = 0; k < 3; k++)
			send_value(ROLE, i + k);
		for (uint64_t k = 0; k < 3; k++)
			assert_int_equal(mailfix_serve(&shm, READER, ROLE), i + k);
	}
	assert_empty(ROLE);
	assert_int_equal(atom_load_relaxed(&shm_mailbox(&shm, ROLE)->head),
			 (uint64_t)UINT32_MAX - 20 + 102);
}

static void test_published_once(void **state)
{
	struct cell_ref ref = send_value(ROLE, 1), other;
	struct mail_head head;
	(void)state;

	/* Invariant 5: by whomever and however often it is published, it is there once. */
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	send_value(ROLE, 2);
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	assert_int_equal(mailfix_take(&shm, READER, ROLE, &head), 1);
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	mailbox_pass(&shm, ROLE, head.ticket, head.ref.cell);
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	mail_answer(&shm, head.ref);
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	/* Nor is what the cell is used for afterwards, before its sender wants it. */
	other = mailfix_cell(&shm, CALLER, 0, ROLE, 0, 3);
	while (other.cell != ref.cell)
		other = mailfix_cell(&shm, CALLER, 0, ROLE, 0, 3);
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	assert_int_equal(mailfix_serve(&shm, READER, ROLE), 2);
	assert_empty(ROLE);
	assert_int_equal(mailfix_word(&shm, other.cell).state, CELL_OWNED);
}

/* Take it from the mailbox of `from` and make it OWNED for `to`, as heir_forward does. */
static struct cell_ref pass_on(uint32_t from, uint32_t to, uint64_t target)
{
	struct mail_head head;
	struct cell_word next;

	assert_int_equal(mailfix_take(&shm, from, mailfix_own(&shm, from), &head), 1);
	mailbox_pass(&shm, mailfix_own(&shm, from), head.ticket, head.ref.cell);
	atom_store_relaxed(&shm_cell(&shm, head.ref.cell)->mailbox, to);
	atom_store_relaxed(&shm_cell(&shm, head.ref.cell)->target, target);
	next = cell_unpack(head.word);
	next.state = CELL_OWNED;
	next.flags |= CELL_FORWARDED;
	next.deliveries = 0;
	assert_int_equal(cell_move(&shm, head.ref.cell, head.word, next), 0);
	return head.ref;
}

static void test_forward(void **state)
{
	uint64_t to = mailfix_slot(&shm, READER, 1, SLOT_ALIVE);
	struct cell_ref ref =
		mailfix_send(&shm, CALLER, CELL_CALL, mailfix_own(&shm, READER), to, 9);
	(void)state;

	pass_on(READER, ROLE, 0);
	assert_empty(mailfix_own(&shm, READER));
	assert_empty(ROLE);
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 9);
	assert_int_equal(mailfix_word(&shm, ref.cell).slot, CALLER);
	mailfix_collect(&shm, ref);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

/*
 * The sender was a transaction. Its redo comes again when the message is between two mailboxes: it
 * must not put it back into the first, from where it would be handled twice, or stand in a ring
 * when it is let go.
 */
static void test_forward_and_late_redo(void **state)
{
	uint64_t to = mailfix_slot(&shm, READER, 1, SLOT_ALIVE);
	uint32_t own = mailfix_own(&shm, READER);
	struct cell_ref ref = mailfix_send(&shm, CALLER, 0, own, to, 9);
	(void)state;

	pass_on(READER, ROLE, 0);
	assert_int_equal(mailbox_publish(&shm, own, ref), 0); /* Invariant 5 */
	assert_empty(own);
	assert_int_equal(mailbox_publish(&shm, ROLE, ref), 0);
	assert_int_equal(mailbox_publish(&shm, own, ref), 0);
	assert_empty(own);
	assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 9);
	assert_empty(ROLE);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

static void test_given_up(void **state)
{
	struct cell_ref refs[6];
	(void)state;

	for (unsigned i = 0; i < 6; i++)
		refs[i] = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, i + 1);
	/* Invariant 5: a call that was given up before it was taken is never taken. */
	mailfix_give_up(&shm, refs[0]);
	mailfix_give_up(&shm, refs[1]);
	mailfix_give_up(&shm, refs[3]);
	mailfix_give_up(&shm, refs[5]);
	assert_int_equal(mailfix_serve(&shm, READER, ROLE), 3);
	assert_int_equal(mailfix_serve(&shm, READER, ROLE), 5);
	assert_int_equal(mailfix_serve(&shm, READER, ROLE), 0);
	mailfix_collect(&shm, refs[2]);
	mailfix_collect(&shm, refs[4]);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

static void test_given_up_in_hand(void **state)
{
	struct cell_ref ref = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 1);
	struct mail_head head;
	(void)state;

	assert_int_equal(mailbox_peek(&shm, ROLE, &head), 1);
	mailfix_give_up(&shm, ref);
	assert_int_equal(mailbox_take(&shm, READER, &head), HEIR_EAGAIN);
	assert_empty(ROLE);

	ref = mailfix_send(&shm, CALLER, CELL_CALL, ROLE, 0, 2);
	assert_int_equal(mailfix_take(&shm, READER, ROLE, &head), 1);
	mailfix_give_up(&shm, ref);
	mailbox_pass(&shm, ROLE, head.ticket, head.ref.cell);
	mail_answer(&shm, head.ref);
	assert_int_equal(mailfix_free_cells(&shm), CELLS);
}

static void test_pass_again(void **state)
{
	struct mail_head head;
	(void)state;

	send_value(ROLE, 1);
	assert_int_equal(mailfix_take(&shm, READER, ROLE, &head), 1);
	mailbox_pass(&shm, ROLE, head.ticket, head.ref.cell);
	mail_answer(&shm, head.ref);
	/* The ring goes round several times; the cell comes to stand at the same place with another
	 * ticket. */
	for (uint64_t i = 0; i < 5 * shm.ring_entries; i++) {
		send_value(ROLE, i + 10);
		mailbox_pass(&shm, ROLE, head.ticket, head.ref.cell);
		send_value(ROLE, i + 11);
		mailbox_pass(&shm, ROLE, head.ticket, head.ref.cell);
		assert_int_equal(mailfix_serve(&shm, READER, ROLE), i + 10);
		assert_int_equal(mailfix_serve(&shm, READER, ROLE), i + 11);
	}
}

/* Who passed a message died between the entry and the head: the next look goes on from there. */
static void test_head_left_behind(void **state)
{
	struct mail_head head;
	(void)state;

	send_value(ROLE, 1);
	send_value(ROLE, 2);
	assert_int_equal(mailfix_take(&shm, READER, ROLE, &head), 1);
	mailbox_pass(&shm, ROLE, head.ticket, head.ref.cell);
	atom_store_relaxed(&shm_mailbox(&shm, ROLE)->head, head.ticket);
	assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 2);
}

static void peek_and_take(void *arg)
{
	struct mail_head head;
	(void)arg;

	points_arm_at(POINTS_STOP, "mail: head seen", 1);
	if (mailbox_peek(&shm, ROLE, &head) == 1)
		(void)mailbox_take(&shm, READER, &head);
}

/*
 * A reader was stopped between its look at the ring and its look at the cell, which by then is
 * another mailbox's message. It must not take that. Invariant 2: stopped at any instruction.
 */
static void test_stopped_reader(void **state)
{
	struct mail_head head;
	int status = 0;
	pid_t child;
	(void)state;

	send_value(ROLE, 1);
	child = spawn(peek_and_take, NULL);
	assert_int_equal(points_wait(child, &status), POINTS_STOPPED);
	assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 1);
	send_value(OTHER_ROLE, 2);
	points_continue(child);
	assert_int_equal(points_wait(child, &status), POINTS_ENDED);
	assert_int_equal(mailbox_peek(&shm, OTHER_ROLE, &head), 1);
	assert_int_equal(cell_unpack(head.word).state, CELL_PUBLISHED);
	assert_int_equal(cell_unpack(head.word).deliveries, 0);
}

/* Nor does it see an empty mailbox, where it could sleep, because the head that it looked at has
 * moved. */
static void peek_must_find(void *arg)
{
	struct mail_head head;
	(void)arg;

	points_arm_at(POINTS_STOP, "mail: head seen", 1);
	_exit(mailbox_peek(&shm, ROLE, &head) == 1 && mailfix_value(&shm, head.ref.cell) == 2 ? 0
											      : 1);
}

static void test_head_moves_under_reader(void **state)
{
	int status = -1;
	pid_t child;
	(void)state;

	send_value(ROLE, 1);
	child = spawn(peek_must_find, NULL);
	assert_int_equal(points_wait(child, &status), POINTS_STOPPED);
	assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 1);
	mailfix_cell(&shm, CALLER, 0, OTHER_ROLE, 0, 3); /* in the cell that it has looked at */
	send_value(ROLE, 2);
	points_continue(child);
	assert_int_equal(points_wait(child, &status), POINTS_ENDED);
	assert_int_equal(status, 0);
}

/* Invariant 3: a reader whose look is stale stores nothing into the cell. */
static void test_stale_take_stores_nothing(void **state)
{
	struct mail_head stale, head;
	(void)state;

	send_value(ROLE, 1);
	assert_int_equal(mailbox_peek(&shm, ROLE, &stale), 1);
	assert_int_equal(mailfix_serve(&shm, SUCCESSOR, ROLE), 1);
	send_value(OTHER_ROLE, 2);
	assert_int_equal(mailfix_take(&shm, SUCCESSOR, OTHER_ROLE, &head), 1);
	assert_int_equal(head.ref.cell, stale.ref.cell);
	assert_int_equal(mailbox_take(&shm, READER, &stale), HEIR_EAGAIN);
	assert_int_equal(atom_load_relaxed(&shm_cell(&shm, head.ref.cell)->holder), SUCCESSOR);
}

static void send_and_ring(void *arg)
{
	struct cell_ref ref = mailfix_cell(&shm, CALLER, 0, ROLE, 0, 5);

	points_arm(POINTS_DIE, *(int *)arg);
	(void)mailbox_publish(&shm, ROLE, ref);
	mailbox_ring(&shm, ROLE);
}

static bool dead(void *arg)
{
	(void)arg;
	return true;
}

/* A sender dies at each point: nobody waits for it, and its message is there entirely or not at
 * all. Invariant 2 */
static void test_sender_dies(void **state)
{
	int status = 0, deaths = 0, accepted = 0;
	enum points_end end = POINTS_DIED;
	(void)state;

	for (int n = 1; end != POINTS_ENDED; n++) {
		end = points_wait(spawn(send_and_ring, &n), &status);
		mail_bury(&shm, handle_make(CALLER, 1), dead, NULL);
		send_value(ROLE, 6);
		if (end == POINTS_ENDED || strcmp(points_label(), "mail: publishing") != 0) {
			assert_int_equal(mailfix_serve(&shm, READER, ROLE), 5);
			accepted++;
		}
		assert_int_equal(mailfix_serve(&shm, READER, ROLE), 6);
		assert_empty(ROLE);
		assert_int_equal(mailfix_free_cells(&shm), CELLS);
		deaths += end == POINTS_DIED;
	}
	print_message("a sender died at %d points, accepted %d times\n", deaths, accepted - 1);
	assert_true(deaths == 3 && accepted == 3);
}

struct stop {
	int n;
};

static void stopped_sender(void *arg)
{
	struct cell_ref ref = mailfix_cell(&shm, CALLER, 0, ROLE, 0, 5);

	points_arm(POINTS_STOP, ((struct stop *)arg)->n);
	(void)mailbox_publish(&shm, ROLE, ref);
	mailbox_ring(&shm, ROLE);
}

/* A sender stops at each point, the ring goes round, its cell is used anew; then it goes on: the
 * message came once. */
static void test_sender_stops(void **state)
{
	int status = 0;
	enum points_end end = POINTS_STOPPED;
	(void)state;

	for (struct stop s = {1}; end != POINTS_ENDED; s.n++) {
		pid_t child = spawn(stopped_sender, &s);
		bool accepted;

		end = points_wait(child, &status);
		accepted = end == POINTS_ENDED || strcmp(points_label(), "mail: publishing") != 0;
		assert_int_equal(mailfix_serve(&shm, READER, ROLE), accepted ? 5 : 0);
		for (uint64_t i = 0; i < 3 * shm.ring_entries; i++) {
			send_value(ROLE, i + 10);
			assert_int_equal(mailfix_serve(&shm, READER, ROLE), i + 10);
		}
		send_value(OTHER_ROLE, 3);
		if (end == POINTS_STOPPED) {
			points_continue(child);
			assert_int_equal(points_wait(child, &status), POINTS_ENDED);
		}
		assert_int_equal(mailfix_serve(&shm, READER, ROLE), accepted ? 0 : 5);
		assert_empty(ROLE);
		assert_int_equal(mailfix_serve(&shm, READER, OTHER_ROLE), 3);
		assert_int_equal(mailfix_free_cells(&shm), CELLS);
	}
}

static uint32_t random_word(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Invariant 11: whatever bytes stand in rings and cells, every call ends, within the segment. */
static void test_corrupt(void **state)
{
	uint32_t seed = 1;
	(void)state;

	for (unsigned round = 0; round < 20000; round++) {
		atom64 *ring = shm_ring(&shm, ROLE);
		struct mail_record record = {.outcome = MAIL_ANSWERED, .mailbox = ROLE};
		struct mail_head head;
		int rc;

		for (uint32_t i = 0; i < shm.ring_entries; i++) {
			uint32_t cell = random_word(&seed) % (round % 2 ? CELLS + 1 : 4000000);
			uint32_t ticket = round % 3
						  ? i + (random_word(&seed) % 3) * shm.ring_entries
						  : random_word(&seed);

			atom_store_relaxed(&ring[i], (uint64_t)ticket << 32 | cell);
		}
		for (uint32_t i = 1; i <= CELLS; i++)
			atom_store_relaxed(&shm_cell(&shm, i)->word,
					   (uint64_t)random_word(&seed) << 32 |
						   random_word(&seed) % 65536);
		atom_store_relaxed(&shm_mailbox(&shm, ROLE)->head,
				   random_word(&seed) % (round % 5 ? 40 : UINT32_MAX));
		atom_store_relaxed(&shm_mailbox(&shm, ROLE)->tail,
				   random_word(&seed) % (round % 5 ? 40 : UINT32_MAX));
		rc = mailbox_peek(&shm, ROLE, &head);
		assert_true(rc == 0 || rc == 1 || rc == HEIR_ECORRUPT);
		if (rc == 1) {
			(void)mailbox_take(&shm, READER, &head);
			record.ref = head.ref;
			record.ticket = head.ticket;
		}
		mailbox_settle(&shm, ROLE);
		rc = mailbox_publish(
			&shm, ROLE, (struct cell_ref){random_word(&seed) % 20, random_word(&seed)});
		assert_true(rc == 0 || rc == HEIR_ECORRUPT);
		record_redo(&shm, &record);
	}
	assert_int_equal(mailbox_publish(&shm, shm_mailbox_count(&shm), (struct cell_ref){1, 0}),
			 HEIR_ECORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_large_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_while_head_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tickets_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_published_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forward, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forward_and_late_redo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_up_in_hand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pass_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_left_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_moves_under_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_take_stores_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sender_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sender_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
