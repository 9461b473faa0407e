/* SPDX-License-Identifier: ISC */
/* The domain as a whole, read from words alone: nobody has to be awake for it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/text.h"
#include "lib/handle.h"
#include "proc/recover.h"
#include "proc/verify.h"
#include "shm/policy.h"
#include "state/control.h"

static const char *const child_names[] = {"absent", "starting", "running", "stopping", "restarting", "failed"};
static const char *const node_names[] = {"down", "starting", "up", "stopping"};

static bool is_led(const heir_t *h, uint32_t node)
{
	uint64_t leader = atom_load_acquire(&shm_node(&h->shm, node)->leader);

	return leader && !handle_gone(&h->shm, leader);
}

/* Somebody sees to it that what has died is served again. */
static bool is_led_anywhere(const heir_t *h)
{
	for (uint32_t n = 0; n < h->shm.limits.nodes; n++)
		if (is_led(h, n))
			return true;
	return false;
}

static enum heir_app_state state_of(const heir_t *h, uint32_t index, struct control c, bool owner_lives)
{
	struct shm_app *a = shm_app(&h->shm, index);

	if (c.phase == PHASE_DOWN)
		return atom_load_acquire(&a->failed)       ? HEIR_APP_FAILED
		       : move_driver_alive(&h->shm, index) ? HEIR_APP_STARTING
							   : HEIR_APP_DOWN;
	if (!owner_lives && !is_led_anywhere(h))
		return HEIR_APP_DOWN;
	if (c.phase == PHASE_SERVING && owner_lives)
		return HEIR_APP_RUNNING;
	return atom_load_acquire(&a->start) == 0 ? HEIR_APP_STARTING : HEIR_APP_MOVING;
}

/* The lead, and each role that a takeover would ask: one that is missing would fail its start. */
static bool whole_standby(const heir_t *h, struct shm_app *a, uint32_t node)
{
	for (uint32_t i = 0; i < a->roles && i < SHM_APP_ROLES_MAX; i++) {
		struct shm_role *r = shm_role(&h->shm, a->first_role + i);
		uint64_t handle = r && (r->flags & ROLE_ATTACH) ? atom_load_acquire(&r->candidate[node]) : 0;

		if (r && !(r->flags & ROLE_ATTACH))
			continue;
		if (!handle || !handle_alive(&h->shm, handle) ||
		    atom_load_acquire(&shm_slot(&h->shm, handle_slot(handle))->ready) != WORKER_STANDBY)
			return false;
	}
	return true;
}

static void fill_instances(const heir_t *h, struct shm_app *a, struct control c, struct heir_app_status *s)
{
	struct shm_role *lead = shm_role(&h->shm, a->lead_role);
	int owner = c.phase == PHASE_DOWN ? -1 : slot_place(&h->shm, c.owner).node;

	for (uint32_t n = 0; n < h->shm.limits.nodes; n++) {
		struct heir_instance_status *i = &s->instance[s->instances];
		uint64_t handle = lead ? atom_load_acquire(&lead->candidate[n]) : 0;
		uint32_t state = atom_load_acquire(&a->instance[n]);

		if (policy_priority(&h->shm, a, n) == 0)
			continue;
		TEXT_COPY(i->node, shm_node(&h->shm, n)->name);
		i->permitted = (int)(atom_load_relaxed(&a->permitted) >> n & 1);
		i->state = state <= INSTANCE_STOPPING ? (enum heir_instance_state)state : HEIR_ABSENT;
		s->instances++;
		if (handle && handle_alive(&h->shm, handle) && (int)n != owner) {
			uint32_t ready = atom_load_acquire(&shm_slot(&h->shm, handle_slot(handle))->ready);

			if (ready == WORKER_STANDBY && whole_standby(h, a, n)) {
				i->state = HEIR_STANDBY;
				s->is_protected |= i->permitted && c.phase == PHASE_SERVING;
			}
		} else if ((int)n == owner && s->state == HEIR_APP_RUNNING) {
			i->state = HEIR_RUNNING;
		} else if (!is_led(h, n)) {
			i->state = HEIR_ABSENT;
		}
	}
}

/* What a leader has written, as long as there is one: its children end with it. */
static void fill_children(const heir_t *h, struct shm_app *a, uint32_t node, struct heir_app_status *s)
{
	bool led = is_led(h, node);

	for (uint32_t i = 0; i < a->roles && i < 64; i++) {
		struct shm_role *r = shm_role(&h->shm, a->first_role + i);
		struct heir_child_status *c = &s->child[s->children];
		uint64_t w;

		if (!r)
			return;
		w = atom_load_acquire(&r->child[node]);
		TEXT_COPY(c->id, r->id);
		c->pid = led ? (pid_t)(w & 0xffffff) : 0;
		c->state = child_names[led && (w >> 24 & 0xff) <= CHILD_FAILED ? w >> 24 & 0xff : 0];
		c->restarts = (uint32_t)(w >> 32);
		s->children++;
	}
}

static void fill_app(const heir_t *h, uint32_t index, struct heir_app_status *s)
{
	struct shm_app *a = shm_app(&h->shm, index);
	struct control c = control_unpack(atom_load_acquire(&a->control));
	uint64_t start = atom_load_acquire(&a->start);
	uint64_t owner = c.phase == PHASE_DOWN ? 0 : slot_handle(&h->shm, c.owner);
	int node = c.phase == PHASE_DOWN ? -1 : slot_place(&h->shm, c.owner).node;

	memset(s, 0, sizeof(*s));
	TEXT_COPY(s->name, a->name);
	s->generation = c.generation;
	s->start_type = start >> 56 <= HEIR_LOCAL ? (enum heir_start_type)(start >> 56) : 0;
	s->state = state_of(h, index, c, owner && !handle_noticed(&h->shm, owner));
	if (s->state == HEIR_APP_DOWN) /* also: was served there, and nobody is left */
		node = -1;
	if (node >= 0 && shm_node(&h->shm, (uint32_t)node))
		TEXT_COPY(s->node, shm_node(&h->shm, (uint32_t)node)->name);
	fill_instances(h, a, c, s);
	if (node >= 0 && (uint32_t)node < h->shm.limits.nodes)
		fill_children(h, a, (uint32_t)node, s);
}

int heir_app_status(heir_t *h, const char *application, struct heir_app_status *ret)
{
	int app = application ? lib_find_app(h, application) : -1;

	if (app < 0)
		return HEIR_ENOENT;
	fill_app(h, (uint32_t)app, ret);
	return 0;
}

int heir_status(heir_t *h, struct heir_status **ret)
{
	struct heir_status *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->application = calloc(h->shm.limits.apps, sizeof(*s->application));
	if (!s->application) {
		free(s);
		return -ENOMEM;
	}
	TEXT_COPY(s->domain, h->shm.head->domain);
	for (uint32_t n = 0; n < h->shm.limits.nodes; n++) {
		struct shm_node *node = shm_node(&h->shm, n);
		uint64_t leader = atom_load_acquire(&node->leader);
		uint32_t state = atom_load_acquire(&node->state);

		TEXT_COPY(s->node[n].name, node->name);
		s->node[n].pid = leader ? handle_pid(&h->shm, leader) : 0;
		s->node[n].state = node_names[s->node[n].pid && state <= NODE_STOPPING ? state : NODE_DOWN];
		s->nodes++;
	}
	for (uint32_t i = 0; i < h->shm.limits.apps; i++)
		fill_app(h, i, &s->application[s->applications++]);
	*ret = s;
	return 0;
}

int heir_check(heir_t *h, int (*each)(const struct heir_finding *finding, void *arg), void *arg,
	       struct heir_check *ret)
{
	return verify(&h->shm, VERIFY_STATE, each, arg, ret);
}

void heir_status_free(struct heir_status *status)
{
	if (status)
		free(status->application);
	free(status);
}

int heir_wait_change(heir_t *h, const char *application, uint32_t generation, int64_t timeout)
{
	int app = application ? lib_find_app(h, application) : -1, rc = 0;
	int64_t deadline = deadline_after(timeout);
	atom64 *word;

	if (app < 0)
		return HEIR_ENOENT;
	word = &shm_app(&h->shm, (uint32_t)app)->control;
	while (rc != -ETIMEDOUT && (uint32_t)atom_load_acquire(word) == generation)
		rc = futex_wait(control_generation_futex(word), generation, deadline);
	return (uint32_t)atom_load_acquire(word) == generation ? HEIR_ETIMEDOUT : 0;
}
