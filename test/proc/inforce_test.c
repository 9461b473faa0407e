/* SPDX-License-Identifier: ISC */
/*
 * Two areas and one root word: the filler dies or stops at each point, two of them meet, readers read meanwhile.
 * Every value of a configuration is the same number here, so a mixture shows.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testpoint.h"
#include "proc/inforce.h"
#include "proc/slotfix.h"
#include "support/owner.h"
#include "support/points.h"

#define RELOADS 20000u

static struct shm_app *app(void)
{
	return &d.shm.apps[0];
}

static void fill(struct shm_app *a, unsigned area, uint64_t value)
{
	struct shm_policy *p = &a->policy[area];

	atom_store_relaxed(&p->step_timeout, value);
	atom_store_relaxed(&p->yield_timeout, value);
	atom_store_relaxed(&p->claim_grace, value);
	atom_store_relaxed(&p->failover_timeout, value);
	TESTPOINT("test: filling");
	atom_store_relaxed(&p->failover_period, value);
	atom_store_relaxed(&p->stop_timeout, value);
	atom_store_relaxed(&p->failover_intensity, value);
	atom_store_relaxed(&p->max_deliveries, value);
	atom_store_relaxed(&p->flags, value);
	for (unsigned i = 0; i < SHM_NODES_MAX / 8; i++)
		atom_store_relaxed(&p->priorities[i], value % 100 * UINT64_C(0x0101010101010101));
}

/* The number that all of it is, or -1. */
static int64_t number_of(const struct policy *p)
{
	int64_t n = p->step_timeout;
	bool same = p->yield_timeout == n && p->claim_grace == n && p->failover_timeout == n &&
		    p->failover_period == n && p->stop_timeout == n && p->failover_intensity == n &&
		    p->max_deliveries == n && p->flags == n;

	for (unsigned i = 0; i < SHM_NODES_MAX; i++)
		same = same && p->priority[i] == n % 100;
	return same ? n : -1;
}

static int64_t seen(void)
{
	struct policy p = policy_of(&d.shm, app());

	return number_of(&p);
}

static int setup(void **state)
{
	slotfix_setup(state);
	fill(app(), 0, 1);
	return 0;
}

static void put(uint64_t me, uint64_t value)
{
	uint64_t other = 0;
	unsigned area = 2;

	assert_int_equal(inforce_claim(&d.shm, me, &area, &other), 0);
	assert_int_equal(area, !in_force_area(in_force_load(&d.shm)));
	fill(app(), area, value);
	assert_int_equal(inforce_publish(&d.shm, me), 0);
	assert_int_equal(seen(), value);
}

static void test_in_turns(void **state)
{
	uint64_t a = d.leader[0], b = d.leader[1], other = 77;
	unsigned area = 9;

	(void)state;
	assert_int_equal(seen(), 1);
	put(a, 2);
	put(b, 3);
	assert_int_equal(in_force_generation(in_force_load(&d.shm)), 2);
	assert_int_equal(inforce_publish(&d.shm, a), HEIR_ESTALE);
	assert_int_equal(inforce_claim(&d.shm, a, &area, &other), 0);
	assert_int_equal(area, 1);
	fill(app(), area, 4);
	assert_int_equal(seen(), 3);
	area = 9;
	assert_int_equal(inforce_claim(&d.shm, b, &area, &other), HEIR_EBUSY);
	assert_true(other == a);
	assert_int_equal(area, 9);
	assert_int_equal(inforce_publish(&d.shm, b), HEIR_ESTALE);
	inforce_abandon(&d.shm, b);
	assert_int_equal(inforce_claim(&d.shm, b, &area, &other), HEIR_EBUSY);
	assert_int_equal(inforce_claim(&d.shm, a, &area, &other), 0); /* its own again */
	inforce_abandon(&d.shm, a);
	assert_int_equal(inforce_publish(&d.shm, a), HEIR_ESTALE);
	assert_int_equal(seen(), 3);
	put(b, 5);
}

static void test_near_the_end(void **state)
{
	uint64_t other = 0;
	unsigned area = 9;

	(void)state;
	fill(app(), 1, 1);
	atom_store_relaxed(&d.shm.head->in_force, (uint64_t)(UINT32_MAX - 1) << 32);
	put(d.leader[0], 2);
	assert_int_equal(inforce_claim(&d.shm, d.leader[0], &area, &other), HEIR_EGENERATION);
	assert_int_equal(area, 9);
}

/* Invariant 11 */
static void test_bytes_are_input(void **state)
{
	struct policy p;

	(void)state;
	fill(app(), 0, UINT64_MAX);
	p = policy_of(&d.shm, app());
	assert_true(p.step_timeout == POLICY_TIME_MOST && p.yield_timeout == POLICY_TIME_MOST &&
		    p.claim_grace == POLICY_TIME_MOST && p.failover_period == POLICY_TIME_MOST &&
		    p.stop_timeout == POLICY_TIME_MOST);
	assert_true(p.failover_timeout == -1);
	assert_true(p.max_deliveries == UINT32_MAX && p.failover_intensity == UINT32_MAX);
	/* A filler that there cannot be: out of range, nobody's slot, a slot of another incarnation. */
	for (uint32_t slot = 0; slot < SHM_SLOTS_MAX; slot++) {
		atom_store_relaxed(&d.shm.head->in_force, UINT64_C(0xfffff) << 12 | slot);
		put(d.leader[0], 2);
		atom_store_relaxed(&d.shm.head->in_force, 0);
	}
}

struct job {
	enum points_how how;
	int n;
	const char *label;
	bool leaves; /* its slot, with the claim in its hands */
};

static int reload_once(void *arg)
{
	const struct job *job = arg;
	struct shm shm;
	uint64_t me, other = 0;
	unsigned area;
	int rc;

	MUST(shm_attach(&shm, d.name, 1) == 0);
	MUST(slot_join(&shm, nowhere, &me) == 0);
	tell_handle(me);
	points_arm(job->how, job->n);
	rc = inforce_claim(&shm, me, &area, &other);
	if (rc == 0 && !job->leaves) {
		fill(&shm.apps[0], area, 2);
		rc = inforce_publish(&shm, me);
	}
	if (job->leaves)
		slot_leave(&shm, me);
	else
		points_disarm();
	return rc == 0 ? 0 : 1;
}

/* What was in force, or all of what it filled in; and the next one comes through. Invariant 2 */
static void test_filler_dies_at_each_point(void **state)
{
	enum points_end end = POINTS_DIED;
	unsigned published = 0;
	int status, n;

	(void)state;
	for (n = 1; end == POINTS_DIED; n++) {
		struct job job = {.how = POINTS_DIE, .n = n};
		bool was_published;

		fill(app(), in_force_area(in_force_load(&d.shm)), 1);
		end = points_wait(domain_fork(&d, NULL, reload_once, &job), &status);
		d.children = 0;
		was_published = seen() == 2;
		published += was_published;
		assert_true(was_published || (end == POINTS_DIED && seen() == 1));
		put(d.leader[0], 3);
		(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	}
	assert_true(n > 5);
	assert_int_equal(published, 2); /* died behind it, and did not die */
	assert_int_equal(status, 0);
}

/* It may store yet, so nobody passes it; before its claim and behind its end nobody has to. */
static void test_filler_stops_at_each_point(void **state)
{
	enum points_end end = POINTS_STOPPED;
	unsigned refused = 0;
	int status, n;

	(void)state;
	for (n = 1; end == POINTS_STOPPED; n++) {
		struct job job = {.how = POINTS_STOP, .n = n};
		uint64_t other = 0, child_handle;
		unsigned area;
		pid_t pid;
		int rc;

		fill(app(), in_force_area(in_force_load(&d.shm)), 1);
		atom_store_release(&report->handle, 0);
		pid = domain_fork(&d, NULL, reload_once, &job);
		end = points_wait(pid, &status);
		child_handle = await_handle();
		if (end != POINTS_STOPPED)
			break;
		rc = inforce_claim(&d.shm, d.leader[0], &area, &other);
		if (rc) {
			refused++;
			assert_int_equal(rc, HEIR_EBUSY);
			assert_true(other == child_handle);
			assert_int_equal(seen(), 1);
		} else {
			inforce_abandon(&d.shm, d.leader[0]);
			put(d.leader[0], 3);
		}
		points_continue(pid);
		assert_int_equal(domain_wait(&d, pid), 0);
		assert_int_equal(seen(), rc == 0 && strcmp(points_label(), "inforce: published") == 0 ? 3 : 2);
		(void)bury_all(&d.shm, handle_slot(d.leader[0]));
		d.children = 0;
	}
	assert_true(refused >= 3);
}

/* A claim that outlives its slot's incarnation, and the slot is another's by now. */
static void test_slot_goes_to_another(void **state)
{
	struct job job = {.leaves = true};
	uint64_t who[FREE_HERE];

	(void)state;
	assert_int_equal(domain_wait(&d, domain_fork(&d, NULL, reload_once, &job)), 0);
	for (unsigned i = 0; i < FREE_HERE; i++)
		assert_int_equal(slot_join(&d.shm, nowhere, &who[i]), 0);
	assert_int_equal(free_slots(), 0);
	put(d.leader[0], 2);
	for (unsigned i = 0; i < FREE_HERE; i++)
		slot_leave(&d.shm, who[i]);
}

static int reload_often(void *arg)
{
	struct shm shm;
	uint64_t me, other = 0;
	unsigned area;

	(void)arg;
	MUST(shm_attach(&shm, d.name, 1) == 0);
	MUST(slot_join(&shm, nowhere, &me) == 0);
	for (unsigned i = 2; i < RELOADS; i++) {
		MUST(inforce_claim(&shm, me, &area, &other) == 0);
		fill(&shm.apps[0], area, i);
		MUST(inforce_publish(&shm, me) == 0);
	}
	slot_leave(&shm, me);
	return 0;
}

static void test_reader_beside_reloads(void **state)
{
	pid_t pid;
	int64_t before = 1;
	int status;

	(void)state;
	pid = domain_fork(&d, NULL, reload_often, NULL);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int64_t now = seen();
		uint64_t one = POLICY_WORD(&d.shm, app(), max_deliveries);

		assert_true(now >= before);
		assert_true(one >= (uint64_t)now);
		before = now;
	}
	d.children = 0;
	assert_int_equal(status, 0);
	assert_int_equal(seen(), RELOADS - 1);
}

static int read_once(void *arg)
{
	struct policy p;
	struct shm shm;

	(void)arg;
	MUST(shm_attach(&shm, d.name, 0) == 0);
	points_arm_at(POINTS_STOP, "policy: copying", 1);
	p = policy_of(&shm, &shm.apps[0]);
	return number_of(&p) < 0 ? 99 : (int)number_of(&p);
}

/* Stopped within its copy for any number of reloads, it acts on no mixture. */
static void test_reader_is_stopped(void **state)
{
	int status;

	(void)state;
	for (unsigned reloads = 0; reloads < 5; reloads++) {
		pid_t pid = domain_fork(&d, NULL, read_once, NULL);
		int64_t was = seen();

		assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
		for (unsigned i = 0; i < reloads; i++)
			put(d.leader[0], 10 * (reloads + 1) + i);
		points_continue(pid);
		assert_int_equal(points_wait(pid, &status), POINTS_ENDED);
		assert_int_equal(status, reloads ? 10 * (reloads + 1) + reloads - 1 : was);
	}
	d.children = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_turns, setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_near_the_end, setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_bytes_are_input, setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_filler_dies_at_each_point, setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_filler_stops_at_each_point, setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_slot_goes_to_another, setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_reader_beside_reloads, setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_reader_is_stopped, setup, slotfix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
