/* SPDX-License-Identifier: ISC */
/*
 * Names: histories of processes that register, replace, unregister and look up a few names of one bucket, killed
 * and stopped anywhere, are linearizable. Each name is an object: who it is bound to. The table is so small that
 * every cell is soon another name's.
 *
 * names_linear [SECONDS [SEED]]
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "heir.h"
#include "linearstorm.h"
#include "name/names.h"
#include "support/shm_fixture.h"

#define WORKERS 4u
#define PARENT	(WORKERS + 1)
#define KEYS	4u
#define CELLS	160u /* of which names take a third at most: nameroom.h */

enum what { REGISTER, REPLACE, REPLACE_IF, UNREGISTER, UNREGISTER_IF, LOOKUP, WHATS };

static struct shm shm;

static size_t name_of(uint32_t key, char name[SHM_NAME_MAX + 1])
{
	static const size_t length[KEYS] = {1, 8, 60, 100}; /* cells: 1, 1, 2, 3 */

	memset(name, 'a' + (int)key, length[key]);
	return length[key];
}

static void act(struct event *e, uint32_t slot)
{
	char name[SHM_NAME_MAX + 1];
	size_t n = name_of(e->key, name);

	switch ((enum what)e->what) {
	case REGISTER:
		e->result = names_register(&shm, slot, name, n, e->arg[0], NULL, NULL);
		break;
	case REPLACE:
		e->result = names_re_register(&shm, slot, name, n, 0, e->arg[0], NULL, NULL, &e->got[0]);
		break;
	case REPLACE_IF:
		e->result =
			names_re_register(&shm, slot, name, n, e->arg[1], e->arg[0], NULL, NULL, &e->got[0]);
		break;
	case UNREGISTER:
		e->result = names_unregister(&shm, slot, name, n, 0, NULL, NULL);
		break;
	case UNREGISTER_IF:
		e->result = names_unregister(&shm, slot, name, n, e->arg[1], NULL, NULL);
		break;
	case LOOKUP:
		e->result = names_lookup(&shm, name, n, &e->got[0], NULL);
		break;
	case WHATS:
		break;
	}
}

static int work(unsigned place, uint64_t seed)
{
	static const enum what often[] = {REGISTER, REGISTER, REPLACE, REPLACE_IF, UNREGISTER, UNREGISTER_IF,
					  LOOKUP,   LOOKUP,   LOOKUP,  LOOKUP,	   LOOKUP,     LOOKUP};
	uint64_t random = seed, last[KEYS] = {0}, n = 0;
	struct event *e;

	while (history_goes_on() && (e = history_next(place))) {
		e->what = often[draw(&random, sizeof(often) / sizeof(often[0]))];
		e->key = (uint32_t)draw(&random, KEYS);
		/* A binding of a role: no two are equal. */
		e->arg[0] = NAME_BINDING_ROLE | seed << 20 | ++n;
		e->arg[1] = last[e->key] ? last[e->key] : 1;
		history_call(place, e);
		act(e, place + 1);
		history_return(e);
		if (e->result == 0)
			last[e->key] = e->what == LOOKUP ? e->got[0] : e->arg[0];
	}
	return 0;
}

static bool still_dead(void *arg)
{
	(void)arg;
	return true; /* its successor is not there yet */
}

static void died(unsigned place)
{
	names_bury(&shm, place + 1, still_dead, NULL);
}

/* The specification: who the name is bound to, 0 nobody. */

static void begin(void *state)
{
	memset(state, 0, sizeof(uint64_t));
}

static bool happen(void *state, const struct operation *op)
{
	const struct event *e = op->what;
	uint64_t is, *bound = &is;
	int result = 0;

	memcpy(&is, state, sizeof(is));
	if (e->what == LOOKUP) {
		result = is ? 0 : HEIR_ENOENT;
		return op->died || (e->result == result && (result || e->got[0] == is));
	}
	if (e->what == REGISTER && is)
		result = HEIR_EEXIST;
	if ((e->what == REPLACE_IF || e->what == UNREGISTER || e->what == UNREGISTER_IF) && !is)
		result = HEIR_ENOENT;
	else if ((e->what == REPLACE_IF || e->what == UNREGISTER_IF) && is != e->arg[1])
		result = HEIR_EPERM;
	if (op->died ? result != 0 : e->result != result)
		return false;
	if (!op->died && result == 0 && (e->what == REPLACE || e->what == REPLACE_IF) && e->got[0] != is)
		return false;
	if (result == 0)
		*bound = e->what == UNREGISTER || e->what == UNREGISTER_IF ? 0 : e->arg[0];
	memcpy(state, &is, sizeof(is));
	return true;
}

static bool of_key(const struct event *e, uint32_t key)
{
	return e->key == key && !(e->what == LOOKUP && e->returned < 0);
}

static void print(const struct event *e)
{
	static const char *const what[] = {"register",	 "re_register",	  "re_register_if",
					   "unregister", "unregister_if", "lookup"};

	printf("%s(%" PRIx64 ", expected %" PRIx64 "): %d, %" PRIx64 "\n", what[e->what], e->arg[0], e->arg[1],
	       e->result, e->got[0]);
}

static int count_cells(const char *name, size_t length, uint64_t binding, void *arg)
{
	(void)name;
	(void)binding;
	*(uint32_t *)arg += names_cells_of(length);
	return 0;
}

static bool round_of(uint64_t seed, struct tally *tally)
{
	static const struct specification spec = {sizeof(uint64_t), begin, happen};
	const struct storm storm = {.workers = WORKERS,
				    .seed = seed,
				    .length = 15000000,
				    .spared = WORKERS,
				    .work = work,
				    .died = died};
	uint32_t cells = 0;
	bool good = true;

	if (!shm.base)
		shm_fixture_init(&shm, PARENT + 1, 1, CELLS);
	memset(shm.base, 0, shm.size);
	if (!storm_run(&storm, tally))
		return false;
	for (uint32_t key = 0; good && key < KEYS; key++) {
		char object[32];
		size_t n;
		struct operation *ops = history_operations(of_key, key, &n);

		snprintf(object, sizeof(object), "name %u", key);
		good = history_check(&spec, ops, n, object, print, tally);
		free(ops);
	}
	(void)names_each(&shm, count_cells, &cells);
	if (names_check(&shm) || names_sweep(&shm) != cells) {
		printf("the table is not whole: check %d, %u cells of names, %u in use\n", names_check(&shm),
		       cells, names_sweep(&shm));
		return false;
	}
	return good;
}

int main(int argc, char **argv)
{
	return storm_main(argc, argv, "names", round_of);
}
