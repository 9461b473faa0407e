/* SPDX-License-Identifier: ISC */
/* Waits that race with another process: with its death, its wakes, its changes of mind. */
#include "base/waitset.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/futex.h"
#include "waitfix.h"

#define ROUNDS 10000u

static void hold_life(struct common *c)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&c->life, &attr);
	pthread_mutex_lock(&c->life);
}

static void die(struct fixture *f)
{
	atom32 *life = (atom32 *)(void *)&f->common->life;

	hold_life(f->common);
	atom_or_relaxed(life, FUTEX_WAITERS);
	atom_store_seq(&f->common->ping, 1);
	futex_wake(&f->common->ping, INT_MAX);
	while (atom_load_seq(&f->common->pong) == 0)
		futex_wait(&f->common->pong, 0, -1);
	raise(SIGKILL);
}

static void start_holder(struct fixture *f)
{
	f->child = fork();
	if (f->child == 0) {
		die(f);
		_exit(0);
	}
	while (atom_load_seq(&f->common->ping) == 0)
		futex_wait(&f->common->ping, 0, -1);
}

static void let_die(struct fixture *f)
{
	atom_store_seq(&f->common->pong, 1);
	futex_wake(&f->common->pong, INT_MAX);
}

/* The kernel marks the word and wakes one sleeper: this one. */
static void test_owner_death(void **state)
{
	struct fixture *f = *state;
	atom32 *life = (atom32 *)(void *)&f->common->life;
	pid_t holder;

	for (int i = 0; i < 20; i++) {
		struct wait_word words[] = {at(f, 0, 0), {life, 0}, at(f, 1, 0)};

		atom_store_seq(&f->common->ping, 0);
		atom_store_seq(&f->common->pong, 0);
		start_holder(f);
		holder = f->child;
		words[1].expected = atom_load_seq(life);
		assert_int_equal(words[1].expected, (uint32_t)holder | FUTEX_WAITERS);
		once_asleep(f, let_die);
		while (!(atom_load_seq(life) & FUTEX_OWNER_DIED))
			assert_int_equal(wait_for(f, words, 3, -1), WAIT_WORD);
		child_ends_well(f);
		assert_int_equal(waitpid(holder, NULL, 0), holder);
	}
}

/* It comes while this process does something else: the armed wait has it. */
static void test_owner_death_between(void **state)
{
	struct fixture *f = *state;
	atom32 *life = (atom32 *)(void *)&f->common->life;
	struct wait_word words[] = {at(f, 0, 0), {life, 0}};

	start_holder(f);
	words[1].expected = atom_load_seq(life);
	settle(f, words, 2);
	let_die(f);
	assert_int_equal(waitpid(f->child, NULL, 0), f->child);
	f->child = 0;
	assert_int_equal(wait_for(f, words, 2, -1), WAIT_WORD);
	words[1].expected = atom_load_seq(life);
	assert_true(words[1].expected & FUTEX_OWNER_DIED);
	settle(f, words, 2);
}

/* One side: wakes the other only if it says that it sleeps, and then sleeps itself. */
static int play(struct fixture *f, int first)
{
	struct common *c = f->common;
	atom32 *mine = first ? &c->pong : &c->ping, *its = first ? &c->ping : &c->pong;
	atom32 *i_sleep = first ? &c->pong_sleeps : &c->ping_sleeps;
	atom32 *it_sleeps = first ? &c->ping_sleeps : &c->pong_sleeps;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		for (int turn = 0; turn < 2; turn++) {
			if (turn == !first) {
				atom_store_seq(its, round);
				if (atom_load_seq(it_sleeps))
					futex_wake(its, 1);
				continue;
			}
			while (atom_load_seq(mine) != round) {
				struct wait_word words[] = {at(f, 0, 0), {mine, round - 1}};
				int rc;

				atom_store_seq(i_sleep, 1);
				rc = waitset_wait(&f->set, words, 2, f->epoll, -1);
				atom_store_seq(i_sleep, 0);
				if (rc != WAIT_WORD)
					return 1;
			}
		}
	}
	return 0;
}

static void test_ping_pong(void **state)
{
	struct fixture *f = *state;

	f->child = fork();
	if (f->child == 0)
		_exit(play(f, 0));
	assert_int_equal(play(f, 1), 0);
	assert_int_equal(f->set.way, f->way);
	child_ends_well(f);
}

static void answer(struct fixture *f)
{
	unsigned seed = 2;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		int how = 1 + rand_r(&seed) % 3;

		while (atom_load_seq(&f->common->ping) != round)
			futex_wait(&f->common->ping, round - 1, -1);
		if (how & WAIT_FD)
			eventfd_write(f->event, 1);
		if (how & WAIT_WORD) {
			atom_add_seq(&f->common->pong, 1);
			futex_wake(&f->common->pong, 1);
		}
	}
}

/* Answers by the word, by the descriptor or by both, to one who waits for ever changing sets. */
static void test_ping_pong_mixed(void **state)
{
	struct fixture *f = *state;
	struct common *c = f->common;
	uint32_t words_due = 0, words_seen = 0;
	unsigned seed = 2, other = 3;

	f->child = fork();
	if (f->child == 0) {
		answer(f);
		_exit(0);
	}
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		int due = 1 + rand_r(&seed) % 3;

		words_due += due & WAIT_WORD;
		atom_store_seq(&c->ping, round);
		futex_wake(&c->ping, 1);
		while (due) {
			struct wait_word words[] = {
				at(f, (unsigned)rand_r(&other) % WAITSET_WORDS_MAX, 0),
				{&c->pong, words_seen},
				at(f, (unsigned)rand_r(&other) % WAITSET_WORDS_MAX, 0),
			};
			unsigned n = 2 + (unsigned)rand_r(&other) % 2;
			eventfd_t count;

			assert_true(wait_for(f, words, n, -1) > 0);
			if (eventfd_read(f->event, &count) == 0)
				due &= ~WAIT_FD;
			words_seen = atom_load_seq(&c->pong);
			if (words_seen == words_due)
				due &= ~WAIT_WORD;
		}
	}
	child_ends_well(f);
}

/* Many short waits that race with the wake, for one word of a process that never looks back. */
static void test_race_with_deadline(void **state)
{
	struct fixture *f = *state;
	struct common *c = f->common;
	uint32_t seen = 0;

	f->child = fork();
	if (f->child == 0) {
		for (uint32_t i = 0; i < ROUNDS; i++) {
			atom_add_seq(&c->pong, 1);
			futex_wake(&c->pong, 1);
			for (unsigned j = 0; j < i % 512; j++)
				(void)atom_load_relaxed(&c->ping);
		}
		_exit(0);
	}
	while (seen != ROUNDS) {
		struct wait_word words[] = {{&c->pong, seen}, at(f, seen % 8, 0)};
		int rc = wait_for(f, words, 2, seen % 3 ? -1 : clock_ns() + MS / 100);

		assert_true(rc == WAIT_WORD || (rc == 0 && seen % 3 == 0));
		seen = atom_load_seq(&c->pong);
	}
	child_ends_well(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_WAY(test_owner_death),
		EACH_WAY(test_owner_death_between),
		EACH_WAY(test_ping_pong),
		FD_WAYS(test_ping_pong_mixed),
		EACH_WAY(test_race_with_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
