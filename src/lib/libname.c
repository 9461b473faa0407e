/* SPDX-License-Identifier: ISC */
/* Names: registered, looked up, listed. A role's names change only while its owner's transaction is open. */
#include <string.h>

#include "base/text.h"
#include "lib/resolve.h"
#include "name/names.h"
#include "state/control.h"

static int name_size(const heir_t *h, const char *name, size_t *ret)
{
	size_t n = name ? strnlen(name, SHM_NAME_MAX + 1) : 0;

	if (n < 1 || n > SHM_NAME_MAX || memchr(name, '@', n))
		return HEIR_EINVAL;
	if (h->self == 0)
		return HEIR_EPERM;
	*ret = n;
	return 0;
}

enum name_op { OP_REGISTER, OP_RE_REGISTER, OP_UNREGISTER };

static int change(heir_t *h, enum name_op op, const char *name, size_t n, uint64_t binding)
{
	if (op == OP_REGISTER)
		return names_register(&h->shm, h->slot, name, n, binding, binding_lives, &h->shm);
	if (op == OP_RE_REGISTER)
		return names_re_register(&h->shm, h->slot, name, n, 0, binding, binding_lives, &h->shm, NULL);
	return names_unregister(&h->shm, h->slot, name, n, binding, binding_lives, &h->shm);
}

/*
 * A stopped owner that wakes later must change nothing: it changes a role's name only while its own transaction
 * is open, and while that is so nobody is switched to.
 */
static int change_as_owner(heir_t *h, enum name_op op, const char *name, size_t n, uint64_t binding)
{
	int bracket = !h->open, rc;

	if (bracket) {
		rc = heir_begin(h);
		if (rc)
			return rc;
	}
	rc = change(h, op, name, n, binding);
	if (bracket) {
		int rc2 = heir_commit(h);

		rc = rc ? rc : rc2;
	}
	return rc;
}

static int bind_name(heir_t *h, enum name_op op, const char *name, enum heir_bind bind)
{
	struct shm_slot *s;
	size_t n;
	int rc = name_size(h, name, &n);

	if (rc)
		return rc;
	if (bind == HEIR_ROLE) {
		struct shm_app *a;

		if (h->place.role < 0 || h->place.app < 0)
			return HEIR_EINVAL;
		a = shm_app(&h->shm, (uint32_t)h->place.app);
		uint64_t binding = name_binding_role((uint32_t)h->place.app, (uint32_t)h->place.role);

		return (uint32_t)h->place.role == a->lead_role ? change_as_owner(h, op, name, n, binding)
							       : change(h, op, name, n, binding);
	}
	if (bind != HEIR_SELF)
		return HEIR_EINVAL;
	/* Counted before, so that whoever buries this process looks for it. */
	s = shm_slot(&h->shm, h->slot);
	atom_add_release(&s->names, 1);
	rc = change(h, op, name, n, h->self);
	if (rc)
		atom_add_relaxed(&s->names, (uint32_t)-1);
	return rc;
}

int heir_register(heir_t *h, const char *name, enum heir_bind bind)
{
	return bind_name(h, OP_REGISTER, name, bind);
}

int heir_re_register(heir_t *h, const char *name, enum heir_bind bind)
{
	return bind_name(h, OP_RE_REGISTER, name, bind);
}

int heir_unregister(heir_t *h, const char *name)
{
	uint64_t binding;
	size_t n;
	int rc = name_size(h, name, &n);

	if (rc)
		return rc;
	rc = names_lookup(&h->shm, name, n, &binding, NULL);
	if (rc)
		return rc;
	if (binding == h->self)
		return change(h, OP_UNREGISTER, name, n, h->self);
	if (h->place.role < 0 || binding != name_binding_role((uint32_t)h->place.app, (uint32_t)h->place.role))
		return HEIR_EPERM;
	return change_as_owner(h, OP_UNREGISTER, name, n, binding);
}

int heir_unregister_any(heir_t *h, const char *name)
{
	size_t n;
	int rc = name_size(h, name, &n);

	return rc ? rc : names_unregister(&h->shm, h->slot, name, n, 0, binding_lives, &h->shm);
}

static void set_node(const heir_t *h, uint64_t handle, struct heir_where *w)
{
	struct slot_place p = slot_place(&h->shm, handle_slot(handle));
	struct shm_node *n = p.node >= 0 ? shm_node(&h->shm, (uint32_t)p.node) : NULL;

	w->handle = handle;
	w->pid = handle_pid(&h->shm, handle);
	if (n)
		TEXT_COPY(w->node, n->name);
}

static int where_of(const heir_t *h, uint64_t binding, struct heir_where *w)
{
	struct shm_role *r;
	struct shm_app *a;
	struct control c;
	uint64_t handle;

	memset(w, 0, sizeof(*w));
	if (!name_binding_is_role(binding)) {
		if (!handle_alive(&h->shm, binding))
			return HEIR_ENOENT;
		set_node(h, binding, w);
		w->state = HEIR_NAME_LIVE;
		return 0;
	}
	r = shm_role(&h->shm, name_binding_role_of(binding));
	a = r ? shm_app(&h->shm, r->app) : NULL;
	if (!a)
		return HEIR_ECORRUPT;
	TEXT_COPY(w->application, a->name);
	c = control_unpack(atom_load_acquire(&a->control));
	w->generation = c.generation;
	handle = role_process(&h->shm, name_binding_role_of(binding));
	w->state = handle && c.phase == PHASE_SERVING ? HEIR_NAME_LIVE : HEIR_NAME_WAITING;
	if (handle)
		set_node(h, handle, w);
	return 0;
}

int heir_whereis(heir_t *h, const char *name, struct heir_where *ret)
{
	struct heir_where w;
	struct resolved r;
	uint64_t binding;
	uint32_t version;
	size_t n;
	int rc;

	if (name && strchr(name, '@')) {
		rc = resolve(h, name, &r);
		if (rc)
			return rc;
		rc = where_of(h, r.handle, &w);
		if (rc == 0)
			*ret = w;
		return rc;
	}
	n = name ? strnlen(name, SHM_NAME_MAX + 1) : 0;
	if (n < 1 || n > SHM_NAME_MAX)
		return HEIR_EINVAL;
	do {
		rc = names_lookup(&h->shm, name, n, &binding, &version);
		if (rc)
			return rc;
		rc = where_of(h, binding, &w);
	} while (!names_unchanged(&h->shm, name, n, version));
	if (rc == 0)
		*ret = w;
	return rc;
}

struct each {
	const heir_t *h;
	int (*each)(const char *name, const struct heir_where *where, void *arg);
	void *arg;
};

static int visit(const char *name, size_t length, uint64_t binding, void *arg)
{
	struct each *e = arg;
	struct heir_where w;
	char text[SHM_NAME_MAX + 1];

	if (where_of(e->h, binding, &w) || length > SHM_NAME_MAX)
		return 0;
	memcpy(text, name, length);
	text[length] = 0;
	return e->each(text, &w, e->arg);
}

int heir_names(heir_t *h, int (*each)(const char *name, const struct heir_where *where, void *arg), void *arg)
{
	struct each e = {h, each, arg};

	return names_each(&h->shm, visit, &e);
}
