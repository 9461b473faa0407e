/* SPDX-License-Identifier: ISC */
/* Trace rings: what is read is what one writer wrote, whoever dies, stops or reads when. */
#include "trace/tracering.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tracefix.h"

#define TIME_LIMIT_S 60
#define KILLS 200
#define RACE_SEEN 200000u
#define RACE_TURNS 20000u
#define LAP 2u
#define INTERRUPTS 20000u

static int setup(void **state)
{
	struct tracefix *f = calloc(1, sizeof(*f));

	alarm(TIME_LIMIT_S);
	tracefix_init(f, TRACEFIX_RECORDS);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	tracefix_finish(*state);
	free(*state);
	alarm(0);
	return 0;
}

/* All of a record follows from n. */
static struct trace_record sample(uint64_t n)
{
	return (struct trace_record){
		.event = (enum trace_event)(1 + n % (TRACE_EVENTS_END - 1)),
		.generation = (uint32_t)(n * 2654435761u),
		.app = (uint8_t)(n * 3),
		.a = (uint8_t)(n * 5),
		.b = (uint16_t)(n * 40503u),
		.at_ns = (int64_t)(n * 7 + 1),
		.value = n,
	};
}

static int same(const struct trace_record *a, const struct trace_record *b)
{
	return a->event == b->event && a->generation == b->generation && a->app == b->app &&
	       a->a == b->a && a->b == b->b && a->at_ns == b->at_ns && a->value == b->value;
}

static void write_samples(const struct shm *shm, uint32_t slot, uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++) {
		struct trace_record r = sample(n);

		trace_write(shm, slot, &r);
	}
}

static unsigned count_valid(const struct shm *shm, uint32_t slot)
{
	struct trace_record r, want;
	uint64_t first, end;
	unsigned count = 0;

	trace_range(shm, slot, &first, &end);
	for (uint64_t n = first; n != end; n++) {
		if (!trace_read(shm, slot, n, &r))
			continue;
		want = sample(n);
		assert_true(same(&r, &want));
		count++;
	}
	return count;
}

static struct shm_trace_record *records(const struct shm *shm, uint32_t slot)
{
	return (struct shm_trace_record *)(void *)(shm_trace(shm, slot) + 1);
}

static void test_empty(void **state)
{
	struct tracefix *f = *state;
	uint64_t first = 9, end = 9;

	assert_int_equal(count_valid(&f->ro, 1), 0);
	trace_range(&f->ro, 0, &first, &end);
	assert_true(first == 0 && end == 0);
	trace_range(&f->ro, TRACEFIX_SLOTS, &first, &end);
	assert_true(first == 0 && end == 0);
}

static void test_wrap(void **state)
{
	struct tracefix *f = *state;
	struct trace_record r = {0};

	for (uint64_t n = 0; n < 5 * TRACEFIX_RECORDS; n++) {
		unsigned now = (unsigned)(n + 1 < TRACEFIX_RECORDS ? n + 1 : TRACEFIX_RECORDS);

		write_samples(&f->rw, 2, n, n + 1);
		assert_int_equal(count_valid(&f->ro, 2), now);
		assert_int_equal(count_valid(&f->ro, 1), 0);
		assert_int_equal(count_valid(&f->ro, 3), 0);
		assert_true(trace_read(&f->ro, 2, n, &r));
		assert_false(trace_read(&f->ro, 2, n + 1, &r));
		assert_false(trace_read(&f->ro, 2, n + TRACEFIX_RECORDS, &r));
		if (n >= TRACEFIX_RECORDS)
			assert_false(trace_read(&f->ro, 2, n - TRACEFIX_RECORDS, &r));
	}
}

/* A writer that died after each of its stores, and its slot's next incarnation. */
static void test_torn(void **state)
{
	struct tracefix *f = *state;
	const uint64_t n = 2 * TRACEFIX_RECORDS + 3;
	struct shm_trace_record *torn = records(&f->rw, 1) + n % TRACEFIX_RECORDS;
	struct trace_record r = {.value = 77};

	write_samples(&f->rw, 1, 0, n);
	assert_int_equal(count_valid(&f->ro, 1), TRACEFIX_RECORDS);
	atom_store_relaxed(&torn->words[0], n << 8);
	assert_int_equal(count_valid(&f->ro, 1), TRACEFIX_RECORDS - 1);
	for (unsigned i = 1; i < 4; i++) {
		atom_store_relaxed(&torn->words[i], UINT64_MAX);
		assert_int_equal(count_valid(&f->ro, 1), TRACEFIX_RECORDS - 1);
		assert_false(trace_read(&f->ro, 1, n, &r));
		assert_false(trace_read(&f->ro, 1, n - TRACEFIX_RECORDS, &r));
	}
	assert_int_equal(r.value, 77);
	write_samples(&f->rw, 1, n, n + 1);
	assert_int_equal(count_valid(&f->ro, 1), TRACEFIX_RECORDS);
	atom_store_relaxed(&shm_trace(&f->rw, 1)->next, n); /* died before it counted the record */
	assert_int_equal(count_valid(&f->ro, 1), TRACEFIX_RECORDS);
	assert_true(trace_read(&f->ro, 1, n, &r));
	write_samples(&f->rw, 1, n, n + 2);
	assert_int_equal(count_valid(&f->ro, 1), TRACEFIX_RECORDS);
	assert_true(trace_read(&f->ro, 1, n + 1, &r));
}

static void test_input(void **state)
{
	struct tracefix *f = *state;
	struct shm_trace_record *first = records(&f->rw, 1);
	const uint64_t most = UINT64_MAX, next[] = {0, 1, 15, 16, 17, most >> 8, most - 1, most};
	struct trace_record r;

	write_samples(&f->rw, 1, 0, 1);
	for (unsigned event = 0; event < 256; event++) {
		atom_store_relaxed(&first->words[0], event);
		assert_int_equal(trace_read(&f->ro, 1, 0, &r),
				 event > TRACE_NONE && event < TRACE_EVENTS_END);
	}
	for (unsigned i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
		uint64_t from, to, turns = 0;

		atom_store_relaxed(&shm_trace(&f->rw, 1)->next, next[i]);
		trace_range(&f->ro, 1, &from, &to);
		for (uint64_t n = from; n != to; n++, turns++)
			(void)trace_read(&f->ro, 1, n, &r);
		assert_true(turns <= TRACEFIX_RECORDS + 1);
		write_samples(&f->rw, 1, next[i], next[i] + 1);
	}
}

static void test_not_written(void **state)
{
	struct tracefix *f = *state;
	struct trace_record r = sample(1);

	trace_write(&f->ro, 1, &r); /* would be SIGSEGV */
	trace_write(&f->rw, 0, &r);
	trace_write(&f->rw, TRACEFIX_SLOTS, &r);
	trace_write(&f->rw, UINT32_MAX, &r);
	assert_false(trace_read(&f->rw, 0, 0, &r));
	assert_false(trace_read(&f->rw, UINT32_MAX, 0, &r));
	for (uint32_t slot = 1; slot < TRACEFIX_SLOTS; slot++)
		assert_int_equal(count_valid(&f->ro, slot), 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(trace_event_name(TRACE_MOVE_BEGIN), "move-begin");
	assert_string_equal(trace_event_name(TRACE_NONE), "?");
	assert_string_equal(trace_event_name(TRACE_EVENTS_END), "?");
	for (int event = TRACE_NONE + 1; event < TRACE_EVENTS_END; event++)
		assert_true(strlen(trace_event_name((enum trace_event)event)) > 1);
}

/* Killed at any instruction, incarnation after incarnation: all but one record stay readable. */
static void test_killed_writers(void **state)
{
	struct tracefix *f = *state;
	uint64_t before = 0, now;

	for (int i = 0; i < KILLS; i++) {
		pid_t child = fork();

		if (child == 0)
			for (uint64_t n = before;; n++)
				write_samples(&f->rw, 1, n, n + 1);
		do
			now = atom_load_acquire(&shm_trace(&f->ro, 1)->next);
		while (now < before + 2 * TRACEFIX_RECORDS + (uint64_t)i * 7);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_true(count_valid(&f->ro, 1) >= TRACEFIX_RECORDS - 1);
		before = atom_load_acquire(&shm_trace(&f->ro, 1)->next);
	}
}

struct race {
	struct tracefix f;
	atom32 stop;
	uint64_t written;
};

static void *write_on(void *arg)
{
	struct race *race = arg;

	for (; !atom_load_relaxed(&race->stop); race->written++)
		write_samples(&race->f.rw, 1, race->written, race->written + 1);
	return NULL;
}

/* Every record that is found valid is whole, while the writer runs around the reader. */
static void race(uint32_t length)
{
	struct race race = {.stop = 0};
	pthread_t writer;

	tracefix_init(&race.f, length);
	assert_int_equal(pthread_create(&writer, NULL, write_on, &race), 0);
	for (unsigned seen = 0, turn = 0; seen < RACE_SEEN && turn < RACE_TURNS; turn++)
		seen += count_valid(turn % 2 ? &race.f.rw : &race.f.ro, 1);
	atom_store_relaxed(&race.stop, 1);
	pthread_join(writer, NULL);
	assert_int_equal(count_valid(&race.f.ro, 1),
			 race.written < length ? race.written : length);
	tracefix_finish(&race.f);
}

static void test_race(void **state)
{
	(void)state;
	race(2);
	race(64);
	race(4096);
}

static struct tracefix *interrupted;
static uint64_t interrupted_written;

static void write_a_lap(int signal)
{
	(void)signal;
	write_samples(&interrupted->rw, 1, interrupted_written, interrupted_written + LAP);
	interrupted_written += LAP;
}

/* The writer runs once around the ring between any two instructions of the reader. */
static void test_interrupted_reader(void **state)
{
	const struct itimerspec often = {{0, 10000}, {0, 10000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct sigaction old, action = {.sa_handler = write_a_lap};
	struct tracefix f;
	timer_t timer;

	(void)state;
	tracefix_init(&f, LAP);
	interrupted = &f;
	interrupted_written = 0;
	sigaction(SIGUSR1, &action, &old);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	timer_settime(timer, 0, &often, NULL);
	for (uint64_t written = 0; written < INTERRUPTS * LAP;) {
		struct trace_record r, want;

		written = atom_load_relaxed(&shm_trace(&f.rw, 1)->next);
		if (!written || !trace_read(&f.rw, 1, written - 1, &r))
			continue;
		want = sample(written - 1);
		assert_true(same(&r, &want));
	}
	timer_delete(timer);
	sigaction(SIGUSR1, &old, NULL);
	tracefix_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_reader, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
