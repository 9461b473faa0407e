/* SPDX-License-Identifier: ISC */
/*
 * Deaths and stops at every point of a transaction, and of the recovery from it. Each time what was
 * called is done once.
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
#include "base/futex.h"
#include "lib/txn.h"
#include "name/names.h"
#include "proc/bury.h"
#include "proc/txnfix.h"
#include "support/owner.h"
#include "support/points.h"

struct owner {
	int node;
	enum points_how how;
	int n;
};

/*
 * The story that is told at every point: node a has served one call; while it serves the second it
 * dies, or stops. Node b recovers, and dies as well, or stops; node c goes on. Both calls are
 * answered, counted and sent on once.
 */
static int serve_second(void *arg)
{
	const struct owner *o = arg;
	struct acquired got;
	heir_t *h = owner_open(d.name, 0);

	MUST(owner_acquire(h, ACQUIRE_CLAIM, &got) == 0);
	owner_serve(h);
	MUST(serve_one(h) == 1);
	points_arm(o->how, o->n);
	(void)serve_one(h);
	return 0;
}

/* Claims from a, serves what there is. It may be told anything, as it may be stale by then. */
static int take_over(void *arg)
{
	const struct owner *o = arg;
	struct acquired got;
	heir_t *h = owner_open(d.name, o->node);
	uint64_t old, now;

	points_arm(o->how, o->n);
	if (owner_acquire(h, ACQUIRE_CLAIM, &got) == 0 &&
	    control_apply(&h->shm.apps[0].control, &old, &now, control_serve, h->slot) == 0)
		while (serve_one(h) == 1)
			;
	return 0;
}

struct tale {
	heir_t *client;
	struct heir_ticket first, second;
	const char *died; /* where a did */
	char where[64];
};

static void begin_tale(struct tale *t)
{
	begin_domain();
	t->client = open_client();
	assert_int_equal(heir_call_start(t->client, "app", "inc", 3, &t->first), 0);
	assert_int_equal(heir_call_start(t->client, "app", "inc", 3, &t->second), 0);
}

static unsigned count_free(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < d.shm.limits.cells; i++)
		n += cell_unpack(atom_load_acquire(&shm_cell(&d.shm, i)->word)).state == CELL_FREE;
	return n;
}

static void read_box(uint64_t expected)
{
	struct mail_head head;
	uint64_t n;

	assert_int_equal(mailbox_peek(&d.shm, BOX, &head), 1);
	assert_int_equal(mailbox_take(&d.shm, handle_slot(d.leader[0]), &head), 0);
	memcpy(&n, shm_cell_data(shm_cell(&d.shm, head.ref.cell)) + 3, sizeof(n));
	assert_int_equal(n, expected);
	mailbox_pass(&d.shm, BOX, head.ticket, head.ref.cell);
	mail_answer(&d.shm, head.ref);
}

/* c takes over, and serves what is left. */
static void end_tale(struct tale *t, pid_t stale)
{
	heir_t *c = owner_open(d.name, 2);
	struct mail_head head;
	struct acquired got;
	int status;

	assert_int_equal(owner_acquire(c, ACQUIRE_SWITCH, &got), 0);
	owner_serve(c);
	while (serve_one(c) == 1)
		;
	assert_int_equal(*counter(c), 2);
	if (stale) {
		/* It goes on, in the middle of a transaction of its successor's. */
		open_dirty(c);
		points_continue(stale);
		(void)points_wait(stale, &status);
		assert_int_equal(*counter(c), 99);
		assert_int_equal(heir_abort(c), 0);
	}
	assert_int_equal(*counter(c), 2); /* Invariant 5 */
	assert_int_equal(finish_call(t->client, t->first), 1);
	assert_int_equal(finish_call(t->client, t->second), 2);
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	read_box(1);
	read_box(2);
	assert_int_equal(mailbox_peek(&d.shm, BOX, &head), 0);
	assert_int_equal(mailbox_peek(&d.shm, 0, &head), 0);
	assert_int_equal(count_free(), CELLS);
	heir_close(c);
	heir_close(t->client);
	end_domain();
}

/* Does b find work to do? Then it dies at each of its points too. */
static void test_deaths(void **state)
{
	struct owner a = {.how = POINTS_DIE, .n = 1};
	enum points_end served = POINTS_DIED;
	int status = 0, deaths = 0, nested = 0;
	(void)state;

	end_domain();
	for (; served != POINTS_ENDED; a.n++) {
		struct owner b = {.node = 1, .how = POINTS_DIE, .n = 1};
		enum points_end recovered = POINTS_DIED;

		for (; recovered != POINTS_ENDED; b.n++) {
			struct tale t = {0};

			begin_tale(&t);
			served = points_wait(domain_fork(&d, NULL, serve_second, &a), &status);
			assert_int_equal(status, 0);
			recovered = points_wait(domain_fork(&d, NULL, take_over, &b), &status);
			assert_int_equal(status, 0);
			end_tale(&t, 0);
			nested += recovered == POINTS_DIED;
		}
		deaths += served == POINTS_DIED;
	}
	print_message("the owner died at %d points, who recovered from it %d times\n", deaths,
		      nested);
	assert_true(deaths >= 15 && nested >= 200);
}

/* a stops at each point; c takes over, by force if it must; a goes on while c works. */
static void test_stopped_owner(void **state)
{
	struct owner a = {.how = POINTS_STOP, .n = 1};
	enum points_end served = POINTS_STOPPED;
	int status = 0;
	(void)state;

	end_domain();
	for (; served != POINTS_ENDED; a.n++) {
		struct tale t = {0};
		pid_t child;

		begin_tale(&t);
		child = domain_fork(&d, NULL, serve_second, &a);
		served = points_wait(child, &status);
		assert_int_equal(status, 0);
		end_tale(&t, served == POINTS_STOPPED ? child : 0);
	}
	assert_true(a.n >= 15);
}

/* a dies in its worst moment, b stops at each point of the recovery, c recovers from both, b goes
 * on while c works. */
static void recover_from_stopped(const char *where)
{
	struct owner b = {.node = 1, .how = POINTS_STOP, .n = 1};
	enum points_end recovered = POINTS_STOPPED;
	int status = 0;

	for (; recovered != POINTS_ENDED; b.n++) {
		struct owner a = {.how = POINTS_DIE, .n = 1};
		struct tale t = {0};
		pid_t child;

		for (;; a.n++) {
			begin_tale(&t);
			assert_int_equal(
				points_wait(domain_fork(&d, NULL, serve_second, &a), &status),
				POINTS_DIED);
			if (strcmp(points_label(), where) == 0)
				break;
			heir_close(t.client);
			end_domain();
		}
		child = domain_fork(&d, NULL, take_over, &b);
		recovered = points_wait(child, &status);
		assert_int_equal(status, 0);
		end_tale(&t, recovered == POINTS_STOPPED ? child : 0);
	}
	assert_true(b.n >= 10);
}

static void test_stopped_recoverer(void **state)
{
	(void)state;
	end_domain();
	recover_from_stopped("state: marked");
	recover_from_stopped("txn: closed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deaths, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_stopped_owner, txnfix_setup, txnfix_teardown),
		cmocka_unit_test_setup_teardown(test_stopped_recoverer, txnfix_setup,
						txnfix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
