/* SPDX-License-Identifier: ISC */
/*
 * whereis against its yardstick: names_lookup() and a lookup of the same key in liburcu's lfht
 * (QSBR flavour, whose read side is free), same hash, same order of insertion, taken in turns in
 * one run. Each sample is one lookup of a random name, its key already in cache, less the cost of
 * an empty sample. Also ns per call of the changes.
 *
 * Build: cc -O2 -std=c11 -D_GNU_SOURCE -Iinclude -Isrc -Itest, this file and those of src/name,
 * -lurcu-cds -lurcu-qsbr
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <urcu/urcu-qsbr.h>
#include <urcu/rculfhash.h>

#include "base/hash.h"
#include "name/names.h"
#include "support/shm_fixture.h"

#define SAMPLES 200000u
#define SLOT 1u
#define KEY_MAX 40u

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

static double ns_per_tick = 1;

static uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t ticks(void)
{
#ifdef __x86_64__
	unsigned cpu;
	uint64_t t = __builtin_ia32_rdtscp(&cpu);

	__builtin_ia32_lfence();
	return t;
#else
	return clock_now();
#endif
}

static void calibrate(void)
{
	uint64_t c = clock_now(), t = ticks();

	while (clock_now() - c < 50000000)
		;
	ns_per_tick = (double)(clock_now() - c) / (double)(ticks() - t);
}

static int match(struct cds_lfht_node *node, const void *key)
{
	const struct entry *e = caa_container_of(node, struct entry, node);
	const struct wanted *w = key;

	return e->length == w->length && memcmp(e->name, w->name, w->length) == 0;
}

static inline uint64_t lfht_lookup(struct cds_lfht *ht, const char *name, size_t length)
{
	struct wanted w = {name, length};
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	uint64_t binding = 0;

	urcu_qsbr_read_lock();
	cds_lfht_lookup(ht, hash_bytes(name, length), match, &w, &iter);
	if ((node = cds_lfht_iter_get_node(&iter)))
		binding = caa_container_of(node, struct entry, node)->binding;
	urcu_qsbr_read_unlock();
	return binding;
}

static inline uint64_t heir_lookup(const struct shm *shm, const char *name, size_t length)
{
	uint64_t binding = 0;

	names_lookup(shm, name, length, &binding, NULL);
	return binding;
}

static uint32_t draw(uint32_t below)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)((s >> 32) * below >> 32);
}

static size_t name_of(char name[KEY_MAX], uint32_t i)
{
	return (size_t)snprintf(name, KEY_MAX, "shop/worker/%07" PRIu32, i);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_row(const char *what, uint64_t *sample, uint64_t empty, double p[3])
{
	static const uint32_t at[3] = {SAMPLES / 2, SAMPLES / 100 * 99, SAMPLES - 1};

	qsort(sample, SAMPLES, sizeof(*sample), by_value);
	for (int i = 0; i < 3; i++)
		p[i] = (double)(sample[at[i]] > empty ? sample[at[i]] - empty : 0) * ns_per_tick;
	printf("  %-14s p50 %6.0f  p99 %6.0f  max %8.0f ns\n", what, p[0], p[1], p[2]);
}

static void compare(const struct shm *shm, struct cds_lfht *ht, uint32_t names)
{
	static uint64_t heir[SAMPLES], lfht[SAMPLES], none[SAMPLES];
	double h[3], l[3];
	char name[KEY_MAX];
	uint64_t wrong = 0, t;

	for (uint32_t i = 0; i < SAMPLES; i++) {
		/* Each its own name, so that neither finds what the other has just fetched; whose
		   turn is first alternates. */
		for (uint32_t turn = 0; turn < 2; turn++) {
			uint32_t which = draw(names);
			size_t length = name_of(name, which);

			if ((i + turn) % 2) {
				t = ticks();
				wrong += heir_lookup(shm, name, length) != which + 1;
				heir[i] = ticks() - t;
			} else {
				t = ticks();
				wrong += lfht_lookup(ht, name, length) != which + 1;
				lfht[i] = ticks() - t;
			}
		}
		t = ticks();
		none[i] = ticks() - t;
	}
	qsort(none, SAMPLES, sizeof(none[0]), by_value);
	print_row("whereis", heir, none[SAMPLES / 2], h);
	print_row("lfht", lfht, none[SAMPLES / 2], l);
	printf("  %-14s p50 %6.2f  p99 %6.2f\n", "ratio", h[0] / l[0], h[1] / l[1]);
	if (wrong)
		printf("  WRONG ANSWERS: %" PRIu64 "\n", wrong);
}

static void changes(struct shm *shm, uint32_t names)
{
	char name[KEY_MAX];
	uint64_t t = clock_now(), u;

	for (uint32_t i = 0; i < names; i++)
		names_re_register(shm, SLOT, name, name_of(name, draw(names)), 0, 1, NULL, NULL,
				  NULL);
	u = clock_now();
	printf("  re_register %.0f ns", (double)(u - t) / names);
	t = clock_now();
	for (uint32_t i = 0; i < names; i++)
		names_unregister(shm, SLOT, name, name_of(name, i), 0, NULL, NULL);
	printf(", unregister %.0f ns a call, making the name included\n",
	       (double)(clock_now() - t) / names);
}

static void run(uint32_t names)
{
	struct cds_lfht *ht =
		cds_lfht_new_flavor(names_buckets_for(names), 1, 0, 0, &urcu_qsbr_flavor, NULL);
	struct entry *entries = calloc(names, sizeof(*entries));
	struct shm shm;
	uint64_t t;

	if (!ht || !entries)
		exit(1);
	shm_fixture_init(&shm, 257, names_buckets_for(names), names_cells_for(names, KEY_MAX, 257));
	memset(shm.base, 0, shm.size);
	for (uint32_t i = 0; i < names; i++) {
		struct entry *e = &entries[i];

		e->length = (uint32_t)name_of(e->name, i);
		e->binding = i + 1;
		cds_lfht_node_init(&e->node);
		urcu_qsbr_read_lock();
		cds_lfht_add_unique(ht, hash_bytes(e->name, e->length), match,
				    &(struct wanted){e->name, e->length}, &e->node);
		urcu_qsbr_read_unlock();
	}
	t = clock_now();
	for (uint32_t i = 0; i < names; i++)
		if (names_register(&shm, SLOT, entries[i].name, entries[i].length, i + 1, NULL,
				   NULL))
			exit(1);
	t = clock_now() - t;
	printf("%" PRIu32 " names: register %.0f ns a call, %.3f s in all\n", names,
	       (double)t / names, (double)t / 1e9);
	compare(&shm, ht, names);
	changes(&shm, names);
	shm_fixture_finish(&shm);
	for (uint32_t i = 0; i < names; i++)
		cds_lfht_del(ht, &entries[i].node);
	urcu_qsbr_synchronize_rcu();
	cds_lfht_destroy(ht, NULL);
	free(entries);
}

int main(void)
{
	calibrate();
	urcu_qsbr_register_thread();
	run(1);
	run(65536);
	run(1u << 20);
	urcu_qsbr_unregister_thread();
	return 0;
}
