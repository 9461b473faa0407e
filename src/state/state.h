/* SPDX-License-Identifier: ISC */
/*
 * The state of an application: a file beside the segment, {head | undo log | data}, and the undo of an open
 * transaction.
 *
 * Only the owner touches undo log and data, and only while the control word is open (or, recovering,
 * RECOVERING). An undo entry is {offset:8, length:8, old bytes, padded to 8}; it is complete before undo_used
 * is raised over it, and undo_used is raised before the caller changes the range. A process that dies leaves a
 * program-order prefix of its stores, so at every instruction the valid entries cover every changed byte. Undo
 * applies them from last to first and may be repeated from the start any number of times, as the log itself is
 * not changed until undo_used is set to 0, after which there is nothing to undo. Begin sets undo_used to 0 once
 * the control word is open, before the first mark.
 */
#ifndef HEIR_STATE_STATE_H
#define HEIR_STATE_STATE_H

#include "shm/segment.h"

struct state {
	unsigned char *base;
	size_t mapped;
	struct shm_state_head *head;
	unsigned char *undo, *data;
	size_t undo_size, size;
};

int state_path(const struct shm *shm, uint32_t app, char *buf, size_t size);
/* Under a temporary name, fully reserved, then linked. -EEXIST is success for a second leader. */
int state_create(const struct shm *shm, uint32_t app);
int state_unlink(const struct shm *shm, uint32_t app);
/* populate: touch every page now (hot standby). HEIR_ECORRUPT EFOREIGN -errno */
int state_map(const struct shm *shm, uint32_t app, int populate, struct state *ret);
void state_unmap(struct state *state);

void state_begin(struct state *state);
int state_mark(struct state *state, const void *start, size_t size); /* ETOOBIG EINVAL */
/*
 * Idempotent. HEIR_ECORRUPT: an entry is out of range (nothing of it is applied). Returns the number of entries
 * undone.
 */
int state_undo(struct state *state);
static inline bool state_dirty(const struct state *s) { return s->head && atom_load_acquire(&s->head->undo_used) != 0; }

#endif
