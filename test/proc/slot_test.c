/* SPDX-License-Identifier: ISC */
/* Slots and life words: joining, leaving and dying in every way, at every point; who is alive; fencing. */
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
#include "proc/bury.h"
#include "support/domain.h"
#include "support/owner.h"
#include "support/points.h"

#define SECOND INT64_C(1000000000)
#define SLOTS 6u /* beside the three that the fixture takes */
#define FREE_HERE 3u

static struct domain d;
static const struct slot_place nowhere = {KIND_CLIENT, -1, -1, -1};

/* What a child tells; shared. */
static struct report {
	atom64 handle, go;
	atom64 joined, handles[300000];
} *report;

static int setup(void **state)
{
	(void)state;
	domain_init(&d, &(struct domain_options){.slots = SLOTS});
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(report != MAP_FAILED);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	domain_finish(&d);
	munmap(report, sizeof(*report));
	return 0;
}

static struct slot_word word_of(uint32_t slot)
{
	return slot_unpack(atom_load_acquire(&d.shm.slots[slot].word));
}

static unsigned free_slots(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < d.shm.limits.slots; i++)
		n += word_of(i).state == SLOT_FREE;
	return n;
}

static uint64_t await_handle(void)
{
	int64_t deadline = deadline_after(20 * SECOND);
	uint64_t handle;

	while (!(handle = atom_load_acquire(&report->handle))) {
		assert_false(deadline_passed(deadline));
		(void)futex_wait((atom32 *)(void *)&report->handle, 0, deadline_after(SECOND / 100));
	}
	return handle;
}

static void tell_handle(uint64_t handle)
{
	atom_store_release(&report->handle, handle);
	futex_wake((atom32 *)(void *)&report->handle, 1);
}

/* In a child: until it is killed. */
static int rest(void)
{
	while (pause() < 0)
		;
	return 1;
}

/* In a child: attached and joined. */
static struct shm *joined(uint64_t *handle)
{
	static struct shm shm;

	MUST(shm_attach(&shm, d.name, 1) == 0);
	MUST(slot_join(&shm, nowhere, handle) == 0);
	return &shm;
}

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

/* A joiner that is dead has no life words: it is known by its pid, and the time at which that began. */
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

/* It dies at each point of joining, registering a name, and leaving; whoever comes next finds the slot free. Invariant 2 */
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
	assert_int_equal(names_register(&d.shm, handle_slot(d.leader[1]), name, strlen(name), name_binding_role(0, 0),
					NULL, NULL),
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
 * It stops at each point of leaving, is buried meanwhile, its slot is another's; then it goes on. The successor is not
 * disturbed, and nothing that the late one does is done in the slot's name. Invariant 3
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
		assert_int_equal(names_unregister(&d.shm, handle_slot(d.leader[1]), front, strlen(front), 0, NULL, NULL),
				 0);
		d.children = 0;
	}
	assert_true(followed >= 4);
}

static int join_and_stop(void *arg)
{
	uint64_t handle;
	struct { void *list; long offset; void *pending; } none = {&none, 0, NULL};

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

/* The notice of its death is lost, as by an exec in another thread, or a library's own robust list: its pidfd tells. */
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

/* One that does not die is never declared dead. Invariant 4 */
static void test_fence_in_vain(void **state)
{
	uint32_t slot = handle_slot(d.leader[2]);
	struct slot_word w = word_of(slot), other = w;
	(void)state;

	other.pid = 1; /* init is not killed; and this thread's life words stand */
	atom_store_seq(&d.shm.slots[slot].word, slot_pack(other));
	assert_int_equal(handle_pidfd(&d.shm, d.leader[2]), HEIR_ENOENT);
	assert_int_equal(handle_fence(&d.shm, d.leader[2], deadline_after(SECOND / 20)), HEIR_ETIMEDOUT);
	assert_false(handle_gone(&d.shm, d.leader[2]));
	atom_store_seq(&d.shm.slots[slot].word, slot_pack(w));
	assert_true(handle_alive(&d.shm, d.leader[2]));
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
			MUST(handle_alive(&shm, handle) && slot_handle(&shm, handle_slot(handle)) == handle);
		slot_leave(&shm, handle);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* More processes than slots, killed at random: never two in a slot, never a handle twice, no slot lost. Invariant 3 */
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
		cmocka_unit_test_setup_teardown(test_join_and_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_incarnations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fatal_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forked_child_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forked_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_joiners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_leaver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence_without_notice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fence_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
