/* SPDX-License-Identifier: ISC */
#include "proc/slotfix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/futex.h"
#include "support/owner.h"

#define SLOTS 6u /* three are the fixture's own */

struct domain d;
struct report *report;
const struct slot_place nowhere = {KIND_CLIENT, -1, -1, -1};

int slotfix_setup(void **state)
{
	(void)state;
	domain_init(&d, &(struct domain_options){.slots = SLOTS});
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(report != MAP_FAILED);
	return 0;
}

int slotfix_teardown(void **state)
{
	(void)state;
	domain_finish(&d);
	munmap(report, sizeof(*report));
	return 0;
}

struct slot_word word_of(uint32_t slot)
{
	return slot_unpack(atom_load_acquire(&d.shm.slots[slot].word));
}

unsigned free_slots(void)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < d.shm.limits.slots; i++)
		n += word_of(i).state == SLOT_FREE;
	return n;
}

uint64_t await_handle(void)
{
	int64_t deadline = deadline_after(20 * SECOND);
	uint64_t handle;

	while (!(handle = atom_load_acquire(&report->handle))) {
		assert_false(deadline_passed(deadline));
		(void)futex_wait((atom32 *)(void *)&report->handle, 0,
				 deadline_after(SECOND / 100));
	}
	return handle;
}

void tell_handle(uint64_t handle)
{
	atom_store_release(&report->handle, handle);
	futex_wake((atom32 *)(void *)&report->handle, 1);
}

int rest(void)
{
	while (pause() < 0)
		;
	return 1;
}

struct shm *joined(uint64_t *handle)
{
	static struct shm shm;

	MUST(shm_attach(&shm, d.name, 1) == 0);
	MUST(slot_join(&shm, nowhere, handle) == 0);
	return &shm;
}
