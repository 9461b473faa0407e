/* SPDX-License-Identifier: ISC */
#include "demorun.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MOVE_TIMEOUT (5 * SECOND)
#define PROTECT_TIMEOUT (10 * SECOND)
#define BUDGET (25 * SECOND) /* for the moves, if there are no more of them than by default */
#define QUIET_ROUNDS 40
#define PACE_NS (40 * INT64_C(1000000)) /* from one move to the next, at least */
#define STILL_NS (10 * INT64_C(1000000)) /* without a move, at least, to count as such */
#define LOOK_NS 500000
#define MOVES_READ 4

static const char configuration[] =
	"domain: %s\n"
	"nodes: [a, b]\n"
	"applications:\n"
	"  kv:\n"
	"    nodes: [a, b]\n"
	"    standby: hot\n"
	"    takeover: overlap\n"
	"    failovers: {intensity: 1000, period: 1s}\n"
	"    listen: {resp: \"127.0.0.1:%u\"}\n"
	"    supervisor:\n"
	"      intensity: 1000\n"
	"      period: 1s\n"
	"      children:\n"
	"        - {id: server, exec: [%s], names: [kv], state: 8MiB}\n";

static void __attribute__((format(printf, 2, 3))) trouble(
	struct demo_run *run, const char *format, ...)
{
	va_list arguments;

	if (run->trouble[0])
		return;
	va_start(arguments, format);
	vsnprintf(run->trouble, sizeof(run->trouble), format, arguments);
	va_end(arguments);
}

static uint32_t open_window(struct demo_run *run, enum demo_kind category, enum demo_kind kind)
{
	uint32_t window = ++run->windows;

	assert(window < run->load.windows);
	run->window_kind[window] = (uint8_t)category;
	load_open_window(&run->load, window, kind);
	return window;
}

static bool wait_protected(struct demo_run *run, struct heir_app_status *ret)
{
	if (domain_protected(&run->domain, "kv", PROTECT_TIMEOUT, ret))
		return true;
	trouble(run, "%s", run->domain.error);
	return false;
}

static struct samples *step_samples(struct demo_moves *moves, const char *name)
{
	struct demo_step *step = moves->step;

	while (step < moves->step + moves->steps && strcmp(step->name, name) != 0)
		step++;
	if (step == moves->step + DEMO_STEPS_MAX)
		return NULL;
	if (step == moves->step + moves->steps) {
		snprintf(step->name, sizeof(step->name), "%s", name);
		moves->steps++;
	}
	return &step->took;
}

static void keep_move(struct demo_moves *moves, const struct heir_move *move)
{
	for (size_t i = 0; i < move->steps && i < HEIR_STEPS_MAX; i++) {
		struct samples *samples = step_samples(moves, move->step[i].name);

		if (samples)
			samples_add(samples, move->step[i].duration_ns);
	}
	samples_add(&moves->total, move->total_ns);
	moves->done++;
}

static void not_done(struct demo_run *run, const char *what, const struct heir_move *move)
{
	run->not_done++;
	trouble(run, "%s from %s to %s at generation %u ended with result %d%s%s: %s", what,
		move->from, move->to, move->generation, (int)move->result,
		move->failed_step[0] ? ", step " : "", move->failed_step,
		heir_strerror(move->error));
}

/* The newest move of the kind after that generation; *ret is untouched if there is none. */
static bool find_move(struct demo_run *run, enum heir_start_type kind, uint32_t after,
	struct heir_move *ret)
{
	static struct heir_move moves[MOVES_READ];
	int n = heir_moves(run->domain.h, "kv", moves, MOVES_READ);

	for (int i = 0; i < n; i++)
		if (moves[i].kind == kind && moves[i].generation >= after) {
			*ret = moves[i];
			return true;
		}
	return false;
}

/*
 * What the record says of a move that has ended. Looked up once the application is protected again:
 * then its stop_old is there too.
 */
static void account_move(struct demo_run *run, const char *what, enum heir_start_type kind,
	uint32_t generation, struct demo_moves *moves)
{
	struct heir_move move;

	if (!find_move(run, kind, generation, &move)) {
		run->not_done++;
		trouble(run, "%s after generation %u: there is no record of it", what, generation);
	} else if (move.result != HEIR_DONE) {
		not_done(run, what, &move);
	} else if (moves) {
		keep_move(moves, &move);
	}
}

static const char *other_node(const struct heir_app_status *status)
{
	return strcmp(status->node, "a") == 0 ? "b" : "a";
}

static bool take_over(struct demo_run *run, const struct heir_app_status *status, unsigned how)
{
	struct heir_move move = {0};
	int error = heir_takeover(
		run->domain.h, "kv", other_node(status), how, MOVE_TIMEOUT, &move);

	if (error == HEIR_EFAILED) {
		not_done(run, "takeover", &move);
	} else if (error) {
		run->not_done++;
		trouble(run, "takeover to %s: %s", other_node(status), heir_strerror(error));
	}
	return !error;
}

static bool loaded_takeover(struct demo_run *run, enum demo_kind kind)
{
	unsigned how = kind == DEMO_OVERLAP ? HEIR_OVERLAP : HEIR_EXCLUSIVE;
	const char *what = kind == DEMO_OVERLAP ? "takeover (overlap)" : "takeover (exclusive)";
	struct heir_app_status status;
	uint32_t generation;
	bool was_done;

	if (!wait_protected(run, &status))
		return false;
	generation = status.generation;
	run->moves[kind].asked++;
	open_window(run, kind, kind);
	was_done = take_over(run, &status, how);
	if (!wait_protected(run, &status))
		return false;
	load_close_window(&run->load);
	if (was_done)
		account_move(run, what, HEIR_TAKEOVER, generation, &run->moves[kind]);
	return true;
}

/* A pidfd of the owner's process, which was still the owner's when it was opened; or -1. */
static int owner_fd(struct demo_run *run, const struct heir_app_status *status)
{
	pid_t pid = status->children > 0 ? status->child[0].pid : 0;
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct heir_app_status now;

	if (fd >= 0 && heir_app_status(run->domain.h, "kv", &now) == 0 && now.children > 0 &&
		now.child[0].pid == pid)
		return fd;
	trouble(run, "the owner's process %d cannot be found", pid);
	run->not_done++;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool gate_probe(struct demo_run *run, enum demo_gate gate)
{
	bool is_there = load_gate(&run->load, DEMO_PROBE, gate);

	if (!is_there)
		trouble(run, "the probe does not follow");
	return is_there;
}

static bool gate_loaders(struct demo_run *run, enum demo_gate gate)
{
	bool is_there = load_gate_loaders(&run->load, gate);

	if (!is_there)
		trouble(run, "a client does not follow");
	return is_there;
}

/* The probe calls on and on, and the owner answers it. */
static bool start_probe(struct demo_run *run, struct heir_app_status *ret)
{
	struct demo_record *probe = run->load.record[DEMO_PROBE];
	int64_t deadline = measure_now() + MOVE_TIMEOUT;

	if (!wait_protected(run, ret) || !gate_probe(run, GATE_RUN))
		return false;
	do
		barelimit_rest();
	while (atomic_load(&probe->server) != ret->child[0].pid && measure_now() < deadline);
	if (atomic_load(&probe->server) == ret->child[0].pid)
		return true;
	trouble(run, "the owner %d does not answer the probe", ret->child[0].pid);
	return false;
}

/* Looked for now and then, so that this process is not in the way of those that make it so. */
static bool answered_by_another(struct demo_run *run, pid_t pid)
{
	struct demo_record *probe = run->load.record[DEMO_PROBE];
	int64_t deadline = measure_now() + PROTECT_TIMEOUT;
	struct timespec look = {.tv_nsec = LOOK_NS};

	do {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &look, NULL);
		if (atomic_load(&probe->server) != pid)
			return true;
	} while (measure_now() < deadline);
	trouble(run, "no reply after the kill of %d", pid);
	return false;
}

/*
 * kill -9 of the owner, and the time until another process has answered the probe, which was
 * calling when the owner died. 0: it was not done; the trouble is told.
 */
static int64_t kill_owner(struct demo_run *run, enum demo_kind category, uint32_t *ret_generation)
{
	struct heir_app_status status;
	int64_t from;
	int fd;

	if (!start_probe(run, &status) || (fd = owner_fd(run, &status)) < 0)
		return 0;
	*ret_generation = status.generation;
	open_window(run, category, DEMO_KILL);
	from = measure_now();
	syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	close(fd);
	if (!answered_by_another(run, status.child[0].pid) || !gate_probe(run, GATE_PAUSE) ||
		!wait_protected(run, &status))
		return 0;
	load_close_window(&run->load);
	return atomic_load(&run->load.record[DEMO_PROBE]->first_ns) - from;
}


static bool loaded_kill(struct demo_run *run)
{
	uint32_t generation;
	int64_t ns;

	run->moves[DEMO_KILL].asked++;
	ns = kill_owner(run, DEMO_KILL, &generation);
	if (ns == 0)
		return false;
	samples_add(&run->first_reply, ns);
	account_move(run, "failover", HEIR_FAILOVER, generation, &run->moves[DEMO_KILL]);
	return true;
}

/* Until the next move is due the load goes on: what clients see without a move. */
static void keep_pace(struct demo_run *run, int64_t began)
{
	int64_t until = began + PACE_NS;
	struct timespec ts = {.tv_sec = until / SECOND, .tv_nsec = until % SECOND};
	bool is_still = until - measure_now() >= STILL_NS;

	if (is_still)
		open_window(run, DEMO_NO_MOVE, DEMO_NO_MOVE);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	if (is_still)
		load_close_window(&run->load);
}

static void keep_pair(struct demo_run *run, struct demo_pair *pair, int error, int64_t limit,
	int64_t heir)
{
	if (error)
		trouble(run, "the bare limit cannot be measured: %s", strerror(-error));
	if (error || heir <= 0)
		return;
	samples_add(&pair->limit, limit);
	samples_add(&pair->heir, heir);
}

static bool quiet_takeover(struct demo_run *run)
{
	struct heir_app_status status;
	uint32_t generation, window;
	int64_t limit = 0;
	int error = barelimit_planned(run->limit, &limit);
	bool was_done;

	if (!start_probe(run, &status))
		return false;
	generation = status.generation;
	window = open_window(run, DEMO_KINDS, DEMO_OVERLAP);
	was_done = take_over(run, &status, HEIR_OVERLAP);
	load_close_window(&run->load);
	if (!gate_probe(run, GATE_PAUSE) || !wait_protected(run, &status))
		return false;
	if (was_done)
		account_move(run, "takeover (at rest)", HEIR_TAKEOVER, generation, NULL);
	keep_pair(run, &run->planned, error, limit,
		run->load.record[DEMO_PROBE]->silence[window].ns);
	return true;
}

static bool quiet_kill(struct demo_run *run)
{
	struct heir_app_status status;
	int64_t limit = 0, alike = 0, ns;
	int error = barelimit_crash(run->limit, (struct barevictim){0}, &limit);
	uint32_t generation;

	if (!wait_protected(run, &status))
		return false;
	run->owner_size = barelimit_size_of(status.child[0].pid);
	if (!error)
		error = barelimit_crash(run->limit, run->owner_size, &alike);
	ns = kill_owner(run, DEMO_KINDS, &generation);
	if (ns == 0)
		return false;
	account_move(run, "failover (at rest)", HEIR_FAILOVER, generation, NULL);
	keep_pair(run, &run->crash, error, limit, ns);
	if (!error)
		samples_add(&run->crash.alike, alike);
	return true;
}

static bool quiet_round(struct demo_run *run)
{
	run->rests++;
	return gate_loaders(run, GATE_PAUSE) && quiet_takeover(run) && quiet_kill(run) &&
	       gate_loaders(run, GATE_RUN);
}

/* Is the next of `part` in `whole` due at step i, so that they are spread evenly? */
static bool is_due(size_t i, size_t part, size_t whole)
{
	return (i + 1) * part / whole > i * part / whole;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool one_move(struct demo_run *run, size_t i)
{
	size_t all = run->takeovers + run->kills;
	size_t taken = run->moves[DEMO_OVERLAP].asked + run->moves[DEMO_EXCLUSIVE].asked;
	int64_t began;

	if (is_due(i, least(QUIET_ROUNDS, all), all) && !quiet_round(run))
		return false;
	began = measure_now();
	if (is_due(i, run->kills, all)) {
		if (!loaded_kill(run))
			return false;
	} else if (!loaded_takeover(run, taken % 2 ? DEMO_EXCLUSIVE : DEMO_OVERLAP)) {
		return false;
	}
	keep_pace(run, began);
	return true;
}

static void move_all(struct demo_run *run)
{
	size_t all = run->takeovers + run->kills, usual = DEMO_TAKEOVERS + DEMO_KILLS;
	int64_t budget = BUDGET * (int64_t)(all > usual ? all : usual) / (int64_t)usual;
	int64_t deadline = measure_now() + budget;

	for (size_t i = 0; i < all && !*run->interrupted; i++) {
		run->is_cut_short = measure_now() > deadline;
		if (run->is_cut_short || !one_move(run, i))
			return;
	}
}

static void sum_client(struct demo_run *run, int i)
{
	const struct demo_record *record = run->load.record[i];
	const struct demo_count *count = &record->count;
	struct demo_count *sum = &run->sum;

	if (count->note[0] && !sum->note[0])
		memcpy(sum->note, count->note, sizeof(sum->note));
	sum->done += count->done;
	sum->failed += count->failed;
	sum->lost += count->lost;
	sum->twice += count->twice;
	sum->acknowledged += count->acknowledged;
	sum->missing += count->missing;
	sum->unanswered += count->unanswered;
	sum->connections += count->connections;
	for (int kind = 0; kind < DEMO_KINDS; kind++)
		sum->cut[kind] += count->cut[kind];
	*(load_is_mail(i) ? &run->mail_calls : &run->tcp_commands) += count->done;
	*(load_is_mail(i) ? &run->mail_failed : &run->tcp_failed) += count->failed;
	histogram_merge(load_is_mail(i) ? &run->mail_latency : &run->tcp_latency, &record->latency);
	for (uint32_t window = 1; window <= run->windows; window++) {
		uint8_t kind = run->window_kind[window];

		if (kind < DEMO_KINDS && record->silence[window].ns > 0)
			samples_add(load_is_mail(i) ? &run->moves[kind].mail_silence
						    : &run->moves[kind].tcp_silence,
				record->silence[window].ns);
	}
}

/* Under load from here to there. */
static void run_load(struct demo_run *run, uint16_t port)
{
	/* A move and the time after it; two more moves without load. */
	size_t windows = 2 * (run->takeovers + run->kills + QUIET_ROUNDS) + 1;
	int error;

	run->window_kind = calloc(windows, 1);
	error = run->window_kind ? load_start(&run->load, run->domain.name, port, windows) : -ENOMEM;
	if (error) {
		trouble(run, "cannot start the clients: %s", strerror(-error));
		return;
	}
	error = barelimit_create(&run->limit);
	if (error)
		trouble(run, "cannot start the bare limits: %s", strerror(-error));
	else if (gate_loaders(run, GATE_RUN))
		move_all(run);
	barelimit_destroy(run->limit);
	load_close_window(&run->load);
	gate_probe(run, GATE_FINISH);
	gate_loaders(run, GATE_FINISH);
	error = load_join(&run->load);
	if (error)
		trouble(run, "%d of the clients did not end by themselves", error);
	for (int i = 0; i < DEMO_LOADERS; i++)
		sum_client(run, i);
	if (run->load.record[DEMO_PROBE]->count.failed)
		trouble(run, "the probe: %s", run->load.record[DEMO_PROBE]->count.note);
}

/* heir-kv beside heir, as it is built and installed, in quotes. */
static bool find_service(struct demo_run *run, const char *heir, char *quoted, size_t size)
{
	const char *slash = strrchr(heir, '/');
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%.*s/heir-kv", slash ? (int)(slash - heir) : 0, heir) >=
		(int)sizeof(path))
		return false;
	if (access(path, X_OK) < 0) {
		trouble(run, "%s: %s; it is built and installed together with heir", path,
			strerror(errno));
		return false;
	}
	return domain_quote(path, quoted, size);
}

void run_demo(struct demo_run *run, const char *heir)
{
	static char quoted[2 * PATH_MAX], text[sizeof(configuration) + sizeof(quoted) + 96];
	char name[64];
	uint16_t port = domain_free_port();
	int64_t from = measure_now();

	machine_read(&run->machine);
	if (!find_service(run, heir, quoted, sizeof(quoted))) {
		trouble(run, "%s: the path is too long", heir);
		return;
	}
	snprintf(name, sizeof(name), DEMO_DOMAIN, getpid());
	snprintf(text, sizeof(text), configuration, name, port, quoted);
	if (domain_start(&run->domain, heir, name, text, "kv"))
		run_load(run, port);
	else
		trouble(run, "%s", run->domain.error);
	load_finish(&run->load);
	if (!domain_stop(&run->domain))
		trouble(run, "%s", run->domain.error);
	run->took_ns = measure_now() - from;
}

void run_finish(struct demo_run *run)
{
	for (int kind = 0; kind < DEMO_KINDS; kind++) {
		struct demo_moves *moves = &run->moves[kind];

		for (size_t i = 0; i < moves->steps; i++)
			samples_finish(&moves->step[i].took);
		samples_finish(&moves->total);
		samples_finish(&moves->mail_silence);
		samples_finish(&moves->tcp_silence);
	}
	samples_finish(&run->first_reply);
	samples_finish(&run->planned.heir);
	samples_finish(&run->planned.limit);
	samples_finish(&run->crash.heir);
	samples_finish(&run->crash.limit);
	samples_finish(&run->crash.alike);
	free(run->window_kind);
}

bool run_is_good(const struct demo_run *run)
{
	const struct demo_count *sum = &run->sum;

	return !run->trouble[0] && !*run->interrupted && run->not_done == 0 && sum->failed == 0 &&
	       sum->lost == 0 && sum->twice == 0 && sum->missing == 0 &&
	       sum->cut[DEMO_OVERLAP] == 0 && sum->cut[DEMO_NO_MOVE] == 0;
}
