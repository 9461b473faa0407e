/* SPDX-License-Identifier: ISC */
/*
 * The name table: names of 1 to 255 bytes, each bound to a 64-bit binding. Lock-free; any process
 * may die or stop at any instruction in any call here. The argument is at the head of names.c.
 *
 * Which calls may run together: all of them, in any number of processes. A slot stands for one
 * thread: it has one call that changes something under way at a time.
 *
 *   lookup, unchanged, each, check   store nothing, take no lock, work on a read-only mapping;
 *                                    bounded but for retries, which happen only while the bucket
 *                                    that is read changes
 *   register, re_register,           lock-free: a retry means that another change of the same
 *   unregister, drop_binding         bucket was made
 *   bury, sweep                      bounded by the size of the table; for whoever cleans up after
 *                                    a death; need a writable mapping
 *
 * The table knows nothing of liveness. Where a name's binding may be a dead process's, the caller's
 * predicate says so and the name then counts as absent. NULL: every binding lives.
 */
#ifndef HEIR_NAME_NAMES_H
#define HEIR_NAME_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/segment.h"

/* A binding is a process's handle (top bit 0, not 0) or {1:1 | application:15 | role:16 | 0:32}. */
#define NAME_BINDING_ROLE (UINT64_C(1) << 63)
static inline uint64_t name_binding_role(uint32_t app, uint32_t role)
{
	return NAME_BINDING_ROLE | (uint64_t)(app & 0x7fff) << 48 | (uint64_t)(role & 0xffff) << 32;
}
static inline bool name_binding_is_role(uint64_t b) { return (b & NAME_BINDING_ROLE) != 0; }
static inline uint32_t name_binding_app(uint64_t b) { return (uint32_t)(b >> 48) & 0x7fff; }
static inline uint32_t name_binding_role_of(uint64_t b) { return (uint32_t)(b >> 32) & 0xffff; }

typedef bool names_lives(uint64_t binding, void *arg);
typedef bool names_still_dead(void *arg);
typedef int names_visit(const char *name, size_t length, uint64_t binding, void *arg);

/*
 * Sizes for the creator. With this many cells, `names` names of up to `bytes` bytes always fit
 * (shorter ones leave room for longer ones), whatever was registered before and whatever `slots`
 * processes hold half-done. A name takes names_cells_of() cells of 64 bytes: one up to 40 bytes (a
 * UUID has 36), 2 up to 80, 6 for 255. 0: out of range.
 */
uint32_t names_cells_for(uint32_t names, uint32_t bytes, uint32_t slots);
uint32_t names_buckets_for(uint32_t names);
uint32_t names_cells_of(size_t length);
/* Cells that new names may fill; the rest is for changes of names that exist: they always go. */
uint32_t names_capacity(const struct shm *shm);
/* Cells in use, about. */
uint64_t names_used(const struct shm *shm);

struct name_seen { /* what a look-up saw */
	atom64 *head; /* of its bucket */
	uint32_t version;
};

/* HEIR_ENOENT, HEIR_ECORRUPT, HEIR_EINVAL. ret_* may be NULL. */
int names_lookup(const struct shm *shm, const char *name, size_t length, uint64_t *ret_binding,
		 struct name_seen *ret_seen);
/*
 * Is what names_lookup returned with this still so? Whoever follows a binding through
 * another word (the owner of a role) asks after it has loaded that word: true means that name and
 * owner were so at one instant. False means only that something in the bucket changed: look up
 * again.
 */
bool names_unchanged(struct name_seen seen);

/*
 * Changes, each atomic for every reader. slot: the caller's. HEIR_EINVAL, HEIR_EPERM (mapped
 * read-only), HEIR_ECORRUPT, and
 *   register: HEIR_EEXIST; HEIR_EFULL, then nothing has changed. A dead process's name is replaced.
 *   re_register: replaces or registers; *ret_old: the living binding that was replaced, or 0. With
 *     expected != 0 only if the name is bound to that: HEIR_ENOENT, HEIR_EPERM. HEIR_EFULL only
 *     where there was no such name.
 *   unregister: HEIR_ENOENT; with expected != 0 only if bound to that: HEIR_EPERM.
 */
int names_register(struct shm *shm, uint32_t slot, const char *name, size_t length,
		   uint64_t binding, names_lives *lives, void *arg);
int names_re_register(struct shm *shm, uint32_t slot, const char *name, size_t length,
		      uint64_t expected, uint64_t binding, names_lives *lives, void *arg,
		      uint64_t *ret_old);
int names_unregister(struct shm *shm, uint32_t slot, const char *name, size_t length,
		     uint64_t expected, names_lives *lives, void *arg);

/* Every name, in no order; each bucket as it was at one instant. Ends at visit's first non-zero. */
int names_each(const struct shm *shm, names_visit *visit, void *arg);

/*
 * After a death. Both may be repeated, run by several at once, and die half-way.
 * drop_binding: unregister every name bound to it; the dead cannot register more, so none is
 *   missed. Skip it where the slot's count of direct names is 0: it visits every bucket.
 * bury: settle the cells that the dead incarnation held half-done. still_dead(arg): is the slot's
 *   word still that of the dead incarnation? Asked after each look at a cell and before its change,
 *   so that nothing of a successor in the same slot is touched. The dead one must be certainly
 *   dead: nothing is undone under a writer that may live.
 */
int names_drop_binding(struct shm *shm, uint32_t slot, uint64_t binding);
void names_bury(struct shm *shm, uint32_t dead_slot, names_still_dead *still_dead, void *arg);

/* Free what the dead left unlinked (as a register does that finds no room): the cells in use. */
uint32_t names_sweep(struct shm *shm);

/*
 * 0 if every invariant holds, else HEIR_ECORRUPT. May run while others work. Of one bucket, looked at once:
 * HEIR_EAGAIN if it changed meanwhile; then visit (may be NULL) sees each name of a sound one. Of one cell's word.
 */
int names_check(const struct shm *shm);
int names_check_bucket(const struct shm *shm, uint32_t bucket, names_visit *visit, void *arg);
int names_check_cell(const struct shm *shm, uint32_t cell, bool *ret_in_use);

#endif
