/* SPDX-License-Identifier: ISC */
/*
 * The trace: what a reader gets was written so, whole; what is finished and not overwritten is there; the slot's next
 * thread goes on behind it.
 */
#include "access/groups.h"
#include "access/service.h"
#include "proc/bury.h"
#include "trace/moves.h"

#define WRITTEN 0 /* notes: records whose write has returned, */
#define BEGUN	1 /* and begun */
#define WRITER	5u
#define RECORDS 11u

static struct trace_record record_of(uint64_t n)
{
	return (struct trace_record){
		.event = TRACE_STEP,
		.generation = (uint32_t)n * 3,
		.app = (uint8_t)(n + 1),
		.a = (uint8_t)(n + 2),
		.b = (uint16_t)(n * 257),
		.at_ns = (int64_t)n * 1000003,
		.value = n * UINT64_C(0x0101010101010101),
	};
}

static void write_one(uint32_t slot)
{
	uint64_t n = ledger->note[BEGUN]++;
	struct trace_record r = record_of(n);

	trace_write(&world, slot, &r);
	ledger->note[WRITTEN] = n + 1;
}

static void write_some(unsigned self, long arg)
{
	for (long i = 0; i < arg; i++)
		write_one(world_handle(self)->slot);
}

static void right_record(uint64_t n, const struct trace_record *got)
{
	struct trace_record want = record_of(n);

	MUST(n < ledger->note[BEGUN]);
	MUST(got->event == want.event && got->generation == want.generation && got->app == want.app &&
	     got->a == want.a && got->b == want.b && got->at_ns == want.at_ns && got->value == want.value);
}

/* Nobody writes now: what is finished and not overwritten is there. */
static void all_records(uint32_t slot)
{
	uint64_t first, end;

	trace_range(&world, slot, &first, &end);
	MUST(end >= ledger->note[WRITTEN] + 1);
	for (uint64_t n = first > 0 ? first - 1 : 0; n < end + 2; n++) {
		struct trace_record got;

		if (trace_read(&world, slot, n, &got))
			right_record(n, &got);
		else
			MUST(n >= ledger->note[WRITTEN] || n + world.limits.trace < ledger->note[BEGUN]);
	}
}

static void trace_prepare(long arg)
{
	(void)arg;
	service_names = 0;
	(void)world_client(2);
	(void)world_client(3);
	(void)world_client(4);
}

static void prepare_writer(long arg)
{
	trace_prepare(arg);
	(void)world_client(WRITER);
	write_some(WRITER, arg);
}

static void trace_enter(unsigned self, long arg)
{
	(void)arg;
	(void)world_client(self);
}

/* Whoever has the slot next goes on behind it. */
static void check_ring(unsigned whose)
{
	uint32_t slot = handle_slot(ledger->self[whose]);

	all_records(slot);
	(void)bury_all(&world, TEST_SLOT);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t first, end;

		trace_range(&world, slot, &first, &end);
		ledger->note[BEGUN] = end - 1;
		write_one(slot);
		all_records(slot);
	}
	world_quiet(0, WORLD_NAMES);
}

static void check_actor(long arg)
{
	(void)arg;
	check_ring(ACTOR);
}

static void check_writer(long arg)
{
	(void)arg;
	check_ring(WRITER);
}

static void read_all(unsigned self, long arg)
{
	uint32_t slot = handle_slot(ledger->self[WRITER]);
	uint64_t first, end;

	(void)self;
	(void)arg;
	trace_range(&world, slot, &first, &end);
	for (uint64_t n = first; n < end; n++) {
		struct trace_record got;

		if (trace_read(&world, slot, n, &got))
			right_record(n, &got);
	}
}

/* The writer goes on while the reader stands; or dies in the middle of a record. */
static void one_more(long arg)
{
	(void)arg;
	write_some(WRITER, 1);
}

static void around_the_ring(long arg)
{
	(void)arg;
	write_some(WRITER, world.limits.trace);
}

static void writer_dies(long arg)
{
	(void)arg;
	actor_start(WRITER, write_some, 3);
	(void)actor_run(WRITER, 11);
	actor_kill(WRITER);
}

static void read_by_another(long arg)
{
	(void)arg;
	all_records(handle_slot(ledger->self[ACTOR]));
}

static const struct story stories[] = {
	{"write",
	 RECORDS,
	 trace_prepare,
	 trace_enter,
	 NULL,
	 write_some,
	 bury_only,
	 check_actor,
	 {{"all is read", read_by_another}}},
	{"read",
	 6,
	 prepare_writer,
	 trace_enter,
	 NULL,
	 read_all,
	 bury_only,
	 check_writer,
	 {{"a record more", one_more},
	  {"all are overwritten", around_the_ring},
	  {"the writer dies", writer_dies}}},
	{"read a full ring",
	 20,
	 prepare_writer,
	 trace_enter,
	 NULL,
	 read_all,
	 bury_only,
	 check_writer,
	 {{"a record more", one_more},
	  {"all are overwritten", around_the_ring},
	  {"the writer dies", writer_dies}}},
};

void trace_group(const struct sweep_options *o)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct swept total = {0};

		sweep(&stories[i], o, &total);
		sweep_print(stories[i].name, &total);
	}
}

/* A writer and a reader, whoever goes. */
void trace_seed(void)
{
	const struct plan plan = {.kills = (unsigned)random_below(2)};

	world_lay();
	prepare_writer((long)random_below(12));
	(void)world_client(ACTOR);
	actor_start(WRITER, write_some, 1 + (long)random_below(20));
	for (unsigned i = 1; i <= 2; i++)
		actor_start(i, read_all, 0);
	schedule(&plan);
	check_ring(WRITER);
}
