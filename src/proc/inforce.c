/* SPDX-License-Identifier: ISC */
#include "proc/inforce.h"

#include "base/testpoint.h"
#include "heir.h"
#include "proc/slot.h"

#define SLOT_BITS 12
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)
#define INCARNATION_MASK ((UINT64_C(1) << 20) - 1)

static uint64_t pack(uint32_t generation, uint64_t filler)
{
	return (uint64_t)generation << 32 | (handle_incarnation(filler) & INCARNATION_MASK) << SLOT_BITS |
	       (handle_slot(filler) & SLOT_MASK);
}

/* The handle of whoever fills, or 0: nobody does who lives. */
static uint64_t filler_of(const struct shm *shm, uint64_t word)
{
	uint64_t there = slot_handle(shm, (uint32_t)(word & SLOT_MASK));

	return there && pack(in_force_generation(word), there) == word && !handle_gone(shm, there) ? there : 0;
}

int inforce_claim(const struct shm *shm, uint64_t me, unsigned *ret_area, uint64_t *ret_other)
{
	uint64_t word = in_force_load(shm);

	for (;;) {
		uint32_t generation = in_force_generation(word);
		uint64_t other = filler_of(shm, word);

		if (generation == UINT32_MAX)
			return HEIR_EGENERATION;
		if (other && other != me) {
			*ret_other = other;
			return HEIR_EBUSY;
		}
		TESTPOINT("inforce: claiming");
		if (atom_cas(&shm->head->in_force, &word, pack(generation, me)))
			break;
	}
	fence_release(); /* before the stores that follow; pairs with fence_acquire() in in_force_still() */
	TESTPOINT("inforce: claimed");
	*ret_area = !in_force_area(word);
	return 0;
}

/* me's claim, as it is. */
static bool is_mine(uint64_t word, uint64_t me)
{
	return (word & SLOT_MASK) && pack(in_force_generation(word), me) == word;
}

int inforce_publish(const struct shm *shm, uint64_t me)
{
	uint64_t word = in_force_load(shm);

	TESTPOINT("inforce: publishing");
	/* Release: pairs with in_force_load() of who reads the area. */
	if (!is_mine(word, me) || !atom_cas(&shm->head->in_force, &word, pack(in_force_generation(word) + 1, 0)))
		return HEIR_ESTALE;
	TESTPOINT("inforce: published");
	return 0;
}

void inforce_abandon(const struct shm *shm, uint64_t me)
{
	uint64_t word = in_force_load(shm);

	TESTPOINT("inforce: abandoning");
	if (is_mine(word, me))
		(void)atom_cas(&shm->head->in_force, &word, pack(in_force_generation(word), 0));
}
