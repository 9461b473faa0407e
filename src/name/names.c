/* SPDX-License-Identifier: ISC */
/*
 * The name table: lookups and changes. Repairs are in namefix.c, lists and checks in namelist.c.
 *
 * Layout. A bucket is one word, {version | first cell}, and a list of name cells (namecell.h)
 * behind it. What can be reached from a head never changes while the head is that value: a change
 * copies the cells in front of the one that it replaces or removes, fills in the new ones in
 * private, and switches the head by ONE CAS, version + 1. That CAS is the whole operation; before
 * it nothing has happened, after it everything. Extra cells (of names over 40 bytes) go over to the
 * copy of their name as they are.
 *
 * Cells. FREE -> OWNED by CAS, with the slot of the owner in the word; filled; linked by the CAS on
 * the head; marked LINKED; replaced by somebody's CAS on the head; FREE again, generation + 1.
 * Invariants:
 *
 *   I1  words[1..7] of a cell are stored only by its owner, before the CAS that links it.
 *   I2  A cell that can be reached from its bucket's present head is OWNED or LINKED. It becomes
 *       FREE only after a CAS on the head that took it out.
 *   I3  LINKED says: was linked. So a LINKED cell that cannot be reached from its own bucket's
 *       present head cannot be reached ever again in this generation: a CAS on the head links cells
 *       that the caller OWNS, and keeps cells that the head it expects reaches; nothing else. It is
 *       garbage: anyone may free it by a CAS on the word.
 *   I4  An OWNED cell that can be reached belongs to an owner between its CAS on the head and its
 *       marks. Whoever takes it out frees it all the same: the owner stores nothing there any more
 *       (I1), its late mark fails by generation.
 *   I5  An OWNED cell that cannot be reached is its owner's. When the owner is certainly dead
 *       names_bury() frees it.
 *
 * Orders. Each bucket is a sequence lock whose writers do not block:
 *   - CAS on the head, release: the cells' words before the head; pairs with the acquire load of
 *     the head in names_lookup(), find() and the walks of the other files. Without it a reader sees
 *     a cell not yet filled in.
 *   - To free a cell: CAS on its state, release, after the CAS on the head; pairs with the acquire
 *     of name_take()'s CAS; then name_take()'s release fence stands before the new owner's stores,
 *     and pairs with the acquire fence that every reader has between its last load from a cell and
 *     its second load of the head. So a reader that saw but one word of a cell's next life sees
 *     that the head has changed, and looks again. Without either, a lookup could return the binding
 *     of another name.
 *   - Before its CAS on the head a writer is such a reader too: publish() has the same fence.
 *   - CAS of the mark, release, after the CAS on the head; pairs with the acquire load of the word
 *     in name_collect(): whoever sees LINKED sees a head at least as new as the one that linked it,
 *     on which I3 rests.
 *
 * Versions have 32 bits, and so have generations: a reader, or a CAS of a process that was stopped,
 * is fooled only if it sleeps through an exact multiple of 2^32 changes of this one bucket (cell)
 * and the first cell is the same again.
 *
 * Progress. Lookups write nothing and are bounded but for changes of their own bucket. A writer
 * repeats only when another's CAS on the same head succeeded. Taking a cell is bounded by the size
 * of the table (nameroom.h). A bucket has at most NAME_CHAIN_MAX names; one more is HEIR_EFULL, one
 * more found is HEIR_ECORRUPT.
 *
 * Who dies or stops where:
 *   before the CAS on the head   nothing has happened; its OWNED cells wait for it (stopped) or for
 *                                names_bury() (dead)
 *   before or among its marks    done; its cells serve while OWNED (I4); bury marks those that can
 *                                be reached
 *   before or among its frees    done; what it left is LINKED, so garbage by I3, or OWNED by a
 *                                third one, who marks it on waking (then garbage) or is buried
 *   wakes later                  its CASes carry the version or generation that it saw, and fail
 *   inside bury or sweep         each step is one CAS, which another one may have made already:
 *                                repeat from the start
 */
#include "name/names.h"

#include <string.h>

#include "base/hash.h"
#include "base/testpoint.h"
#include "heir.h"
#include "name/namecell.h"
#include "name/nameroom.h"

struct name_key {
	uint64_t words[NAME_WORDS];
	uint32_t length, hash;
};

/* What find() saw at one head. */
struct name_spot {
	uint64_t head;
	bool present;
	bool alive;      /* present, and its binding lives */
	uint32_t depth;  /* cells in front of the found one; of an absent one: in the bucket */
	uint32_t rest;   /* the cell behind the found one */
	uint32_t extras; /* of the found one */
	uint64_t binding;
	struct name_ref path[NAME_CHAIN_MAX]; /* depth cells, then the found one */
	struct name_ref extra[NAME_EXTRAS_MAX];
};

struct name_request {
	const struct name_key *key; /* NULL: whatever in the bucket is bound to `expected` */
	bool exclusive;             /* a living binding is HEIR_EEXIST */
	uint64_t binding;           /* 0: remove */
	uint64_t expected;          /* 0: whatever it is */
	names_lives *lives;
	void *arg;
};

static bool key_make(struct name_key *key, const char *name, size_t length)
{
	if (length < 1 || length > SHM_NAME_MAX)
		return false;
	key->words[(length - 1) / 8] = 0;
	memcpy(key->words, name, length);
	key->length = (uint32_t)length;
	key->hash = (uint32_t)hash_bytes(name, length);
	return true;
}

/* Is this the cell of that name? 1, 0, HEIR_ECORRUPT: it counts once the head is seen unchanged. */
static inline int holds(const struct shm *shm, struct shm_name_cell *cell,
			const struct name_key *key)
{
	uint64_t word = atom_load_relaxed(&cell->words[0]);
	uint32_t words = (key->length + 7) / 8, at = name_first_words(key->length), next;

	if (namecell_length(word) != key->length)
		return 0;
	for (uint32_t i = 0; i < at; i++)
		if (atom_load_relaxed(&cell->words[3 + i]) != key->words[i])
			return 0;
	if (!namecell_in_use(word))
		return HEIR_ECORRUPT;
	if (at == words)
		return 1;
	next = (uint32_t)atom_load_relaxed(&cell->words[7]);
	while (at < words) {
		struct shm_name_cell *extra = shm_name_cell(shm, next);

		if (!extra)
			return HEIR_ECORRUPT;
		for (uint32_t i = 2; i < 8 && at < words; i++, at++)
			if (atom_load_relaxed(&extra->words[i]) != key->words[at])
				return 0;
		next = name_link_next(atom_load_relaxed(&extra->words[1]));
	}
	return 1;
}

static inline int seek(const struct shm *shm, uint64_t head, const struct name_key *key,
		       uint64_t *ret)
{
	uint32_t next = name_head_first(head);

	for (uint32_t n = 0; next; n++) {
		struct shm_name_cell *cell = shm_name_cell(shm, next);
		uint64_t link;
		int r;

		if (!cell || n == NAME_CHAIN_MAX)
			return HEIR_ECORRUPT;
		link = atom_load_relaxed(&cell->words[1]);
		if (name_link_hash(link) == key->hash && (r = holds(shm, cell, key)) != 0) {
			*ret = atom_load_relaxed(&cell->words[2]);
			return r < 0 ? r : 0;
		}
		next = name_link_next(link);
	}
	return HEIR_ENOENT;
}

int names_lookup(const struct shm *shm, const char *name, size_t length, uint64_t *ret_binding,
		 struct name_seen *ret_seen)
{
	struct name_key key;
	uint64_t seen, binding = 0;
	atom64 *head;
	int r;

	if (!key_make(&key, name, length))
		return HEIR_EINVAL;
	head = &shm_bucket(shm, key.hash)->head;
	/* Most names are at their bucket's place or near it: fetch with the head, not after it. */
	__builtin_prefetch(&shm->name_cells[name_place(shm, key.hash & (shm->limits.buckets - 1))]);
	for (;;) {
		seen = atom_load_acquire(head); /* pairs with publish()'s CAS */
		r = seek(shm, seen, &key, &binding);
		fence_acquire(); /* cells before head; pairs with name_take()'s fence */
		if (atom_load_relaxed(head) == seen)
			break;
	}
	if (r == 0 && ret_binding)
		*ret_binding = binding;
	if (r == 0 && ret_seen)
		*ret_seen = (struct name_seen){head, name_head_version(seen)};
	return r;
}

bool names_unchanged(struct name_seen seen)
{
	fence_acquire(); /* what the caller loaded in between, before the head */
	return name_head_version(atom_load_relaxed(seen.head)) == seen.version;
}

static int find_extras(const struct shm *shm, struct shm_name_cell *cell, uint32_t length,
		       struct name_spot *at)
{
	uint32_t next;

	at->extras = name_extras(length);
	if (at->extras == 0)
		return 0;
	next = (uint32_t)atom_load_relaxed(&cell->words[7]);
	for (uint32_t i = 0; i < at->extras; i++) {
		struct shm_name_cell *extra = shm_name_cell(shm, next);

		if (!extra)
			return HEIR_ECORRUPT;
		at->extra[i].cell = next;
		at->extra[i].word = atom_load_relaxed(&extra->words[0]);
		if (!namecell_in_use(at->extra[i].word))
			return HEIR_ECORRUPT;
		next = name_link_next(atom_load_relaxed(&extra->words[1]));
	}
	return 0;
}

static int find_once(const struct shm *shm, const struct name_request *q, struct name_spot *at)
{
	uint32_t next = name_head_first(at->head);

	at->present = false;
	for (at->depth = 0; next; at->depth++) {
		struct shm_name_cell *cell = shm_name_cell(shm, next);
		uint64_t link;
		int r;

		if (!cell || at->depth == NAME_CHAIN_MAX)
			return HEIR_ECORRUPT;
		link = atom_load_relaxed(&cell->words[1]);
		at->path[at->depth].cell = next;
		at->path[at->depth].word = atom_load_relaxed(&cell->words[0]);
		at->binding = atom_load_relaxed(&cell->words[2]);
		if (!namecell_in_use(at->path[at->depth].word))
			return HEIR_ECORRUPT;
		if (q->key)
			r = name_link_hash(link) == q->key->hash ? holds(shm, cell, q->key) : 0;
		else
			r = at->binding == q->expected;
		if (r < 0)
			return r;
		next = name_link_next(link);
		if (r) {
			at->present = true;
			at->rest = next;
			return find_extras(shm, cell, namecell_length(at->path[at->depth].word),
					   at);
		}
	}
	return 0;
}

/* As names_lookup, and keeps what it saw on the way. 0 or HEIR_ECORRUPT. */
static int find(const struct shm *shm, atom64 *head, const struct name_request *q,
		struct name_spot *at)
{
	int r;

	do {
		at->head = atom_load_acquire(head); /* pairs with publish()'s CAS */
		r = find_once(shm, q, at);
		fence_acquire(); /* cells before head; pairs with name_take()'s fence */
	} while (atom_load_relaxed(head) != at->head);
	return r;
}

/* What the request comes to, given what was found: 0 to go on. */
static int decide(const struct name_request *q, struct name_spot *at)
{
	at->alive = at->present && (!q->lives || q->lives(at->binding, q->arg));
	if (q->binding && !at->present && at->depth == NAME_CHAIN_MAX)
		return HEIR_EFULL;
	if (q->exclusive)
		return at->alive ? HEIR_EEXIST : 0;
	if (!at->alive)
		return !q->binding || q->expected ? HEIR_ENOENT : 0;
	return q->expected && q->expected != at->binding ? HEIR_EPERM : 0;
}

static uint32_t copies_for(const struct name_spot *at)
{
	return at->present ? at->depth : 0;
}

static void own(struct name_room *room, uint32_t which, uint32_t length)
{
	struct name_ref *mine = &room->mine[which];

	mine->word = namecell_word(namecell_generation(mine->word), room->slot, length,
				   NAMECELL_OWNED);
	atom_store_relaxed(&room->shm->name_cells[mine->cell].words[0], mine->word);
}

/* The new name, but for the link of its first cell. */
static void fill(struct name_room *room, const struct name_key *key, uint64_t binding)
{
	struct shm_name_cell *cell = &room->shm->name_cells[room->mine[0].cell];
	uint32_t words = (key->length + 7) / 8, at = name_first_words(key->length);

	own(room, 0, key->length);
	atom_store_relaxed(&cell->words[2], binding);
	for (uint32_t i = 0; i < at; i++)
		atom_store_relaxed(&cell->words[3 + i], key->words[i]);
	if (room->fresh > 1)
		atom_store_relaxed(&cell->words[7], room->mine[1].cell);
	for (uint32_t n = 1; n < room->fresh; n++) {
		uint32_t next = n + 1 < room->fresh ? room->mine[n + 1].cell : 0;

		cell = &room->shm->name_cells[room->mine[n].cell];
		own(room, n, 0);
		atom_store_relaxed(&cell->words[1], name_link(key->hash, next));
		for (uint32_t i = 2; i < 8; i++, at++)
			atom_store_relaxed(&cell->words[i], at < words ? key->words[at] : 0);
	}
	TESTPOINT("names: name filled in");
}

static void copy(struct name_room *room, uint32_t which, const struct name_ref *from, uint32_t next)
{
	struct shm_name_cell *source = &room->shm->name_cells[from->cell];
	struct shm_name_cell *cell = &room->shm->name_cells[room->mine[which].cell];
	uint32_t hash = name_link_hash(atom_load_relaxed(&source->words[1]));

	own(room, which, namecell_length(from->word));
	atom_store_relaxed(&cell->words[1], name_link(hash, next));
	for (unsigned i = 2; i < 8; i++)
		atom_store_relaxed(&cell->words[i], atom_load_relaxed(&source->words[i]));
}

/* Switch the head from what find() saw to what is wanted. False: it was not that any more. */
static bool publish(struct name_room *room, atom64 *head, const struct name_spot *at, uint32_t hash)
{
	uint32_t next = at->present ? at->rest : name_head_first(at->head);
	uint64_t expected = at->head;

	for (uint32_t i = copies_for(at); i-- > 0;) {
		copy(room, room->fresh + i, &at->path[i], next);
		next = room->mine[room->fresh + i].cell;
	}
	if (room->fresh) {
		atom64 *link = &room->shm->name_cells[room->mine[0].cell].words[1];

		atom_store_relaxed(link, name_link(hash, next));
		next = room->mine[0].cell;
	}
	TESTPOINT("names: ready to switch");
	/* copy()'s loads before the CAS's: else of a next life; pairs with name_take()'s fence. */
	fence_acquire();
	/* Release: my cells before the head; pairs with every reader's acquire load of it. */
	if (!atom_cas(head, &expected, name_head_next(at->head, next)))
		return false;
	TESTPOINT("names: head switched");
	return true;
}

/* After the switch: mark what is linked now, free what is not any more. */
static void settle(struct name_room *room, const struct name_spot *at)
{
	uint32_t linked = room->fresh + copies_for(at);

	for (uint32_t i = 0; i < linked; i++) {
		atom64 *state = &room->shm->name_cells[room->mine[i].cell].words[0];
		uint64_t word = room->mine[i].word;

		/* Release: the head before the mark; pairs with name_collect(). May fail: I4. */
		atom_cas(state, &word, namecell_linked(word));
		TESTPOINT("names: cell marked");
	}
	for (uint32_t i = linked; i < room->have; i++)
		name_let_go(room, &room->mine[i]);
	room->have = 0;
	for (uint32_t i = 0; at->present && i <= at->depth; i++)
		name_let_go(room, &at->path[i]);
	for (uint32_t i = 0; at->present && i < at->extras; i++)
		name_let_go(room, &at->extra[i]);
}

static int change(struct shm *shm, uint32_t slot, uint32_t bucket, const struct name_request *q,
		  uint64_t *ret_old)
{
	atom64 *head = &shm->buckets[bucket].head;
	struct name_room room;
	struct name_spot at;
	bool filled = false;
	int r;

	name_room_init(&room, shm, slot, bucket, q->binding ? names_cells_of(q->key->length) : 0);
	for (;;) {
		if ((r = find(shm, head, q, &at)) < 0 || (r = decide(q, &at)) < 0)
			break;
		r = name_gather(&room, room.fresh + copies_for(&at), room.fresh && !at.present);
		if (r < 0)
			break;
		if (room.fresh && !filled)
			fill(&room, q->key, q->binding);
		filled = true;
		if (!publish(&room, head, &at, q->key ? q->key->hash : 0))
			continue;
		if (ret_old)
			*ret_old = at.alive ? at.binding : 0;
		settle(&room, &at);
		break;
	}
	name_room_finish(&room);
	return r;
}

static int change_name(struct shm *shm, uint32_t slot, const char *name, size_t length,
		       struct name_request q, uint64_t *ret_old)
{
	struct name_key key;

	if (!key_make(&key, name, length) || memchr(name, 0, length) || slot < 1 ||
	    slot >= shm->limits.slots)
		return HEIR_EINVAL;
	if (!shm->writable)
		return HEIR_EPERM;
	q.key = &key;
	return change(shm, slot, key.hash & (shm->limits.buckets - 1), &q, ret_old);
}

int names_register(struct shm *shm, uint32_t slot, const char *name, size_t length,
		   uint64_t binding, names_lives *lives, void *arg)
{
	struct name_request q = {.exclusive = true, .binding = binding, .lives = lives, .arg = arg};

	return binding ? change_name(shm, slot, name, length, q, NULL) : HEIR_EINVAL;
}

int names_re_register(struct shm *shm, uint32_t slot, const char *name, size_t length,
		      uint64_t expected, uint64_t binding, names_lives *lives, void *arg,
		      uint64_t *ret_old)
{
	struct name_request q = {
		.expected = expected, .binding = binding, .lives = lives, .arg = arg};

	return binding ? change_name(shm, slot, name, length, q, ret_old) : HEIR_EINVAL;
}

int names_unregister(struct shm *shm, uint32_t slot, const char *name, size_t length,
		     uint64_t expected, names_lives *lives, void *arg)
{
	struct name_request q = {.expected = expected, .lives = lives, .arg = arg};

	return change_name(shm, slot, name, length, q, NULL);
}

int names_drop_binding(struct shm *shm, uint32_t slot, uint64_t binding)
{
	struct name_request q = {.expected = binding};

	if (binding == 0 || slot < 1 || slot >= shm->limits.slots)
		return HEIR_EINVAL;
	if (!shm->writable)
		return HEIR_EPERM;
	for (uint32_t bucket = 0; bucket < shm->limits.buckets; bucket++) {
		uint32_t left = NAME_CHAIN_MAX + 1;
		int r;

		do
			r = change(shm, slot, bucket, &q, NULL);
		while (r == 0 && --left);
		if (r != HEIR_ENOENT)
			return r ? r : HEIR_ECORRUPT;
	}
	return 0;
}
