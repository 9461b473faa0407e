/* SPDX-License-Identifier: ISC */
#include "demoload.h"

#include "demoledger.h"

#include <errno.h>
#include <heir.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
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
#define CALL_TIMEOUT (5 * SECOND)
#define GATE_TIMEOUT (10 * SECOND)
#define LOOK_NS 50000000

static void wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void wait_while(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0);
}

static const char *const around[DEMO_KINDS] = {
	[DEMO_NO_MOVE] = "before any move",
	[DEMO_OVERLAP] = "after a takeover by overlap",
	[DEMO_EXCLUSIVE] = "after an exclusive takeover",
	[DEMO_KILL] = "after a kill",
};

static void __attribute__((format(printf, 2, 0))) note(
	struct demo_client *client, const char *format, va_list arguments)
{
	uint32_t kind = atomic_load(&client->load->shared->kind);
	char text[DEMO_NOTE - 40];

	if (client->count->note[0])
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	snprintf(client->count->note, sizeof(client->count->note), "%s, %s", text,
		kind < DEMO_KINDS ? around[kind] : "");
}

void client_note(struct demo_client *client, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note(client, format, arguments);
	va_end(arguments);
}

void client_failed(struct demo_client *client, const char *format, ...)
{
	va_list arguments;

	client->count->failed++;
	va_start(arguments, format);
	note(client, format, arguments);
	va_end(arguments);
}

static void tell(struct demo_client *client, enum demo_state state)
{
	if (atomic_load(&client->record->state) == state)
		return;
	atomic_store(&client->record->state, state);
	wake(&client->record->state);
}

bool client_goes_on(struct demo_client *client)
{
	uint32_t gate;

	while ((gate = atomic_load(&client->record->gate)) == GATE_PAUSE) {
		tell(client, CLIENT_PAUSED);
		wait_while(&client->record->gate, GATE_PAUSE, NULL);
		client->last = 0;
	}
	if (gate == GATE_RUN)
		tell(client, CLIENT_RUNNING);
	return gate == GATE_RUN;
}

/* The time since the last reply touches the window that was open then, and all opened since. */
void client_replied(struct demo_client *client, int64_t now)
{
	uint32_t window = atomic_load(&client->load->shared->window);
	uint32_t first = (client->window >> 1) + !(client->window & 1);
	struct demo_silence silence = {now - client->last, now}, *kept = client->record->silence;

	for (uint32_t i = first; client->last && i <= window >> 1 && i < client->load->windows; i++)
		if (silence.ns > kept[i].ns)
			kept[i] = silence;
	client->last = now;
	client->window = window;
}

/* "42" */
static bool parse_count(const char *text, size_t size, uint64_t *ret)
{
	char *end, copy[24];

	if (size == 0 || size >= sizeof(copy) || text[0] < '0' || text[0] > '9')
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	errno = 0;
	*ret = strtoull(copy, &end, 10);
	return !errno && !*end;
}

static int call(heir_t *h, const char *command, char *reply, size_t room, size_t *ret_size)
{
	*ret_size = room;
	return heir_call(h, "kv", command, strlen(command), reply, ret_size, CALL_TIMEOUT);
}

static void account(struct demo_client *client, const struct ledger *books)
{
	if (books->lost != client->count->lost || books->twice != client->count->twice)
		client_note(client, "mail-%d is %" PRIu64 ": %" PRIu64 " lost, %" PRIu64 " twice",
			client->number, books->value, books->lost, books->twice);
	client->count->lost = books->lost;
	client->count->twice = books->twice;
}

/* Read the counter back: every call that was answered is in it. */
static void audit(struct demo_client *client, heir_t *h, struct ledger *books)
{
	char command[32], reply[256];
	uint64_t value = 0;
	size_t size;
	int error;

	snprintf(command, sizeof(command), "GET mail-%d", client->number);
	error = call(h, command, reply, sizeof(reply), &size);
	if (error)
		client_failed(client, "%s at the end: %s", command, heir_strerror(error));
	else if (parse_count(reply, size, &value) || books->value == 0)
		ledger_read(books, value);
	else
		client_failed(client, "%s at the end: %.*s", command, (int)size, reply);
	account(client, books);
}

static heir_t *open_domain(struct demo_client *client)
{
	heir_t *h;
	int error = heir_open(client->load->domain, 0, &h);

	if (error)
		client_failed(client, "cannot open the domain: %s", heir_strerror(error));
	return error ? NULL : h;
}

void mail_client(struct demo_client *client)
{
	char command[32], reply[256];
	struct ledger books = {0};
	uint64_t value;
	int64_t from, to;
	size_t size;
	heir_t *h = open_domain(client);
	int error;

	if (!h)
		return;
	snprintf(command, sizeof(command), "INCR mail-%d", client->number);
	while (client_goes_on(client)) {
		from = measure_now();
		error = call(h, command, reply, sizeof(reply), &size);
		to = measure_now();
		if (error) {
			client_failed(client, "%s: %s", command, heir_strerror(error));
			if (error == HEIR_EUNKNOWN)
				ledger_unanswered(&books, 1);
			continue;
		}
		client_replied(client, to);
		histogram_add(&client->record->latency, to - from);
		client->count->done++;
		if (parse_count(reply, size, &value))
			ledger_raised(&books, value);
		else
			client_failed(client, "%s: %.*s", command, (int)size, reply);
		account(client, &books);
	}
	audit(client, h, &books);
	heir_close(h);
}

void probe_client(struct demo_client *client)
{
	static const char key[] = "process_id:";
	struct demo_record *record = client->record;
	char reply[1024], *found;
	heir_t *h = open_domain(client);
	int64_t now;
	size_t size;
	int error;

	while (h && client_goes_on(client)) {
		error = call(h, "INFO server", reply, sizeof(reply) - 1, &size);
		now = measure_now();
		if (error) {
			client_failed(client, "INFO server: %s", heir_strerror(error));
			continue;
		}
		reply[size] = '\0';
		found = strstr(reply, key);
		if (found && atoi(found + strlen(key)) != atomic_load(&record->server)) {
			atomic_store(&record->first_ns, now);
			atomic_store(&record->server, atoi(found + strlen(key)));
		}
		client_replied(client, now);
	}
	heir_close(h);
}

static _Noreturn void run_client(const struct demo_load *load, int i, pid_t runner)
{
	struct demo_client client = {
		.load = load, .record = load->record[i], .count = &load->record[i]->count};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != runner)
		_exit(1);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	if (load_is_mail(i)) {
		client.number = i + 1;
		mail_client(&client);
	} else if (i < DEMO_LOADERS) {
		client.number = i - DEMO_MAIL_CLIENTS + 1;
		tcp_client(&client);
	} else {
		probe_client(&client);
	}
	tell(&client, CLIENT_DONE);
	_exit(0);
}

static void *map(size_t size)
{
	void *p = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int load_start(struct demo_load *load, const char *domain, uint16_t port, size_t windows)
{
	pid_t runner = getpid();

	*load = (struct demo_load){.domain = domain, .port = port, .windows = windows};
	load->record_size = sizeof(struct demo_record) + windows * sizeof(struct demo_silence);
	load->shared = map(sizeof(*load->shared));
	if (!load->shared)
		return -ENOMEM;
	for (int i = 0; i < DEMO_CLIENTS; i++) {
		load->record[i] = map(load->record_size);
		if (!load->record[i])
			return -ENOMEM;
	}
	atomic_store(&load->record[DEMO_PROBE]->gate, GATE_PAUSE);
	for (int i = 0; i < DEMO_CLIENTS; i++) {
		load->pid[i] = fork();
		if (load->pid[i] == 0)
			run_client(load, i, runner);
		if (load->pid[i] < 0)
			return -errno;
	}
	return 0;
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

bool load_gate(struct demo_load *load, int client, enum demo_gate gate)
{
	static const enum demo_state reached[] = {
		[GATE_RUN] = CLIENT_RUNNING, [GATE_PAUSE] = CLIENT_PAUSED, [GATE_FINISH] = CLIENT_DONE};
	static const struct timespec look = {.tv_nsec = LOOK_NS};
	struct demo_record *record = load->record[client];
	int64_t deadline = measure_now() + GATE_TIMEOUT;
	uint32_t state;

	atomic_store(&record->gate, gate);
	wake(&record->gate);
	while ((state = atomic_load(&record->state)) != reached[gate]) {
		if (measure_now() > deadline || has_ended(load->pid[client]))
			return atomic_load(&record->state) == reached[gate];
		wait_while(&record->state, state, &look);
	}
	return true;
}

bool load_gate_loaders(struct demo_load *load, enum demo_gate gate)
{
	bool all = true;

	for (int i = 0; i < DEMO_LOADERS; i++) {
		atomic_store(&load->record[i]->gate, gate);
		wake(&load->record[i]->gate);
	}
	for (int i = 0; i < DEMO_LOADERS; i++)
		all &= load_gate(load, i, gate);
	return all;
}

static int join(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

int load_join(struct demo_load *load)
{
	int bad = 0;

	for (int i = 0; i < DEMO_CLIENTS; i++) {
		if (load->pid[i] > 0 && atomic_load(&load->record[i]->state) != CLIENT_DONE)
			kill(load->pid[i], SIGKILL);
		if (load->pid[i] > 0)
			bad += join(load->pid[i]) != 0;
		load->pid[i] = 0;
	}
	return bad;
}

void load_finish(struct demo_load *load)
{
	for (int i = 0; i < DEMO_CLIENTS; i++) {
		if (load->pid[i] > 0) {
			kill(load->pid[i], SIGKILL);
			join(load->pid[i]);
		}
		if (load->record[i])
			munmap(load->record[i], load->record_size);
	}
	if (load->shared)
		munmap(load->shared, sizeof(*load->shared));
	*load = (struct demo_load){0};
}

void load_open_window(struct demo_load *load, uint32_t window, enum demo_kind kind)
{
	if (kind != DEMO_NO_MOVE)
		atomic_store(&load->shared->kind, kind);
	atomic_store(&load->shared->window, window << 1 | 1);
}

void load_close_window(struct demo_load *load)
{
	atomic_fetch_and(&load->shared->window, ~1u);
}
