/* SPDX-License-Identifier: ISC */
/* The supervisor's side. */
#include "bench/barespawn.h"

#include "bench/barelimit.h"
#include "bench/measure.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_NS INT64_C(10000000000)

extern char **environ;

static int wait_starts(struct child_share *s, uint32_t before)
{
	struct timespec second = {.tv_sec = 1};
	int64_t deadline = measure_now() + TIMEOUT_NS;

	while (atomic_load(&s->starts) == before) {
		syscall(SYS_futex, &s->starts, FUTEX_WAIT, before, &second, NULL, 0);
		if (measure_now() > deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

static pid_t spawn(char *const argv[])
{
	pid_t pid;
	int error = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);

	return error ? -error : pid;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static _Noreturn void supervise(struct child_share *s, char *const argv[], bool holds)
{
	uint32_t starts = atomic_load(&s->starts), life;
	pid_t pid = spawn(argv), next;

	while (pid > 0 && !wait_starts(s, starts)) {
		starts = atomic_load(&s->starts);
		while (holds && !((life = atomic_load(&s->life)) & FUTEX_OWNER_DIED))
			syscall(SYS_futex, &s->life, FUTEX_WAIT, life, NULL, NULL, 0);
		if (!holds)
			reap(pid);
		next = atomic_load(&s->stop) ? 0 : spawn(argv);
		if (holds)
			reap(pid);
		pid = next;
	}
	_exit(0);
}

int barespawn_start(struct barespawn *bare, struct child_share *share, char *const argv[], bool holds)
{
	uint32_t starts = atomic_load(&share->starts);
	pid_t parent = getpid();

	*bare = (struct barespawn){.share = share};
	atomic_store(&share->stop, 0);
	bare->pid = fork();
	if (bare->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_IGN);
		if (getppid() != parent)
			_exit(1);
		supervise(share, argv, holds);
	}
	return bare->pid < 0 ? -errno : wait_starts(share, starts);
}

void barespawn_end(struct barespawn *bare)
{
	pid_t child = bare->pid > 0 ? atomic_load(&bare->share->pid) : 0;

	if (bare->pid <= 0)
		return;
	atomic_store(&bare->share->stop, 1);
	kill(child > 0 ? child : bare->pid, SIGKILL); /* the child's end ends the supervisor */
	reap(bare->pid);
	bare->pid = 0;
}

int child_killed(struct child_share *s, int64_t *ret_ns)
{
	uint32_t starts = atomic_load(&s->starts);
	pid_t pid = atomic_load(&s->pid);
	int64_t from;
	int error;

	if (!barelimit_asleep(pid))
		return -ETIMEDOUT;
	barelimit_rest();
	from = measure_now();
	kill(pid, SIGKILL);
	error = wait_starts(s, starts);
	if (!error)
		*ret_ns = atomic_load(&s->main_ns) - from;
	return error;
}

int child_spawned(struct child_share *s, char *const argv[], int64_t *ret_ns)
{
	uint32_t starts = atomic_load(&s->starts);
	int64_t from;
	pid_t pid;
	int error;

	barelimit_rest();
	from = measure_now();
	pid = spawn(argv);
	if (pid < 0)
		return pid;
	error = wait_starts(s, starts);
	if (!error)
		*ret_ns = atomic_load(&s->main_ns) - from;
	kill(pid, SIGKILL);
	reap(pid);
	return error;
}
