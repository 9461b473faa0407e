/* SPDX-License-Identifier: ISC */
/* What the tests of the waitset share: one fixture for each way, and another process. */
#ifndef HEIR_TEST_WAITFIX_H
#define HEIR_TEST_WAITFIX_H

#include <pthread.h>
#include <sys/types.h>

#include "base/waitset.h"

#define TIME_LIMIT_S 60
#define MS INT64_C(1000000)

/* Shared with the children. */
struct common {
	_Alignas(CACHE_LINE) atom32 word[WAITSET_WORDS_MAX + 1];
	_Alignas(CACHE_LINE) atom32 ping;
	atom32 ping_sleeps;
	_Alignas(CACHE_LINE) atom32 pong;
	atom32 pong_sleeps;
	_Alignas(CACHE_LINE) pthread_mutex_t life;
};

struct fixture {
	enum waitset_way way;
	struct waitset set;
	struct common *common;
	int event, epoll; /* epoll: -1 in the plain way */
	pid_t child;
};

int setup_futex(void **state);
/* The helper's way instead, and a line that says so, where io_uring has no futex waits. */
int setup_uring(void **state);
int setup_helper(void **state);
int teardown(void **state);

int watch(int fd); /* a new epoll descriptor that is readable when fd is */
struct wait_word at(struct fixture *f, unsigned i, uint32_t expected);
/* waitset_wait with the fixture's descriptor; the way is the one that is tested. */
int wait_for(struct fixture *f, const struct wait_word *words, unsigned n, int64_t deadline);
/* Waits in vain: consumes what may be reported without cause. */
void settle(struct fixture *f, const struct wait_word *words, unsigned n);

/* A process that runs fn once the caller sleeps, if not always in the wait that is meant. */
void once_asleep(struct fixture *f, void (*fn)(struct fixture *));
void child_ends_well(struct fixture *f);

#define EACH_WAY(test)                                                        \
	cmocka_unit_test_setup_teardown(test, setup_futex, teardown),         \
		cmocka_unit_test_setup_teardown(test, setup_uring, teardown), \
		cmocka_unit_test_setup_teardown(test, setup_helper, teardown)
#define FD_WAYS(test)                                                 \
	cmocka_unit_test_setup_teardown(test, setup_uring, teardown), \
		cmocka_unit_test_setup_teardown(test, setup_helper, teardown)

#endif
