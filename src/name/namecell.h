/* SPDX-License-Identifier: ISC */
/*
 * The words of a name cell, and what the files of this folder share. The argument is at the head of
 * names.c.
 *
 *   words[0]     state   {generation:32 | slot:16 | length:8 | state:8}    CAS by anyone; while
 *                        OWNED also a store by its owner (slot) to set the length. The generation
 *                        goes up with each return to FREE.
 *   words[1]     link    {hash:32 | next:32}: the low half of the name's hash, which names the
 *                        bucket too; the next cell of the bucket, or, in an extra cell, the next
 *                        extra cell of the same name
 *   words[2..7]          of a name's first cell: binding, then 40 bytes of name; or, where the name
 *                        is longer, 32 bytes of it and in words[7] the first extra cell. Of an
 *                        extra cell (length 0): 48 bytes.
 *
 * words[1..7] are stored by the owner while OWNED and not yet linked, and by nobody else ever.
 * Names are padded with zeros to whole words. A cell of zeros is FREE, a head of zeros an empty
 * bucket, a table of zeros a valid empty one.
 *
 * Cell 0 is nobody's; its words are hints about the whole table: nameroom.h.
 */
#ifndef HEIR_NAME_NAMECELL_H
#define HEIR_NAME_NAMECELL_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/segment.h"

#define NAME_CHAIN_MAX 64u /* names in a bucket: at 8 a bucket, more has a probability of 1e-33 */
#define NAME_INLINE 40u /* bytes of a name that fit its first cell */
#define NAME_FIRST 32u  /* of a longer name: bytes in the first cell */
#define NAME_EXTRA 48u  /* and in each extra cell */
#define NAME_EXTRAS_MAX 5u
#define NAME_WORDS 32u

_Static_assert(sizeof(struct shm_name_cell) == 64, "a name cell is a cache line");
_Static_assert(NAME_FIRST + NAME_EXTRAS_MAX * NAME_EXTRA >= SHM_NAME_MAX, "the longest name fits");
_Static_assert(SHM_NAME_MAX < 256 && SHM_SLOTS_MAX <= 65536, "length and slot fit the state word");

enum namecell_state { NAMECELL_FREE, NAMECELL_OWNED, NAMECELL_LINKED };

static inline uint64_t namecell_word(uint32_t generation, uint32_t slot, uint32_t length,
				     enum namecell_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)slot << 16 | (uint64_t)length << 8 | state;
}
static inline uint32_t namecell_generation(uint64_t word) { return (uint32_t)(word >> 32); }
static inline uint32_t namecell_slot(uint64_t word) { return (uint32_t)(word >> 16) & 0xffff; }
static inline uint32_t namecell_length(uint64_t word) { return (uint32_t)(word >> 8) & 0xff; }
static inline uint32_t namecell_state(uint64_t word) { return (uint32_t)word & 0xff; }
static inline bool namecell_in_use(uint64_t word)
{
	return namecell_state(word) == NAMECELL_OWNED || namecell_state(word) == NAMECELL_LINKED;
}
static inline uint64_t namecell_freed(uint64_t word)
{
	return namecell_word(namecell_generation(word) + 1, 0, 0, NAMECELL_FREE);
}
static inline uint64_t namecell_linked(uint64_t word)
{
	return namecell_word(namecell_generation(word), 0, namecell_length(word), NAMECELL_LINKED);
}

static inline uint64_t name_link(uint32_t hash, uint32_t next)
{
	return (uint64_t)hash << 32 | next;
}
static inline uint32_t name_link_hash(uint64_t link) { return (uint32_t)(link >> 32); }
static inline uint32_t name_link_next(uint64_t link) { return (uint32_t)link; }

/* A bucket's head: {version:32 | first cell:32}. */
static inline uint64_t name_head_next(uint64_t head, uint32_t first)
{
	return ((head >> 32) + 1) << 32 | first;
}
static inline uint32_t name_head_first(uint64_t head) { return (uint32_t)head; }
static inline uint32_t name_head_version(uint64_t head) { return (uint32_t)(head >> 32); }

static inline uint32_t name_extras(uint32_t length)
{
	return length <= NAME_INLINE ? 0 : (length - NAME_FIRST + NAME_EXTRA - 1) / NAME_EXTRA;
}
/* Words of a name that its first cell holds. */
static inline uint32_t name_first_words(uint32_t length)
{
	return length <= NAME_INLINE ? (length + 7) / 8 : NAME_FIRST / 8;
}

/*
 * Frees the garbage of the whole table, but tells no hint: returns the cells in use after it, and
 * how many it freed.
 */
uint32_t name_collect(struct shm *shm, uint32_t *ret_freed);

#endif
