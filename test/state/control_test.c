/* SPDX-License-Identifier: ISC */
/*
 * The control word: its packing; every transition from every phase, at rest and open, by the owner
 * and by another; the limits of the generation; and threads that take it from each other.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "heir.h"
#include "state/control.h"

#define ME     5u
#define OTHER  9u
#define HEIR   0xfffu
#define PHASES 5u

static int setup(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	alarm(0);
	return 0;
}

static void test_packing(void **state)
{
	static const uint32_t numbers[] = {0, 1, 0x800, 0xfff},
			      generations[] = {0, 1, 0x80000000, UINT32_MAX};
	(void)state;

	for (unsigned i = 0; i < 4 * 4 * 4 * PHASES * 8; i++) {
		unsigned flags = i % 8, n = i / 8;
		struct control c = {generations[n % 4],	 numbers[n / 4 % 4],
				    numbers[n / 16 % 4], (enum control_phase)(n / 64),
				    flags & 1,		 flags >> 1 & 1,
				    flags >> 2};
		uint64_t w = control_pack(c);
		struct control u = control_unpack(w);

		assert_int_equal(u.generation, c.generation);
		assert_int_equal(u.owner, c.owner);
		assert_int_equal(u.heir, c.heir);
		assert_int_equal(u.phase, c.phase);
		assert_int_equal(u.open, c.open);
		assert_int_equal(u.parity, c.parity);
		assert_int_equal(u.want, c.want);
		/* The futexes: the generation alone; and the rest, which begin, commit and want
		 * change. */
		assert_int_equal((uint32_t)w, c.generation);
	}
	assert_int_equal(control_pack((struct control){0}),
			 0); /* a segment of zeros: nobody, down */
	assert_int_equal(sizeof(control_pack((struct control){0})), 8);
}

static void test_futexes(void **state)
{
	atom64 word = UINT64_C(0x1122334455667788);
	(void)state;

	assert_int_equal(atom_load_relaxed(control_generation_futex(&word)), 0x55667788);
	assert_int_equal(atom_load_relaxed(control_commit_futex(&word)), 0x11223344);
	control_wake_generation(&word);
	control_wake_commit(&word);
}

static int switch_back(struct control *c, uint32_t me)
{
	return control_switch_back(c, me, OTHER);
}

static int name_heir(struct control *c, uint32_t me)
{
	(void)me;
	return control_name_heir(c, 7);
}

#define SAME 99
/*
 * What comes of each transition by ME. Grid: for each phase (DOWN SERVING HELD MOVING RECOVERING)
 * four cases: another's at rest, another's and open, mine at rest, mine and open. '.' it is done; s
 * ESTALE, o EOPEN, a EALREADY, w EWANTED.
 */
static const struct row {
	const char *name;
	int (*transition)(struct control *c, uint32_t me);
	const char *grid;
	unsigned raises, flips;
	uint32_t owner, heir;
	unsigned phase, open, want; /* after it */
} rows[] = {
	{"begin", control_begin, "ssss ss.o ss.o ss.o ssss", 0, 0, SAME, SAME, SAME, 1, SAME},
	{"commit", control_commit, "ssss sso. sso. sso. ssss", 0, 1, SAME, SAME, SAME, 0, SAME},
	{"abort", control_abort, "ssss sso. sso. sso. ssss", 0, 0, SAME, SAME, SAME, 0, SAME},
	{"want", control_want, "a.aa a.aa a.aa a.aa a.aa", 0, 0, SAME, SAME, SAME, SAME, 1},
	{"switch", control_switch, "ssss .oaa .oaa .oaa ssss", 1, 0, ME, 0, PHASE_MOVING, 0, 0},
	{"claim", control_claim, "..aa ..aa ..aa ..aa ..aa", 1, 0, ME, 0, SAME, SAME,
	 0}, /* phase: see check() */
	{"recovered", control_recovered, "ssss ssss ssss ssss ss..", 1, 0, SAME, SAME, PHASE_MOVING,
	 0, SAME},
	{"serve", control_serve, "ssss ssss ssss ss.o ssss", 1, 0, SAME, SAME, PHASE_SERVING, 0, 0},
	{"switch back", switch_back, "ssss ssss ssss ss.o ssss", 1, 0, OTHER, 0, PHASE_SERVING, 0,
	 0},
	{"hold", control_hold, "ssss ss.. ssss ssss ssss", 1, 0, SAME, SAME, PHASE_HELD, SAME,
	 SAME},
	{"release", control_release, "ssss ss.o ss.o ss.o ss.o", 1, 0, 0, 0, PHASE_DOWN, 0, 0},
	{"name heir", name_heir, "ssss .... .... ssss ssss", 1, 0, SAME, 7, SAME, SAME, SAME},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int code_of(char letter)
{
	switch (letter) {
	case '.':
		return 0;
	case 's':
		return HEIR_ESTALE;
	case 'o':
		return HEIR_EOPEN;
	case 'a':
		return HEIR_EALREADY;
	case 'w':
		return HEIR_EWANTED;
	}
	fail_msg("'%c' in the table", letter);
	return 0;
}

static void check(const struct row *r, struct control was, struct control now)
{
	unsigned phase = r->phase == SAME ? was.phase : r->phase;

	if (r->transition == control_claim)
		phase = was.open ? PHASE_RECOVERING : PHASE_MOVING;
	assert_int_equal(now.generation, was.generation + r->raises);
	assert_int_equal(now.parity, was.parity ^ r->flips);
	assert_int_equal(now.owner, r->owner == SAME ? was.owner : r->owner);
	assert_int_equal(now.heir, r->heir == SAME ? was.heir : r->heir);
	assert_int_equal(now.phase, phase);
	assert_int_equal(now.open, r->open == SAME ? was.open : r->open);
	assert_int_equal(now.want, r->want == SAME ? was.want : r->want);
	/* Invariant 1: there is an owner unless it is down; open is nobody's but the owner's. */
	assert_int_equal(now.owner == 0, now.phase == PHASE_DOWN);
	/* RECOVERING is open */
	assert_false(was.phase != PHASE_RECOVERING && now.phase == PHASE_RECOVERING && !now.open);
}

static void apply(const struct row *r, struct control was, int expected)
{
	struct control now = was;
	int rc = r->transition(&now, ME);

	if (rc != expected)
		fail_msg("%s: phase %u owner %u open %u want %u: %d, not %d", r->name, was.phase,
			 was.owner, was.open, was.want, rc, expected);
	if (rc)
		assert_int_equal(control_pack(now), control_pack(was)); /* untouched */
	else
		check(r, was, now);
}

static void test_transitions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		for (unsigned phase = 0; phase < PHASES; phase++)
			for (unsigned n = 0; n < 4 * 2; n++) {
				unsigned which = n % 4;
				struct control c = {1000,      which < 2 ? OTHER : ME,
						    HEIR,      (enum control_phase)phase,
						    which % 2, n / 4,
						    0};

				if (phase == PHASE_DOWN && which >= 2)
					continue; /* owned by nobody: ME is not that */
				if (phase == PHASE_DOWN)
					c.owner = 0;
				apply(&rows[i], c, code_of(rows[i].grid[phase * 5 + which]));
			}
}

/* The same with want set: begin alone is refused for it; want is not set twice; every change of
 * owner ends it. */
static void test_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		for (unsigned phase = PHASE_SERVING; phase < PHASES; phase++)
			for (unsigned which = 0; which < 4; which++) {
				struct control c = {1000,      which < 2 ? OTHER : ME,
						    HEIR,      (enum control_phase)phase,
						    which % 2, 0,
						    1};
				int expected = code_of(rows[i].grid[phase * 5 + which]);

				if (rows[i].transition == control_begin && expected == 0)
					expected = HEIR_EWANTED;
				if (rows[i].transition == control_want)
					expected = HEIR_EALREADY;
				apply(&rows[i], c, expected);
			}
	for (unsigned phase = 0; phase < PHASES; phase++) {
		struct control c = {
			.generation = 7, .owner = OTHER, .phase = (enum control_phase)phase};

		assert_int_equal(control_unwant(&c, ME), HEIR_EALREADY);
		c.want = 1;
		assert_int_equal(control_unwant(&c, ME), 0);
		assert_int_equal(c.want, 0);
		assert_int_equal(c.generation, 7);
	}
}

/* Invariant 12: near the end of the generations planned changes are refused, failovers go on,
 * nothing wraps. */
static void test_last_generations(void **state)
{
	static const uint32_t at[] = {CONTROL_GENERATION_PLANNED - 1, CONTROL_GENERATION_PLANNED,
				      CONTROL_GENERATION_LAST - 1, CONTROL_GENERATION_LAST};
	(void)state;

	for (size_t i = 0; i < ROWS; i++)
		for (unsigned g = 0; g < 4; g++)
			for (unsigned phase = PHASE_SERVING; phase < PHASES; phase++)
				for (unsigned which = 0; which < 4; which++) {
					struct control c = {at[g],     which < 2 ? OTHER : ME,
							    HEIR,      (enum control_phase)phase,
							    which % 2, 0,
							    0};
					int expected = code_of(rows[i].grid[phase * 5 + which]);
					bool planned = rows[i].transition == control_switch;

					if (expected == 0 && rows[i].raises &&
					    (g == 3 || (g >= 1 && planned)))
						expected = HEIR_EGENERATION;
					apply(&rows[i], c, expected);
				}
	assert_true(CONTROL_GENERATION_PLANNED < CONTROL_GENERATION_LAST);
}

static void test_heirs(void **state)
{
	struct control c = {.generation = 5, .owner = ME, .heir = 7, .phase = PHASE_SERVING};
	(void)state;

	assert_int_equal(control_name_heir(&c, 7), HEIR_EALREADY);
	assert_int_equal(control_name_heir(&c, ME), HEIR_ESTALE); /* not its own heir */
	assert_int_equal(control_name_heir(&c, 0), 0);
	assert_int_equal(c.heir, 0);
	assert_int_equal(control_name_heir(&c, 0), HEIR_EALREADY);
	assert_int_equal(c.generation, 6);
}

static void test_cas(void **state)
{
	struct control c = {.generation = 5, .owner = OTHER, .phase = PHASE_SERVING};
	atom64 word = control_pack(c);
	uint64_t w = word, old = 1, now = 2;
	(void)state;

	/* Decided on evidence about exactly that word: refused when it has changed, be it to the
	 * same owner again. */
	assert_int_equal(control_claim(&c, ME), 0);
	atom_store_relaxed(&word,
			   control_pack((struct control){
				   .generation = 7, .owner = OTHER, .phase = PHASE_SERVING}));
	assert_int_equal(control_cas(&word, w, c), HEIR_EAGAIN);
	atom_store_relaxed(&word, w);
	assert_int_equal(control_cas(&word, w, c), 0);
	assert_int_equal(word, control_pack(c));
	assert_int_equal(control_apply(&word, &old, &now, control_recovered, ME), HEIR_ESTALE);
	assert_int_equal(old, word);
	assert_int_equal(now, 2);
	assert_int_equal(control_apply(&word, &old, &now, control_serve, ME), 0);
	assert_int_equal(now, word);
	assert_int_equal(old, control_pack(c));
}

/*
 * Each thread takes the word by a switch, works in transactions on plain memory, loses it to
 * another. Invariants 1 and 4: what one changes while open no other touches, a commit after a
 * switch is refused, and none is lost. Under TSan it shows that begin sees what was committed, by
 * whomever.
 */
#define THREADS	 3u
#define SWITCHES 20000u

static struct {
	atom64 word;
	uint64_t plain[8]; /* touched while open alone */
	atom64 committed, switches;
} shared;

static void transaction(uint32_t me)
{
	uint64_t old, now, n;

	if (control_apply(&shared.word, &old, &now, control_begin, me))
		return;
	n = shared.plain[7];
	for (unsigned i = 0; i < 8; i++)
		if (shared.plain[i]++ != n)
			_exit(1);
	if (control_apply(&shared.word, &old, &now, control_commit, me) ||
	    control_unpack(old).parity == control_unpack(now).parity)
		_exit(2);
	atom_add_relaxed(&shared.committed, 1);
}

static void *party(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	uint64_t old, now;

	for (unsigned i = 0; atom_load_relaxed(&shared.switches) < SWITCHES; i++) {
		if (i % 7 == me % 7) {
			int rc = control_apply(&shared.word, &old, &now, control_switch, me);

			if (rc == HEIR_EOPEN)
				(void)control_apply(&shared.word, &old, &now, control_want, me);
			else if (rc == 0)
				atom_add_relaxed(&shared.switches, 1);
			sched_yield();
		}
		transaction(me);
	}
	(void)control_apply(&shared.word, &old, &now, control_unwant, me);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t thread[THREADS];
	(void)state;

	memset(&shared, 0, sizeof(shared));
	atom_store_relaxed(&shared.word,
			   control_pack((struct control){.owner = 1, .phase = PHASE_SERVING}));
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, party, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(shared.plain[i], shared.committed);
	assert_int_equal(control_unpack(shared.word).generation, shared.switches);
	assert_int_equal(control_unpack(shared.word).parity, shared.committed % 2);
	assert_true(shared.committed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_futexes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transitions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_generations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heirs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
