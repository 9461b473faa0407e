/* SPDX-License-Identifier: ISC */
/* The name table: each bucket as it was at one instant, and what its names are bound to. */
#include <stddef.h>

#include "name/names.h"
#include "proc/slot.h"
#include "proc/verify_impl.h"

/* The slot's word is loaded after the binding: incarnations rise. */
static const char *look_binding(struct verify *v, uint64_t binding)
{
	struct shm_role *role;
	struct shm_slot *s;

	if (name_binding_is_role(binding)) {
		role = shm_role(v->shm, name_binding_role_of(binding));
		return role && role->app == name_binding_app(binding)
			       ? NULL
			       : "a name is bound to a role that does not exist";
	}
	s = shm_slot(v->shm, handle_slot(binding));
	if (!s || slot_unpack(atom_load_acquire(&s->word)).incarnation < handle_incarnation(binding))
		return "a name is bound to a process that never was";
	v->dead_names += handle_gone(v->shm, binding);
	return NULL;
}

static int look_name(const char *name, size_t length, uint64_t binding, void *arg)
{
	struct verify *v = arg;
	const char *wrong = look_binding(v, binding);

	(void)name;
	v->name_cells += names_cells_of(length);
	if (wrong)
		v->wrong_binding = wrong;
	return 0;
}

static const char *look_bucket(struct verify *v, uint32_t i)
{
	int rc;

	v->dead_names = v->name_cells = 0;
	v->wrong_binding = NULL;
	rc = names_check_bucket(v->shm, i, look_name, v);
	if (rc == HEIR_EAGAIN)
		return verify_changing;
	return rc < 0 ? "its names contradict each other or themselves" : v->wrong_binding;
}

static const char *look_name_cell(struct verify *v, uint32_t i)
{
	return names_check_cell(v->shm, i, NULL) < 0 ? "its word is in no state" : NULL;
}

void verify_names(struct verify *v)
{
	uint64_t dead = 0, cells = 0, used = 0, damage = v->sum.damage;

	for (uint32_t i = 0; i < v->shm->limits.buckets && !v->end; i++) {
		verify_judge(v, "bucket", i, look_bucket, i);
		dead += v->dead_names;
		cells += v->name_cells;
	}
	for (uint32_t i = 1; i < v->shm->limits.name_cells && !v->end; i++) {
		bool in_use = false;

		verify_judge(v, "name cell", i, look_name_cell, i);
		(void)names_check_cell(v->shm, i, &in_use);
		used += in_use;
	}
	if (dead)
		verify_leftover(v, "names", 0, dead, "names of processes that are dead: they count as free");
	if (used > cells && v->sum.damage == damage && verify_still(v))
		verify_leftover(v, "names", 0, used - cells,
				"name cells in use by no name: whoever needs room frees them");
}
