/* SPDX-License-Identifier: ISC */
/*
 * Races on the name table: threads on one mapping (for TSan), and processes that are killed and
 * stopped at random.
 *
 *   standing names   are re-registered all the time and never absent: each lookup and each list
 *                    finds each of them, with a binding that was made for it
 *   lock names       are registered and unregistered by whoever gets them: one holder at a time,
 *                    and what a holder wrote the next one sees (plain memory, so TSan checks that
 *                    register and unregister order it)
 *   passing names    ever new ones: who registered one finds it, and nobody finds it afterwards
 *
 * The table is small, so that every cell is soon reused. argv[1] multiplies the rounds.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "heir.h"
#include "name/names.h"
#include "support/shm_fixture.h"

#define WORKERS 4u
#define STANDING 24u
#define LOCKS 4u
#define SLOTS (WORKERS + 2)
#define PARENT (WORKERS + 1)

/* Threads and forked children must not use cmocka's asserts. */
#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			_exit(1); \
		} \
	} while (0)

struct board {
	_Atomic uint32_t incarnation[SLOTS]; /* 0: dead */
	_Atomic uint64_t holder[LOCKS];
	_Atomic long done, found_dead, full;
};

struct worker {
	uint32_t slot, incarnation, random;
	uint64_t version;
	uint32_t passed;
	bool threads;
};

static struct shm shm;
static struct board *board;
static long multiplier = 1;
static long held[LOCKS]; /* threads only, plain: by whoever holds the lock name */

static uint32_t draw(struct worker *w, uint32_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 17;
	w->random ^= w->random << 5;
	return w->random % below;
}

static bool lives(uint64_t binding, void *arg)
{
	bool alive = name_binding_is_role(binding) ||
		     atomic_load(&board->incarnation[handle_slot(binding)]) ==
			     handle_incarnation(binding);

	(void)arg;
	if (!alive)
		atomic_fetch_add(&board->found_dead, 1);
	return alive;
}

static size_t make_name(char name[SHM_NAME_MAX + 1], const char *kind, uint32_t slot,
			uint32_t number)
{
	int n = snprintf(name, SHM_NAME_MAX + 1, "%s-%u-%u-", kind, slot, number);
	size_t length = (size_t)n + number * 37 % 200;

	memset(name + n, '=', length - (size_t)n);
	return length;
}

/* A standing name's binding says which name it is for. */
static uint64_t standing_binding(struct worker *w, uint32_t number)
{
	return name_binding_role(draw(w, 0x8000), number);
}

static void check_standing(struct worker *w)
{
	char name[SHM_NAME_MAX + 1];
	uint32_t number = draw(w, STANDING);
	struct name_seen seen;
	uint64_t binding = 0;
	size_t length = make_name(name, "standing", 0, number);

	CHECK(names_lookup(&shm, name, length, &binding, &seen) == 0);
	CHECK(name_binding_is_role(binding) && name_binding_role_of(binding) == number);
}

static int visit_standing(const char *name, size_t length, uint64_t binding, void *arg)
{
	char text[SHM_NAME_MAX + 1] = "";
	unsigned number;

	memcpy(text, name, length);
	if (sscanf(text, "standing-0-%u-", &number) == 1) {
		CHECK(number < STANDING && name_binding_role_of(binding) == number);
		++((uint32_t *)arg)[number];
	}
	return 0;
}

static void check_list(void)
{
	uint32_t seen[STANDING] = {0};

	CHECK(names_each(&shm, visit_standing, seen) == 0);
	for (uint32_t i = 0; i < STANDING; i++)
		CHECK(seen[i] == 1);
	CHECK(names_check(&shm) == 0);
}

static void replace_standing(struct worker *w)
{
	char name[SHM_NAME_MAX + 1];
	uint32_t number = draw(w, STANDING);
	uint64_t old = 0;
	size_t length = make_name(name, "standing", 0, number);

	CHECK(names_re_register(&shm, w->slot, name, length, 0, standing_binding(w, number), lives,
				NULL, &old) == 0);
	CHECK(name_binding_is_role(old) && name_binding_role_of(old) == number);
}

static void lock_and_unlock(struct worker *w)
{
	char name[SHM_NAME_MAX + 1];
	uint32_t number = draw(w, LOCKS);
	uint64_t me = handle_make(w->slot, w->incarnation), before;
	size_t length = make_name(name, "lock", 0, number);
	int r = names_register(&shm, w->slot, name, length, me, lives, NULL);

	CHECK(r == 0 || r == HEIR_EEXIST);
	if (r)
		return;
	before = atomic_exchange_explicit(&board->holder[number], me, memory_order_relaxed);
	CHECK(before == 0 || !lives(before, NULL));
	if (w->threads)
		held[number]++;
	before = atomic_exchange_explicit(&board->holder[number], 0, memory_order_relaxed);
	CHECK(before == me);
	CHECK(names_unregister(&shm, w->slot, name, length, me, lives, NULL) == 0);
}

static void pass(struct worker *w)
{
	char name[SHM_NAME_MAX + 1];
	uint64_t me = handle_make(w->slot, w->incarnation), binding = 0;
	size_t length = make_name(name, "passing", w->slot,
				  w->passed++ % 1000 + 1000 * (w->incarnation % 1000));
	int r = names_register(&shm, w->slot, name, length, me, lives, NULL);

	CHECK(r == 0);
	CHECK(names_lookup(&shm, name, length, &binding, NULL) == 0 && binding == me);
	CHECK(names_unregister(&shm, w->slot, name, length, me, lives, NULL) == 0);
	CHECK(names_lookup(&shm, name, length, NULL, NULL) == HEIR_ENOENT);
}

static void work_once(struct worker *w)
{
	uint32_t what = draw(w, 64);

	if (what < 24)
		check_standing(w);
	else if (what < 40)
		replace_standing(w);
	else if (what < 50)
		lock_and_unlock(w);
	else if (what < 62)
		pass(w);
	else if (what < 63)
		check_list();
	else
		names_sweep(&shm);
	atomic_fetch_add_explicit(&board->done, 1, memory_order_relaxed);
}

static void set_up(void)
{
	struct worker w = {.slot = PARENT, .incarnation = 1, .random = 77};
	char name[SHM_NAME_MAX + 1];

	shm_fixture_init(&shm, SLOTS, 8,
			 names_cells_for(STANDING + LOCKS + WORKERS, SHM_NAME_MAX, SLOTS));
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	assert_true(board != MAP_FAILED);
	for (uint32_t i = 0; i < STANDING; i++)
		assert_int_equal(names_register(&shm, PARENT, name,
						make_name(name, "standing", 0, i),
						standing_binding(&w, i), lives, NULL),
				 0);
}

/* Nobody works any more, the dead are buried: the standing names are all that is in use. */
static void tear_down(void)
{
	char name[SHM_NAME_MAX + 1];
	uint32_t cells = 0;

	check_list();
	for (uint32_t i = 0; i < STANDING; i++)
		cells += names_cells_of(make_name(name, "standing", 0, i));
	assert_int_equal(names_sweep(&shm), cells);
	munmap(board, sizeof(*board));
	shm_fixture_finish(&shm);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (long i = 0; i < 40000 * multiplier; i++)
		work_once(w);
	return NULL;
}

/* All register until it is full, and change and remove what they have: that must never fail. */
static void *work_at_limit(void *arg)
{
	struct worker *w = arg;
	char name[SHM_NAME_MAX + 1];
	uint32_t first = 0, next = 0;

	for (long i = 0; i < 30000 * multiplier; i++) {
		uint32_t what = draw(w, 8);
		int r;

		if (what < 5 || first == next) {
			r = names_register(&shm, w->slot, name,
					   make_name(name, "limit", w->slot, next), 1, NULL, NULL);
			CHECK(r == 0 || r == HEIR_EFULL);
			next += r == 0;
			board->full += r != 0;
			continue;
		}
		if (what == 5) {
			uint32_t number = first + draw(w, next - first);

			CHECK(names_re_register(&shm, w->slot, name,
						make_name(name, "limit", w->slot, number), 1, 1,
						NULL, NULL, NULL) == 0);
			continue;
		}
		CHECK(names_unregister(&shm, w->slot, name,
				       make_name(name, "limit", w->slot, first++), 1, NULL,
				       NULL) == 0);
	}
	while (first < next)
		CHECK(names_unregister(&shm, w->slot, name,
				       make_name(name, "limit", w->slot, first++), 1, NULL,
				       NULL) == 0);
	return NULL;
}

static void run_threads(void *(*body)(void *))
{
	struct worker workers[WORKERS];
	pthread_t threads[WORKERS];

	for (uint32_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){
			.slot = i + 1, .incarnation = 1, .random = i + 1, .threads = true};
		atomic_store(&board->incarnation[i + 1], 1);
	}
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, &workers[i]), 0);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void test_threads(void **state)
{
	(void)state;
	set_up();
	run_threads(work);
	assert_true(held[0] > 0);
	print_message("%ld operations, %ld locks held\n", atomic_load(&board->done),
		      held[0] + held[1] + held[2] + held[3]);
	tear_down();
}

static void test_threads_at_the_limit(void **state)
{
	(void)state;
	set_up();
	run_threads(work_at_limit);
	print_message("full %ld times\n", atomic_load(&board->full));
	assert_true(atomic_load(&board->full) > 0);
	tear_down();
}

static pid_t start(uint32_t slot, uint32_t incarnation)
{
	pid_t parent = getpid(), pid;

	atomic_store(&board->incarnation[slot], incarnation);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct worker w = {.slot = slot,
				   .incarnation = incarnation,
				   .random = incarnation * 131 + slot};

		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
			_exit(1);
		while (getppid() == parent)
			work_once(&w);
		_exit(0);
	}
	return pid;
}

static bool still_dead(void *arg)
{
	return atomic_load(&board->incarnation[*(uint32_t *)arg]) == 0;
}

/* The kernel has confirmed the death: known to all at once, buried a while later. */
static void bury(uint32_t slot, uint32_t incarnation, long wait_ns)
{
	struct timespec later = {.tv_nsec = wait_ns};

	atomic_store(&board->incarnation[slot], 0);
	nanosleep(&later, NULL);
	names_bury(&shm, slot, still_dead, &slot);
	assert_int_equal(names_drop_binding(&shm, PARENT, handle_make(slot, incarnation)), 0);
}

static void test_killed(void **state)
{
	struct worker chance = {.random = 4711};
	uint32_t incarnation[SLOTS] = {0};
	pid_t pids[SLOTS] = {0};
	long kills = 300 * multiplier, stops = 0;

	(void)state;
	set_up();
	for (uint32_t slot = 1; slot <= WORKERS; slot++)
		pids[slot] = start(slot, incarnation[slot] = 1);
	for (long i = 0; i < kills; i++) {
		uint32_t slot = 1 + draw(&chance, WORKERS), other = 1 + draw(&chance, WORKERS);
		struct timespec moment = {.tv_nsec = 20000 + draw(&chance, 1500000)};
		bool stopped = other != slot && draw(&chance, 2);
		int status;

		stops += stopped;
		if (stopped)
			assert_int_equal(kill(pids[other], SIGSTOP), 0);
		nanosleep(&moment, NULL);
		assert_int_equal(kill(pids[slot], SIGKILL), 0);
		assert_int_equal(waitpid(pids[slot], &status, 0), pids[slot]);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		bury(slot, incarnation[slot], draw(&chance, 2) * 1000000);
		check_list();
		if (stopped)
			assert_int_equal(kill(pids[other], SIGCONT), 0);
		pids[slot] = start(slot, ++incarnation[slot]);
	}
	for (uint32_t slot = 1; slot <= WORKERS; slot++) {
		int status;

		assert_int_equal(kill(pids[slot], SIGKILL), 0);
		assert_int_equal(waitpid(pids[slot], &status, 0), pids[slot]);
		assert_true(WIFSIGNALED(status));
		bury(slot, incarnation[slot], 0);
	}
	print_message("%ld kills, %ld stops, %ld operations, names of the dead met %ld times\n",
		      kills, stops, atomic_load(&board->done), atomic_load(&board->found_dead));
	tear_down();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_threads_at_the_limit),
		cmocka_unit_test(test_killed),
	};

	if (argc > 1)
		multiplier = strtol(argv[1], NULL, 10);
	alarm((unsigned)(120 * multiplier));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
