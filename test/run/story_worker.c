/* SPDX-License-Identifier: ISC */
/*
 * The worker of the stories: a counter, in the state or on its own heap, that says what happens to it and
 * misbehaves when told to. Each callback is a point: it appends "TIME POINT NODE APPLICATION CHILD PID DETAIL"
 * to $STORY_DIR/events, then does what $STORY_DIR/at.POINT.NODE.CHILD, at.POINT.NODE or at.POINT says: die,
 * exit N, fail [CODE], hang, spin, stop (SIGSTOP), block (until that file is gone), exec (become sleep(1)); with
 * "once" before it, only this time.
 */
#include "story_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct story {
	heir_t *h;
	const char *name;    /* of the service */
	const char *lock;    /* a file, locked from start to stop */
	const char *lock_at; /* a phase in which to lock it instead of in start */
	int on_heap, helper, upgrades, lock_fd;
	long resident; /* MiB to touch in init */
	uint64_t version;
	long count;  /* on the heap */
	int fetched; /* the heap was given away */
};

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : "-";
}

__attribute__((format(printf, 2, 3))) static void say(const char *point, const char *format, ...)
{
	char line[1024], detail[256], path[512];
	struct timespec now;
	va_list args;
	int fd, n;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof(line), "%lld %s %s %s %s %d%s%s\n",
		     (long long)now.tv_sec * 1000000000 + now.tv_nsec, point, variable("HEIR_NODE"),
		     variable("HEIR_APPLICATION"), variable("HEIR_CHILD"), (int)getpid(), *detail ? " " : "",
		     detail);
	snprintf(path, sizeof(path), "%s/events", variable("STORY_DIR"));
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		fprintf(stderr, "story_worker: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The file that says what to do at this point, with its text; 0: none. */
static int find_order(const char *point, char *path, size_t size, char *text, size_t room)
{
	const char *dir = variable("STORY_DIR"), *node = variable("HEIR_NODE"), *child = variable("HEIR_CHILD");

	for (int k = 0; k < 3; k++) {
		ssize_t n;
		int fd;

		snprintf(path, size,
			 k == 0	  ? "%s/at.%s.%s.%s"
			 : k == 1 ? "%s/at.%s.%s"
				  : "%s/at.%s",
			 dir, point, node, child);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, text, room - 1);
		close(fd);
		text[n > 0 ? n : 0] = 0;
		text[strcspn(text, "\n")] = 0;
		return 1;
	}
	return 0;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* It dies, and the kernel marks no life word: its list of robust mutexes is another one. */
static void vanish(void)
{
	static struct robust_list_head none = {.list = {&none.list}};

	(void)syscall(SYS_set_robust_list, &none, sizeof(none));
	raise(SIGKILL);
}

static int obey(const char *order, const char *path)
{
	if (strcmp(order, "die") == 0)
		raise(SIGKILL);
	if (strcmp(order, "vanish") == 0)
		vanish();
	if (strncmp(order, "exit ", 5) == 0)
		_exit(atoi(order + 5));
	if (strcmp(order, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(order, "spin") == 0)
		for (;;)
			;
	if (strcmp(order, "stop") == 0)
		raise(SIGSTOP);
	if (strcmp(order, "exec") == 0)
		execlp("sleep", "sleep", "1000", (char *)NULL);
	if (strcmp(order, "block") == 0)
		while (access(path, F_OK) == 0)
			nap();
	if (strncmp(order, "fail ", 5) == 0)
		return atoi(order + 5);
	return strcmp(order, "fail") == 0 ? HEIR_EINVAL : 0;
}

__attribute__((format(printf, 2, 3))) static int at(const char *point, const char *format, ...)
{
	char path[512], text[64], detail[256], *order = text;
	va_list args;
	int rc;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	say(point, "%s", detail);
	if (!find_order(point, path, sizeof(path), text, sizeof(text)))
		return 0;
	if (strncmp(text, "once ", 5) == 0) {
		order += 5;
		if (strcmp(order, "block") != 0)
			unlink(path);
	}
	rc = obey(order, path);
	say("after", "%s %s", point, order);
	return rc;
}

static long *counter(struct story *s)
{
	size_t size = 0;
	long *state = s->on_heap ? NULL : heir_state(s->h, &size);

	return state && size >= sizeof(*state) ? state : &s->count;
}

static int init(heir_t *h, void *arg)
{
	struct story *s = arg;
	size_t size = (size_t)s->resident << 20;
	char *memory = size ? malloc(size) : NULL;

	s->h = h;
	for (size_t i = 0; memory && i < size; i += 4096)
		memory[i] = 1;
	return at("init", "%s", "");
}

/* What nobody else may have meanwhile. A helper that outlives its parent has it as well. */
static int take_lock(struct story *s)
{
	s->lock_fd = open(s->lock, O_RDWR | O_CREAT, 0600);
	if (s->lock_fd < 0 || flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		say("lock_refused", "%s", strerror(errno));
		return -EWOULDBLOCK;
	}
	say("locked", "%s", "");
	if (s->helper && fork() == 0) {
		setsid();
		say("helper", "%s", "");
		for (;;)
			pause();
	}
	return 0;
}

static int start(heir_t *h, const struct heir_start *start, void *arg)
{
	static const char *const types[] = {"?", "normal", "takeover", "failover", "local"};
	struct story *s = arg;
	int rc = at("start", "%s %s %u", types[start->type], *start->from ? start->from : "-",
		    start->generation);

	(void)h;
	if (rc == 0 && s->lock && !s->lock_at)
		rc = take_lock(s);
	return rc;
}

/*
 * The counter on the heap of the other instance: asked for once, then everything that it gets is forwarded to
 * here.
 */
static int fetch(struct story *s, const char *from)
{
	char address[320], reply[64];
	size_t size = sizeof(reply) - 1;
	int rc;

	snprintf(address, sizeof(address), "%s@%s", s->name, from);
	rc = heir_call(s->h, address, "fetch", 5, reply, &size, INT64_C(2000000000));
	say("fetched", "%s", rc ? heir_strerror(rc) : "");
	if (rc)
		return rc;
	reply[size] = 0;
	s->count = atol(reply);
	return 0;
}

static int start_phase(heir_t *h, const char *phase, const struct heir_start *start, void *arg)
{
	struct story *s = arg;
	char point[80];
	int rc;

	(void)h;
	snprintf(point, sizeof(point), "phase_%s", phase);
	rc = at(point, "%u", start->generation);
	if (rc == 0 && s->on_heap && strcmp(phase, "takeover") == 0)
		rc = fetch(s, start->from);
	if (rc == 0 && s->lock && s->lock_at && strcmp(phase, s->lock_at) == 0)
		rc = take_lock(s);
	if (rc == 0)
		s->fetched = 0;
	return rc;
}

static int add(struct story *s, long n, int direct)
{
	long *count = counter(s);
	int in_state = count != &s->count, rc = 0;

	if (direct && (rc = heir_begin(s->h)))
		return rc;
	if (in_state && (rc = heir_mark(s->h, count, sizeof(*count))) == 0)
		*count += n;
	else if (rc == 0)
		*count += n;
	if (rc == 0)
		rc = at("marked", "%ld", *count);
	if (!direct)
		return rc;
	if (rc == 0)
		return heir_commit(s->h);
	(void)heir_abort(s->h);
	return rc;
}

static int answer(struct story *s, const char *format, long n)
{
	char text[64];
	int length = snprintf(text, sizeof(text), format, n);

	return heir_reply(s->h, text, (size_t)length);
}

static int answer_size(struct story *s, long size)
{
	char *text = calloc(1, (size_t)size + 1);
	int rc = -ENOMEM;

	if (text)
		rc = heir_reply(s->h, memset(text, 'x', (size_t)size), (size_t)size);
	free(text);
	return rc;
}

/* Registers PREFIX1, PREFIX2, ... until that fails, and answers how many and why. */
static int fill_names(struct story *s, const char *prefix)
{
	char name[400], text[128];
	long n = 0;
	int rc;

	do {
		snprintf(name, sizeof(name), "%s%ld", prefix, n + 1);
		rc = heir_register(s->h, name, HEIR_ROLE);
		n += rc == 0;
	} while (rc == 0 && n < 100000);
	snprintf(text, sizeof(text), "%ld: %s", n, heir_strerror(rc));
	return heir_reply(s->h, text, strlen(text));
}

static int obey_message(struct story *s, const struct heir_message *m, const char *text)
{
	char who[128], first[320], *second;
	int rc;

	if (strncmp(text, "add ", 4) == 0) {
		rc = add(s, atol(text + 4), m->direct);
		return rc ? rc : answer(s, "%ld", *counter(s));
	}
	if (strcmp(text, "get") == 0)
		return answer(s, "%ld", *counter(s));
	if (strcmp(text, "die") == 0)
		raise(SIGKILL);
	if (strcmp(text, "fail") == 0)
		return HEIR_EINVAL;
	if (strncmp(text, "size ", 5) == 0)
		return answer_size(s, atol(text + 5));
	if (strncmp(text, "fill ", 5) == 0)
		return fill_names(s, text + 5);
	if (strncmp(text, "register ", 9) == 0)
		return heir_register(s->h, text + 9, HEIR_ROLE);
	if (strncmp(text, "send ", 5) == 0) {
		snprintf(first, sizeof(first), "%s", text + 5);
		second = strchr(first, ' ');
		if (!second)
			return HEIR_EINVAL;
		*second++ = 0;
		return heir_send(s->h, first, second, strlen(second));
	}
	if (strcmp(text, "who") != 0)
		return HEIR_EINVAL;
	snprintf(who, sizeof(who), "%s %d %u", heir_node(s->h), (int)getpid(), m->deliveries);
	return heir_reply(s->h, who, strlen(who));
}

static int handle(heir_t *h, const struct heir_message *m, void *arg)
{
	struct story *s = arg;
	char text[320];
	int rc = 0;

	snprintf(text, sizeof(text), "%.*s", (int)(m->size < 256 ? m->size : 256), (const char *)m->data);
	rc = at("handle", "%u %s", m->deliveries, text);
	if (rc)
		return rc;
	if (m->direct && strcmp(text, "fetch") == 0) {
		s->fetched = 1;
		return answer(s, "%ld", s->count);
	}
	if (m->direct && (s->fetched || !heir_is_owner(h))) {
		rc = heir_forward(h, s->name);
		say("forwarded", "%s", rc ? heir_strerror(rc) : text);
		return rc;
	}
	rc = obey_message(s, m, text);
	return m->direct && rc == HEIR_ESTALE ? heir_forward(h, s->name) : rc;
}

static void lost(heir_t *h, const char *to, void *arg)
{
	(void)h;
	(void)arg;
	(void)at("lost", "%s", to);
}

static int regained(heir_t *h, uint32_t generation, void *arg)
{
	struct story *s = arg;

	(void)h;
	s->fetched = 0;
	return at("regained", "%u", generation);
}

static void prep_stop(heir_t *h, void *arg)
{
	(void)h;
	(void)arg;
	(void)at("prep_stop", "%s", "");
}

static void stop(heir_t *h, void *arg)
{
	(void)h;
	(void)arg;
	(void)at("stop", "%s", "");
}

static int upgrade(heir_t *h, uint64_t from, void *arg)
{
	(void)h;
	(void)arg;
	return at("upgrade", "%llu", (unsigned long long)from);
}

static int serve(struct story *s)
{
	struct heir_worker worker = {sizeof(worker),
				     s->version,
				     init,
				     start,
				     start_phase,
				     handle,
				     lost,
				     regained,
				     prep_stop,
				     stop,
				     s->upgrades ? upgrade : NULL};
	heir_t *h;
	int rc = at("main", "%s", "");

	if (rc == 0)
		rc = heir_worker_open(&worker, s, &h);
	if (rc) {
		say("not_opened", "%s", heir_strerror(rc));
		return 1;
	}
	rc = heir_serve(h);
	say("served", "%s", rc ? heir_strerror(rc) : "in order");
	heir_close(h);
	return rc ? 1 : 0;
}

static int usage(void)
{
	fputs("usage: story_worker [--name NAME] [--heap] [--lock FILE [--lock-at PHASE] [--helper]] "
	      "[--resident MIB]\n"
	      "       [--version N] [--upgrades]\n"
	      "       story_worker free_port | caller NAME | fill NAME | drop_call NAME TEXT\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"heap", no_argument, NULL, 'h'},
		{"lock", required_argument, NULL, 'l'},
		{"lock-at", required_argument, NULL, 'a'},
		{"helper", no_argument, NULL, 'H'},
		{"resident", required_argument, NULL, 'r'},
		{"version", required_argument, NULL, 'v'},
		{"upgrades", no_argument, NULL, 'u'},
		{NULL, 0, NULL, 0},
	};
	static struct story s = {.name = "svc", .version = 1, .lock_fd = -1};
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (letter) {
		case 'n':
			s.name = optarg;
			break;
		case 'h':
			s.on_heap = 1;
			break;
		case 'l':
			s.lock = optarg;
			break;
		case 'a':
			s.lock_at = optarg;
			break;
		case 'H':
			s.helper = 1;
			break;
		case 'r':
			s.resident = atol(optarg);
			break;
		case 'v':
			s.version = (uint64_t)atol(optarg);
			break;
		case 'u':
			s.upgrades = 1;
			break;
		default:
			return usage();
		}
	if (optind < argc)
		return story_client(argc - optind, argv + optind, usage);
	return serve(&s);
}
