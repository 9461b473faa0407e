/* SPDX-License-Identifier: ISC */
#include "waitfix.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

int watch(int fd)
{
	struct epoll_event e = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		abort();
	return epoll;
}

static int setup(void **state, enum waitset_way way)
{
	struct fixture *f = calloc(1, sizeof(*f));

	alarm(TIME_LIMIT_S);
	f->way = way;
	f->common = mmap(NULL, sizeof(*f->common), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->epoll = way == WAY_FUTEX ? -1 : watch(f->event);
	*state = f;
	if (f->common == MAP_FAILED || f->event < 0)
		return -1;
	return waitset_init(&f->set, way == WAY_HELPER ? WAITSET_NO_URING : 0);
}

int setup_futex(void **state)
{
	return setup(state, WAY_FUTEX);
}

static int has_uring(void)
{
	struct waitset probe;
	int fd = eventfd(1, EFD_CLOEXEC), has;

	waitset_init(&probe, 0);
	has = waitset_wait(&probe, NULL, 0, fd, 0) == WAIT_FD && probe.way == WAY_URING;
	waitset_finish(&probe);
	close(fd);
	return has;
}

int setup_uring(void **state)
{
	if (has_uring())
		return setup(state, WAY_URING);
	print_message("no futex waits in io_uring here: the helper's way once more\n");
	return setup(state, WAY_HELPER);
}

int setup_helper(void **state)
{
	return setup(state, WAY_HELPER);
}

int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->child > 0) {
		kill(f->child, SIGKILL);
		waitpid(f->child, NULL, 0);
	}
	waitset_finish(&f->set);
	waitset_finish(&f->set);
	if (f->epoll >= 0)
		close(f->epoll);
	close(f->event);
	munmap(f->common, sizeof(*f->common));
	free(f);
	alarm(0);
	return 0;
}

int wait_for(struct fixture *f, const struct wait_word *words, unsigned n, int64_t deadline)
{
	int rc = waitset_wait(&f->set, words, n, f->epoll, deadline);

	assert_int_equal(f->set.way, f->way);
	return rc;
}

void settle(struct fixture *f, const struct wait_word *words, unsigned n)
{
	for (int i = 0; i < 3; i++)
		if (wait_for(f, words, n, clock_ns() + MS) == 0)
			return;
	fail_msg("reports go on and on");
}

void once_asleep(struct fixture *f, void (*fn)(struct fixture *))
{
	char path[64], state = 0;
	pid_t parent = getpid();

	f->child = fork();
	if (f->child)
		return;
	snprintf(path, sizeof(path), "/proc/%d/stat", parent);
	while (state != 'S') {
		FILE *stat = fopen(path, "re");

		if (!stat || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
			_exit(1);
		fclose(stat);
		sched_yield();
	}
	fn(f);
	_exit(0);
}

void child_ends_well(struct fixture *f)
{
	int status;

	assert_int_equal(waitpid(f->child, &status, 0), f->child);
	f->child = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

struct wait_word at(struct fixture *f, unsigned i, uint32_t expected)
{
	return (struct wait_word){&f->common->word[i], expected};
}
