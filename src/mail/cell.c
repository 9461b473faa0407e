/* SPDX-License-Identifier: ISC */
/* Cells: found, filled, moved and freed; each by a CAS of the cell's word (cell.h). */
#include "mail/cell.h"

#include <string.h>

#include "heir.h"

int cell_alloc(const struct shm *shm, uint32_t slot, uint32_t flags, uint32_t *hint, struct cell_ref *ret)
{
	uint32_t n = shm->limits.cells, at = *hint ? *hint - 1 : 0; /* its last cell first: it is in the cache */

	for (uint32_t i = 1; i < n; i++) {
		if (++at >= n)
			at = 1;

		struct shm_cell *c = shm_cell(shm, at);
		uint64_t w = atom_load_relaxed(&c->word);
		struct cell_word cw = cell_unpack(w);

		if (cw.state != CELL_FREE)
			continue;
		cw = (struct cell_word){
			.generation = cw.generation, .slot = slot, .flags = flags, .state = CELL_OWNED};
		/* acquire: pairs with the release of the CAS to FREE, whose party read or wrote the contents before */
		if (!atom_cas(&c->word, &w, cell_pack(cw)))
			continue;
		*hint = at;
		*ret = (struct cell_ref){at, cw.generation};
		return 0;
	}
	return HEIR_EFULL;
}

int cell_fill(const struct shm *shm, struct cell_ref ref, enum cell_kind kind, const char *name,
	      size_t name_size, const void *data, size_t size)
{
	struct shm_cell *c = shm_cell(shm, ref.cell);

	if (name_size > SHM_NAME_MAX || size > shm->limits.message)
		return HEIR_ETOOBIG;
	atom_store_relaxed(&c->kind, kind);
	atom_store_relaxed(&c->mailbox, UINT32_MAX);
	atom_store_relaxed(&c->holder, 0);
	atom_store_relaxed(&c->target, 0);
	atom_store_relaxed(&c->name_size, (uint32_t)name_size);
	atom_store_relaxed(&c->size, (uint32_t)size);
	atom_store_relaxed(&c->status, 0);
	atom_store_relaxed(&c->reply_size, 0);
	memcpy(shm_cell_data(c), name, name_size);
	if (size)
		memcpy(shm_cell_data(c) + name_size, data, size);
	return 0;
}

int cell_load(const struct shm *shm, struct cell_ref ref, uint64_t *ret_word)
{
	struct shm_cell *c = shm_cell(shm, ref.cell);
	uint64_t w;

	if (!c)
		return HEIR_ECORRUPT;
	w = atom_load_acquire(
		&c->word); /* pairs with every cell_move: the contents that the state promises are seen */
	if (cell_unpack(w).generation != ref.generation)
		return HEIR_ENOENT;
	*ret_word = w;
	return 0;
}

int cell_move(const struct shm *shm, uint32_t cell, uint64_t word, struct cell_word next)
{
	struct shm_cell *c = shm_cell(shm, cell);

	return c && atom_cas(&c->word, &word, cell_pack(next)) ? 0 : HEIR_EAGAIN;
}

void cell_free(const struct shm *shm, uint32_t cell, uint64_t word)
{
	(void)cell_move(shm, cell, word,
			(struct cell_word){.generation = cell_unpack(word).generation + 1, .state = CELL_FREE});
}
