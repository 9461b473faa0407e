/* SPDX-License-Identifier: ISC */
/* Slots: who joins and leaves dies or stops at each point of it; a crowd that is killed at random.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/hash.h"
#include "name/namecell.h"
#include "name/names.h"
#include "proc/slotfix.h"
#include "support/owner.h"
#include "support/points.h"

struct sweep {
	enum points_how how;
	int n;
	bool waits; /* before it leaves, and only then the points count */
};

static int join_name_leave(void *arg)
{
	const struct sweep *sweep = arg;
	struct shm shm;
	uint64_t handle;

	MUST(shm_attach(&shm, d.name, 1) == 0);
	if (!sweep->waits)
		points_arm(sweep->how, sweep->n);
	MUST(slot_join(&shm, nowhere, &handle) == 0);
	atom_add_release(&shm.slots[handle_slot(handle)].names, 1);
	MUST(names_register(&shm, handle_slot(handle), "x", 1, handle, NULL, NULL) == 0);
	tell_handle(handle);
	while (sweep->waits && !atom_load_acquire(&report->go))
		(void)futex_wait((atom32 *)(void *)&report->go, 0, DEADLINE_NEVER);
	if (sweep->waits)
		points_arm(sweep->how, sweep->n);
	slot_leave(&shm, handle);
	return 0;
}

/* It dies at each point of joining, registering a name, and leaving; whoever comes next finds the
 * slot free. Invariant 2 */
static void test_deaths(void **state)
{
	enum points_end end = POINTS_DIED;
	int status = 0, n;
	(void)state;

	for (n = 1; end != POINTS_ENDED; n++) {
		struct sweep sweep = {POINTS_DIE, n, false};
		uint64_t handles[FREE_HERE];

		end = points_wait(domain_fork(&d, NULL, join_name_leave, &sweep), &status);
		d.children--;
		assert_int_equal(status, 0);
		(void)bury_all(&d.shm, handle_slot(d.leader[0]));
		assert_int_equal(free_slots(), FREE_HERE);
		assert_int_equal(names_lookup(&d.shm, "x", 1, &handles[0], NULL), HEIR_ENOENT);
		assert_int_equal(names_check(&d.shm), 0);
		for (unsigned i = 0; i < FREE_HERE; i++)
			assert_int_equal(slot_join(&d.shm, nowhere, &handles[i]), 0);
		for (unsigned i = 0; i < FREE_HERE; i++)
			slot_leave(&d.shm, handles[i]);
	}
	print_message("died at %d points between join and leave\n", n - 2);
	assert_true(n - 2 >= 20);
}

static int join_with_name(void *arg)
{
	uint64_t handle, old = 0;
	struct shm shm;
	(void)arg;

	MUST(shm_attach(&shm, d.name, 1) == 0);
	MUST(slot_join(&shm, nowhere, &handle) == 0);
	atom_add_release(&shm.slots[handle_slot(handle)].names, 1);
	MUST(names_register(&shm, handle_slot(handle), "y", 1, handle, NULL, NULL) == 0);
	MUST(atom_cas(&report->joined, &old, handle));
	tell_handle(handle);
	return rest();
}

/* A name in the bucket of "x": as it was registered later, to drop "x" means to copy it. */
static void register_in_front(char *name)
{
	uint64_t mask = d.shm.limits.buckets - 1;
	unsigned n = 0;

	do
		snprintf(name, 16, "front%u", n++);
	while ((hash_bytes(name, strlen(name)) & mask) != (hash_bytes("x", 1) & mask));
	assert_int_equal(names_register(&d.shm, handle_slot(d.leader[1]), name, strlen(name),
					name_binding_role(0, 0), NULL, NULL),
			 0);
}

/* All free slots but that one are joined; how many. */
static unsigned fill_but(uint32_t slot, uint64_t *fillers)
{
	unsigned n = 0;
	uint64_t it = 0;

	while (slot_join(&d.shm, nowhere, &fillers[n]) == 0)
		if (handle_slot(fillers[n]) == slot)
			it = fillers[n];
		else
			n++;
	assert_true(it);
	slot_leave(&d.shm, it);
	return n;
}

static void check_successor(uint64_t leaver, pid_t pid, const char *front)
{
	uint64_t next, fillers[FREE_HERE + 1], binding;
	unsigned n = fill_but(handle_slot(leaver), fillers);
	pid_t successor;
	int status;

	atom_store_seq(&report->handle, 0);
	atom_store_seq(&report->joined, 0);
	successor = domain_fork(&d, NULL, join_with_name, NULL);
	next = await_handle();
	assert_int_equal(handle_slot(next), handle_slot(leaver));
	points_continue(pid);
	assert_int_equal(points_wait(pid, &status), POINTS_ENDED);
	assert_int_equal(status, 0);
	assert_true(handle_alive(&d.shm, next));
	assert_int_equal(names_lookup(&d.shm, "y", 1, &binding, NULL), 0);
	assert_int_equal(binding, next);
	assert_int_equal(names_lookup(&d.shm, front, strlen(front), &binding, NULL), 0);
	assert_int_equal(names_lookup(&d.shm, "x", 1, &binding, NULL), HEIR_ENOENT);
	assert_int_equal(names_check(&d.shm), 0);
	domain_kill(&d, successor);
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	for (unsigned i = 0; i < n; i++)
		slot_leave(&d.shm, fillers[i]);
	assert_int_equal(free_slots(), FREE_HERE);
}

/* Is there a name cell in the hands of that slot? */
static bool holds_name_cell(uint32_t slot)
{
	for (uint32_t i = 1; i < d.shm.limits.name_cells; i++) {
		uint64_t w = atom_load_acquire(&d.shm.name_cells[i].words[0]);

		if (namecell_state(w) == NAMECELL_OWNED && namecell_slot(w) == slot)
			return true;
	}
	return false;
}

/*
 * It stops at each point of leaving, is buried meanwhile, its slot is another's; then it goes on.
 * The successor is not disturbed, and nothing that the late one does is done in the slot's name.
 * Invariant 3
 */
static void test_stopped_leaver(void **state)
{
	enum points_end end = POINTS_STOPPED;
	int status = 0, followed = 0;
	char front[16];
	(void)state;

	for (int n = 1; end != POINTS_ENDED; n++) {
		struct sweep sweep = {POINTS_STOP, n, true};
		uint64_t leaver;
		pid_t pid;

		atom_store_seq(&report->handle, 0);
		atom_store_seq(&report->go, 0);
		pid = domain_fork(&d, NULL, join_name_leave, &sweep);
		leaver = await_handle();
		register_in_front(front);
		atom_store_seq(&report->go, 1);
		futex_wake((atom32 *)(void *)&report->go, 1);
		end = points_wait(pid, &status);
		if (end == POINTS_STOPPED && handle_gone(&d.shm, leaver)) {
			assert_false(holds_name_cell(handle_slot(leaver)));
			(void)bury_all(&d.shm, handle_slot(d.leader[0]));
			check_successor(leaver, pid, front);
			followed++;
		} else if (end == POINTS_STOPPED) {
			points_continue(pid);
			assert_int_equal(points_wait(pid, &status), POINTS_ENDED);
		}
		assert_int_equal(names_unregister(&d.shm, handle_slot(d.leader[1]), front,
						  strlen(front), 0, NULL, NULL),
				 0);
		d.children = 0;
	}
	assert_true(followed >= 4);
}

static int join_again_and_again(void *arg)
{
	struct shm shm;
	(void)arg;

	MUST(shm_attach(&shm, d.name, 1) == 0);
	for (;;) {
		uint64_t handle, n;
		int rc = slot_join(&shm, nowhere, &handle);

		if (rc == HEIR_EFULL)
			continue;
		MUST(rc == 0);
		n = atom_add_relaxed(&report->joined, 1);
		if (n >= sizeof(report->handles) / sizeof(report->handles[0]))
			return 0;
		atom_store_relaxed(&report->handles[n], handle);
		for (int i = 0; i < 20; i++)
			MUST(handle_alive(&shm, handle) &&
			     slot_handle(&shm, handle_slot(handle)) == handle);
		slot_leave(&shm, handle);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* More processes than slots, killed at random: never two in a slot, never a handle twice, no slot
 * lost. Invariant 3 */
static void test_crowd(void **state)
{
	static uint64_t sorted[sizeof(report->handles) / sizeof(report->handles[0])];
	size_t n, most = sizeof(sorted) / sizeof(sorted[0]);
	pid_t child[5];
	unsigned kills = 0;
	(void)state;

	for (int i = 0; i < 5; i++)
		child[i] = domain_fork(&d, NULL, join_again_and_again, NULL);
	for (; atom_load_relaxed(&report->joined) < most; kills++) {
		int i = (int)(kills % 5), status;

		usleep(300 + kills % 7 * 100); /* how far it comes is left to chance */
		kill(child[i], SIGKILL);
		if (points_wait(child[i], &status) == POINTS_ENDED)
			assert_int_equal(status, 0);
		d.children = 0;
		child[i] = domain_fork(&d, NULL, join_again_and_again, NULL);
	}
	for (int i = 0; i < 5; i++) {
		int status;

		if (points_wait(child[i], &status) == POINTS_ENDED)
			assert_int_equal(status, 0);
	}
	d.children = 0;
	(void)bury_all(&d.shm, handle_slot(d.leader[0]));
	assert_int_equal(free_slots(), FREE_HERE);
	for (n = 0; n < most; n++)
		sorted[n] = atom_load_relaxed(&report->handles[n]);
	qsort(sorted, most, sizeof(sorted[0]), compare);
	for (n = 1; n < most; n++)
		assert_true(sorted[n] == 0 || sorted[n] != sorted[n - 1]);
	print_message("%zu joins, %u kills\n", most, kills);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deaths, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_stopped_leaver, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_crowd, slotfix_setup, slotfix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
