/* SPDX-License-Identifier: ISC */
/* Moves put together from what drivers and others wrote, whole, torn, wrapped or made up. */
#include "trace/moves.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tracefix.h"

#define TIME_LIMIT_S 60
#define US INT64_C(1000)
#define MAX 32

enum { START, SWITCH, TAKEOVER, GO, STOP_OLD }; /* as in tracefix.c */

struct fixture {
	struct tracefix f;
	struct heir_move moves[MAX];
	uint64_t drivers[MAX];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	alarm(TIME_LIMIT_S);
	tracefix_init(&f->f, 64);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tracefix_finish(&f->f);
	free(f);
	alarm(0);
	return 0;
}

/* Always by the read-only mapping. */
static int read_moves(struct fixture *f, int app, size_t max)
{
	memset(f->moves, 0xa5, sizeof(f->moves));
	return moves_read(&f->f.ro, app, 0, f->moves, f->drivers, max);
}

static struct trace_move takeover(uint32_t app, uint32_t generation, int64_t began)
{
	return (struct trace_move){
		.app = app,
		.generation = generation,
		.kind = HEIR_TAKEOVER,
		.from = 1,
		.to = 2,
		.began = began,
	};
}

/* A whole takeover in steps of 10 us, up to and with its end. */
static void do_takeover(struct fixture *f, uint32_t slot, const struct trace_move *m)
{
	trace_move_begin(&f->f.rw, slot, m);
	for (unsigned i = START; i <= GO; i++)
		trace_step(&f->f.rw, slot, m, i, m->began + i * 10 * US, 10 * US);
	trace_move_end(&f->f.rw, slot, m, HEIR_DONE, 0, TRACE_STEP_NONE);
}

static void assert_step(const struct heir_move *m, size_t i, const char *name, int64_t start,
			int64_t duration)
{
	assert_true(i < m->steps);
	assert_string_equal(m->step[i].name, name);
	assert_int_equal(m->step[i].start_ns, start);
	assert_int_equal(m->step[i].duration_ns, duration);
}

static void test_none(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_moves(f, -1, MAX), 0);
	assert_int_equal(read_moves(f, 0, MAX), 0);
	assert_int_equal(read_moves(f, 3, 0), 0);
}

static void test_takeover(void **state)
{
	struct fixture *f = *state;
	int64_t began = clock_ns(), real = clock_real_ns(), off;
	struct trace_move m = takeover(1, 41, began), other = m;

	do_takeover(f, 2, &m);
	other.driver = handle_make(2, 7);
	trace_step(&f->f.rw, 4, &other, STOP_OLD, began + 25 * US, 90 * US);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_string_equal(f->moves[0].application, "app1");
	assert_int_equal(f->moves[0].kind, HEIR_TAKEOVER);
	assert_string_equal(f->moves[0].from, "a");
	assert_string_equal(f->moves[0].to, "b");
	assert_int_equal(f->moves[0].generation, 41);
	assert_int_equal(f->moves[0].result, HEIR_DONE);
	assert_int_equal(f->moves[0].error, 0);
	assert_string_equal(f->moves[0].failed_step, "");
	assert_int_equal(f->moves[0].total_ns, 40 * US);
	assert_true(f->drivers[0] == handle_make(2, 7));
	off = f->moves[0].at_ns - real;
	assert_true(off > -NS_PER_SECOND && off < NS_PER_SECOND);
	assert_int_equal(f->moves[0].steps, 5);
	assert_step(&f->moves[0], 0, "start", 0, 10 * US);
	assert_step(&f->moves[0], 1, "switch", 10 * US, 10 * US);
	assert_step(&f->moves[0], 2, "takeover", 20 * US, 10 * US);
	assert_step(&f->moves[0], 3, "stop_old", 25 * US, 90 * US);
	assert_step(&f->moves[0], 4, "go", 30 * US, 10 * US);
}

/* Of one driver's ring: its own moves, without what others did for them. */
static void test_of_one_driver(void **state)
{
	struct fixture *f = *state;
	struct trace_move mine = takeover(1, 41, clock_ns()), other = takeover(1, 42, clock_ns() + 1000 * US);

	do_takeover(f, 2, &mine);
	do_takeover(f, 3, &other);
	mine.driver = handle_make(2, 7);
	trace_step(&f->f.rw, 4, &mine, STOP_OLD, mine.began + 25 * US, 90 * US);
	assert_int_equal(read_moves(f, 1, MAX), 2);
	assert_int_equal(f->moves[1].steps, 5);
	assert_int_equal(moves_read(&f->f.ro, 1, 2, f->moves, f->drivers, MAX), 1);
	assert_int_equal(f->moves[0].generation, 41);
	assert_int_equal(f->moves[0].result, HEIR_DONE);
	assert_int_equal(f->moves[0].steps, 4);
	assert_true(f->drivers[0] == handle_make(2, 7));
	assert_int_equal(moves_read(&f->f.ro, 1, 4, f->moves, f->drivers, MAX), 0);
	assert_int_equal(moves_read(&f->f.ro, 1, 100000, f->moves, f->drivers, MAX), 0);
}

/* stop_old comes first: the silence is all of it. */
static void test_exclusive(void **state)
{
	struct fixture *f = *state;
	struct trace_move m = takeover(1, 41, 1000 * US);

	trace_move_begin(&f->f.rw, 2, &m);
	trace_step(&f->f.rw, 2, &m, STOP_OLD, 1000 * US, 500 * US);
	trace_step(&f->f.rw, 2, &m, START, 1500 * US, 20 * US);
	trace_step(&f->f.rw, 2, &m, SWITCH, 1520 * US, US);
	trace_step(&f->f.rw, 2, &m, GO, 1521 * US, US);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].total_ns, 522 * US);
	assert_int_equal(f->moves[0].result, 0);
}

static void test_failover(void **state)
{
	struct fixture *f = *state;
	struct trace_move m = takeover(0, 9, 5000 * US);

	m.kind = HEIR_FAILOVER;
	trace_move_begin(&f->f.rw, 5, &m);
	trace_step(&f->f.rw, 5, &m, TRACE_STEP_NOTICE, 4900 * US, 100 * US);
	trace_step(&f->f.rw, 5, &m, TRACE_STEP_CLAIM, 5000 * US, 1 * US);
	trace_step(&f->f.rw, 5, &m, GO, 5001 * US, 2 * US);
	trace_move_end(&f->f.rw, 5, &m, HEIR_FAILED_OVER, HEIR_ETIMEDOUT, GO);
	assert_int_equal(read_moves(f, 0, MAX), 1);
	assert_step(&f->moves[0], 0, "notice", 0, 100 * US);
	assert_step(&f->moves[0], 1, "claim", 100 * US, US);
	assert_step(&f->moves[0], 2, "go", 101 * US, 2 * US);
	assert_int_equal(f->moves[0].total_ns, 103 * US);
	assert_int_equal(f->moves[0].result, HEIR_FAILED_OVER);
	assert_int_equal(f->moves[0].error, HEIR_ETIMEDOUT);
	assert_string_equal(f->moves[0].failed_step, "go");
}

static void test_under_way(void **state)
{
	struct fixture *f = *state;
	struct trace_move m = takeover(2, 3, 100);

	m.from = 0;
	m.kind = HEIR_NORMAL;
	trace_move_begin(&f->f.rw, 1, &m);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].result, 0);
	assert_int_equal(f->moves[0].steps, 0);
	assert_int_equal(f->moves[0].total_ns, 0);
	assert_string_equal(f->moves[0].from, "");
	assert_string_equal(f->moves[0].to, "b");
	trace_step(&f->f.rw, 1, &m, START, 150, 30);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].result, 0);
	assert_int_equal(f->moves[0].total_ns, 80);
}

/* A move that ended before its first step: the end is all there is. */
static void test_no_steps(void **state)
{
	struct fixture *f = *state;
	struct trace_move m = takeover(2, 3, clock_ns());

	trace_move_begin(&f->f.rw, 1, &m);
	trace_move_end(&f->f.rw, 1, &m, HEIR_ABORTED, -ENOMEM, START);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].result, HEIR_ABORTED);
	assert_int_equal(f->moves[0].error, -ENOMEM);
	assert_string_equal(f->moves[0].failed_step, "start");
	assert_true(f->moves[0].total_ns > 0);
}

static void test_newest_first(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 20; i++) {
		struct trace_move m = takeover(i % 2, 100 + i, 1000 * US * (1 + i * 7 % 20));

		do_takeover(f, 1 + i % 5, &m);
	}
	for (size_t max = 1; max <= 25; max++) {
		int n = read_moves(f, -1, max);

		assert_int_equal(n, max < 20 ? max : 20);
		for (int i = 0; i < n; i++) {
			unsigned made = (19 - (unsigned)i) * 3 % 20; /* 3 * 7 is 1 modulo 20 */

			assert_int_equal(f->moves[i].generation, 100 + made);
			assert_int_equal(f->moves[i].steps, 4);
			assert_int_equal(f->moves[i].result, HEIR_DONE);
			assert_int_equal(f->drivers[i], handle_make(1 + made % 5, 7));
		}
		assert_int_equal((unsigned char)f->moves[n].application[0], 0xa5);
	}
	assert_int_equal(read_moves(f, 1, MAX), 10);
	for (int i = 0; i < 10; i++)
		assert_string_equal(f->moves[i].application, "app1");
	assert_int_equal(read_moves(f, 2, MAX), 0);
	assert_int_equal(read_moves(f, 63, MAX), 0);
	assert_int_equal(read_moves(f, 1000, MAX), 0);
}

/* One process, one generation, two tries; then another incarnation of its slot tries as well. */
static void test_same_identity(void **state)
{
	struct fixture *f = *state;
	struct trace_move first = takeover(1, 5, 1000), second = takeover(1, 5, 2000);
	struct trace_move third = takeover(1, 5, 3000), by_leader = takeover(1, 5, 0);

	trace_move_begin(&f->f.rw, 2, &first);
	trace_step(&f->f.rw, 2, &first, START, 1000, 10);
	trace_move_end(&f->f.rw, 2, &first, HEIR_ABORTED, -1, START);
	trace_move_begin(&f->f.rw, 2, &second);
	trace_step(&f->f.rw, 2, &second, START, 2000, 20);
	trace_step(&f->f.rw, 2, &second, SWITCH, 2020, 20);
	atom_store_relaxed(&f->f.rw.slots[2].word, UINT64_C(8) << 32); /* died */
	trace_move_begin(&f->f.rw, 2, &third);
	trace_step(&f->f.rw, 2, &third, START, 3000, 30);
	trace_move_end(&f->f.rw, 2, &third, HEIR_DONE, 0, TRACE_STEP_NONE);
	by_leader.driver = TRACE_DRIVER_UNKNOWN;
	trace_step(&f->f.rw, 3, &by_leader, STOP_OLD, 3015, 1);
	by_leader.driver = handle_make(2, 7);
	trace_step(&f->f.rw, 3, &by_leader, TRACE_STEP_STOP_OLD, 2500, 2);
	trace_step(&f->f.rw, 3, &by_leader, TRACE_STEP_SPAWN, 900, 70);
	by_leader.driver = handle_make(4, 7);
	trace_step(&f->f.rw, 3, &by_leader, STOP_OLD, 3016, 1); /* of a move that is nowhere */
	assert_int_equal(read_moves(f, -1, MAX), 3);
	assert_true(f->drivers[0] == handle_make(2, 8));
	assert_true(f->drivers[1] == handle_make(2, 7));
	assert_int_equal(f->moves[0].steps, 2);
	assert_step(&f->moves[0], 1, "stop_old", 15, 1);
	assert_int_equal(f->moves[0].result, HEIR_DONE);
	assert_int_equal(f->moves[1].steps, 3);
	assert_step(&f->moves[1], 2, "stop_old", 500, 2);
	assert_int_equal(f->moves[1].total_ns, 40);
	assert_int_equal(f->moves[1].result, 0);
	assert_int_equal(f->moves[2].steps, 2);
	assert_step(&f->moves[2], 0, "spawn", 0, 70);
	assert_step(&f->moves[2], 1, "start", 100, 10);
	assert_int_equal(f->moves[2].total_ns, 110);
	assert_int_equal(f->moves[2].result, HEIR_ABORTED);
}

/* A leader drives several applications at once. */
static void test_interleaved(void **state)
{
	struct fixture *f = *state;
	struct trace_move a = takeover(0, 5, 1000), b = takeover(3, 5, 1500);

	trace_move_begin(&f->f.rw, 1, &a);
	trace_move_begin(&f->f.rw, 1, &b);
	trace_step(&f->f.rw, 1, &a, START, 1600, 1);
	trace_step(&f->f.rw, 1, &b, SWITCH, 1700, 2);
	trace_move_end(&f->f.rw, 1, &a, HEIR_FORCED, 0, TRACE_STEP_NONE);
	trace_step(&f->f.rw, 1, &b, GO, 1800, 3);
	b.generation++;
	trace_step(&f->f.rw, 1, &b, GO, 1900, 3);
	trace_move_end(&f->f.rw, 1, &b, HEIR_DONE, 0, TRACE_STEP_NONE);
	assert_int_equal(read_moves(f, -1, MAX), 2);
	assert_string_equal(f->moves[0].application, "app3");
	assert_int_equal(f->moves[0].result, 0);
	assert_int_equal(f->moves[0].steps, 2);
	assert_int_equal(f->moves[1].result, HEIR_FORCED);
	assert_int_equal(f->moves[1].steps, 1);
	assert_step(&f->moves[1], 0, "start", 600, 1);
}

/* Steps whose begin is overwritten belong to no move, least of all to another one. */
static void test_wrapped(void **state)
{
	struct fixture *f = *state;
	struct trace_move old = takeover(1, 5, 1000), kept = takeover(1, 6, 9000);
	const struct trace_record filler = {.event = TRACE_NAME};

	trace_move_begin(&f->f.rw, 1, &old);
	for (int i = 0; i < 55; i++)
		trace_write(&f->f.rw, 1, &filler);
	trace_step(&f->f.rw, 1, &old, START, 1100, 1);
	trace_step(&f->f.rw, 1, &old, GO, 1200, 1);
	trace_move_end(&f->f.rw, 1, &old, HEIR_DONE, 0, TRACE_STEP_NONE);
	do_takeover(f, 1, &kept);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].generation, 6);
	assert_int_equal(f->moves[0].steps, 4);
	for (uint32_t i = 0; i < 200; i++) {
		struct trace_move m = takeover(1, 10 + i, 10000 + i * 1000);

		do_takeover(f, 1, &m);
		assert_in_range(read_moves(f, -1, MAX), 1, 64 / 6);
		assert_int_equal(f->moves[0].generation, 10 + i);
		assert_int_equal(f->moves[0].steps, 4);
	}
	assert_int_equal(read_moves(f, -1, MAX), 64 / 6);
}

static void test_torn(void **state)
{
	struct fixture *f = *state;
	struct trace_move m = takeover(1, 5, 1000);
	struct shm_trace_record *r = (void *)(shm_trace(&f->f.rw, 1) + 1);

	do_takeover(f, 1, &m);
	atom_and_relaxed(&r[2].words[0], ~UINT64_C(0xff)); /* switch */
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].steps, 3);
	assert_string_equal(f->moves[0].step[1].name, "takeover");
	atom_and_relaxed(&r[5].words[0], ~UINT64_C(0xff)); /* the end */
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].result, 0);
	atom_and_relaxed(&r[0].words[0], ~UINT64_C(0xff)); /* the begin */
	assert_int_equal(read_moves(f, -1, MAX), 0);
}

static void test_many_steps(void **state)
{
	struct fixture *f = *state;
	struct trace_move m = takeover(1, 5, 1000);

	trace_move_begin(&f->f.rw, 1, &m);
	for (int i = 0; i < HEIR_STEPS_MAX + 5; i++)
		trace_step(&f->f.rw, 1, &m, GO, 3000 - i * 10, 5);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].steps, HEIR_STEPS_MAX);
	for (int i = 0; i < HEIR_STEPS_MAX; i++)
		assert_step(&f->moves[0], (size_t)i, "go", 2000 - (HEIR_STEPS_MAX + 4 - i) * 10, 5);
	assert_int_equal(f->moves[0].total_ns, 2005);
}

static void test_step_names(void **state)
{
	struct fixture *f = *state;
	struct trace_move m = takeover(1, 5, 1000);

	trace_move_begin(&f->f.rw, 1, &m);
	for (unsigned i = 0; i < 6; i++)
		trace_step(&f->f.rw, 1, &m, i, 1000 + i, 1);
	memset(f->f.rw.apps[1].step[2], 'x', sizeof(f->f.rw.apps[1].step[2]));
	memset(f->f.rw.apps[1].name, 'y', sizeof(f->f.rw.apps[1].name));
	memset(f->f.rw.nodes[0].name, 'z', sizeof(f->f.rw.nodes[0].name));
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(strlen(f->moves[0].step[2].name), 31);
	assert_int_equal(strlen(f->moves[0].application), HEIR_NAME_MAX);
	assert_int_equal(strlen(f->moves[0].from), 63);
	assert_string_equal(f->moves[0].step[5].name, "step 5");
	f->f.rw.apps[1].steps = UINT32_MAX;
	for (unsigned i = 0; i < 256; i++)
		trace_step(&f->f.rw, 2 + i % 4, &m, i, 2000, 1);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	for (unsigned i = 6; i < 16; i++)
		trace_step(&f->f.rw, 1, &m, i, 1000 + i, 1);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_string_equal(f->moves[0].step[15].name, "");
}

/* Each field out of its range, one at a time. */
static void test_input(void **state)
{
	struct fixture *f = *state;
	const struct trace_record begin = {
		.event = TRACE_MOVE_BEGIN, .generation = 5, .app = 1, .a = HEIR_TAKEOVER,
		.b = 1 | 2 << 8, .at_ns = 1000,
	};
	struct trace_record bad[] = {begin, begin, begin, begin, begin, begin, begin};
	struct trace_record step = {
		.event = TRACE_STEP, .generation = 5, .app = 1, .a = GO, .b = 1, .at_ns = 2000,
	};
	struct trace_record end = {
		.event = TRACE_MOVE_END, .generation = 5, .app = 1, .at_ns = 3000,
	};

	bad[0].app = TRACEFIX_APPS;
	bad[1].app = 255;
	bad[2].a = 0;
	bad[3].a = HEIR_LOCAL + 1;
	bad[4].b = TRACEFIX_NODES + 1;
	bad[5].b = (TRACEFIX_NODES + 1) << 8;
	bad[6].at_ns = -1;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		trace_write(&f->f.rw, 2, &bad[i]);
	assert_int_equal(read_moves(f, -1, MAX), 0);
	trace_write(&f->f.rw, 1, &begin);
	step.value = (uint64_t)INT64_MAX - 1999;
	trace_write(&f->f.rw, 1, &step);
	step.value = UINT64_MAX;
	trace_write(&f->f.rw, 1, &step);
	step.value = 1;
	step.at_ns = -2;
	trace_write(&f->f.rw, 1, &step);
	step.at_ns = INT64_MAX;
	trace_write(&f->f.rw, 1, &step);
	trace_write(&f->f.rw, 1, &end);
	end.a = HEIR_FAILED + 1;
	trace_write(&f->f.rw, 1, &end);
	end.a = HEIR_DONE;
	end.at_ns = INT64_MIN;
	trace_write(&f->f.rw, 1, &end);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].steps, 0);
	assert_int_equal(f->moves[0].result, 0);
	step.at_ns = INT64_MAX - 1;
	trace_write(&f->f.rw, 1, &step);
	assert_int_equal(read_moves(f, -1, MAX), 1);
	assert_int_equal(f->moves[0].total_ns, INT64_MAX - 1000);
}

static void fill_with_noise(struct shm_trace_head *head, unsigned *seed)
{
	struct shm_trace_record *r = (void *)(head + 1);
	uint64_t next = rand_r(seed) % 4 ? (uint64_t)rand_r(seed) % 200 : UINT64_MAX;

	atom_store_relaxed(&head->next, next);
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t number = next - 1 - i, event = (uint64_t)rand_r(seed) % 5;
		uint64_t a = (uint64_t)rand_r(seed) % 7, b = (uint64_t)rand_r(seed) & 0x0303;
		uint64_t app = (uint64_t)rand_r(seed) % 6, generation = (uint64_t)rand_r(seed) % 3;
		atom64 *words = r[number % 64].words;

		atom_store_relaxed(&words[0], number << 8 | event);
		atom_store_relaxed(&words[1], b << 48 | a << 40 | app << 32 | generation);
		for (int w = 2; w < 4; w++)
			atom_store_relaxed(&words[w], (uint64_t)rand_r(seed) << rand_r(seed) % 34);
	}
}

static void assert_sane(const struct heir_move *m)
{
	assert_in_range(m->kind, HEIR_NORMAL, HEIR_LOCAL);
	assert_in_range(m->result, 0, HEIR_FAILED);
	assert_in_range(m->steps, 0, HEIR_STEPS_MAX);
	assert_true(m->total_ns >= 0);
	for (size_t i = 0; i < m->steps; i++)
		assert_true(m->step[i].start_ns >= 0 && m->step[i].duration_ns >= 0);
}

/* Any bytes at all in the rings: bounded, and never outside. */
static void test_noise(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 1, found = 0;

	for (int round = 0; round < 300; round++) {
		for (uint32_t slot = 1; slot < TRACEFIX_SLOTS; slot++)
			fill_with_noise(shm_trace(&f->f.rw, slot), &seed);
		for (size_t max = 1; max <= MAX; max *= 2) {
			int n = read_moves(f, rand_r(&seed) % 6 - 1, max);

			assert_in_range(n, 0, max);
			for (int i = 0; i < n; i++)
				assert_sane(&f->moves[i]);
			found += (unsigned)n;
		}
	}
	assert_true(found > 0);
}

static void drive_for_ever(struct fixture *f, uint32_t slot)
{
	for (uint32_t i = 0;; i++) {
		struct trace_move m = takeover(slot % TRACEFIX_APPS, i, clock_ns());

		do_takeover(f, slot, &m);
	}
}

static unsigned assert_ended_are_whole(struct fixture *f)
{
	int n = read_moves(f, -1, MAX);
	unsigned ended = 0;

	for (int i = 0; i < n; i++) {
		if (f->moves[i].result == 0)
			continue;
		assert_int_equal(f->moves[i].steps, 4);
		assert_int_equal(f->moves[i].total_ns, 40 * US);
		ended++;
	}
	return ended;
}

/* Readers beside drivers that are killed at any instruction. */
static void test_killed_drivers(void **state)
{
	struct fixture *f = *state;
	unsigned whole = 0;

	for (int round = 0; round < 50; round++) {
		pid_t child[2];

		for (uint32_t i = 0; i < 2; i++) {
			child[i] = fork();
			if (child[i] == 0)
				drive_for_ever(f, 1 + i);
		}
		for (int reads = 0; reads < 20; reads++)
			for (int n = read_moves(f, -1, MAX); n > 0; n--)
				assert_sane(&f->moves[n - 1]);
		for (uint32_t i = 0; i < 2; i++) {
			kill(child[i], SIGKILL);
			assert_int_equal(waitpid(child[i], NULL, 0), child[i]);
		}
		whole += assert_ended_are_whole(f);
	}
	assert_true(whole > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_takeover, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_one_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exclusive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failover, setup, teardown),
		cmocka_unit_test_setup_teardown(test_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interleaved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrapped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_drivers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
