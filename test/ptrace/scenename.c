/* SPDX-License-Identifier: ISC */
/* Scenes of the name table: the changed name is in one bucket with others, short ones and long ones. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "lib/resolve.h"
#include "name/nameroom.h"
#include "name/names.h"
#include "scene.h"

#define NEIGHBOURS 4u
#define OLD	   name_binding_role(0, 0)
#define NEW	   name_binding_role(0, 1)
#define DEAD	   handle_make(STAGE_SLOTS, 77) /* of a process that is not there any more */
#define LONG	   100u

static char target[LONG + 1], neighbour[NEIGHBOURS][64];

/* All in the bucket of the target; the even ones are longer than a cell. */
static void make_names(void)
{
	uint64_t mask = stage.d.shm.limits.buckets - 1;
	unsigned n = 0, i = 0;

	memset(target, 't', LONG);
	while (i < NEIGHBOURS) {
		snprintf(neighbour[i], sizeof(neighbour[i]),
			 i % 2 ? "n%u" : "a-name-of-more-than-forty-bytes-which-is-%u", n++);
		if ((hash_bytes(neighbour[i], strlen(neighbour[i])) & mask) ==
		    (hash_bytes(target, LONG) & mask))
			i++;
	}
}

static void put(heir_t *h, const char *name, uint64_t binding)
{
	MUST(names_re_register(&h->shm, h->slot, name, strlen(name), 0, binding, NULL, NULL, NULL) == 0);
}

/* The target is in the midst of the bucket. */
static void set_names(uint64_t before)
{
	make_names();
	as_client();
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		if (i == 2 && before)
			put(actor, target, before);
		put(actor, neighbour[i], before == DEAD ? DEAD : OLD);
	}
	if (before == DEAD)
		for (unsigned i = 0; i < NEIGHBOURS; i += 2)
			put(actor, neighbour[i], OLD);
}

static uint64_t look(const struct shm *shm, const char *name)
{
	uint64_t binding = 0;
	int rc = names_lookup(shm, name, strlen(name), &binding, NULL);

	SURE(rc == 0 || rc == HEIR_ENOENT);
	SURE((rc == 0) == (binding != 0));
	return binding;
}

static int glance(const struct shm *shm, uint64_t before, uint64_t after)
{
	uint64_t is;

	make_names();
	for (unsigned i = 0; i < NEIGHBOURS; i++)
		SURE(look(shm, neighbour[i]) == OLD);
	is = look(shm, target);
	SURE(is == before || is == after);
	return is == after;
}

static void ready_none(void)
{
	set_names(0);
}

static void ready_old(void)
{
	set_names(OLD);
}

/* The table is full of what the dead left linked nowhere: room has to be made. */
static void ready_full(void)
{
	atom64 *used;

	set_names(0);
	used = name_hint(&actor->shm, NAME_HINT_USED);
	for (uint32_t i = 1; atom_load_relaxed(used) < names_capacity(&actor->shm); i++) {
		atom64 *word = &actor->shm.name_cells[i].words[0];

		if (namecell_state(atom_load_relaxed(word)) != NAMECELL_FREE)
			continue;
		atom_store_relaxed(word, namecell_word(9, 0, 0, NAMECELL_LINKED));
		atom_add_relaxed(used, 1);
	}
}

static void act_register(void)
{
	(void)names_register(&actor->shm, actor->slot, target, LONG, NEW, binding_lives, &actor->shm);
}

static void act_re_register(void)
{
	(void)names_re_register(&actor->shm, actor->slot, target, LONG, 0, NEW, binding_lives, &actor->shm,
				NULL);
}

static void act_re_register_if(void)
{
	(void)names_re_register(&actor->shm, actor->slot, target, LONG, OLD, NEW, binding_lives, &actor->shm,
				NULL);
}

static void act_re_register_if_not(void)
{
	(void)names_re_register(&actor->shm, actor->slot, target, LONG, DEAD, NEW, binding_lives, &actor->shm,
				NULL);
}

static void act_unregister(void)
{
	(void)names_unregister(&actor->shm, actor->slot, target, LONG, OLD, binding_lives, &actor->shm);
}

static int glance_registered(const struct shm *shm)
{
	return glance(shm, 0, NEW);
}

static int glance_replaced(const struct shm *shm)
{
	return glance(shm, OLD, NEW);
}

static int glance_unregistered(const struct shm *shm)
{
	return glance(shm, OLD, 0);
}

static int found_registered(struct verifier *v)
{
	return glance_registered(&v->h->shm);
}

static int found_replaced(struct verifier *v)
{
	return glance_replaced(&v->h->shm);
}

static int found_unregistered(struct verifier *v)
{
	return glance_unregistered(&v->h->shm);
}

/* Names of one who was not buried: the target, and every second neighbour. */
static void ready_dead(void)
{
	const struct slot_word left = {.incarnation = handle_incarnation(DEAD), .state = SLOT_FREE};

	set_names(DEAD);
	atom_store_relaxed(&actor->shm.slots[handle_slot(DEAD)].word, slot_pack(left));
}

static void act_drop(void)
{
	(void)names_drop_binding(&actor->shm, actor->slot, DEAD);
}

/* Each of them goes by itself. */
static int glance_dropped(const struct shm *shm)
{
	int dropped = 0;

	make_names();
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		uint64_t is = look(shm, neighbour[i]);

		SURE(i % 2 ? is == DEAD || is == 0 : is == OLD);
		dropped += is == 0;
	}
	SURE(look(shm, target) == DEAD || look(shm, target) == 0);
	return dropped + (look(shm, target) == 0);
}

static int found_dropped(struct verifier *v)
{
	return glance_dropped(&v->h->shm);
}

/* As the library does it; a dead process's own names vanish. */
static void act_register_self(void)
{
	(void)heir_register(actor, "one", HEIR_SELF);
	(void)heir_register(actor, "two", HEIR_SELF);
	(void)heir_unregister(actor, "two");
}

static int found_no_self(struct verifier *v)
{
	SURE(look(&v->h->shm, "one") == 0);
	SURE(look(&v->h->shm, "two") == 0);
	return 0;
}

static void ready_owner(void)
{
	as_owner();
}

/* A name of the role: it needs the owner's transaction around it. */
static void act_register_role(void)
{
	(void)heir_register(actor, "late", HEIR_ROLE);
}

static int glance_role(const struct shm *shm)
{
	SURE(look(shm, "late") == 0 || look(shm, "late") == OLD);
	return look(shm, "late") != 0;
}

static int found_role(struct verifier *v)
{
	return glance_role(&v->h->shm);
}

const struct scene name_scenes[] = {
	{"register", {ready_none, act_register},
	 .glance = glance_registered, .found = found_registered, .last = 1},
	{"register in a full table", {ready_full, act_register},
	 .glance = glance_registered, .found = found_registered, .last = 1},
	{"re_register", {ready_old, act_re_register},
	 .glance = glance_replaced, .found = found_replaced, .last = 1},
	{"re_register_if", {ready_old, act_re_register_if},
	 .glance = glance_replaced, .found = found_replaced, .last = 1},
	{"re_register_if, refused", {ready_old, act_re_register_if_not},
	 .glance = glance_replaced, .found = found_replaced},
	{"unregister", {ready_old, act_unregister},
	 .glance = glance_unregistered, .found = found_unregistered, .last = 1},
	{"drop a dead one's names", {ready_dead, act_drop},
	 .glance = glance_dropped, .found = found_dropped, .last = 3},
	{"direct names", {as_client, act_register_self}, .found = found_no_self},
	{"name of the role", {ready_owner, act_register_role},
	 .glance = glance_role, .found = found_role, .last = 1},
	{0},
};
