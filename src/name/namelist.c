/* SPDX-License-Identifier: ISC */
/* The name table: the list of all names, and the check of every invariant. Orders: see names.c. */
#include <string.h>

#include "base/hash.h"
#include "heir.h"
#include "name/namecell.h"
#include "name/names.h"

/* One bucket as it was at one instant. */
struct bucket_view {
	uint32_t names, extras;
	struct {
		uint64_t binding;
		uint32_t length, hash;
		uint64_t words[NAME_WORDS];
	} name[NAME_CHAIN_MAX];
	uint32_t extra[NAME_CHAIN_MAX * NAME_EXTRAS_MAX];
};

static int view_name(const struct shm *shm, struct shm_name_cell *cell, struct bucket_view *view)
{
	uint64_t word = atom_load_relaxed(&cell->words[0]);
	uint32_t length = namecell_length(word), words = (length + 7) / 8,
		 at = name_first_words(length);
	uint32_t which = view->names, next = 0;

	if (!namecell_in_use(word) || length == 0)
		return HEIR_ECORRUPT;
	view->name[which].length = length;
	view->name[which].hash = name_link_hash(atom_load_relaxed(&cell->words[1]));
	view->name[which].binding = atom_load_relaxed(&cell->words[2]);
	for (uint32_t i = 0; i < at; i++)
		view->name[which].words[i] = atom_load_relaxed(&cell->words[3 + i]);
	if (at < words)
		next = (uint32_t)atom_load_relaxed(&cell->words[7]);
	while (at < words) {
		struct shm_name_cell *extra = shm_name_cell(shm, next);
		uint64_t link;

		if (!extra)
			return HEIR_ECORRUPT;
		word = atom_load_relaxed(&extra->words[0]);
		link = atom_load_relaxed(&extra->words[1]);
		if (!namecell_in_use(word) || namecell_length(word) != 0 ||
		    name_link_hash(link) != view->name[which].hash)
			return HEIR_ECORRUPT;
		view->extra[view->extras++] = next;
		for (uint32_t i = 2; i < 8 && at < words; i++, at++)
			view->name[which].words[at] = atom_load_relaxed(&extra->words[i]);
		next = name_link_next(link);
	}
	view->names++;
	return next ? HEIR_ECORRUPT : 0;
}

static int view_once(const struct shm *shm, uint64_t head, struct bucket_view *view)
{
	uint32_t next = name_head_first(head);

	view->names = view->extras = 0;
	while (next) {
		struct shm_name_cell *cell = shm_name_cell(shm, next);
		int r;

		if (!cell || view->names == NAME_CHAIN_MAX)
			return HEIR_ECORRUPT;
		if ((r = view_name(shm, cell, view)) < 0)
			return r;
		next = name_link_next(atom_load_relaxed(&cell->words[1]));
	}
	return 0;
}

static bool view_stood(const struct shm *shm, uint32_t bucket, struct bucket_view *view, int *ret)
{
	atom64 *head = &shm->buckets[bucket].head;
	uint64_t seen = atom_load_acquire(head); /* pairs with publish()'s CAS */

	*ret = view_once(shm, seen, view);
	fence_acquire(); /* cells before head; pairs with name_take()'s fence */
	return atom_load_relaxed(head) == seen;
}

static int view_bucket(const struct shm *shm, uint32_t bucket, struct bucket_view *view)
{
	int r;

	while (!view_stood(shm, bucket, view, &r))
		;
	return r;
}

int names_each(const struct shm *shm, names_visit *visit, void *arg)
{
	struct bucket_view view;

	for (uint32_t bucket = 0; bucket < shm->limits.buckets; bucket++) {
		int r = view_bucket(shm, bucket, &view);

		for (uint32_t i = 0; r == 0 && i < view.names; i++)
			r = visit((const char *)view.name[i].words, view.name[i].length,
				  view.name[i].binding, arg);
		if (r)
			return r;
	}
	return 0;
}

static int check_view(const struct shm *shm, uint32_t bucket, const struct bucket_view *view)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < view->names; i++) {
		const char *name = (const char *)view->name[i].words;
		uint32_t length = view->name[i].length;

		if ((uint32_t)hash_bytes(name, length) != view->name[i].hash ||
		    (view->name[i].hash & (shm->limits.buckets - 1)) != bucket ||
		    view->name[i].binding == 0)
			r = HEIR_ECORRUPT;
		for (uint32_t j = 0; j < i; j++)
			if (view->name[j].length == length &&
			    memcmp(view->name[j].words, name, length) == 0)
				r = HEIR_ECORRUPT;
	}
	for (uint32_t i = 0; r == 0 && i < view->extras; i++)
		for (uint32_t j = 0; j < i; j++)
			if (view->extra[i] == view->extra[j])
				r = HEIR_ECORRUPT;
	return r;
}

int names_check_bucket(const struct shm *shm, uint32_t bucket, names_visit *visit, void *arg)
{
	struct bucket_view view;
	int r;

	if (bucket >= shm->limits.buckets)
		return HEIR_EINVAL;
	if (!view_stood(shm, bucket, &view, &r))
		return HEIR_EAGAIN;
	if (r == 0)
		r = check_view(shm, bucket, &view);
	for (uint32_t i = 0; visit && r == 0 && i < view.names; i++)
		r = visit((const char *)view.name[i].words, view.name[i].length, view.name[i].binding, arg);
	return r;
}

int names_check_cell(const struct shm *shm, uint32_t cell, bool *ret_in_use)
{
	struct shm_name_cell *c = shm_name_cell(shm, cell);
	uint64_t word = c ? atom_load_relaxed(&c->words[0]) : 0;
	uint32_t slot = namecell_slot(word), state = namecell_state(word);

	if (!c)
		return HEIR_EINVAL;
	if (state > NAMECELL_LINKED || (state == NAMECELL_FREE && (slot || namecell_length(word))) ||
	    (state == NAMECELL_OWNED ? slot < 1 || slot >= shm->limits.slots : slot != 0))
		return HEIR_ECORRUPT;
	if (ret_in_use)
		*ret_in_use = state != NAMECELL_FREE;
	return 0;
}

int names_check(const struct shm *shm)
{
	for (uint32_t bucket = 0; bucket < shm->limits.buckets; bucket++) {
		int r;

		do
			r = names_check_bucket(shm, bucket, NULL, NULL);
		while (r == HEIR_EAGAIN);
		if (r < 0)
			return r;
	}
	for (uint32_t i = 1; i < shm->limits.name_cells; i++) {
		int r = names_check_cell(shm, i, NULL);

		if (r < 0)
			return r;
	}
	return 0;
}
