/* SPDX-License-Identifier: ISC */
/*
 * Workers without a leader: start, mail with state, takeover, failover, stopped owners, open owners, poison,
 * switch-back.
 */
#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/timeslice.h"
#include "proc/bury.h"
#include "proc/move.h"
#include "proc/recover.h"
#include "state/control.h"
#include "support/domain.h"
#include "support/points.h"

#define SECOND INT64_C(1000000000)

static char lose_move_arg[1], stop_before_arg[1]; /* of serve() */
static bool stops_before;			   /* it gives back */

/* The counter: "inc" adds one and answers it; "get" answers it. Other words make it misbehave. */
static int handle(heir_t *h, const struct heir_message *m, void *arg)
{
	uint64_t *n = heir_state(h, NULL);
	char text[64];
	(void)arg;

	if (m->direct && m->size == 5 && memcmp(m->data, "slice", 5) == 0) {
		snprintf(text, sizeof(text), "%lld", (long long)slice_get());
		return heir_reply(h, text, strlen(text));
	}
	if (m->direct) {
		snprintf(text, sizeof(text), "direct %s", heir_node(h));
		return heir_reply(h, text, strlen(text));
	}
	if (m->size == 3 && memcmp(m->data, "inc", 3) == 0) {
		heir_mark(h, n, sizeof(*n));
		(*n)++;
	} else if (m->size == 4 && memcmp(m->data, "fail", 4) == 0) {
		heir_mark(h, n, sizeof(*n));
		*n = 999;
		return -77;
	} else if (m->size == 3 && memcmp(m->data, "die", 3) == 0) {
		heir_mark(h, n, sizeof(*n));
		*n = 777;
		kill(getpid(), SIGKILL);
	} else if (m->size == 4 && memcmp(m->data, "stop", 4) == 0) {
		heir_mark(h, n, sizeof(*n));
		*n += 500;
		if (m->deliveries == 1)
			kill(getpid(), SIGSTOP);
	} else if (m->size == 4 && memcmp(m->data, "segv", 4) == 0) {
		raise(SIGSEGV);
	}
	snprintf(text, sizeof(text), "%llu %s", (unsigned long long)*n, heir_node(h));
	return heir_reply(h, text, strlen(text));
}

static int fail_phase(heir_t *h, const char *phase, const struct heir_start *start, void *arg)
{
	(void)arg;
	if (stops_before && start->type == HEIR_TAKEOVER)
		points_arm_at(POINTS_STOP, "recover: noting", 1);
	if (strcmp(phase, "go") == 0 && start->type == HEIR_TAKEOVER && strcmp(heir_node(h), "b") == 0)
		return -55;
	return 0;
}

/* It has been late, and another has gone on: in "first". What comes after is not done. */
static int lose_move(heir_t *h, const char *phase, const struct heir_start *start, void *arg)
{
	struct move_word other = {.slot = handle_slot(atom_load_seq(&h->shm.nodes[2].leader)), .until = INT64_MAX};
	(void)arg;

	if (start->type == HEIR_TAKEOVER && strcmp(phase, "first") == 0)
		atom_store_seq(&h->shm.apps[0].move, move_pack(other));
	return strcmp(phase, "second") == 0 && start->type == HEIR_TAKEOVER ? -56 : 0;
}

static int serve(void *arg)
{
	struct heir_worker w = {.size = sizeof(w), .version = 1, .handle = handle};
	int64_t own = slice_get();
	heir_t *h;
	int rc;

	stops_before = arg == stop_before_arg;
	if (arg)
		w.start_phase = arg == lose_move_arg ? lose_move : fail_phase;
	if (heir_worker_open(&w, NULL, &h))
		return 90;
	rc = heir_serve(h);
	heir_close(h);
	if (slice_get() != own)
		return 92;
	return rc ? 91 : 0;
}

static char *ask(heir_t *h, const char *what)
{
	static char reply[128];
	size_t size = sizeof(reply) - 1;
	int rc = heir_call(h, "app", what, strlen(what), reply, &size, 10 * SECOND);

	if (rc)
		snprintf(reply, sizeof(reply), "error %d", rc);
	else
		reply[size] = 0;
	return reply;
}

struct fixture {
	struct domain d;
	heir_t *h;
	pid_t a, b;
};

static void start_pair(struct fixture *f, const struct domain_options *o, void *arg)
{
	domain_init(&f->d, o);
	f->a = domain_fork(&f->d, "a", serve, arg);
	f->b = domain_fork(&f->d, "b", serve, arg);
	assert_int_equal(heir_open(f->d.name, 0, &f->h), 0);
	domain_wait_ready(&f->d, 0);
	domain_wait_ready(&f->d, 1);
	assert_int_equal(domain_start(&f->d, f->h, 0), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	start_pair(f, NULL, NULL);
	return 0;
}

static int setup_fail(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	start_pair(f, NULL, (void *)1);
	return 0;
}

static int setup_stop_before(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	start_pair(f, NULL, stop_before_arg);
	return 0;
}

static int setup_lose(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	start_pair(f, &(struct domain_options){.steps = {"start", "first", "second", "switch", "go"}}, lose_move_arg);
	return 0;
}

static int setup_exclusive(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	start_pair(f, &(struct domain_options){.steps = {"stop_old", "start", "switch", "go"}}, NULL);
	shm_app(&f->d.shm, 0)->flags |= APP_EXCLUSIVE;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	heir_close(f->h);
	domain_finish(&f->d);
	free(f);
	return 0;
}

static void test_serves(void **state)
{
	struct fixture *f = *state;

	for (int i = 1; i <= 200; i++) {
		char expect[32];

		snprintf(expect, sizeof(expect), "%d a", i);
		assert_string_equal(ask(f->h, "inc"), expect);
	}
	assert_string_equal(ask(f->h, "fail"), "error -77");
	assert_string_equal(ask(f->h, "get"), "200 a");
}

static void test_takeover(void **state)
{
	struct fixture *f = *state;
	struct heir_move m;
	char reply[64];
	size_t size = sizeof(reply);

	assert_string_equal(ask(f->h, "inc"), "1 a");
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 5 * SECOND, &m), 0);
	assert_int_equal(m.result, HEIR_DONE);
	assert_int_equal(m.kind, HEIR_TAKEOVER);
	assert_string_equal(m.from, "a");
	assert_string_equal(m.to, "b");
	assert_true(m.steps >= 4);
	assert_string_equal(ask(f->h, "inc"), "2 b");
	assert_int_equal(heir_call(f->h, "app@a", "x", 1, reply, &size, SECOND), 0);
	assert_memory_equal(reply, "direct a", size);
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 5 * SECOND, &m), HEIR_EALREADY);
	assert_int_equal(heir_takeover(f->h, "app", "c", 0, 5 * SECOND, &m), HEIR_ETIMEDOUT);
}

static void await_slice(struct fixture *f, const char *name, long long expected)
{
	int64_t until = deadline_after(20 * SECOND);
	long long slice;

	do {
		char reply[64] = "";
		size_t size = sizeof(reply) - 1;

		assert_int_equal(heir_call(f->h, name, "slice", 5, reply, &size, 5 * SECOND), 0);
		slice = atoll(reply);
	} while (slice != expected && !deadline_passed(until));
	assert_int_equal(slice, expected);
}

/* Whoever stands by goes before whoever owns, as callers do; also before the one that stood by itself before. */
static void test_slices(void **state)
{
	struct fixture *f = *state;
	int64_t own = slice_get();
	struct heir_move m;

	if (own == 0)
		skip(); /* a kernel before 6.12 */
	await_slice(f, "app@a", SLICE_OWNER * own); /* a moment later, when it has told everybody */
	await_slice(f, "app@b", own);
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 5 * SECOND, &m), 0);
	await_slice(f, "app@b", SLICE_OWNER * own);
}

/* serve() has seen to it: a process that opens its worker again does not have it doubled. */
static void test_slice_given_back(void **state)
{
	struct fixture *f = *state;
	struct request r = {.op = REQ_STOP};
	struct heir_ticket ticket;

	await_slice(f, "app@a", SLICE_OWNER * slice_get());
	assert_int_equal(lib_request(f->h, atom_load_seq(&f->d.shm.roles[0].candidate[0]), &r, &ticket), 0);
	assert_int_equal(domain_wait(&f->d, f->a), 0);
}

static void test_failover(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(ask(f->h, "inc"), "1 a");
	kill(f->a, SIGKILL);
	assert_string_equal(ask(f->h, "inc"), "2 b");
	assert_string_equal(ask(f->h, "inc"), "3 b");
}

static atom32 *doorbell(struct fixture *f, int node)
{
	uint64_t handle = atom_load_seq(&f->d.shm.roles[0].candidate[node]);

	return &shm_slot(&f->d.shm, handle_slot(handle))->doorbell;
}

static char served_by(struct fixture *f)
{
	const char *reply = ask(f->h, "inc");

	return reply[strlen(reply) - 1];
}

/* Four calls in a row by which that doorbell is left alone: what else is rung there, of a move, ends some time. */
static bool is_left_alone(struct fixture *f, int node, char owner)
{
	int64_t until = deadline_after(20 * SECOND);

	while (!deadline_passed(until)) {
		uint32_t before = atom_load_seq(doorbell(f, node));

		for (int i = 0; i < 4; i++)
			assert_int_equal(served_by(f), owner);
		if (atom_load_seq(doorbell(f, node)) == before)
			return true;
	}
	return false;
}

/* Mail rings its reader: not a standby, and not who was the owner until a moment ago. */
static void test_who_is_rung(void **state)
{
	struct fixture *f = *state;
	struct heir_move m;
	uint32_t before;

	assert_true(is_left_alone(f, 1, 'a'));
	before = atom_load_seq(doorbell(f, 0));
	assert_int_equal(served_by(f), 'a');
	assert_true(atom_load_seq(doorbell(f, 0)) != before);
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 20 * SECOND, &m), 0);
	assert_true(is_left_alone(f, 0, 'b'));
}

static bool comes_to(atom32 *ready, enum worker_state state)
{
	int64_t until = deadline_after(20 * SECOND);

	while (atom_load_seq(ready) != state && !deadline_passed(until))
		sched_yield();
	return atom_load_seq(ready) == state;
}

/* Given back by one that was stopped before it could ring: the old owner looks by itself. Invariant 6 */
static void test_given_back_quietly(void **state)
{
	struct fixture *f = *state;
	atom64 *word = &f->d.shm.apps[0].control;
	uint32_t a = control_unpack(atom_load_seq(word)).owner, c = handle_slot(f->d.leader[2]);
	atom32 *ready = &shm_slot(&f->d.shm, a)->ready;
	uint64_t old, now;

	assert_true(comes_to(ready, WORKER_SERVING));
	assert_int_equal(control_apply(word, &old, &now, control_switch, c), 0);
	app_wake(&f->d.shm, 0);
	assert_true(comes_to(ready, WORKER_LOST));
	assert_int_equal(control_apply(word, &old, &now, control_switch_back, c, a), 0);
	assert_true(comes_to(ready, WORKER_SERVING));
	assert_int_equal(served_by(f), 'a');
}

static int ask_in_vain(void *arg)
{
	const struct fixture *f = arg;
	struct heir_move m;
	heir_t *h;

	if (heir_open(f->d.name, 0, &h) || heir_takeover(h, "app", "b", 0, 20 * SECOND, &m) != HEIR_EFAILED)
		return 1;
	heir_close(h);
	return m.result != HEIR_SWITCHED_BACK;
}

/* And it knows by then that there is something to look for, whenever its successor is stopped. Invariant 6 */
static void test_told_before_given_back(void **state)
{
	struct fixture *f = *state;
	uint32_t a = control_unpack(atom_load_seq(&f->d.shm.apps[0].control)).owner;
	int64_t said = deadline_after(SECOND / 500);
	pid_t caller;
	int status;

	do { /* until it has nothing to look for by itself */
		assert_int_equal(served_by(f), 'a');
	} while (!deadline_passed(said) || !atom_load_seq(&shm_slot(&f->d.shm, a)->asleep));
	caller = domain_fork(&f->d, NULL, ask_in_vain, f);
	assert_int_equal(points_wait(f->b, &status), POINTS_STOPPED);
	assert_true(comes_to(&shm_slot(&f->d.shm, a)->ready, WORKER_LOST));
	points_continue(f->b);
	assert_int_equal(domain_wait(&f->d, caller), 0);
	assert_int_equal(served_by(f), 'a');
}

static int ask_for_takeover(void *arg)
{
	const struct fixture *f = arg;
	struct heir_move m;
	heir_t *h;

	if (heir_open(f->d.name, 0, &h) || heir_takeover(h, "app", "b", 0, 20 * SECOND, &m))
		return 1;
	heir_close(h);
	return m.result != HEIR_DONE;
}

/* A target that dies before it has taken the request: the next one is asked. */
static void test_target_dies_unasked(void **state)
{
	struct fixture *f = *state;
	uint64_t target = atom_load_acquire(&shm_role(&f->d.shm, 0)->candidate[1]);
	struct shm_mailbox *box = shm_mailbox(&f->d.shm, shm_slot_mailbox(&f->d.shm, handle_slot(target)));
	uint64_t before;
	int64_t until = deadline_after(20 * SECOND);
	pid_t caller;

	kill(f->b, SIGSTOP);
	waitpid(f->b, NULL, WUNTRACED);
	before = atom_load_seq(&box->tail);
	caller = domain_fork(&f->d, NULL, ask_for_takeover, f);
	while (atom_load_seq(&box->tail) == before && !deadline_passed(until))
		sched_yield();
	domain_kill(&f->d, f->b);
	f->b = domain_fork(&f->d, "b", serve, NULL);
	domain_wait_ready(&f->d, 1);
	assert_int_equal(bury(&f->d.shm, handle_slot(f->d.leader[0]), target), 1);
	assert_int_equal(domain_wait(&f->d, caller), 0);
	assert_string_equal(ask(f->h, "inc"), "1 b");
}

static void test_stopped_at_rest(void **state)
{
	struct fixture *f = *state;
	struct heir_move m;

	assert_string_equal(ask(f->h, "inc"), "1 a");
	kill(f->a, SIGSTOP);
	waitpid(f->a, NULL, WUNTRACED);
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 5 * SECOND, &m), 0);
	assert_int_equal(m.result, HEIR_DONE);
	assert_string_equal(ask(f->h, "inc"), "2 b");
	kill(f->a, SIGCONT);
	assert_string_equal(ask(f->h, "inc"), "3 b");
	assert_string_equal(ask(f->h, "get"), "3 b");
}

static void test_stopped_open(void **state)
{
	struct fixture *f = *state;
	struct heir_ticket t;
	struct heir_move m;
	char reply[64];
	size_t size = sizeof(reply);

	assert_string_equal(ask(f->h, "inc"), "1 a");
	assert_int_equal(heir_call_start(f->h, "app", "stop", 4, &t), 0);
	waitpid(f->a, NULL, WUNTRACED);
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 5 * SECOND, &m), 0);
	assert_int_equal(m.result, HEIR_FORCED);
	/* What a had done was undone; the message was delivered again, to b. */
	assert_int_equal(heir_call_finish(f->h, t, reply, &size, 5 * SECOND), 0);
	assert_memory_equal(reply, "501 b", 5);
	assert_string_equal(ask(f->h, "inc"), "502 b");
}

static void test_poison(void **state)
{
	struct fixture *f = *state;
	struct heir_ticket t;
	size_t size = 0;

	assert_string_equal(ask(f->h, "inc"), "1 a");
	assert_int_equal(heir_call_start(f->h, "app", "die", 3, &t), 0);
	domain_wait(&f->d, f->a);
	domain_wait(&f->d, f->b);
	f->a = domain_fork(&f->d, "a", serve, NULL);
	domain_wait(&f->d, f->a);
	f->b = domain_fork(&f->d, "b", serve, NULL);
	assert_int_equal(heir_call_finish(f->h, t, NULL, &size, 10 * SECOND), HEIR_EPOISON);
	assert_string_equal(ask(f->h, "inc"), "2 b");
}

static void test_fatal_signal(void **state)
{
	struct fixture *f = *state;
	struct heir_ticket t;

	assert_string_equal(ask(f->h, "inc"), "1 a");
	assert_int_equal(heir_call_start(f->h, "app", "segv", 4, &t), 0);
	assert_true(WIFSIGNALED(domain_wait(&f->d, f->a)));
	assert_true(WIFSIGNALED(domain_wait(&f->d, f->b)));
	lib_forget(f->h, t); /* it was taken: it is delivered once more all the same */
	f->a = domain_fork(&f->d, "a", serve, NULL);
	assert_true(WIFSIGNALED(domain_wait(&f->d, f->a)));
	f->a = domain_fork(&f->d, "a", serve, NULL);
	assert_string_equal(ask(f->h, "inc"), "2 a");
}

static void test_switch_back(void **state)
{
	struct fixture *f = *state;
	struct heir_move m;

	assert_string_equal(ask(f->h, "inc"), "1 a");
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 5 * SECOND, &m), HEIR_EFAILED);
	assert_int_equal(m.result, HEIR_SWITCHED_BACK);
	assert_int_equal(m.error, -55);
	assert_string_equal(m.failed_step, "go");
	assert_string_equal(ask(f->h, "inc"), "2 a");
}

/* A driver that is not in the move word any more gives up before the switch, and leaves that word alone. */
static void test_lost_move(void **state)
{
	struct fixture *f = *state;
	struct heir_move m;

	assert_string_equal(ask(f->h, "inc"), "1 a");
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 5 * SECOND, &m), HEIR_EFAILED);
	assert_int_equal(m.result, HEIR_ABORTED);
	assert_int_equal(m.error, HEIR_EBUSY);
	assert_string_equal(m.failed_step, "second");
	assert_string_equal(ask(f->h, "inc"), "2 a");
	assert_int_equal(move_unpack(atom_load_seq(&f->d.shm.apps[0].move)).slot, handle_slot(f->d.leader[2]));
}

/* Held, it serves until it is told to stop: its leader may be stopped before it does. */
static void test_serves_held(void **state)
{
	struct fixture *f = *state;
	uint64_t old, now = 0;

	assert_string_equal(ask(f->h, "inc"), "1 a");
	assert_int_equal(control_apply(&f->d.shm.apps[0].control, &old, &now, control_hold,
				       control_unpack(atom_load_seq(&f->d.shm.apps[0].control)).owner),
			 0);
	control_wake_generation(&f->d.shm.apps[0].control);
	for (int i = 2; i <= 50; i++) {
		char expect[32];

		snprintf(expect, sizeof(expect), "%d a", i);
		assert_string_equal(ask(f->h, "inc"), expect);
	}
	assert_int_equal(control_unpack(now).phase, PHASE_HELD);
}

/* As the old owner's leader: holds, ends the instance, says that it is gone. */
static void stop_old(struct fixture *f, heir_t *leader)
{
	struct shm_app *app = shm_app(&f->d.shm, 0);
	int64_t until = deadline_after(20 * SECOND);
	struct request r = {0};
	struct reply done = {0};
	uint64_t old, now;

	while (lib_receive(leader, &r) != 1)
		assert_false(deadline_passed(until));
	assert_int_equal(r.op, REQ_STOP_INSTANCE);
	assert_int_equal(control_apply(&app->control, &old, &now, control_hold,
				       control_unpack(atom_load_seq(&app->control)).owner), 0);
	domain_kill(&f->d, f->a);
	lib_answer(leader, 0, &done, sizeof(done));
}

/*
 * Exclusive: a target that was late in start() stands there still, as the one that took its place has died before it
 * ended it. The third one does so before it starts.
 */
static void test_late_target_is_ended(void **state)
{
	struct fixture *f = *state;
	pid_t c = domain_fork(&f->d, "c", serve, NULL), caller;
	heir_t *leader;

	domain_wait_ready(&f->d, 2);
	kill(c, SIGSTOP);
	waitpid(c, NULL, WUNTRACED);
	atom_store_seq(&shm_slot(&f->d.shm, handle_slot(shm_role(&f->d.shm, 0)->candidate[2]))->ready, WORKER_STARTING);
	assert_int_equal(lib_open(f->d.name, (struct slot_place){KIND_LEADER, 0, -1, -1}, &leader), 0);
	atom_store_seq(&f->d.shm.nodes[0].leader, leader->self);
	caller = domain_fork(&f->d, NULL, ask_for_takeover, f);
	stop_old(f, leader);
	assert_int_equal(domain_wait(&f->d, caller), 0);
	assert_int_equal(kill(c, SIGCONT), 0); /* not reaped yet */
	assert_int_equal(WTERMSIG(domain_wait(&f->d, c)), SIGKILL);
	assert_string_equal(ask(f->h, "inc"), "1 b");
	heir_close(leader);
}

static void test_many_moves(void **state)
{
	struct fixture *f = *state;
	struct heir_move m;

	for (int i = 1; i <= 100; i++) {
		char expect[32];

		snprintf(expect, sizeof(expect), "%d %s", i, i % 2 ? "a" : "b");
		assert_string_equal(ask(f->h, "inc"), expect);
		/*
		 * the old instance stays (there is no leader to stop it), so it cannot be the target again:
		 * restart it
		 */
		pid_t *old = i % 2 ? &f->a : &f->b;

		assert_int_equal(heir_takeover(f->h, "app", i % 2 ? "b" : "a", 0, 5 * SECOND, &m), 0);
		domain_kill(&f->d, *old);
		f->d.children--;
		*old = domain_fork(&f->d, i % 2 ? "a" : "b", serve, NULL);
		if (f->d.children > 20) {
			memmove(f->d.child, f->d.child + f->d.children - 2, 2 * sizeof(pid_t));
			f->d.children = 2;
		}
		domain_wait_ready(&f->d, i % 2 ? 0 : 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_serves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_takeover, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slice_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failover, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_is_rung, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_back_quietly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_before_given_back, setup_stop_before, teardown),
		cmocka_unit_test_setup_teardown(test_target_dies_unasked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_at_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_poison, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fatal_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switch_back, setup_fail, teardown),
		cmocka_unit_test_setup_teardown(test_lost_move, setup_lose, teardown),
		cmocka_unit_test_setup_teardown(test_late_target_is_ended, setup_exclusive, teardown),
		cmocka_unit_test_setup_teardown(test_serves_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_moves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
