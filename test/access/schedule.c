/* SPDX-License-Identifier: ISC */
/* Random schedules, repeatable by their seed (sweep.h). */
#include "access/sweep.h"

#define IDLE 50u /* times that time passed, and nothing came of it but another look */

unsigned long schedule_turns, schedule_deaths;
static uint64_t state;

void random_seed(uint64_t seed)
{
	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 0x1234567;
}

/* splitmix64 */
uint64_t random_next(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t n)
{
	return random_next() % n;
}

/* A few accesses, some, or as far as it goes: few switches between actors, now and then many. */
static uint64_t slice(unsigned style)
{
	switch (random_below(style)) {
	case 0:
		return 1 + random_below(4);
	case 1:
		return 1 + random_below(30);
	case 2:
		return 1 + random_below(300);
	default:
		return 1 + random_below(3000);
	}
}

static bool may_go(unsigned actor)
{
	return actor_state(actor) == ACTOR_READY ||
	       (actor_state(actor) == ACTOR_DEAD && sim.process[actor].exiting);
}

static unsigned choose(bool (*able)(unsigned actor))
{
	unsigned able_ones[ACTORS], n = 0;

	for (unsigned i = 1; i < ACTORS; i++)
		if (able(i))
			able_ones[n++] = i;
	return n ? able_ones[random_below(n)] : 0;
}

static bool has_deadline(unsigned actor)
{
	return actor_state(actor) == ACTOR_BLOCKED && sim.process[actor].deadline >= 0;
}

static bool sleeps(unsigned actor)
{
	return actor_state(actor) == ACTOR_BLOCKED;
}

/* Of all that sleep with a deadline, the one whose is first. */
static bool let_time_pass(void)
{
	unsigned first = 0;

	for (unsigned i = 1; i < ACTORS; i++)
		if (has_deadline(i) && (!first || sim.process[i].deadline < sim.process[first].deadline))
			first = i;
	if (first)
		sim_timeout(first);
	return first != 0;
}

void schedule(const struct plan *plan)
{
	unsigned idle = 0, kills = 0, style = 2 + (unsigned)random_below(3);
	uint64_t per_mille = 1 + random_below(60), turns = 0;
	bool death = false;

	for (;; turns++) {
		unsigned actor = choose(may_go);

		MUST(turns < 200000);
		schedule_turns++;
		if (!actor) {
			if (!death && plan->quiet)
				plan->quiet();
			if (++idle < IDLE && let_time_pass())
				continue;
			if (!choose(sleeps))
				return;
			idle = 0;
			if (!plan->stuck || !plan->stuck())
				access_fail(__FILE__, __LINE__, "all sleep, and nobody will wake them");
			continue;
		}
		if (random_below(1000) == 0)
			(void)let_time_pass(); /* those who stand have stood for long */
		if (actor_state(actor) == ACTOR_DEAD) {
			death = true;
			if (!sim_exit_walk(actor) && plan->died)
				plan->died(actor);
			continue;
		}
		if (actor_run(actor, slice(style)) != ACTOR_READY)
			continue;
		if (kills < plan->kills && random_below(1000) < per_mille &&
		    (!plan->mortal || plan->mortal(actor))) {
			kills++;
			schedule_deaths++;
			actor_die(actor);
		}
	}
}
