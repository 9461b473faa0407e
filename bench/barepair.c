/* SPDX-License-Identifier: ISC */
/* Each way has an ask() and a serve(); the far one ends with its parent. */
#include "bench/barepair.h"

#include "bench/barelimit.h"
#include "bench/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
	_Alignas(64) _Atomic uint32_t there;
	_Alignas(64) _Atomic uint32_t back;
	_Alignas(64) char data[];
};

struct barepair {
	enum bareway way;
	size_t bytes, size;
	struct shared *shared;
	char *buffer;
	int near[2], far[2]; /* to read, to write; -1 */
	pid_t pid;
	uint32_t number;
};

static void sleep_while(_Atomic uint32_t *w, uint32_t value)
{
	while (atomic_load(w) == value)
		syscall(SYS_futex, w, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *w)
{
	syscall(SYS_futex, w, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void await(const struct barepair *p, _Atomic uint32_t *w, uint32_t value)
{
	if (p->way == BARE_FUTEX)
		sleep_while(w, value);
	while (atomic_load_explicit(w, memory_order_acquire) == value)
		barelimit_relax();
}

static void set(const struct barepair *p, _Atomic uint32_t *w, uint32_t value)
{
	atomic_store_explicit(w, value, memory_order_release);
	if (p->way == BARE_FUTEX)
		wake(w);
}

static int get_all(int fd, char *data, size_t size)
{
	for (size_t n = 0; n < size;) {
		ssize_t got = read(fd, data + n, size - n);

		if (got <= 0)
			return got < 0 ? -errno : -EPIPE;
		n += (size_t)got;
	}
	return 0;
}

static int put_all(int fd, const char *data, size_t size)
{
	for (size_t n = 0; n < size;) {
		ssize_t put = write(fd, data + n, size - n);

		if (put < 0)
			return -errno;
		n += (size_t)put;
	}
	return 0;
}

static bool is_shared(const struct barepair *p)
{
	return p->way == BARE_FUTEX || p->way == BARE_LINE;
}

/* Two copies each way, as mail has: into shared memory and out of it. */
static _Noreturn void serve(struct barepair *p)
{
	struct shared *s = p->shared;
	uint32_t seen = 0;

	while (is_shared(p)) {
		await(p, &s->there, seen++);
		memcpy(p->buffer, s->data, p->bytes);
		memcpy(s->data, p->buffer, p->bytes);
		set(p, &s->back, seen);
	}
	while (!get_all(p->far[0], p->buffer, p->bytes) && !put_all(p->far[1], p->buffer, p->bytes))
		continue;
	_exit(0);
}

int barepair_round_trip(struct barepair *p, int64_t *ret_ns)
{
	int64_t from = measure_now();
	struct shared *s = p->shared;
	int error = 0;

	if (is_shared(p)) {
		memcpy(s->data, p->buffer, p->bytes);
		set(p, &s->there, ++p->number);
		await(p, &s->back, p->number - 1);
		memcpy(p->buffer, s->data, p->bytes);
	} else {
		error = put_all(p->near[1], p->buffer, p->bytes);
		if (!error)
			error = get_all(p->near[0], p->buffer, p->bytes);
	}
	*ret_ns = measure_now() - from;
	return error;
}

static int open_ways(struct barepair *p)
{
	int one[2], two[2];

	if (is_shared(p)) {
		p->size = sizeof(*p->shared) + p->bytes;
		p->shared = mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		return p->shared == MAP_FAILED ? -ENOMEM : 0;
	}
	if (p->way == BARE_SOCKET) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, one))
			return -errno;
		p->near[0] = p->near[1] = one[0];
		p->far[0] = p->far[1] = one[1];
		return 0;
	}
	if (pipe2(one, O_CLOEXEC) || pipe2(two, O_CLOEXEC))
		return -errno;
	p->far[0] = one[0], p->near[1] = one[1];
	p->near[0] = two[0], p->far[1] = two[1];
	return 0;
}

static void close_pair(int fd[2])
{
	if (fd[0] >= 0)
		close(fd[0]);
	if (fd[1] >= 0 && fd[1] != fd[0])
		close(fd[1]);
	fd[0] = fd[1] = -1;
}

static int start(struct barepair *p, int cpu)
{
	pid_t parent = getpid();

	p->pid = fork();
	if (p->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_IGN);
		close_pair(p->near);
		if (getppid() != parent)
			_exit(1);
		barelimit_pin(cpu);
		serve(p);
	}
	close_pair(p->far);
	return p->pid < 0 ? -EAGAIN : 0;
}

void barepair_stop(struct barepair *p, bool stop)
{
	kill(p->pid, stop ? SIGSTOP : SIGCONT);
}

int barepair_create(enum bareway way, size_t bytes, int cpu, struct barepair **ret)
{
	struct barepair *p = calloc(1, sizeof(*p));
	int error;

	if (!p)
		return -ENOMEM;
	*p = (struct barepair){.way = way, .bytes = bytes, .near = {-1, -1}, .far = {-1, -1}};
	p->buffer = calloc(1, bytes);
	error = p->buffer ? open_ways(p) : -ENOMEM;
	if (!error)
		error = start(p, cpu);
	if (error) {
		barepair_destroy(p);
		return error;
	}
	*ret = p;
	return 0;
}

void barepair_destroy(struct barepair *p)
{
	if (!p)
		return;
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	close_pair(p->near);
	close_pair(p->far);
	if (p->size && p->shared != MAP_FAILED)
		munmap(p->shared, p->size);
	free(p->buffer);
	free(p);
}
