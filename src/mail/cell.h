/* SPDX-License-Identifier: ISC */
/*
 * A cell holds one message and its reply. Its word says whose it is; all changes are CASes of the whole word.
 *
 *   generation:32 (high) | slot:12 | deliveries:8 | flags:4 | state:8 (low)
 *
 *   FREE -> OWNED       sender; it alone stores name, request and destination. The generation is that of the whole use.
 *   OWNED -> PUBLISHED  anyone (helps), once the cell stands in a ring: mailbox.h
 *   PUBLISHED -> TAKEN  the mailbox's reader; for a role's mailbox within its open transaction. +1 delivery. It
 *                       alone stores the reply.
 *   TAKEN -> TAKEN      the next owner takes again what its dead predecessor held
 *   TAKEN -> DONE       redo of a commit: the reply is valid; the caller reads it, then frees
 *   TAKEN -> OWNED      reader of a direct mailbox passes it on (flag FORWARDED; holder says who)
 *   any -> FREE         generation + 1: by the caller (DONE), by the redo (a send, or a call that was given up),
 *                       by the sender (OWNED, not published), by whoever buries the party that should have
 *   PUBLISHED -> DONE   given up (ABANDONED) before it was taken: by the reader that skips it, then frees it
 *   PUBLISHED, TAKEN, OWNED (forwarded) -> DONE with REFUSED   bury: its reader is dead, nobody else takes it
 *   TAKEN -> ASIDE      redo: delivered too often; kept
 *
 * slot is the sender's, 0 once nobody waits for an answer. While a slot number stands in a cell, the slot is
 * not reused: bury (proc/bury.c) takes it out first. A stale CAS, from a party that was stopped, fails by
 * generation or state.
 */
#ifndef HEIR_MAIL_CELL_H
#define HEIR_MAIL_CELL_H

#include "shm/segment.h"

enum cell_state { CELL_FREE, CELL_OWNED, CELL_PUBLISHED, CELL_TAKEN, CELL_DONE, CELL_ASIDE };
/* REFUSED: DONE without a reply; its reader died (deliveries tell whether it had been taken). */
enum { CELL_CALL = 1, CELL_ABANDONED = 2, CELL_FORWARDED = 4, CELL_REFUSED = 8 };
enum cell_kind { CELL_USER, CELL_CONTROL };

struct cell_word {
	uint32_t generation, slot, deliveries, flags;
	enum cell_state state;
};

static inline struct cell_word cell_unpack(uint64_t w)
{
	return (struct cell_word){
		.generation = (uint32_t)(w >> 32),
		.slot = (uint32_t)w >> 20,
		.deliveries = (uint32_t)w >> 12 & 0xff,
		.flags = (uint32_t)w >> 8 & 0xf,
		.state = (enum cell_state)(w & 0xff),
	};
}

static inline uint64_t cell_pack(struct cell_word c)
{
	return (uint64_t)c.generation << 32 | (uint64_t)(c.slot & 0xfff) << 20 | (uint64_t)(c.deliveries & 0xff) << 12 |
	       (uint64_t)(c.flags & 0xf) << 8 | (uint64_t)(c.state & 0xff);
}

struct cell_ref { uint32_t cell, generation; };

/* An OWNED cell for `slot`. *hint is where this process found the last one, and looks first. HEIR_EFULL. */
int cell_alloc(const struct shm *shm, uint32_t slot, uint32_t flags, uint32_t *hint, struct cell_ref *ret);
/* Fill an OWNED cell. HEIR_ETOOBIG. */
int cell_fill(const struct shm *shm, struct cell_ref ref, enum cell_kind kind, const char *name, size_t name_size,
              const void *data, size_t size);
/* Word of the cell if it is still of that generation; else 0 and *ret untouched is HEIR_ENOENT. */
int cell_load(const struct shm *shm, struct cell_ref ref, uint64_t *ret_word);
/* state (and flags) from exactly this word. 0 or HEIR_EAGAIN */
int cell_move(const struct shm *shm, uint32_t cell, uint64_t word, struct cell_word next);
void cell_free(const struct shm *shm, uint32_t cell, uint64_t word);

#endif
