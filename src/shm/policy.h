/* SPDX-License-Identifier: ISC */
/*
 * Which configuration is in force, and what it says of an application.
 *
 * The segment has two areas for the configuration: its text and signature, and of each application a struct
 * shm_policy. One word says which is in force, shm_head.in_force: {generation:32 | incarnation:20 | slot:12}. The
 * area is the generation's lowest bit; slot and incarnation name who fills the other area, slot 0: nobody.
 *
 *	claim    {g, nobody} or {g, one that is gone} -> {g, me}    by a CAS; proc/inforce.h
 *	fill     area (g + 1) & 1, by plain stores that only `me` makes
 *	publish  {g, me} -> {g + 1, nobody}                         by a CAS
 *
 * The filler dies or is stopped:
 *	before the claim or after publishing: nothing is half done. Leaders that it has not woken any more see the
 *	new generation at their next look, whatever wakes them.
 *	between them: what is in force is the other area, which nobody touches: {g, me} keeps everybody from
 *	filling. Dead, its slot is found gone and the next one claims over it, and fills all of the area anew.
 *	Stopped, it is not gone and may store yet: the others are refused, and told who it is. Gone is said by all
 *	life words of its one thread, after which that thread stores nothing; its slot goes to another incarnation
 *	only after that, so an incarnation that differs is gone as well.
 * The CAS that publishes cannot fail while the filler lives, as nobody takes the place of one who does. The
 * generation counts publications: {g, me} never comes back once it has been left, but for the same filler.
 *
 * A reader loads in_force, copies from that area, and loads in_force again: the same generation says that what it
 * has copied is of one configuration. To fill the area that it reads, somebody has to have claimed {g + 1, …} first;
 * its claim has seen that word, a release fence orders it before the stores into the area; who reads one of these
 * stores has, behind an acquire fence, that word or a later one in its second load. So a reader that was stopped
 * through any number of reloads finds out and copies again. One more round is one more configuration published within
 * a copy of a hundred bytes; a reader that has seen POLICY_TRIES of them takes what it has: each value is one that was
 * given, or is clamped, and no decision is unsafe with values of two configurations: what is safe is up to the
 * control word, times only say when to act.
 */
#ifndef HEIR_SHM_POLICY_H
#define HEIR_SHM_POLICY_H

#include <string.h>

#include "base/testpoint.h"
#include "shm/segment.h"

#define POLICY_TRIES 64
#define POLICY_TIME_MOST (INT64_C(1) << 48) /* ns, about 78 hours: more than any time or sum that can be configured */

struct policy { /* private, clamped; times in ns */
	int64_t step_timeout, yield_timeout, claim_grace, failover_period, stop_timeout;
	int64_t failover_timeout; /* -1: for ever */
	uint32_t failover_intensity, max_deliveries, flags;
	uint32_t generation; /* that it is of */
	uint8_t priority[SHM_NODES_MAX];
};

static inline uint64_t in_force_load(const struct shm *shm)
{
	return atom_load_acquire(&shm->head->in_force); /* pairs with the CAS that publishes, inforce.c */
}
static inline uint32_t in_force_generation(uint64_t word) { return (uint32_t)(word >> 32); }
static inline unsigned in_force_area(uint64_t word) { return (unsigned)(word >> 32) & 1; }

/* Whether what was copied since the load of `before` is of the configuration that was in force then. */
static inline bool in_force_still(const struct shm *shm, uint64_t before)
{
	fence_acquire(); /* pairs with fence_release() in inforce_claim() */
	return in_force_generation(atom_load_relaxed(&shm->head->in_force)) == in_force_generation(before);
}

/* One word of it: at `offset` in struct shm_policy. */
static inline uint64_t policy_load(const struct shm *shm, const struct shm_policy policy[2], size_t offset)
{
	uint64_t before, value;
	unsigned tries = 0;

	do {
		before = in_force_load(shm);
		value = atom_load_relaxed((const atom64 *)(const void *)((const char *)&policy[in_force_area(before)] +
									 offset));
	} while (!in_force_still(shm, before) && ++tries < POLICY_TRIES);
	return value;
}

#define POLICY_WORD(shm, app, field) policy_load((shm), (app)->policy, offsetof(struct shm_policy, field))

static inline int64_t policy_time(uint64_t ns)
{
	return ns > (uint64_t)POLICY_TIME_MOST ? POLICY_TIME_MOST : (int64_t)ns;
}

/* 1 first, 0: not a candidate. node is within the limits. */
static inline uint8_t policy_priority(const struct shm *shm, const struct shm_app *app, uint32_t node)
{
	size_t offset = offsetof(struct shm_policy, priorities) + node % SHM_NODES_MAX / 8 * 8;

	return (uint8_t)(policy_load(shm, app->policy, offset) >> node % 8 * 8);
}

static inline void policy_copy(const struct shm_policy *from, struct policy *to)
{
	uint64_t failover_timeout = atom_load_relaxed(&from->failover_timeout);
	uint64_t deliveries = atom_load_relaxed(&from->max_deliveries);
	uint64_t intensity = atom_load_relaxed(&from->failover_intensity);

	to->step_timeout = policy_time(atom_load_relaxed(&from->step_timeout));
	to->yield_timeout = policy_time(atom_load_relaxed(&from->yield_timeout));
	to->claim_grace = policy_time(atom_load_relaxed(&from->claim_grace));
	TESTPOINT("policy: copying");
	to->failover_period = policy_time(atom_load_relaxed(&from->failover_period));
	to->stop_timeout = policy_time(atom_load_relaxed(&from->stop_timeout));
	to->failover_timeout = failover_timeout > INT64_MAX ? -1 : policy_time(failover_timeout);
	to->failover_intensity = intensity > UINT32_MAX ? UINT32_MAX : (uint32_t)intensity;
	to->max_deliveries = deliveries > UINT32_MAX ? UINT32_MAX : (uint32_t)deliveries;
	to->flags = (uint32_t)atom_load_relaxed(&from->flags);
	for (unsigned i = 0; i < SHM_NODES_MAX / 8; i++) {
		uint64_t word = atom_load_relaxed(&from->priorities[i]);

		memcpy(&to->priority[i * 8], &word, sizeof(word));
	}
}

static inline struct policy policy_of(const struct shm *shm, const struct shm_app *app)
{
	struct policy p;
	uint64_t before;
	unsigned tries = 0;

	do {
		before = in_force_load(shm);
		policy_copy(&app->policy[in_force_area(before)], &p);
	} while (!in_force_still(shm, before) && ++tries < POLICY_TRIES);
	p.generation = in_force_generation(before);
	return p;
}

#endif
