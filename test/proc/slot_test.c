/* SPDX-License-Identifier: ISC */
/* Slots and life words: joining, leaving and dying in every way; who is alive; fencing. */
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

static int join_and_wait(void *arg)
{
	uint64_t handle;
	(void)arg;

	joined(&handle);
	tell_handle(handle);
	return rest();
}

static void assert_dead(uint64_t handle)
{
	assert_false(handle_alive(&d.shm, handle));
	assert_true(handle_noticed(&d.shm, handle));
	assert_true(handle_gone(&d.shm, handle));
	assert_int_equal(handle_pid(&d.shm, handle), 0);
	assert_int_equal(handle_pidfd(&d.shm, handle), HEIR_ENOENT);
	assert_int_equal(handle_fence(&d.shm, handle, deadline_after(SECOND)), 0);
}

/* Each watcher has a word of its own, and each is told. */
static void await_death(uint64_t handle)
{
	int64_t deadline = deadline_after(20 * SECOND);

	for (unsigned i = 0; i < SHM_LIVES; i++) {
		atom32 *life = slot_life(&d.shm, handle_slot(handle), i);
		uint32_t v;

		while (!life_gone(v = atom_load_acquire(life))) {
			assert_false(deadline_passed(deadline));
			(void)futex_wait(life, v, deadline);
		}
	}
}

static void test_join_and_leave(void **state)
{
	uint64_t first, second = 0;
	uint32_t slot;
	(void)state;

	assert_int_equal(slot_join(&d.shm, (struct slot_place){KIND_WORKER, 2, 0, 0}, &first), 0);
	slot = handle_slot(first);
	assert_int_equal(slot_handle(&d.shm, slot), first);
	assert_true(handle_alive(&d.shm, first));
	assert_false(handle_noticed(&d.shm, first));
	assert_int_equal(handle_pid(&d.shm, first), getpid());
	assert_int_equal(slot_place(&d.shm, slot).kind, KIND_WORKER);
	assert_int_equal(slot_place(&d.shm, slot).node, 2);
	assert_int_equal(slot_place(&d.shm, slot).app, 0);
	assert_int_equal(slot_place(&d.shm, slot).role, 0);
	atom_store_seq(&shm_slot(&d.shm, slot)->asleep, 1); /* as of one that was killed asleep */
	slot_leave(&d.shm, first);
	assert_dead(first);
	assert_int_equal(slot_handle(&d.shm, slot), 0);
	assert_int_equal(word_of(slot).state, SLOT_FREE);
	slot_leave(&d.shm, first); /* again: nothing */
	/* A handle is never reused: the same slot has another incarnation. */
	while (handle_slot(second) != slot) {
		if (second)
			slot_leave(&d.shm, second);
		assert_int_equal(slot_join(&d.shm, nowhere, &second), 0);
	}
	assert_int_equal(handle_incarnation(second), handle_incarnation(first) + 1);
	assert_int_equal(slot_place(&d.shm, slot).node, -1);
	assert_int_equal(atom_load_seq(&shm_slot(&d.shm, slot)->asleep), 0);
	assert_dead(first);
	slot_leave(&d.shm, first);
	assert_true(handle_alive(&d.shm, second));
	slot_leave(&d.shm, second);
	/* Invariant 11 */
	assert_false(handle_alive(&d.shm, handle_make(0, 1)));
	assert_true(handle_gone(&d.shm, handle_make(5000, 1)));
	assert_int_equal(slot_handle(&d.shm, 5000), 0);
	assert_null(slot_life(&d.shm, 5000, 0));
}

static void test_full(void **state)
{
	uint64_t handles[FREE_HERE], extra = 7;
	(void)state;

	assert_int_equal(free_slots(), FREE_HERE);
	for (unsigned i = 0; i < FREE_HERE; i++)
		assert_int_equal(slot_join(&d.shm, nowhere, &handles[i]), 0);
	assert_int_equal(slot_join(&d.shm, nowhere, &extra), HEIR_EFULL); /* Invariant 12 */
	assert_int_equal(extra, 7);
	slot_leave(&d.shm, handles[1]);
	assert_int_equal(slot_join(&d.shm, nowhere, &extra), 0);
	assert_int_equal(handle_slot(extra), handle_slot(handles[1]));
	slot_leave(&d.shm, extra);
	slot_leave(&d.shm, handles[0]);
	slot_leave(&d.shm, handles[2]);
	assert_int_equal(free_slots(), FREE_HERE);
}

/* Slots near the end of their incarnations are not used again. Invariant 12 */
static void test_last_incarnations(void **state)
{
	struct slot_word w = {0x7ffffff0, SLOT_FREE, 0};
	uint64_t handle, used = 0;
	(void)state;

	for (uint32_t i = 1; i < d.shm.limits.slots; i++)
		if (word_of(i).state == SLOT_FREE) {
			if (!used)
				used = i;
			atom_store_seq(&d.shm.slots[i].word, slot_pack(w));
		}
	assert_int_equal(slot_join(&d.shm, nowhere, &handle), HEIR_EFULL);
	w.incarnation--;
	atom_store_seq(&d.shm.slots[used].word, slot_pack(w));
	assert_int_equal(slot_join(&d.shm, nowhere, &handle), 0);
	assert_int_equal(handle_slot(handle), used);
	assert_int_equal(handle >> 63, 0); /* not to be taken for a role's binding */
	slot_leave(&d.shm, handle);
	assert_int_equal(slot_join(&d.shm, nowhere, &handle), HEIR_EFULL);
}

static void test_killed(void **state)
{
	pid_t pid = domain_fork(&d, NULL, join_and_wait, NULL);
	uint64_t handle = await_handle();
	struct pollfd p = {.events = POLLIN};
	(void)state;

	assert_int_equal(handle_pid(&d.shm, handle), pid);
	p.fd = handle_pidfd(&d.shm, handle);
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(bury(&d.shm, 1, handle), 0); /* not while it lives */
	kill(pid, SIGKILL);
	await_death(handle);
	assert_dead(handle); /* before anybody has waited for it */
	assert_int_equal(poll(&p, 1, 20000), 1);
	close(p.fd);
	assert_int_equal(bury(&d.shm, 1, handle), 1);
	assert_int_equal(free_slots(), FREE_HERE);
	assert_int_equal(bury(&d.shm, 1, handle), 1);
}

static int join_and_exec(void *arg)
{
	uint64_t handle;
	(void)arg;

	joined(&handle);
	tell_handle(handle);
	execl("/bin/sleep", "sleep", "60", (char *)NULL);
	return 1;
}

/* After an exec the process lives on, and is none of the domain's. */
static void test_exec(void **state)
{
	pid_t pid = domain_fork(&d, NULL, join_and_exec, NULL);
	uint64_t handle = await_handle();
	(void)state;

	await_death(handle);
	assert_dead(handle);
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(bury(&d.shm, 1, handle), 1);
	assert_int_equal(free_slots(), FREE_HERE);
}

static void *join_in_thread(void *arg)
{
	(void)arg;
	uint64_t handle;

	if (slot_join(&d.shm, nowhere, &handle))
		return NULL;
	return (void *)(uintptr_t)handle;
}

/* A handle is of its thread. */
static void test_thread_ends(void **state)
{
	pthread_t thread;
	void *handle;
	(void)state;

	assert_int_equal(pthread_create(&thread, NULL, join_in_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, &handle), 0);
	assert_non_null(handle);
	assert_dead((uint64_t)(uintptr_t)handle);
	assert_int_equal(bury(&d.shm, 1, (uint64_t)(uintptr_t)handle), 1);
	assert_int_equal(free_slots(), FREE_HERE);
}

static int fault(void *arg)
{
	int what = *(int *)arg;
	struct shm *shm;
	uint64_t handle;
	volatile int *closed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	shm = joined(&handle);
	MUST(dying_install(shm, handle) == 0);
	if (what == 1)
		dying_remove();
	tell_handle(handle);
	while (!atom_load_acquire(&report->go))
		usleep(100);
	if (what == 2 && fork() == 0)
		raise(SIGSEGV);
	if (what == 2)
		return rest();
	if (what == 3)
		abort();
	*closed = 1;
	return 0;
}

static uint64_t begin_fault(int what, pid_t *pid)
{
	static int story;
	uint64_t handle;

	story = what;
	atom_store_seq(&report->handle, 0);
	atom_store_seq(&report->go, 0);
	*pid = domain_fork(&d, NULL, fault, &story);
	handle = await_handle();
	assert_true(handle_alive(&d.shm, handle));
	atom_store_seq(&report->go, 1);
	return handle;
}

/* A fatal signal publishes itself, and kills as it would have. */
static void test_fatal_signals(void **state)
{
	static const int signals[] = {SIGSEGV, SIGSEGV, 0, SIGABRT};
	(void)state;

	for (int what = 0; what < 4; what++) {
		pid_t pid;
		uint64_t handle = begin_fault(what, &pid);
		struct shm_slot *s = &d.shm.slots[handle_slot(handle)];
		int status;

		if (what == 2)
			continue; /* see below */
		status = domain_wait(&d, pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[what]);
		assert_int_equal(atom_load_relaxed(&s->dying), what != 1);
		assert_dead(handle);
		assert_int_equal(bury(&d.shm, 1, handle), 1);
	}
}

/* The child that it has forked is another process: its end is not the parent's. */
static void test_forked_child_faults(void **state)
{
	pid_t pid;
	uint64_t handle = begin_fault(2, &pid);
	(void)state;

	usleep(50000); /* time for the grandchild to end; whether it does by then does not matter */
	assert_true(handle_alive(&d.shm, handle));
	assert_int_equal(atom_load_relaxed(&d.shm.slots[handle_slot(handle)].dying), 0);
	domain_kill(&d, pid);
	assert_dead(handle);
}

static int fork_once(void *arg)
{
	uint64_t handle;
	pid_t pid;
	int status;
	heir_t *h;
	(void)arg;

	MUST(heir_open(d.name, 0, &h) == 0);
	handle = heir_handle(h);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		heir_close(h); /* allowed, and changes nothing shared: it has no mapping */
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	tell_handle(handle);
	return rest();
}

static void test_forked_child(void **state)
{
	pid_t pid = domain_fork(&d, NULL, fork_once, NULL);
	uint64_t handle = await_handle();
	(void)state;

	assert_true(handle_alive(&d.shm, handle));
	domain_kill(&d, pid);
	assert_dead(handle);
}

/* A joiner that is dead has no life words: it is known by its pid, and the time at which that
 * began. */
static void test_dead_joiners(void **state)
{
	uint64_t handle, started;
	struct slot_word w;
	struct shm_slot *s;
	struct rlimit limit, none;
	pid_t pid = fork();
	(void)state;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(slot_join(&d.shm, nowhere, &handle), 0);
	s = &d.shm.slots[handle_slot(handle)];
	started = atom_load_relaxed(&s->started);
	w = (struct slot_word){handle_incarnation(handle), SLOT_JOINING, (uint32_t)getpid()};
	atom_store_seq(&s->word, slot_pack(w));
	assert_false(handle_gone(&d.shm, handle));
	assert_false(handle_alive(&d.shm, handle));
	/* Another process has its pid now. */
	atom_store_seq(&s->started, started + 1);
	assert_true(handle_gone(&d.shm, handle));
	/* It has not said when it began; that is of whoever was in the slot before. */
	atom_store_seq(&s->started, (started ^ (UINT64_C(1) << 48)) + 1);
	assert_false(handle_gone(&d.shm, handle));
	atom_store_seq(&s->started, started);
	/* Who cannot look does not know: nobody is declared dead on a guess. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_false(handle_gone(&d.shm, handle));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	/* There is no such process. */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	w.pid = (uint32_t)pid;
	atom_store_seq(&s->word, slot_pack(w));
	assert_true(handle_gone(&d.shm, handle));
	w = (struct slot_word){handle_incarnation(handle), SLOT_ALIVE, (uint32_t)getpid()};
	atom_store_seq(&s->word, slot_pack(w));
	slot_leave(&d.shm, handle);
}

static int join_and_stop(void *arg)
{
	uint64_t handle;
	struct {
		void *list;
		long offset;
		void *pending;
	} none = {&none, 0, NULL};

	joined(&handle);
	if (arg)
		MUST(syscall(SYS_set_robust_list, &none, sizeof(none)) == 0);
	tell_handle(handle);
	raise(SIGSTOP);
	return rest();
}

static void test_fence(void **state)
{
	uint64_t handle;
	pid_t pid;
	int status;
	(void)state;

	pid = domain_fork(&d, NULL, join_and_stop, NULL);
	handle = await_handle();
	assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
	assert_true(handle_alive(&d.shm, handle)); /* stopped is not dead */
	assert_int_equal(handle_fence(&d.shm, handle, deadline_after(20 * SECOND)), 0);
	assert_dead(handle);
	assert_true(WIFSIGNALED(domain_wait(&d, pid)));
}

/* The notice of its death is lost, as by an exec in another thread, or a library's own robust list:
 * its pidfd tells. */
static void test_fence_without_notice(void **state)
{
	uint64_t handle;
	pid_t pid;
	int status;
	(void)state;

	pid = domain_fork(&d, NULL, join_and_stop, &d);
	handle = await_handle();
	assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
	assert_int_equal(handle_fence(&d.shm, handle, deadline_after(20 * SECOND)), 0);
	assert_dead(handle);
	assert_true(WIFSIGNALED(domain_wait(&d, pid)));
	assert_int_equal(bury(&d.shm, 1, handle), 1);
	assert_int_equal(free_slots(), FREE_HERE);
}

/* The same, told by who watches the pidfd; not before the process has ended. */
static void test_confirm_without_notice(void **state)
{
	struct pollfd ended = {.events = POLLIN};
	uint64_t handle;
	int status;
	pid_t pid;
	(void)state;

	pid = domain_fork(&d, NULL, join_and_stop, &d);
	handle = await_handle();
	assert_int_equal(points_wait(pid, &status), POINTS_STOPPED);
	ended.fd = handle_pidfd(&d.shm, handle);
	assert_true(ended.fd >= 0);
	handle_confirm(&d.shm, handle, ended.fd);
	assert_true(handle_alive(&d.shm, handle));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(poll(&ended, 1, 20000), 1);
	assert_false(handle_gone(&d.shm, handle));
	handle_confirm(&d.shm, handle, ended.fd);
	assert_dead(handle);
	close(ended.fd);
	assert_true(WIFSIGNALED(domain_wait(&d, pid)));
	assert_int_equal(bury(&d.shm, 1, handle), 1);
	assert_int_equal(free_slots(), FREE_HERE);
}

/* One that does not die is never declared dead. Invariant 4 */
static void test_fence_in_vain(void **state)
{
	uint32_t slot = handle_slot(d.leader[2]);
	struct slot_word w = word_of(slot), other = w;
	(void)state;

	other.pid = 1; /* init is not killed; and this thread's life words stand */
	atom_store_seq(&d.shm.slots[slot].word, slot_pack(other));
	assert_int_equal(handle_pidfd(&d.shm, d.leader[2]), HEIR_ENOENT);
	assert_int_equal(handle_fence(&d.shm, d.leader[2], deadline_after(SECOND / 20)),
			 HEIR_ETIMEDOUT);
	assert_false(handle_gone(&d.shm, d.leader[2]));
	atom_store_seq(&d.shm.slots[slot].word, slot_pack(w));
	assert_true(handle_alive(&d.shm, d.leader[2]));
}

/* Whatever word stands there, an index is within the limits, or none. Invariant 11 */
static void test_any_place(void **state)
{
	uint32_t slot = handle_slot(d.leader[2]);
	atom64 *word = &d.shm.slots[slot].place;
	uint64_t was = atom_load_relaxed(word);
	struct slot_place p;
	(void)state;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t any = i * UINT64_C(0x9e3779b97f4a7c15);

		any = i % 3 ? any : i % 2 ? any | UINT32_MAX : (any & ~UINT64_C(0xffffffff)) | 1u << 31;
		atom_store_relaxed(word, any);
		p = slot_place(&d.shm, slot);
		assert_in_range(p.node + 1, 0, d.shm.limits.nodes);
		assert_in_range(p.app + 1, 0, d.shm.limits.apps);
		assert_in_range(p.role + 1, 0, d.shm.limits.roles);
	}
	atom_store_relaxed(word, was);
	p = slot_place(&d.shm, slot);
	assert_true(p.kind == KIND_LEADER && p.node == 2 && p.app == -1 && p.role == -1);
	assert_int_equal(slot_place(&d.shm, 0).node, -1);
	assert_int_equal(slot_place(&d.shm, d.shm.limits.slots).node, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_join_and_leave, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_full, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_last_incarnations, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_killed, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_exec, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_thread_ends, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_fatal_signals, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_forked_child_faults, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_forked_child, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_dead_joiners, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_fence, slotfix_setup, slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_fence_without_notice, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_confirm_without_notice, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_fence_in_vain, slotfix_setup,
						slotfix_teardown),
		cmocka_unit_test_setup_teardown(test_any_place, slotfix_setup, slotfix_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
