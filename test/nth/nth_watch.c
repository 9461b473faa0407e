/* SPDX-License-Identifier: ISC */
#include "nth/nth_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES_MAX 512
#define COUNTS_MAX 4096
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

struct process {
	pid_t tid, pid;
	char role[NTH_ROLE_MAX]; /* "": nobody's, never failed */
	bool execs; /* its last call was an exec: look at it anew */
	uint64_t loader, loader_end; /* where the dynamic loader's code is: its calls are not heir's */
	unsigned *counts; /* by index into nth_calls */
};

struct count {
	char role[NTH_ROLE_MAX];
	const struct nth_call *call;
	unsigned n;
};

struct nth_watch {
	int listener;
	const struct nth_point *point;
	bool fired;
	struct process process[PROCESSES_MAX];
	unsigned processes;
	struct count count[COUNTS_MAX];
	unsigned counts;
	char seen[PROCESSES_MAX][NTH_ROLE_MAX]; /* roles that have begun, for their numbers */
	unsigned seens;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "nth: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void add_notice(struct sock_filter *f, unsigned *n, int number)
{
	f[(*n)++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1);
	f[(*n)++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
}

/*
 * Of the point's call, or of all in the table; and of what every process does when it begins, so that each gets its
 * role in turn.
 */
static int install(const struct nth_point *point)
{
	struct sock_filter f[2 * 128];
	unsigned n = 0;
	struct sock_fprog program = {.filter = f};
	int fd;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < nth_calls_count; i++) {
		if (point && nth_calls[i].number != point->call->number && nth_calls[i].number != SYS_execve)
			continue;
		add_notice(f, &n, nth_calls[i].number);
	}
	add_notice(f, &n, SYS_set_tid_address);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	if (fd < 0 && errno == EINVAL) /* before Linux 5.19; then a signal may have a call made twice */
		fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return fd;
}

/* In the child, which shares its descriptors with its parent until then. No call before somebody listens. */
static _Noreturn void begin_story(char *const argv[], const struct nth_point *point, int in, int out,
				  atomic_int *shared)
{
	int listener = install(point);

	atomic_store(&shared[0], listener < 0 ? -errno : listener + 1);
	while (listener >= 0 && !atomic_load(&shared[1]))
		;
	if (listener < 0 || unshare(CLONE_FILES) < 0)
		_exit(98);
	atomic_store(&shared[2], 1);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(98);
	execv(argv[0], argv);
	_exit(98);
}

struct nth_watch *watch_start(char *const argv[], const struct nth_point *point, int in, int out)
{
	struct nth_watch *w = calloc(1, sizeof(*w));
	atomic_int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec moment = {.tv_nsec = 200000};
	long pid;
	int got;

	if (!w || shared == MAP_FAILED)
		die("cannot begin");
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		die("cannot begin");
	if (pid == 0)
		begin_story(argv, point, in, out, shared);
	while ((got = atomic_load(&shared[0])) == 0)
		nanosleep(&moment, NULL);
	if (got < 0) {
		errno = -got;
		die("no seccomp listener");
	}
	w->listener = got - 1;
	w->point = point;
	atomic_store(&shared[1], 1);
	while (!atomic_load(&shared[2]))
		nanosleep(&moment, NULL);
	munmap((void *)shared, 4096);
	return w;
}

static size_t slurp(pid_t pid, const char *what, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	n = n < 0 ? 0 : n;
	text[n] = 0;
	return (size_t)n;
}

static pid_t status_number(pid_t tid, const char *key)
{
	char text[4096], *at;

	slurp(tid, "status", text, sizeof(text));
	at = strstr(text, key);
	return at ? atoi(at + strlen(key)) : 0;
}

/* The value of a variable in a block of words that end with NUL. */
static const char *variable(const char *block, size_t size, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = block; p < block + size; p += strlen(p) + 1)
		if (strncmp(p, name, n) == 0)
			return p + n;
	return "";
}

/* From its arguments and environment. "": not a program that is looked at. */
static void role_of(pid_t pid, char *role)
{
	static char args[8192], env[65536];
	size_t n = slurp(pid, "cmdline", args, sizeof(args)), m = slurp(pid, "environ", env, sizeof(env));
	const char *base = strrchr(args, '/') ? strrchr(args, '/') + 1 : args, *verb = args + strlen(args) + 1;
	const char *last = args;

	role[0] = 0;
	if (n == 0)
		return;
	for (const char *p = args; p < args + n; p += strlen(p) + 1)
		last = p;
	if (strcmp(base, "heir-kv") == 0)
		snprintf(role, NTH_ROLE_MAX, "kv %s", variable(env, m, "HEIR_NODE="));
	else if ((strcmp(base, "heir") == 0 || strcmp(base, "exe") == 0) && verb < args + n)
		snprintf(role, NTH_ROLE_MAX, strcmp(verb, "node") == 0 ? "%s %s" : "%s", verb, last);
}

static void find_loader(struct process *p)
{
	static char maps[65536];

	p->loader = p->loader_end = 0;
	slurp(p->pid, "maps", maps, sizeof(maps));
	for (char *line = maps, *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned long long from, to;

		*end = 0;
		if (strstr(line, " r-xp ") && strstr(line, "/ld-linux") && sscanf(line, "%llx-%llx", &from, &to) == 2) {
			p->loader = from;
			p->loader_end = to;
		}
	}
}

static struct process *find(struct nth_watch *w, pid_t tid)
{
	for (unsigned i = w->processes; i-- > 0;)
		if (w->process[i].tid == tid)
			return &w->process[i];
	return NULL;
}

static void begin_role(struct nth_watch *w, struct process *p)
{
	unsigned same = 1;

	if (!p->role[0] || w->seens == PROCESSES_MAX)
		return;
	for (unsigned i = 0; i < w->seens; i++)
		same += strcmp(w->seen[i], p->role) == 0;
	strcpy(w->seen[w->seens++], p->role);
	if (same > 1) {
		size_t n = strlen(p->role);

		snprintf(p->role + n, NTH_ROLE_MAX - n, ".%u", same);
	}
}

/* A task that has not been seen yet, or is another program since. */
static struct process *learn(struct nth_watch *w, pid_t tid)
{
	struct process *p = find(w, tid), *parent;
	char role[NTH_ROLE_MAX];

	if (p && !p->execs)
		return p;
	if (!p) {
		if (w->processes == PROCESSES_MAX)
			die("too many processes");
		p = &w->process[w->processes++];
		*p = (struct process){.tid = tid, .pid = status_number(tid, "\nTgid:")};
		p->counts = calloc(nth_calls_count, sizeof(unsigned));
		parent = find(w, p->pid != tid ? p->pid : status_number(tid, "\nPPid:"));
		if (!parent)
			role_of(p->pid, p->role);
		else if (parent->role[0]) {
			memcpy(role, parent->role, sizeof(role));
			snprintf(p->role, NTH_ROLE_MAX, "%.40s%c", role, p->pid != tid ? '~' : '+');
			p->loader = parent->loader;
			p->loader_end = parent->loader_end;
		}
		return p;
	}
	p->execs = false;
	role_of(p->pid, role);
	if (role[0] && strncmp(role, p->role, strlen(p->role) - (p->role[0] != 0)) == 0 && strchr(p->role, '+'))
		return p; /* the exec failed: it is its parent's copy still */
	strcpy(p->role, role);
	find_loader(p);
	memset(p->counts, 0, nth_calls_count * sizeof(unsigned));
	begin_role(w, p);
	return p;
}

static void add_count(struct nth_watch *w, const char *role, const struct nth_call *call, unsigned n)
{
	for (unsigned i = 0; i < w->counts; i++)
		if (w->count[i].call == call && strcmp(w->count[i].role, role) == 0) {
			if (w->count[i].n < n)
				w->count[i].n = n;
			return;
		}
	if (w->counts == COUNTS_MAX)
		die("too many counts");
	strcpy(w->count[w->counts].role, role);
	w->count[w->counts].call = call;
	w->count[w->counts++].n = n;
}

/* The error that this call is to end with, or 0. */
static int judge(struct nth_watch *w, const struct seccomp_notif *req)
{
	const struct nth_call *call = nth_call_by_number(req->data.nr);
	struct process *p = learn(w, (pid_t)req->pid);
	const struct nth_point *point = w->point;
	unsigned n;

	if (req->data.nr == SYS_execve)
		p->execs = true;
	if (!call || !p->role[0])
		return 0;
	if (req->data.instruction_pointer >= p->loader && req->data.instruction_pointer < p->loader_end)
		return 0;
	if (req->data.nr == SYS_futex && (req->data.args[1] & 127) != FUTEX_WAIT &&
	    (req->data.args[1] & 127) != FUTEX_WAIT_BITSET)
		return 0;
	n = ++p->counts[call - nth_calls];
	add_count(w, p->role, call, n);
	if (!point || w->fired || point->call != call || point->ordinal != n || strcmp(point->role, p->role) != 0)
		return 0;
	w->fired = true;
	if (req->data.nr == SYS_execve)
		p->execs = false;
	return point->error;
}

static void serve_one(struct nth_watch *w)
{
	struct seccomp_notif req = {0};
	struct seccomp_notif_resp resp = {0};
	int error;

	if (ioctl(w->listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0)
		return; /* it died, or was interrupted */
	error = judge(w, &req);
	resp.id = req.id;
	resp.error = -error;
	resp.flags = error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	(void)ioctl(w->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int watch_serve(struct nth_watch *w, int fd, int ms)
{
	int64_t end = now_ms() + ms;

	for (;;) {
		struct pollfd p[2] = {{.fd = w->listener, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
		int64_t left = end - now_ms();

		if (left < 0)
			left = 0;
		if (poll(p, 2, (int)left) < 0 && errno != EINTR)
			die("poll");
		if (p[0].revents & POLLIN)
			serve_one(w);
		else if (p[0].revents) { /* nobody is left */
			close(w->listener);
			w->listener = -1;
		}
		if (p[1].revents)
			return 1;
		if (now_ms() >= end)
			return 0;
	}
}

bool watch_fired(const struct nth_watch *w)
{
	return w->fired;
}

void watch_counts(const struct nth_watch *w, void (*each)(const char *role, const struct nth_call *call, unsigned n,
							  void *arg), void *arg)
{
	for (unsigned i = 0; i < w->counts; i++)
		each(w->count[i].role, w->count[i].call, w->count[i].n, arg);
}

pid_t watch_pid(const struct nth_watch *w, const char *role)
{
	for (unsigned i = w->processes; i-- > 0;)
		if (strcmp(w->process[i].role, role) == 0)
			return w->process[i].pid;
	return 0;
}

void watch_finish(struct nth_watch *w)
{
	for (unsigned i = 0; i < w->processes; i++)
		free(w->process[i].counts);
	if (w->listener >= 0)
		close(w->listener);
	free(w);
}
