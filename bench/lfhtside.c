/* SPDX-License-Identifier: ISC */
/* Built with liburcu where it is there (HEIR_BENCH_URCU). */
#include "bench/lfhtside.h"

#ifdef HEIR_BENCH_URCU

#include "base/hash.h"
#include "name/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-qsbr.h>
#include <urcu/rculfhash.h>

#define KEY_MAX 24u

struct entry {
	struct cds_lfht_node node;
	uint64_t binding;
	uint32_t length;
	char name[KEY_MAX];
};

struct wanted {
	const char *name;
	size_t length;
};

struct lfhtside {
	struct cds_lfht *table;
	struct entry *entry;
	uint32_t names;
};

static int match(struct cds_lfht_node *node, const void *key)
{
	const struct entry *e = caa_container_of(node, struct entry, node);
	const struct wanted *w = key;

	return e->length == w->length && memcmp(e->name, w->name, w->length) == 0;
}

uint64_t lfhtside_lookup(struct lfhtside *side, const char *name, size_t length)
{
	struct wanted w = {name, length};
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	uint64_t binding = 0;

	urcu_qsbr_read_lock();
	cds_lfht_lookup(side->table, hash_bytes(name, length), match, &w, &iter);
	if ((node = cds_lfht_iter_get_node(&iter)))
		binding = caa_container_of(node, struct entry, node)->binding;
	urcu_qsbr_read_unlock();
	return binding;
}

static void add_all(struct lfhtside *side)
{
	for (uint32_t i = 0; i < side->names; i++) {
		struct entry *e = &side->entry[i];
		struct wanted w = {.name = e->name};

		w.length = e->length = (uint32_t)snprintf(e->name, sizeof(e->name), "name-%u", i);
		e->binding = i + 1;
		urcu_qsbr_read_lock();
		cds_lfht_add_unique(side->table, hash_bytes(e->name, e->length), match, &w, &e->node);
		urcu_qsbr_read_unlock();
	}
}

struct lfhtside *lfhtside_create(uint32_t names)
{
	struct lfhtside *side = calloc(1, sizeof(*side));

	urcu_qsbr_register_thread();
	if (!side)
		return NULL;
	side->names = names;
	side->table = cds_lfht_new_flavor(names_buckets_for(names), 1, 0, 0, &urcu_qsbr_flavor, NULL);
	side->entry = calloc(names, sizeof(*side->entry));
	if (!side->table || !side->entry) {
		side->names = 0;
		lfhtside_destroy(side);
		return NULL;
	}
	add_all(side);
	return side;
}

void lfhtside_destroy(struct lfhtside *side)
{
	if (!side)
		return;
	for (uint32_t i = 0; i < side->names; i++)
		cds_lfht_del(side->table, &side->entry[i].node);
	urcu_qsbr_synchronize_rcu();
	if (side->table)
		cds_lfht_destroy(side->table, NULL);
	free(side->entry);
	free(side);
	urcu_qsbr_unregister_thread();
}

#else

struct lfhtside *lfhtside_create(uint32_t names)
{
	(void)names;
	return NULL;
}

void lfhtside_destroy(struct lfhtside *side)
{
	(void)side;
}

uint64_t lfhtside_lookup(struct lfhtside *side, const char *name, size_t length)
{
	(void)side, (void)name, (void)length;
	return 0;
}

#endif
