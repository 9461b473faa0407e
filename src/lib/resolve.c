/* SPDX-License-Identifier: ISC */
/* Names resolved to processes and mailboxes. */
#include "lib/resolve.h"

#include <string.h>

#include "name/names.h"
#include "state/control.h"

bool binding_lives(uint64_t binding, void *shm)
{
	return name_binding_is_role(binding) || handle_alive(shm, binding);
}

uint64_t role_process(const struct shm *shm, uint32_t role)
{
	struct shm_role *r = shm_role(shm, role);
	struct shm_app *a = r ? shm_app(shm, r->app) : NULL;
	struct control c = control_unpack(a ? atom_load_acquire(&a->control) : 0);
	struct slot_place place;
	uint64_t handle;

	if (!a || c.phase == PHASE_DOWN || c.owner == 0)
		return 0;
	place = slot_place(shm, c.owner);
	if (role == a->lead_role)
		handle = slot_handle(shm, c.owner);
	else if (place.node >= 0 && (uint32_t)place.node < shm->limits.nodes)
		handle = atom_load_acquire(&r->candidate[place.node]);
	else
		return 0;
	return handle;
}

static int resolve_at(const heir_t *h, const char *name, size_t size, const char *node, struct resolved *ret)
{
	int n = lib_find_node(h, node);
	uint64_t binding, handle;
	int rc;

	if (n < 0)
		return HEIR_ENOENT;
	if (size == 4 && memcmp(name, "heir", 4) == 0) {
		handle = atom_load_acquire(&shm_node(&h->shm, (uint32_t)n)->leader);
	} else {
		rc = names_lookup(&h->shm, name, size, &binding, NULL);
		if (rc)
			return rc;
		if (!name_binding_is_role(binding) || !shm_role(&h->shm, name_binding_role_of(binding)))
			return HEIR_ENOENT;
		handle = atom_load_acquire(&shm_role(&h->shm, name_binding_role_of(binding))->candidate[n]);
	}
	if (!handle || !handle_alive(&h->shm, handle))
		return HEIR_ENOENT;
	*ret = (struct resolved){-1, handle, shm_slot_mailbox(&h->shm, handle_slot(handle))};
	return 0;
}

int resolve(const heir_t *h, const char *name, struct resolved *ret)
{
	const char *at = strrchr(name, '@');
	size_t size = at ? (size_t)(at - name) : strlen(name);
	uint64_t binding;
	uint32_t role;
	int rc;

	if (size < 1 || size > SHM_NAME_MAX)
		return HEIR_EINVAL;
	if (at)
		return resolve_at(h, name, size, at + 1, ret);
	rc = names_lookup(&h->shm, name, size, &binding, NULL);
	if (rc)
		return rc;
	if (!name_binding_is_role(binding)) {
		if (!handle_alive(&h->shm, binding))
			return HEIR_ENOENT;
		*ret = (struct resolved){-1, binding, shm_slot_mailbox(&h->shm, handle_slot(binding))};
		return 0;
	}
	role = name_binding_role_of(binding);
	if (!shm_role(&h->shm, role))
		return HEIR_ECORRUPT;
	*ret = (struct resolved){(int)role, 0, role};
	return 0;
}
