/* SPDX-License-Identifier: ISC */
/*
 * The first ratios: a planned takeover and a kill -9, each beside its bare limit, in turns in one
 * run; for an owner of 0 and of 1 GiB resident memory, and for 1 and 1 048 576 names, which the
 * owner alone has registered at run time and a third process resolves after every move.
 *
 * Everything runs in private domains under `heir up`. Their worker is this program again, as
 * `first_ratios worker BYTES`: it touches that much private memory before it is ready, registers
 * names when told, and answers any other call with its pid.
 */
#include "bench/barelimit.h"
#include "bench/measure.h"
#include "cmd/demodomain.h"

#include <errno.h>
#include <getopt.h>
#include <heir.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define TIMEOUT (20 * SECOND)
#define GIB ((size_t)1 << 30)
#define NAMES_MANY (1u << 20)
#define NAMES_AT_ONCE 4096u
#define NAMES_LOOKED_UP 1024u
#define MEMORY_NEEDED (4 * GIB) /* two instances and a victim */

struct bench_case {
	const char *title;
	size_t resident;
	uint32_t names;
	unsigned rounds, quick_rounds;
};

static const struct bench_case cases[] = {
	{"0 resident, 1 name", 0, 1, 200, 30},
	{"0 resident, 1 048 576 names", 0, NAMES_MANY, 200, 30},
	{"1 GiB resident, 1 name", GIB, 1, 20, 4},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

struct result {
	struct samples planned, planned_limit, crash, crash_limit;
	bool is_done;
};

static const char configuration[] =
	"domain: %s\n"
	"nodes: [a, b]\n"
	"limits: {names: %u}\n"
	"applications:\n"
	"  bench:\n"
	"    standby: hot\n"
	"    step_timeout: 20s\n"
	"    failovers: {intensity: 1000, period: 1s}\n"
	"    supervisor:\n"
	"      intensity: 1000\n"
	"      period: 1s\n"
	"      children:\n"
	"        - {id: worker, exec: [%s, worker, \"%zu\"], names: [bench]}\n";

/* The worker. */

static int touch(heir_t *h, void *arg)
{
	size_t size = *(const size_t *)arg;

	(void)h;
	return size == 0 || barelimit_touch(size) ? 0 : -ENOMEM;
}

static int register_names(heir_t *h, uint32_t first)
{
	char name[32];
	int error = 0;

	for (uint32_t i = first; i < first + NAMES_AT_ONCE && i < NAMES_MANY && !error; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		error = heir_register(h, name, HEIR_ROLE);
	}
	return error;
}

static int handle(heir_t *h, const struct heir_message *message, void *arg)
{
	char text[32];
	uint32_t first;
	int error = 0;

	(void)arg;
	snprintf(text, sizeof(text), "%.*s", (int)message->size, (const char *)message->data);
	if (sscanf(text, "register %u", &first) == 1)
		error = register_names(h, first);
	if (error)
		return error;
	snprintf(text, sizeof(text), "%d", getpid());
	return heir_reply(h, text, strlen(text));
}

static int run_worker(size_t resident)
{
	static const struct heir_worker worker = {
		.size = sizeof(worker), .init = touch, .handle = handle};
	heir_t *h;
	int error = heir_worker_open(&worker, &resident, &h);

	if (!error) {
		error = heir_serve(h);
		heir_close(h);
	}
	if (error)
		fprintf(stderr, "first_ratios worker: %s\n", heir_strerror(error));
	return error ? 1 : 0;
}

/* The caller in a process of its own, that calls on and on while it is told to. */

struct caller {
	_Alignas(64) _Atomic uint32_t run;    /* 1: call on */
	_Alignas(64) _Atomic uint32_t rounds; /* replies since it was told to */
	_Atomic uint32_t window;              /* + 1 when a move begins, and when it has ended */
	_Atomic int64_t silence;              /* the longest between two replies that touches one */
	_Atomic int32_t server;               /* who answered last */
	_Atomic int64_t first_ns;             /* when that one answered first */
	_Atomic int32_t error;
	pid_t pid;
};

/* Between two looks at a word of the other process, neither of them in what is measured. */
static void pause_a_little(void)
{
	struct timespec little = {.tv_nsec = 100000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &little, NULL);
}

static int call(heir_t *h, const char *text, pid_t *ret)
{
	char reply[32];
	size_t size = sizeof(reply) - 1;
	int error = heir_call(h, "bench", text, strlen(text), reply, &size, TIMEOUT);

	if (error)
		return error;
	reply[size] = '\0';
	*ret = atoi(reply);
	return 0;
}

static void call_on(struct caller *c, heir_t *h)
{
	int64_t last = 0, now;
	uint32_t before = 0, window;
	pid_t pid;
	int error;

	while (atomic_load(&c->run)) {
		error = call(h, "pid", &pid);
		now = measure_now();
		if (error) {
			atomic_store(&c->error, error);
			return;
		}
		if (pid != atomic_load(&c->server)) {
			atomic_store(&c->first_ns, now);
			atomic_store(&c->server, pid);
		}
		window = atomic_load(&c->window);
		if (last && (window & 1 || window != before) &&
			now - last > atomic_load(&c->silence))
			atomic_store(&c->silence, now - last);
		last = now;
		before = window;
		atomic_fetch_add(&c->rounds, 1);
	}
}

static _Noreturn void run_caller(struct caller *c, const char *domain, pid_t parent)
{
	heir_t *h;
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	error = heir_open(domain, 0, &h);
	atomic_store(&c->error, error);
	while (!error && !atomic_load(&c->error)) {
		call_on(c, h);
		pause_a_little();
	}
	_exit(1);
}

static struct caller *start_caller(const char *domain)
{
	struct caller *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t self = getpid(), pid;

	if (c == MAP_FAILED)
		return NULL;
	pid = fork();
	if (pid == 0)
		run_caller(c, domain, self);
	c->pid = pid;
	return c;
}

static void end_caller(struct caller *c)
{
	if (!c)
		return;
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	munmap(c, sizeof(*c));
}

/* Until it has had `more` replies. False: it has failed, or there were none in time. */
static bool caller_replies(struct caller *c, uint32_t more)
{
	uint32_t from = atomic_load(&c->rounds);
	int64_t deadline = measure_now() + TIMEOUT;

	while (atomic_load(&c->rounds) - from < more && !atomic_load(&c->error)) {
		if (measure_now() > deadline)
			return false;
		pause_a_little();
	}
	return !atomic_load(&c->error);
}

/* The measurement. */

struct bench {
	struct demo_domain domain;
	struct barelimit *limit;
	struct caller *caller;
	const struct bench_case *of;
	struct result *result;
};

static bool complain(const char *what, int error)
{
	fprintf(stderr, "first_ratios: %s: %s\n", what, heir_strerror(error));
	return false;
}

static bool is_protected(struct bench *b, struct heir_app_status *ret)
{
	if (domain_protected(&b->domain, "bench", TIMEOUT, ret))
		return true;
	fprintf(stderr, "first_ratios: %s\n", b->domain.error);
	return false;
}

/* This process is the third one: it never registered a name. */
static bool names_follow(struct bench *b, uint32_t count, pid_t owner)
{
	uint32_t step = b->of->names / count;
	struct heir_where where;
	char name[32];
	int error;

	for (uint32_t i = 0; b->of->names > 1 && i < count; i++) {
		snprintf(name, sizeof(name), "name-%u", i * step);
		error = heir_whereis(b->domain.h, name, &where);
		if (error)
			return complain(name, error);
		if (where.pid != owner) {
			fprintf(stderr, "first_ratios: %s is at %d, not at the owner %d\n", name,
				where.pid, owner);
			return false;
		}
	}
	return true;
}

static bool names_registered(struct bench *b)
{
	char text[32];
	pid_t pid;
	int error;

	for (uint32_t i = 0; b->of->names > 1 && i < b->of->names; i += NAMES_AT_ONCE) {
		snprintf(text, sizeof(text), "register %u", i);
		error = call(b->domain.h, text, &pid);
		if (error)
			return complain("registering names", error);
	}
	return true;
}

/* The caller calls on and on. */
static bool one_calls(struct bench *b, struct heir_app_status *ret)
{
	if (!is_protected(b, ret))
		return false;
	atomic_store(&b->caller->silence, 0);
	atomic_store(&b->caller->run, 1);
	if (!caller_replies(b->caller, 1))
		return complain("the caller", atomic_load(&b->caller->error));
	barelimit_rest();
	return true;
}

static bool calls_no_more(struct bench *b)
{
	if (!caller_replies(b->caller, 2))
		return complain("the caller", atomic_load(&b->caller->error));
	atomic_store(&b->caller->run, 0);
	return true;
}

static bool planned(struct bench *b, unsigned round)
{
	const uint32_t looked_up = round ? NAMES_LOOKED_UP : b->of->names;
	struct heir_app_status status;
	struct heir_move move;
	int64_t limit;
	int error = barelimit_planned(b->limit, &limit);

	if (error)
		return complain("the bare limit", error);
	if (!one_calls(b, &status))
		return false;
	atomic_fetch_add(&b->caller->window, 1);
	error = heir_takeover(b->domain.h, "bench", strcmp(status.node, "a") ? "a" : "b",
		HEIR_OVERLAP, TIMEOUT, &move);
	if (!error && move.result != HEIR_DONE)
		error = HEIR_EFAILED;
	if (error)
		return complain("takeover", error);
	atomic_fetch_add(&b->caller->window, 1);
	if (!calls_no_more(b))
		return false;
	samples_add(&b->result->planned, atomic_load(&b->caller->silence));
	samples_add(&b->result->planned_limit, limit);
	return is_protected(b, &status) && names_follow(b, looked_up, status.child[0].pid);
}

/* Looked for now and then, so that this process is not in the way of those that make it so. */
static bool answered_by_another(struct caller *c, pid_t pid)
{
	int64_t deadline = measure_now() + TIMEOUT;

	do {
		for (int i = 0; i < 5; i++)
			pause_a_little();
		if (atomic_load(&c->error))
			return complain("the caller", atomic_load(&c->error));
		if (atomic_load(&c->server) != pid)
			return true;
	} while (measure_now() < deadline);
	return complain("after a kill", HEIR_ETIMEDOUT);
}

static bool crash(struct bench *b)
{
	const struct barevictim victim = {.own = b->of->resident};
	struct heir_app_status status;
	int64_t limit, from;
	pid_t owner;
	int error = barelimit_crash(b->limit, victim, &limit), fd;

	if (error)
		return complain("the bare limit", error);
	if (!one_calls(b, &status))
		return false;
	owner = status.child[0].pid;
	fd = (int)syscall(SYS_pidfd_open, owner, 0);
	if (fd < 0)
		return complain("pidfd_open of the owner", -errno);
	from = measure_now();
	syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	close(fd);
	if (!answered_by_another(b->caller, owner))
		return false;
	samples_add(&b->result->crash, atomic_load(&b->caller->first_ns) - from);
	samples_add(&b->result->crash_limit, limit);
	return calls_no_more(b) && is_protected(b, &status) &&
	       names_follow(b, NAMES_LOOKED_UP, status.child[0].pid);
}

static bool run_rounds(struct bench *b, unsigned rounds)
{
	bool is_well = names_registered(b) && (b->caller = start_caller(b->domain.name));

	for (unsigned i = 0; is_well && i < rounds; i++)
		is_well = planned(b, i) && crash(b);
	end_caller(b->caller);
	return is_well;
}

static bool run_case(const struct bench_case *of, unsigned rounds, const char *heir,
	const char *self, struct result *ret)
{
	struct bench b = {.of = of, .result = ret};
	char quoted[2 * PATH_MAX], text[sizeof(configuration) + sizeof(quoted) + 128], name[64];
	int error = barelimit_create(&b.limit);
	bool is_well;

	if (error)
		return complain("the bare limits", error);
	if (!domain_quote(self, quoted, sizeof(quoted)))
		return complain(self, -ENAMETOOLONG);
	snprintf(name, sizeof(name), "first-ratios-%d", getpid());
	snprintf(text, sizeof(text), configuration, name, of->names + 64, quoted, of->resident);
	is_well = domain_start(&b.domain, heir, name, text, "bench") && run_rounds(&b, rounds);
	barelimit_destroy(b.limit);
	if (!domain_stop(&b.domain)) {
		fprintf(stderr, "first_ratios: %s\n", b.domain.error);
		domain_show_log(&b.domain, STDERR_FILENO);
		is_well = false;
	}
	ret->is_done = is_well;
	return is_well;
}

/* Output. */

static void print_spread(const char *label, const struct spread *s)
{
	printf("  %-44s %6zu %10.1f %10.1f %10.1f\n", label, s->count, (double)s->p50 / 1000,
		(double)s->p99 / 1000, (double)s->max / 1000);
}

static struct spread print_pair(
	const char *label, struct samples *measured, struct samples *limit, const char *goal)
{
	struct spread heir = samples_spread(measured), bare = samples_spread(limit);

	print_spread(label, &heir);
	print_spread("  bare limit", &bare);
	printf("  %-44s %6s %9.2fx  (goal %s)\n", "  ratio of the p50s", "",
		spread_ratio(&heir, &bare), goal);
	return heir;
}

static void print_result(const struct bench_case *of, struct result *r, struct spread ret_heir[2])
{
	printf("%-46s %6s %10s %10s %10s\n", of->title, "count", "us: p50", "p99", "max");
	ret_heir[0] = print_pair("takeover: longest silence of a caller", &r->planned,
		&r->planned_limit, "1.5");
	ret_heir[1] = print_pair(
		"kill -9 to the first reply", &r->crash, &r->crash_limit, "1.25");
}

static bool has_memory(size_t needed)
{
	long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && (size_t)pages * (size_t)size >= needed;
}

static int run_all(bool is_quick, const char *heir, const char *self)
{
	static struct result results[CASES];
	struct spread spread[CASES][2] = {0};
	struct machine machine;
	char line[512];
	int status = 0;

	machine_read(&machine);
	machine_line(&machine, line, sizeof(line));
	printf("%s\n\n", line);
	for (size_t i = 0; i < CASES; i++) {
		unsigned rounds = is_quick ? cases[i].quick_rounds : cases[i].rounds;

		if (cases[i].resident && !has_memory(MEMORY_NEEDED)) {
			printf("%s: left out, %zu GiB of free memory are needed\n",
				cases[i].title, MEMORY_NEEDED / GIB);
			continue;
		}
		if (!run_case(&cases[i], rounds, heir, self, &results[i]))
			status = 1;
		print_result(&cases[i], &results[i], spread[i]);
		fflush(stdout);
	}
	if (results[0].is_done && results[1].is_done)
		printf("1 048 576 names against 1: takeover %.2fx, kill -9 %.2fx  (goal 1.2)\n",
			spread_ratio(&spread[1][0], &spread[0][0]),
			spread_ratio(&spread[1][1], &spread[0][1]));
	return status;
}

static int usage(FILE *to, int status)
{
	fputs("usage: first_ratios [--quick] [--heir FILE]\n"
	      "  --quick      few samples, about half a minute\n"
	      "  --heir FILE  the program heir; else beside this one or one folder up\n",
		to);
	return status;
}

/* heir beside this program, or in the folder above it. */
static const char *find_heir(const char *self)
{
	static const char *const places[] = {"heir", "../heir"};
	static char path[PATH_MAX + 16];
	const char *slash = strrchr(self, '/');

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self), self, places[i]);
		if (access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"quick", no_argument, NULL, 'q'},
		{"heir", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *heir = NULL;
	bool is_quick = false;
	int option;

	self[n > 0 ? n : 0] = '\0';
	if (argc == 3 && !strcmp(argv[1], "worker"))
		return run_worker(strtoull(argv[2], NULL, 10));
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'q')
			is_quick = true;
		else if (option == 'p')
			heir = optarg;
		else
			return usage(option == 'h' ? stdout : stderr, option == 'h' ? 0 : 2);
	}
	heir = heir ? heir : self[0] ? find_heir(self) : NULL;
	if (optind < argc || !heir)
		return usage(stderr, 2);
	return run_all(is_quick, heir, self);
}
