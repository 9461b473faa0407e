/* SPDX-License-Identifier: ISC */
/* An instance of two children: whom a move asks, and who begins by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "lib/worker.h"
#include "name/names.h"
#include "support/domain.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

struct fixture {
	struct domain d;
	heir_t *h;
	pid_t lead[2], other[2];
};

static int answer_node(heir_t *h, const struct heir_message *m, void *arg)
{
	(void)m, (void)arg;
	return heir_reply(h, heir_node(h), strlen(heir_node(h)));
}

static int begin(heir_t *h, const struct heir_start *start, void *arg)
{
	(void)h, (void)start, (void)arg;
	return 0;
}

static int serve(void *arg)
{
	const struct heir_worker *worker = arg;
	heir_t *h;
	int rc = heir_worker_open(worker, NULL, &h);

	if (rc == 0)
		rc = heir_serve(h);
	return rc != 0;
}

static void await_standby(struct fixture *f, unsigned role, unsigned node)
{
	int64_t until = deadline_after(20 * SECOND);
	atom64 *cell = &f->d.shm.roles[role].candidate[node];
	uint64_t child;

	while (!(child = atom_load_seq(cell)) ||
	       atom_load_seq(&shm_slot(&f->d.shm, handle_slot(child))->ready) != WORKER_STANDBY)
		assert_false(deadline_passed(until));
}

static pid_t start_child(struct fixture *f, const char *id, unsigned role, unsigned node, struct heir_worker *worker)
{
	pid_t pid;

	setenv("HEIR_CHILD", id, 1);
	pid = domain_fork(&f->d, node ? "b" : "a", serve, worker);
	unsetenv("HEIR_CHILD");
	await_standby(f, role, node);
	return pid;
}

static int start_pair(void **state, bool has_start)
{
	struct heir_worker lead = {.size = sizeof(lead), .version = 1, .handle = answer_node}, other = lead;
	struct domain_options o = {.roles = 2, .step_timeout = SECOND};
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	other.start = has_start ? begin : NULL;
	domain_init(&f->d, &o);
	assert_int_equal(names_register(&f->d.shm, handle_slot(f->d.leader[0]), "other", 5, name_binding_role(0, 1),
					NULL, NULL),
			 0);
	for (unsigned node = 0; node < 2; node++) {
		f->lead[node] = start_child(f, "server", 0, node, &lead);
		f->other[node] = start_child(f, "role1", 1, node, &other);
	}
	assert_int_equal(heir_open(f->d.name, 0, &f->h), 0);
	return domain_start(&f->d, f->h, 0);
}

static int setup(void **state)
{
	return start_pair(state, false);
}

static int setup_with_start(void **state)
{
	return start_pair(state, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	heir_close(f->h);
	domain_finish(&f->d);
	free(f);
	return 0;
}

static int answer_of(struct fixture *f, const char *name, int64_t timeout)
{
	char reply[8] = "";
	size_t size = sizeof(reply) - 1;
	int rc = heir_call(f->h, name, "", 0, reply, &size, timeout);

	return rc ? rc : reply[0];
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

/* DESIGN 2: no third process is on the path of a failover that has nothing to do in it. */
static void test_failover_asks_nobody(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(answer_of(f, "other", 20 * SECOND), 'a');
	stop(f->other[1]);
	kill(f->lead[0], SIGKILL);
	assert_int_equal(answer_of(f, "app", 20 * SECOND), 'b');
	kill(f->other[1], SIGCONT);
	assert_int_equal(answer_of(f, "other", 20 * SECOND), 'b');
}

static void test_failover_asks_who_has_start(void **state)
{
	struct fixture *f = *state;

	stop(f->other[1]);
	kill(f->lead[0], SIGKILL);
	assert_int_equal(answer_of(f, "app", 200 * MS), HEIR_ETIMEDOUT);
	kill(f->other[1], SIGCONT);
	assert_int_equal(answer_of(f, "app", 20 * SECOND), 'b');
	assert_int_equal(answer_of(f, "other", 20 * SECOND), 'b');
}

/* One of an older library says nothing, in a slot where another said that it need not be asked. */
static void test_what_another_said(void **state)
{
	struct fixture *f = *state;
	uint64_t child = atom_load_seq(&f->d.shm.roles[1].candidate[1]);
	uint64_t before = handle_make(handle_slot(child), handle_incarnation(child) - 1);
	atom32 *word = &shm_slot(&f->d.shm, handle_slot(child))->unasked;

	assert_int_equal(atom_load_seq(word), unasked_word(child, UNASKED_START | UNASKED_PHASES));
	atom_store_seq(word, unasked_word(before, UNASKED_START | UNASKED_PHASES));
	test_failover_asks_who_has_start(state);
}

/* What is held is about to be stopped, or its lead started anew: nobody begins beside it who is not asked. */
static void test_nobody_begins_when_held(void **state)
{
	struct heir_worker other = {.size = sizeof(other), .version = 1, .handle = answer_node};
	struct fixture *f = *state;
	atom64 *word = &f->d.shm.apps[0].control;
	uint64_t old, now;

	assert_int_equal(control_apply(word, &old, &now, control_hold, control_unpack(atom_load_seq(word)).owner), 0);
	domain_kill(&f->d, f->other[0]);
	(void)start_child(f, "role1", 1, 0, &other);
	assert_int_equal(answer_of(f, "other", 200 * MS), HEIR_ETIMEDOUT);
}

/* A planned move is not made to an instance of which one is stopped, whatever it has to do in it. */
static void test_takeover_asks_all(void **state)
{
	struct fixture *f = *state;
	struct heir_move m = {0};

	stop(f->other[1]);
	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 20 * SECOND, &m), HEIR_EFAILED);
	assert_int_equal(m.result, HEIR_ABORTED);
	assert_string_equal(m.failed_step, "start");
	assert_int_equal(answer_of(f, "app", 20 * SECOND), 'a');
	assert_int_equal(answer_of(f, "other", 20 * SECOND), 'a');
}

static void test_takeover(void **state)
{
	struct fixture *f = *state;
	struct heir_move m = {0};

	assert_int_equal(heir_takeover(f->h, "app", "b", 0, 20 * SECOND, &m), 0);
	assert_int_equal(answer_of(f, "app", 20 * SECOND), 'b');
	assert_int_equal(answer_of(f, "other", 20 * SECOND), 'b');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failover_asks_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failover_asks_who_has_start, setup_with_start, teardown),
		cmocka_unit_test_setup_teardown(test_what_another_said, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_begins_when_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_takeover_asks_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_takeover, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
