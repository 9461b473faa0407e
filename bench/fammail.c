/* SPDX-License-Identifier: ISC */
/*
 * Mail. A call and its reply beside a bare round trip of as many bytes through shared memory and
 * futexes, a Unix socket and a pipe, in turns; spinning beside a cache line. Then the cost of a send,
 * and loads (mailload.c).
 */
#include "bench/barepair.h"
#include "bench/mailload.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#define MESSAGE_MAX	  (1u << 20)
#define TURN		  32u /* so many calls each before it is another's turn */
#define TURN_SPINNING	  256u
#define CALLS		  20000u
#define CALLS_QUICK	  1024u
#define CALLS_LARGE	  2000u
#define CALLS_LARGE_QUICK 128u
#define LARGE		  65536u
#define SENDS		  50000u
#define SENDS_QUICK	  5000u
#define IN_FLIGHT	  64u

/* The near end of calls: this process, moved to the first processor. */
struct near {
	heir_t *h;
	char *data, *reply;
	size_t bytes;
	pid_t far;	/* the worker, where it spins */
	int cpu;	/* of the far end, heir's or bare */
	const char *at; /* how the two are placed, as a word */
};

static int call(struct near *n, int64_t *ret_ns)
{
	size_t size = n->bytes;
	struct heir_ticket ticket;
	int64_t from = measure_now();
	int error;

	if (n->far) {
		error = heir_call_start(n->h, "bench", n->data, n->bytes, &ticket);
		while (!error && !(error = heir_call_ready(n->h, ticket)))
			barelimit_relax();
		error = error == 1 ? heir_call_finish(n->h, ticket, n->reply, &size, 0) : error;
	} else {
		error = heir_call(n->h, "bench", n->data, n->bytes, n->reply, &size, BENCH_TIMEOUT);
	}
	*ret_ns = measure_now() - from;
	return error;
}

struct beside {
	enum bareway way;
	const char *is;
	double goal; /* for calls of 8 bytes */
	bool is_at_least;
};

/* Who spins out of turn would take the other's processor. */
static void begin_turn(const struct near *n, struct barepair *pair, bool is_heir)
{
	if (!n->far)
		return;
	barepair_stop(pair, is_heir);
	kill(n->far, is_heir ? SIGCONT : SIGSTOP);
}

/* The first of each turn are warm-up. */
static int one_turn(struct near *n, struct barepair *pair, bool is_heir, unsigned count,
		    struct samples *samples)
{
	int64_t ns = 0;
	int error = 0;

	begin_turn(n, pair, is_heir);
	for (unsigned j = 0; j < count + count / 4 && !error; j++) {
		error = is_heir ? call(n, &ns) : barepair_round_trip(pair, &ns);
		if (j >= count / 4)
			samples_add(samples, ns);
	}
	return error;
}

static int in_turns(struct bench *b, struct near *n, struct barepair *pair, struct row *row)
{
	bool is_large = n->bytes >= LARGE;
	unsigned calls = is_large ? bench_rounds(b, CALLS_LARGE, CALLS_LARGE_QUICK)
				  : bench_rounds(b, CALLS, CALLS_QUICK);
	unsigned turn = n->far ? TURN_SPINNING : TURN;
	int error = 0;

	for (unsigned i = 0; i < calls && !error; i += turn) {
		error = one_turn(n, pair, true, turn, &row->heir);
		if (!error)
			error = one_turn(n, pair, false, turn, &row->limit);
	}
	if (n->far)
		kill(n->far, SIGCONT);
	return error;
}

static bool calls_beside(struct bench *b, struct near *n, const struct beside *of)
{
	struct row *row = bench_row(b, "mail", UNIT_US, n->far ? "spinning" : "blocking");
	struct barepair *pair;
	int error = barepair_create(of->way, n->bytes, n->cpu, &pair);

	snprintf(row->what, sizeof(row->what), "call and reply%s", n->at);
	row->axis = "bytes";
	row->with.bytes = n->bytes;
	snprintf(row->limit_is, sizeof(row->limit_is), "%s", of->is);
	row->goal = n->bytes == 8 ? of->goal : 0;
	row->is_at_least = of->is_at_least;
	if (error)
		return bench_complain(of->is, error);
	error = in_turns(b, n, pair, row);
	barepair_destroy(pair);
	return !error || bench_complain("a call", error);
}

static bool calls_of(struct bench *b, struct near *n, size_t bytes)
{
	static const struct beside all[] = {{BARE_FUTEX, "futex round trip, bytes copied", 1.3, false},
					    {BARE_SOCKET, "Unix socket round trip", 2, true},
					    {BARE_PIPE, "pipe round trip", 0, true}};
	static const struct beside spun = {BARE_LINE, "cache-line round trip, bytes copied", 4, false};
	bool is_well = true;

	n->bytes = bytes;
	if (n->far)
		return calls_beside(b, n, &spun);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && is_well; i++)
		is_well = calls_beside(b, n, &all[i]);
	return is_well;
}

/* ASK_ECHO is 0, so zeroes will do. */
static bool open_near(struct near *n, heir_t *h)
{
	*n = (struct near){.h = h, .data = calloc(1, MESSAGE_MAX), .reply = calloc(1, MESSAGE_MAX)};
	return (n->data && n->reply) || bench_complain("messages", -ENOMEM);
}

static void close_near(struct near *n)
{
	free(n->data);
	free(n->reply);
}

/* Both ends, and the bare ones, on one processor, or each on its own: on that it depends most. */
static bool place(struct near *n, int which)
{
	pid_t pid;
	int error;

	n->at = which ? ", two processors" : ", one processor";
	n->cpu = bench_other_cpu(which);
	barelimit_pin(bench_other_cpu(0));
	error = ask(n->h, "bench", (struct ask){.op = ASK_PIN, .at = (uint64_t)n->cpu}, &pid, sizeof(pid));
	return !error || bench_complain("placing the worker", error);
}

static bool blocking_calls(struct bench *b, struct stage *stage)
{
	static const size_t sizes[] = {8, 64, 1024, 4096, LARGE, MESSAGE_MAX};
	struct near n;
	bool is_well = open_near(&n, stage->domain.h);

	for (int which = 0; which < 2 && which < b->machine.cores && is_well; which++) {
		is_well = place(&n, which);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && is_well; i++)
			is_well = calls_of(b, &n, sizes[i]);
	}
	close_near(&n);
	return is_well;
}

static bool spinning_calls(struct bench *b)
{
	struct setup setup = {.with = {.names = 1}, .is_cold = true, .is_spinning = true};
	struct heir_app_status status;
	struct stage stage;
	struct near n;
	bool is_well;

	if (b->machine.cores < 2) {
		struct row *row = bench_row(b, "mail", UNIT_US, "spinning");

		snprintf(row->what, sizeof(row->what), "call and reply");
		snprintf(row->left_out, sizeof(row->left_out), "2 processors are needed");
		return true;
	}
	is_well = stage_start(&stage, b, &setup) && stage_protected(&stage, &status) &&
		  open_near(&n, stage.domain.h);
	if (is_well) {
		n.far = status.child[0].pid;
		is_well = place(&n, 1) && calls_of(b, &n, 8) && calls_of(b, &n, 64);
		close_near(&n);
	}
	return stage_stop(&stage) && is_well;
}

/* Until all of them have been handled. */
static int all_received(struct share *share, uint32_t count)
{
	int64_t deadline = measure_now() + BENCH_TIMEOUT;

	while (atomic_load(&share->received) < count) {
		if (measure_now() > deadline)
			return HEIR_ETIMEDOUT;
		sched_yield();
	}
	return 0;
}

static bool sends(struct bench *b, struct stage *stage)
{
	struct row *row = bench_row(b, "mail", UNIT_NS, "blocking");
	uint32_t before = atomic_load(&stage->share->received), count = bench_rounds(b, SENDS, SENDS_QUICK);
	double ps = bench_ps_per_tick();
	int error = 0;

	snprintf(row->what, sizeof(row->what), "send: what it takes the sender");
	row->with.bytes = sizeof(struct ask);
	for (uint32_t i = 1; i <= count && !error; i++) {
		struct ask a = {.op = ASK_NOTE, .at = (uint64_t)measure_now()};
		uint64_t t = bench_ticks();

		error = heir_send(stage->domain.h, "bench", &a, sizeof(a));
		t = bench_ticks() - t;
		if (i > IN_FLIGHT)
			samples_add(&row->heir, (int64_t)((double)t * ps));
		if (i % IN_FLIGHT == 0 && !error)
			error = all_received(stage->share, before + i);
	}
	return !error || bench_complain("send", error);
}

bool mail_run(struct bench *b)
{
	struct setup setup = {.with = {.names = 1}, .message = MESSAGE_MAX};
	struct heir_app_status status;
	struct stage stage;
	cpu_set_t before;
	bool is_well = stage_start(&stage, b, &setup) && stage_protected(&stage, &status) && sends(b, &stage);

	sched_getaffinity(0, sizeof(before), &before);
	is_well = is_well && blocking_calls(b, &stage);
	sched_setaffinity(0, sizeof(before), &before);
	is_well &= stage_stop(&stage);
	is_well = spinning_calls(b) && is_well;
	sched_setaffinity(0, sizeof(before), &before);
	return loads_run(b) && is_well;
}
