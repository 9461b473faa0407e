/* SPDX-License-Identifier: ISC */
/* The search (linear.h). */
#include "linear.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Configurations lie one behind the other: {happened: a bit per place, the state}. */
struct set {
	unsigned char *at;
	size_t count, room, each;
	uint32_t *table; /* index + 1 of the configuration, by its hash */
	size_t table_size;
};

struct search {
	const struct specification *spec;
	const struct operation *ops;
	size_t place[LINEAR_UNDER_WAY]; /* which operation is there */
	uint64_t taken;			/* places in use */
	struct set now, next, left;	/* left: seen, and not yet gone on from */
	unsigned char *scratch;
	struct linear_report report;
};

struct moment {
	int64_t at;
	size_t op;
	bool returns;
};

static void *must_alloc(void *p)
{
	if (!p)
		abort();
	return p;
}

static void set_init(struct set *s, size_t state)
{
	*s = (struct set){.each = (sizeof(uint64_t) + state + 7) & ~(size_t)7, .room = 64, .table_size = 256};
	s->at = must_alloc(calloc(s->room, s->each));
	s->table = must_alloc(calloc(s->table_size, sizeof(*s->table)));
}

static void set_finish(struct set *s)
{
	free(s->at);
	free(s->table);
}

static void set_clear(struct set *s)
{
	if (s->count)
		memset(s->table, 0, s->table_size * sizeof(*s->table));
	s->count = 0;
}

static unsigned char *set_at(const struct set *s, size_t i)
{
	return s->at + i * s->each;
}

static size_t set_slot(const struct set *s, const unsigned char *c)
{
	size_t i = hash_bytes(c, s->each) & (s->table_size - 1);

	while (s->table[i] && memcmp(set_at(s, s->table[i] - 1), c, s->each) != 0)
		i = (i + 1) & (s->table_size - 1);
	return i;
}

/* Whether it is new. */
static bool set_add(struct set *s, const unsigned char *c)
{
	size_t i = set_slot(s, c);

	if (s->table[i])
		return false;
	if (s->count == s->room) {
		s->room *= 2;
		s->at = must_alloc(realloc(s->at, s->room * s->each));
	}
	memcpy(set_at(s, s->count++), c, s->each);
	s->table[i] = (uint32_t)s->count;
	if (s->count * 2 > s->table_size) {
		free(s->table);
		s->table_size *= 4;
		s->table = must_alloc(calloc(s->table_size, sizeof(*s->table)));
		for (size_t n = 0; n < s->count; n++)
			s->table[set_slot(s, set_at(s, n))] = (uint32_t)n + 1;
	}
	return true;
}

static uint64_t happened(const unsigned char *c)
{
	uint64_t bits;

	memcpy(&bits, c, sizeof(bits));
	return bits;
}

static void set_happened(unsigned char *c, uint64_t bits)
{
	memcpy(c, &bits, sizeof(bits));
}

/* The operation at that place is over. Of one that died, it may as well never have happened. */
static void retire(struct search *s, unsigned place, bool died)
{
	uint64_t bit = UINT64_C(1) << place;
	size_t so_far = s->now.count;

	set_clear(&s->next);
	set_clear(&s->left);
	for (size_t i = 0; i < s->now.count; i++)
		(void)set_add(&s->left, set_at(&s->now, i));
	for (size_t i = 0; i < s->left.count && s->left.count < LINEAR_CONFIGURATIONS; i++) {
		uint64_t done = happened(set_at(&s->left, i));

		if ((done & bit) || (died && i < so_far)) {
			memcpy(s->scratch, set_at(&s->left, i), s->left.each);
			set_happened(s->scratch, done & ~bit);
			(void)set_add(&s->next, s->scratch);
		}
		if (done & bit)
			continue;
		for (uint64_t open = s->taken & ~done; open; open &= open - 1) {
			unsigned other = (unsigned)__builtin_ctzll(open);

			memcpy(s->scratch, set_at(&s->left, i), s->left.each);
			set_happened(s->scratch, done | UINT64_C(1) << other);
			if (s->spec->happen(s->scratch + sizeof(uint64_t), &s->ops[s->place[other]]))
				(void)set_add(&s->left, s->scratch);
		}
	}
	if (s->left.count > s->report.configurations)
		s->report.configurations = s->left.count;
	s->taken &= ~bit;
	struct set old = s->now;

	s->now = s->next;
	s->next = old;
}

static int compare(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	/* At the same instant: they overlap. */
	return x->returns != y->returns ? (x->returns ? 1 : -1) : x->op < y->op ? -1 : x->op > y->op;
}

static enum linear_verdict go_through(struct search *s, const struct moment *m, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct operation *op = &s->ops[m[i].op];

		if (!m[i].returns) {
			unsigned place = s->taken == UINT64_MAX ? 64 : (unsigned)__builtin_ctzll(~s->taken);

			if (place == 64)
				return LINEAR_TOO_LARGE;
			s->place[place] = m[i].op;
			s->taken |= UINT64_C(1) << place;
			continue;
		}
		for (unsigned place = 0; place < LINEAR_UNDER_WAY; place++) {
			if (!(s->taken >> place & 1) || s->place[place] != m[i].op)
				continue;
			retire(s, place, op->died);
			break;
		}
		if (s->left.count >= LINEAR_CONFIGURATIONS)
			return LINEAR_TOO_LARGE;
		if (s->now.count == 0) {
			s->report.stuck = m[i].op;
			return NOT_LINEAR;
		}
	}
	return LINEAR;
}

enum linear_verdict linear_check(const struct specification *spec, const struct operation *ops, size_t count,
				 struct linear_report *ret)
{
	struct search s = {.spec = spec, .ops = ops};
	struct moment *moments = must_alloc(calloc(2 * count + 1, sizeof(*moments)));
	enum linear_verdict verdict;

	set_init(&s.now, spec->size);
	set_init(&s.next, spec->size);
	set_init(&s.left, spec->size);
	s.scratch = must_alloc(calloc(1, s.now.each));
	spec->begin(s.scratch + sizeof(uint64_t));
	(void)set_add(&s.now, s.scratch);
	for (size_t i = 0; i < count; i++) {
		moments[2 * i] = (struct moment){ops[i].called, i, false};
		moments[2 * i + 1] = (struct moment){ops[i].returned, i, true};
	}
	qsort(moments, 2 * count, sizeof(*moments), compare);
	verdict = go_through(&s, moments, 2 * count);
	*ret = s.report;
	set_finish(&s.now);
	set_finish(&s.next);
	set_finish(&s.left);
	free(s.scratch);
	free(moments);
	return verdict;
}
