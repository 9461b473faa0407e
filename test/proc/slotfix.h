/* SPDX-License-Identifier: ISC */
/* What the tests of slots have in common: a domain with three free slots, and children that join it
 * and tell of it. */
#ifndef HEIR_TEST_SLOTFIX_H
#define HEIR_TEST_SLOTFIX_H

#include "proc/bury.h"
#include "support/domain.h"

#define SECOND	  INT64_C(1000000000)
#define FREE_HERE 3u

/* What a child tells; shared. */
struct report {
	atom64 handle, go;
	atom64 joined, handles[300000];
};

extern struct domain d;
extern struct report *report;
extern const struct slot_place nowhere;

int slotfix_setup(void **state);
int slotfix_teardown(void **state);
struct slot_word word_of(uint32_t slot);
unsigned free_slots(void);
/* In the test: until a child has told its handle. */
uint64_t await_handle(void);
/* In a child */
void tell_handle(uint64_t handle);
int rest(void); /* until it is killed */
struct shm *joined(uint64_t *handle);

#endif
