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

/* What a binding stood for at one instant; as numbers, since most looks are at names that exist. */
struct found {
	const struct shm_app *app; /* NULL: bound to a process */
	uint64_t handle;
	pid_t pid;
	uint32_t generation;
	enum heir_name_state state;
};

static int find(const heir_t *h, uint64_t binding, struct found *f)
{
	struct shm_role *r;
	struct shm_app *a;
	struct control c;

	if (!name_binding_is_role(binding)) {
		*f = (struct found){NULL, binding, handle_pid(&h->shm, binding), 0, HEIR_NAME_LIVE};
		return f->pid ? 0 : HEIR_ENOENT;
	}
	r = shm_role(&h->shm, name_binding_role_of(binding));
	a = r ? shm_app(&h->shm, r->app) : NULL;
	if (!a)
		return HEIR_ECORRUPT;
	c = control_unpack(atom_load_acquire(&a->control));
	*f = (struct found){.app = a, .generation = c.generation, .state = HEIR_NAME_WAITING};
	f->handle = role_process(&h->shm, name_binding_role_of(binding));
	f->pid = f->handle ? handle_pid(&h->shm, f->handle) : 0;
	if (f->pid == 0)
		f->handle = 0;
	else if (c.phase == PHASE_SERVING)
		f->state = HEIR_NAME_LIVE;
	return 0;
}

static void tell(const heir_t *h, const struct found *f, struct heir_where *ret)
{
	int node = f->handle ? shm_slot_node(&h->shm, handle_slot(f->handle)) : -1;

	ret->application[0] = ret->node[0] = 0;
	if (f->app)
		TEXT_COPY(ret->application, f->app->name);
	if (node >= 0)
		TEXT_COPY(ret->node, h->shm.nodes[node].name);
	ret->pid = f->pid;
	ret->generation = f->generation;
	ret->state = f->state;
	ret->handle = f->handle;
}

int heir_whereis(heir_t *h, const char *name, struct heir_where *ret)
{
	struct name_seen seen;
	struct resolved r;
	struct found f;
	uint64_t binding;
	size_t n = name ? strnlen(name, SHM_NAME_MAX + 66) : 0;
	int rc;

	if (n && memchr(name, '@', n)) {
		rc = resolve(h, name, &r);
		if (rc == 0)
			rc = find(h, r.handle, &f);
	} else if (n < 1 || n > SHM_NAME_MAX) {
		rc = HEIR_EINVAL;
	} else {
		do {
			rc = names_lookup(&h->shm, name, n, &binding, &seen);
			if (rc)
				return rc;
			rc = find(h, binding, &f);
		} while (!names_unchanged(seen));
	}
	if (rc == 0)
		tell(h, &f, ret);
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
	struct found f;
	char text[SHM_NAME_MAX + 1];

	if (find(e->h, binding, &f) || length > SHM_NAME_MAX)
		return 0;
	tell(e->h, &f, &w);
	memcpy(text, name, length);
	text[length] = 0;
	return e->each(text, &w, e->arg);
}

int heir_names(heir_t *h, int (*each)(const char *name, const struct heir_where *where, void *arg), void *arg)
{
	struct each e = {h, each, arg};

	return names_each(&h->shm, visit, &e);
}
