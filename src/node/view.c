/* SPDX-License-Identifier: ISC */
#include "node/view.h"

#include "base/clock.h"
#include "base/patience.h"
#include "node/instance.h"
#include "node/led.h"
#include "node/listen.h"
#include "proc/recover.h"

bool view_is_up(const struct leader *l, uint32_t node)
{
	struct shm_node *n = shm_node(l->shm, node);
	uint64_t leader = atom_load_acquire(&n->leader);

	return leader && atom_load_acquire(&n->state) == NODE_UP && !handle_gone(l->shm, leader);
}

static bool is_coming(const struct leader *l, uint32_t node)
{
	return !view_is_up(l, node) &&
	       atom_load_acquire(&shm_node(l->shm, node)->state) != NODE_STOPPING;
}

static bool is_permitted(const struct instance *i, uint32_t node)
{
	return i->policy.priority[node] && (atom_load_acquire(&i->shm->permitted) >> node & 1);
}

static bool gave_up_there(const struct instance *i, uint32_t node)
{
	for (uint32_t k = 0; k < i->count; k++) {
		uint64_t w = atom_load_relaxed(
			&shm_role(i->leader->shm, i->first_role + k)->child[node]);

		if ((w >> 24 & 0xff) == CHILD_FAILED)
			return true;
	}
	return false;
}

/* The slot of the hot standby that is ready on a node, or 0. */
static uint32_t standby_slot(const struct instance *i, uint32_t node)
{
	const struct shm *shm = i->leader->shm;
	uint64_t h = atom_load_acquire(&shm_role(shm, i->first_role + i->lead)->candidate[node]);

	if (!(i->shm->flags & APP_HOT) || !h || !handle_alive(shm, h) ||
	    atom_load_acquire(&shm_slot(shm, handle_slot(h))->ready) != WORKER_STANDBY)
		return 0;
	return handle_slot(h);
}

static int running_on(const struct leader *l, uint32_t node)
{
	int count = 0;

	for (uint32_t a = 0; a < l->shm->limits.apps; a++) {
		struct control c = control_unpack(atom_load_acquire(&shm_app(l->shm, a)->control));

		count += c.phase != PHASE_DOWN && slot_place(l->shm, c.owner).node == (int)node;
	}
	return count;
}

/* Whether node a comes before node b. */
static bool is_better(const struct instance *i, uint32_t a, uint32_t b)
{
	int on_a, on_b;

	if (i->policy.priority[a] != i->policy.priority[b])
		return i->policy.priority[a] < i->policy.priority[b];
	on_a = running_on(i->leader, a);
	on_b = running_on(i->leader, b);
	return on_a != on_b ? on_a < on_b : a < b;
}

bool view_other_ready(const struct instance *i)
{
	for (uint32_t n = 0; n < i->leader->conf->node_count; n++)
		if (n != i->leader->node && is_permitted(i, n) && standby_slot(i, n))
			return true;
	return false;
}

static bool depends_on_running(const struct instance *i)
{
	for (uint32_t k = 0; k < i->conf->dependency_count; k++) {
		const struct shm *shm = i->leader->shm;
		struct control c = control_unpack(
			atom_load_acquire(&shm_app(shm, i->conf->dependencies[k])->control));

		if (c.phase != PHASE_SERVING || handle_gone(shm, slot_handle(shm, c.owner)))
			return false;
	}
	return true;
}

static void fill_owner(struct instance *i, struct seen *s)
{
	static const enum app_phase phases[] = {[PHASE_DOWN] = APP_DOWN,
	                                        [PHASE_SERVING] = APP_SERVING,
	                                        [PHASE_HELD] = APP_HELD,
	                                        [PHASE_MOVING] = APP_MOVING,
	                                        [PHASE_RECOVERING] = APP_MOVING};
	struct leader *l = i->leader;
	struct app_view *v = &s->view;

	s->control = control_unpack(atom_load_acquire(&i->shm->control));
	s->owner_node = -1;
	v->phase = s->control.phase <= PHASE_RECOVERING ? phases[s->control.phase] : APP_MOVING;
	if (v->phase == APP_DOWN) {
		v->owner = OWNER_NONE;
		return;
	}
	s->owner = slot_handle(l->shm, s->control.owner);
	s->owner_node = slot_place(l->shm, s->control.owner).node;
	if (s->owner_node >= (int)l->conf->node_count)
		s->owner_node = -1;
	v->owner_here = s->owner_node == (int)l->node;
	if (s->owner == l->h->self)
		v->owner = OWNER_LEADER;
	else if (!s->owner || handle_gone(l->shm, s->owner))
		v->owner = OWNER_DEAD;
	else
		v->owner = s->owner == instance_lead(i)->handle ? OWNER_CHILD : OWNER_OTHER;
}

/* Since when the owner is known to be dead; for a leader's own application that is held, since when
 * it is; for one that is down, since when it could be started. */
static void fill_dead_since(struct instance *i, struct seen *s)
{
	struct app_view *v = &s->view;
	bool counts = v->owner == OWNER_DEAD || (v->owner == OWNER_LEADER && v->phase == APP_HELD);
	bool idle = v->owner == OWNER_NONE && v->duty == DUTY_RUN && v->dependencies && !v->driver;
	uint64_t key = counts ? s->owner + 1 : idle ? UINT64_MAX : 0;

	if (key && i->dead_owner != key) {
		i->dead_since = v->now;
		i->leader->bury |= counts;
	}
	i->dead_owner = key;
	v->dead_since = i->dead_since;
	if (v->driver || i->driven)
		i->driven_until = v->now;
	i->driven = v->driver;
	v->driven_until = i->driven_until;
}

static void fill_others(const struct instance *i, struct seen *s)
{
	const struct leader *l = i->leader;
	struct app_view *v = &s->view;
	uint32_t me = l->node, best = UINT32_MAX;

	v->best = true;
	s->target = -1;
	for (uint32_t n = 0; n < l->conf->node_count; n++) {
		uint32_t slot;
		bool up;

		if (n == me || !is_permitted(i, n))
			continue;
		up = view_is_up(l, n);
		slot = standby_slot(i, n);
		v->other_ready |= slot != 0;
		v->other_up |= up && !gave_up_there(i, n);
		v->best &= !(up && is_better(i, n, me));
		v->better_up |= up && !gave_up_there(i, n) && is_better(i, n, me);
		v->better_missing |= is_coming(l, n) && is_better(i, n, me);
		if (slot && (best == UINT32_MAX || is_better(i, n, best))) {
			best = n;
			s->heir = slot;
		}
		if (up && !(i->tried >> n & 1) && (!(i->shm->flags & APP_HOT) || slot) &&
		    (s->target < 0 || is_better(i, n, (uint32_t)s->target)))
			s->target = (int)n;
	}
	v->target = s->target >= 0;
	v->heir_wrong = s->heir && s->heir != s->control.heir;
	v->named_heir = s->control.heir && slot_place(l->shm, s->control.heir).node != (int)me &&
	                !handle_gone(l->shm, slot_handle(l->shm, s->control.heir));
}

static bool is_abandoned(const struct instance *i, int node)
{
	const struct leader *l = i->leader;
	uint64_t leader;

	if (node < 0 || node == (int)l->node)
		return false;
	leader = atom_load_acquire(&shm_node(l->shm, (uint32_t)node)->leader);
	/* Another leader of that node by now is not the one that ran it. */
	return !leader || handle_gone(l->shm, leader) || (i->owner_leader && leader != i->owner_leader) ||
	       atom_load_acquire(&i->shm->instance[node]) == INSTANCE_ABSENT;
}

static enum app_duty duty_of(const struct instance *i)
{
	const struct leader *l = i->leader;

	if (atom_load_acquire(&l->shm->head->stopping) || !atom_load_acquire(&i->shm->wanted) ||
	    atom_load_acquire(&i->shm->failed))
		return DUTY_STOP;
	return l->leaving ? DUTY_LEAVE : DUTY_RUN;
}

static bool somebody_drives(const struct instance *i)
{
	const struct leader *l = i->leader;

	return !move_is_mine(l->shm, i->app, l->h->self) && move_is_driven(l->shm, i->app, l->now);
}

/* What is being stopped is not started in place. */
static int64_t held_for(const struct instance *i, const struct seen *s)
{
	bool stops = s->owner_node >= 0 &&
	             atom_load_acquire(&i->shm->instance[s->owner_node]) == INSTANCE_STOPPING;

	return patience_held(i->policy.stop_timeout, i->policy.step_timeout,
	                     s->view.in_place && !stops);
}

static void fill_here(struct instance *i, struct app_view *v)
{
	struct leader *l = i->leader;

	v->now = l->now;
	v->duty = duty_of(i);
	v->tree = instance_tree(i);
	v->hot = i->shm->flags & APP_HOT;
	v->led = i->shm->flags & APP_LED;
	v->in_place = i->policy.flags & POLICY_RESTART_IN_PLACE;
	v->give_up_stop = i->policy.flags & POLICY_GIVE_UP_STOP;
	v->claim_grace = i->policy.claim_grace;
	v->start = patience_start(i->policy.step_timeout, i->count);
	v->failover_timeout = i->policy.failover_timeout;
	v->permitted = is_permitted(i, l->node);
	v->able = listen_ready(l, i->app) && i->fence_node < 0;
	v->dependencies = depends_on_running(i);
	v->gave_up = i->gave_up;
	v->served = i->served;
	v->lead_alive = instance_lead_alive(i);
	v->asked = i->asked || i->led.active || l->now < i->ask_after;
	v->guest = i->guest.active && (!v->led || led_has_begun(i));
	v->yielded = i->yielded;
	v->uncounted = i->uncounted;
	v->handing = i->hand.active;
	v->spawn_at = instance_spawn_at(i);
	v->grace_until = l->up_since + GRACE;
	v->driver = somebody_drives(i);
	v->late_at = move_late_at(l->shm, i->app);
	v->exhausted = failover_exhausted(l->shm, i->app, l->now);
	v->first_start =
		v->owner == OWNER_LEADER
			? i->start_type == APP_NORMAL
			: move_unpack(atom_load_acquire(&i->shm->move)).type == HEIR_NORMAL;
}

void view_fill(struct instance *i, struct seen *s)
{
	struct app_view *v = &s->view;

	*s = (struct seen){0};
	v->now = i->leader->now;
	fill_owner(i, s);
	fill_here(i, v);
	fill_dead_since(i, s);
	fill_others(i, s);
	v->abandoned = is_abandoned(i, s->owner_node);
	v->held = held_for(i, s);
	v->take_back = i->take_back && s->owner_node >= 0 && v->owner == OWNER_OTHER &&
	               is_better(i, i->leader->node, (uint32_t)s->owner_node) &&
	               i->policy.priority[i->leader->node] != i->policy.priority[s->owner_node];
}
