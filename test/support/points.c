/* SPDX-License-Identifier: ISC */
#include "support/points.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testpoint.h"

static struct {
	enum points_how how; /* 0: not armed */
	int left;
	char label[64]; /* "": every point counts */
} armed;

static char *last; /* shared with the children */

__attribute__((constructor)) static void map_last(void)
{
	last = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (last == MAP_FAILED)
		abort();
}

void testpoint(const char *label)
{
	if (!armed.how || (armed.label[0] && strcmp(label, armed.label) != 0) || --armed.left > 0)
		return;
	snprintf(last, 4096, "%s", label);
	if (armed.how == POINTS_STOP) {
		armed.how = 0;
		raise(SIGSTOP);
		return;
	}
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

void points_arm_at(enum points_how how, const char *label, int n)
{
	armed.how = how;
	armed.left = n;
	snprintf(armed.label, sizeof(armed.label), "%s", label);
}

void points_arm(enum points_how how, int n)
{
	points_arm_at(how, "", n);
}

void points_disarm(void)
{
	armed.how = 0;
}

enum points_end points_wait(pid_t child, int *ret_status)
{
	int status;

	/* Bounded by the alarm of parent and child. */
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	if (WIFSTOPPED(status))
		return POINTS_STOPPED;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return POINTS_DIED;
	if (WIFSIGNALED(status))
		fail_msg("a child died of signal %d", WTERMSIG(status));
	*ret_status = WEXITSTATUS(status);
	return POINTS_ENDED;
}

void points_continue(pid_t child)
{
	assert_int_equal(kill(child, SIGCONT), 0);
}

const char *points_label(void)
{
	return last;
}
