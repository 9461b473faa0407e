/* SPDX-License-Identifier: ISC */
/* One wait for words and a descriptor, in each of its three ways. */
#include "base/waitset.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/futex.h"
#include "waitfix.h"

static void test_word_changed_before(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0), at(f, 2, 0)};

	atom_store_release(words[2].word, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_for(f, words, 3, -1), WAIT_WORD);
	words[2].expected = 1;
	settle(f, words, 3);
	atom_store_release(words[0].word, 7); /* armed by now, and nobody is woken */
	assert_int_equal(wait_for(f, words, 3, -1), WAIT_WORD);
}

static void change_word(struct fixture *f)
{
	atom_store_seq(&f->common->word[1], 1);
	futex_wake(&f->common->word[1], INT_MAX);
}

static void test_word_changed_during(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0)};

	once_asleep(f, change_word);
	while (atom_load_seq(words[1].word) == 0)
		assert_true(wait_for(f, words, 2, -1) & WAIT_WORD);
	child_ends_well(f);
}

/* A word that changes while it is looked at needs no wake; looking ends after its time, and at the deadline. */
static void test_spin(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0)};
	int64_t from = clock_ns();

	assert_false(wait_spin(words, 2, 0, -1));
	assert_false(wait_spin(words, 2, 1000000, -1));
	assert_true(clock_ns() - from >= 1000000);
	assert_false(wait_spin(words, 2, INT64_MAX / 2, clock_ns() + 1000000));
	f->child = fork();
	assert_true(f->child >= 0);
	if (f->child == 0) {
		atom_store_seq(&f->common->word[1], 1); /* and nobody is woken */
		_exit(0);
	}
	assert_true(wait_spin(words, 2, INT64_MAX / 2, -1));
	assert_true(wait_spin(words, 2, 0, -1));
	child_ends_well(f);
}

static void wake_word(struct fixture *f)
{
	while (futex_wake(&f->common->word[0], 1) != 1)
		sched_yield();
}

static void test_word_woken_unchanged(void **state)
{
	struct fixture *f = *state;
	struct wait_word word = at(f, 0, 0);

	once_asleep(f, wake_word);
	assert_int_equal(wait_for(f, &word, 1, -1), WAIT_WORD);
	child_ends_well(f);
}

static void test_fd_readable_before(void **state)
{
	struct fixture *f = *state;
	struct wait_word word = at(f, 0, 0);
	eventfd_t count;

	eventfd_write(f->event, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_for(f, &word, 1, -1), WAIT_FD);
	assert_int_equal(wait_for(f, NULL, 0, -1), WAIT_FD);
	eventfd_read(f->event, &count);
	settle(f, &word, 1);
}

static void write_event(struct fixture *f)
{
	eventfd_write(f->event, 1);
}

static void test_fd_readable_during(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0)};

	once_asleep(f, write_event);
	assert_int_equal(wait_for(f, words, 2, -1), WAIT_FD);
	child_ends_well(f);
}

/* Neither hides the other, however often the first is looked at. */
static void test_both(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0)};

	eventfd_write(f->event, 1);
	atom_store_seq(words[1].word, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_for(f, words, 2, -1), WAIT_WORD | WAIT_FD);
	assert_int_equal(wait_for(f, words, 2, 0), WAIT_WORD | WAIT_FD);
}

static void ignore_signal(int signal)
{
	(void)signal;
}

/* Under a rain of signals, of which none ends the wait. */
static void test_timeout(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0)};
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	struct sigaction old, action = {.sa_handler = ignore_signal};
	int64_t deadline;

	assert_int_equal(wait_for(f, words, 2, 0), 0);
	for (int i = 0; i < 10; i++) {
		deadline = clock_ns() + 2 * MS;
		assert_int_equal(wait_for(f, words, 2, deadline), 0);
		assert_true(clock_ns() >= deadline);
	}
	sigaction(SIGALRM, &action, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 10; i++) {
		deadline = clock_ns() + 5 * MS;
		assert_int_equal(wait_for(f, words, 2, deadline), 0);
		assert_true(clock_ns() >= deadline);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	alarm(TIME_LIMIT_S);
}

static void test_far_deadline(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0)};

	once_asleep(f, change_word);
	while (atom_load_seq(words[1].word) == 0)
		assert_true(wait_for(f, words, 2, INT64_MAX) & WAIT_WORD);
	child_ends_well(f);
}

/* Sets of every size and order, each noticed; words that are in no set any more are not. */
static void test_changed_sets(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[WAITSET_WORDS_MAX + 1];
	uint32_t value[WAITSET_WORDS_MAX + 1] = {0};
	unsigned seed = 1;

	for (unsigned round = 0; round < 2000; round++) {
		unsigned n = 1 + (unsigned)rand_r(&seed) % WAITSET_WORDS_MAX;
		unsigned first = (unsigned)rand_r(&seed), chosen, index;
		int rc;

		for (unsigned i = 0; i < n; i++) {
			index = (first + i) % (WAITSET_WORDS_MAX + 1);
			words[i] = at(f, index, value[index]);
		}
		rc = wait_for(f, words, n, rand_r(&seed) % 4 ? 0 : clock_ns() + MS / 50);
		assert_true(rc == 0 || rc == WAIT_WORD);
		chosen = (unsigned)rand_r(&seed) % (WAITSET_WORDS_MAX + 1);
		atom_store_seq(&f->common->word[chosen], ++value[chosen]);
		if (rand_r(&seed) % 2)
			futex_wake(&f->common->word[chosen], INT_MAX);
		for (unsigned i = 0; i < n; i++)
			if (words[i].word == &f->common->word[chosen])
				assert_int_equal(wait_for(f, words, n, -1), WAIT_WORD);
	}
	for (unsigned i = 0; i < WAITSET_WORDS_MAX; i++)
		words[i] = at(f, i, value[i]);
	settle(f, words, WAITSET_WORDS_MAX);
	settle(f, words, 1);
	for (unsigned i = 1; i < WAITSET_WORDS_MAX; i++) {
		if (f->way != WAY_HELPER) /* which may be on its way out of the set */
			assert_int_equal(futex_wake(words[i].word, 1), 0);
		while (futex_wake(words[i].word, 1))
			sched_yield();
	}
}

static void test_same_word_twice(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0), at(f, 1, 0)};

	settle(f, words, 3);
	settle(f, words, 2);
	once_asleep(f, change_word);
	while (atom_load_seq(words[1].word) == 0)
		assert_true(wait_for(f, words, 3, -1) & WAIT_WORD);
	child_ends_well(f);
	words[1].expected = 1;
	assert_int_equal(wait_for(f, words, 3, -1), WAIT_WORD);
}

static void test_other_descriptor(void **state)
{
	struct fixture *f = *state;
	struct wait_word word = at(f, 0, 0);
	int event = eventfd(1, EFD_CLOEXEC), epoll = watch(event), old = f->epoll;

	settle(f, &word, 1);
	f->epoll = epoll;
	assert_int_equal(wait_for(f, &word, 1, -1), WAIT_FD);
	f->epoll = -1;
	settle(f, &word, 1);
	f->epoll = old;
	settle(f, &word, 1);
	eventfd_write(f->event, 1);
	assert_int_equal(wait_for(f, &word, 1, -1), WAIT_FD);
	waitset_disarm(&f->set);
	close(epoll);
	f->epoll = epoll;
	assert_int_equal(wait_for(f, &word, 1, -1), -EBADF);
	f->epoll = old;
	assert_int_equal(wait_for(f, &word, 1, -1), WAIT_FD);
	close(event);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[WAITSET_WORDS_MAX + 1];

	for (unsigned i = 0; i <= WAITSET_WORDS_MAX; i++)
		words[i] = at(f, i, 0);
	assert_int_equal(waitset_wait(&f->set, words, WAITSET_WORDS_MAX + 1, f->epoll, 0), -EINVAL);
	assert_int_equal(waitset_wait(&f->set, words, 0, -1, 0), -EINVAL);
	settle(f, words, WAITSET_WORDS_MAX);
}

/* What is armed takes a wake and reports it; after disarm and finish nothing does. */
static void test_disarm(void **state)
{
	struct fixture *f = *state;
	struct wait_word words[] = {at(f, 0, 0), at(f, 1, 0)};

	for (int i = 0; i < 200; i++) {
		settle(f, words, 2);
		while (futex_wake(words[1].word, 1) == 0)
			sched_yield();
		assert_int_equal(wait_for(f, words, 2, -1), WAIT_WORD);
		settle(f, words, 2);
		waitset_disarm(&f->set);
		assert_int_equal(futex_wake(words[0].word, 1), 0);
		assert_int_equal(futex_wake(words[1].word, 1), 0);
		waitset_disarm(&f->set);
	}
	settle(f, words, 2);
	while (futex_wake(words[1].word, 1) == 0)
		sched_yield();
	waitset_disarm(&f->set);
	assert_int_equal(wait_for(f, words, 2, -1), WAIT_WORD);
	settle(f, words, 2);
	waitset_finish(&f->set);
	assert_int_equal(futex_wake(words[0].word, 1), 0);
	assert_int_equal(futex_wake(words[1].word, 1), 0);
}

static void test_read_only_mapping(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("words", MFD_CLOEXEC);
	atom32 *rw, *ro;

	assert_int_equal(ftruncate(fd, 4096), 0);
	rw = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	settle(f, (struct wait_word[]){{ro, 0}, at(f, 0, 0)}, 2);
	f->child = fork();
	if (f->child == 0) {
		while (futex_wake(rw, 1) != 1)
			sched_yield();
		_exit(0);
	}
	assert_int_equal(wait_for(f, (struct wait_word[]){{ro, 0}, at(f, 0, 0)}, 2, -1), WAIT_WORD);
	child_ends_well(f);
	waitset_disarm(&f->set);
	munmap(rw, 4096);
	munmap(ro, 4096);
}

static int wait_unmapped(struct fixture *f, struct wait_word *words)
{
	int rc = waitset_wait(&f->set, words, 2, f->epoll, clock_ns() + MS);

	return rc == 0 || rc == WAIT_WORD;
}

/* The page goes while its word is armed (a caller's fault, but no reason to hang or crash). */
static void test_unmapped_while_armed(void **state)
{
	struct fixture *f = *state;
	atom32 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct wait_word words[] = {at(f, 0, 0), {page, 0}};

	settle(f, words, 2);
	munmap(page, 4096);
	words[1] = at(f, 1, 0);
	assert_true(wait_unmapped(f, words));
	settle(f, words, 2);
}

static void test_descriptors_close_on_exec(void **state)
{
	struct fixture *f = *state;
	struct wait_word word = at(f, 0, 0);
	int opened = 0, before[64];

	for (int fd = 0; fd < 64; fd++)
		before[fd] = fcntl(fd, F_GETFD);
	settle(f, &word, 1);
	for (int fd = 0; fd < 64; fd++) {
		if (before[fd] >= 0 || fcntl(fd, F_GETFD) < 0)
			continue;
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		opened++;
	}
	assert_int_equal(opened, 1);
}

static void test_environment(void **state)
{
	struct fixture *f = *state;
	struct wait_word word = at(f, 0, 0);

	setenv("WAITSET_NO_URING", "1", 1);
	waitset_init(&f->set, 0);
	unsetenv("WAITSET_NO_URING");
	settle(f, &word, 1);
}

static void test_way_is_kept(void **state)
{
	struct fixture *f = *state;
	struct wait_word word = at(f, 0, 0);

	assert_int_equal(waitset_wait(&f->set, &word, 1, -1, clock_ns() + MS), 0);
	assert_int_equal(f->set.way, WAY_FUTEX);
	settle(f, &word, 1);
	assert_int_equal(waitset_wait(&f->set, &word, 1, -1, clock_ns() + MS), 0);
	assert_int_equal(f->set.way, f->way);
}

/* The ring's calls fail from here on, in this process. */
static int fail_ring(int error)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(f) / sizeof(f[0]), .filter = f};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a child: the number of the first thing that is not so. */
static int go_on_without_ring(struct fixture *f, int error)
{
	struct wait_word word = at(f, 0, 0);
	struct waitset w;
	int rc;

	waitset_init(&w, 0);
	if (waitset_wait(&w, &word, 1, f->epoll, clock_ns() + MS) != 0)
		return 1;
	if (w.way != WAY_URING)
		return 0;
	if (!fail_ring(error))
		return 2;
	do { /* may be told of both for nothing */
		rc = waitset_wait(&w, &word, 1, f->epoll, clock_ns() + MS);
	} while (rc > 0);
	if (rc < 0 || w.way == WAY_URING)
		return 3;
	if (eventfd_write(f->event, 1) < 0 || waitset_wait(&w, &word, 1, f->epoll, -1) != WAIT_FD)
		return 4;
	atom_store_seq(word.word, 1);
	if (!(waitset_wait(&w, &word, 1, f->epoll, -1) & WAIT_WORD))
		return 5;
	waitset_finish(&w);
	return 0;
}

/* The kernel has no memory for the ring, or its completions overflow: another way is taken. */
static void test_ring_that_fails(void **state)
{
	static const int errors[] = {EAGAIN, EBUSY, ENOMEM};
	struct fixture *f = *state;
	eventfd_t n;

	for (unsigned i = 0; i < 3; i++) {
		atom_store_seq(&f->common->word[0], 0);
		(void)eventfd_read(f->event, &n);
		f->child = fork();
		if (f->child == 0) {
			alarm(TIME_LIMIT_S);
			_exit(go_on_without_ring(f, errors[i]));
		}
		child_ends_well(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_WAY(test_word_changed_before),
		EACH_WAY(test_word_changed_during),
		cmocka_unit_test_setup_teardown(test_spin, setup_futex, teardown),
		EACH_WAY(test_word_woken_unchanged),
		FD_WAYS(test_fd_readable_before),
		FD_WAYS(test_fd_readable_during),
		FD_WAYS(test_both),
		EACH_WAY(test_timeout),
		EACH_WAY(test_far_deadline),
		EACH_WAY(test_changed_sets),
		EACH_WAY(test_same_word_twice),
		FD_WAYS(test_other_descriptor),
		EACH_WAY(test_refusals),
		FD_WAYS(test_disarm),
		EACH_WAY(test_read_only_mapping),
		EACH_WAY(test_unmapped_while_armed),
		FD_WAYS(test_descriptors_close_on_exec),
		FD_WAYS(test_way_is_kept),
		cmocka_unit_test_setup_teardown(test_ring_that_fails, setup_uring, teardown),
		cmocka_unit_test_setup_teardown(test_environment, setup_helper, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
