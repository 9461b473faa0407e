/* SPDX-License-Identifier: ISC */
/*
 * The state of an application: a file beside the segment, {head | undo log | data}, and the undo of an open
 * transaction.
 *
 * Only the owner touches undo log and data, and only while the control word is open (or, recovering, RECOVERING).
 * An undo entry is {offset:8, length:8, old bytes, padded to 8, whole length:8}; it is complete before the count of
 * valid bytes is raised over it, and that is raised before the caller changes the range. A process that dies leaves
 * a program-order prefix of its stores, so at every instruction the valid entries cover every changed byte. Undo
 * applies them from last to first; it may be repeated from the start any number of times, as the log itself does not
 * change until its count is set to 0, after which there is nothing to undo.
 *
 * There are two counts, chosen by the control word's parity, as the commit records are. A transaction that was
 * opened under parity p raises count[p]; before its commit's CAS, which flips the parity, it sets count[!p] to 0;
 * undo ends with count[p] at 0. So whatever parity the word has, the count of that parity is 0 from the CAS that
 * opens it, and a claimant that finds it open at once finds nothing of the transaction before.
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
	atom64 *used; /* the count of the transaction in hand */
};

int state_path(const struct shm *shm, uint32_t app, char *buf, size_t size);
/* Under a temporary name, fully reserved, then linked. -EEXIST is success for a second leader. */
int state_create(const struct shm *shm, uint32_t app);
int state_unlink(const struct shm *shm, uint32_t app);
/* populate: touch every page now (hot standby). HEIR_ECORRUPT EFOREIGN -errno */
int state_map(const struct shm *shm, uint32_t app, int populate, struct state *ret);
void state_unmap(struct state *state);

void state_begin(struct state *state, unsigned parity);  /* behind the CAS that opened; stores nothing shared */
void state_commit(struct state *state, unsigned parity); /* before the CAS that commits */
int state_mark(struct state *state, const void *start, size_t size); /* ETOOBIG EINVAL */
/*
 * Idempotent. HEIR_ECORRUPT: an entry is out of range (nothing of it is applied). Returns the number of entries
 * undone.
 */
int state_undo(struct state *state, unsigned parity);

/*
 * The file's head, its counts, and the undo log as far as `still` says that nobody changes it; read-only, stores
 * nothing. parity: the control word's. HEIR_ECORRUPT, EFOREIGN, -errno; *ret_what says why.
 */
enum state_still { STATE_IN_USE, STATE_AT_REST, STATE_OPEN };
int state_check(const struct shm *shm, uint32_t app, unsigned parity, enum state_still still, const char **ret_what);

#endif
