/* SPDX-License-Identifier: ISC */
/* The time slice, as the kernel tells it. Each test in a child: what it changes ends with that. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/timeslice.h"

static void in_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(body());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int longer_and_back(void)
{
	int64_t own = slice_get();

	if (slice_set(SLICE_OWNER * own))
		return 1;
	if (own == 0) /* a kernel that has none */
		return slice_get() == 0 ? 0 : 2;
	if (slice_get() != SLICE_OWNER * own || slice_set(own) || slice_get() != own)
		return 3;
	return slice_set(SLICE_OWNER * own) || slice_set(0) || slice_get() != own ? 4 : 0;
}

static int keeps_nice_and_policy(void)
{
	if (setpriority(PRIO_PROCESS, 0, 7) || sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}))
		return 1;
	if (slice_set(3000000))
		return 2;
	return getpriority(PRIO_PROCESS, 0) == 7 && sched_getscheduler(0) == SCHED_BATCH ? 0 : 3;
}

/* Which needs no privilege, and is none of the fair scheduler's that has a slice. */
static int leaves_others(void)
{
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}))
		return 1;
	return slice_get() == 0 && slice_set(3000000) == -EINVAL && sched_getscheduler(0) == SCHED_IDLE ? 0 : 2;
}

static void test_longer_and_back(void **state)
{
	(void)state;
	in_child(longer_and_back);
}

static void test_keeps_nice_and_policy(void **state)
{
	(void)state;
	in_child(keeps_nice_and_policy);
}

static void test_leaves_others(void **state)
{
	(void)state;
	in_child(leaves_others);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longer_and_back),
		cmocka_unit_test(test_keeps_nice_and_policy),
		cmocka_unit_test(test_leaves_others),
	};

	alarm(10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
