/* SPDX-License-Identifier: ISC */
/* A worker that stands by: how it looks at whom it may have to follow, what of them it sleeps on. */
#include "app/appclaim.h"
#include "base/clock.h"
#include "base/patience.h"
#include "lib/worker.h"
#include "proc/recover.h"
#include "shm/policy.h"

static bool is_dying(heir_t *h, uint32_t slot)
{
	struct shm_slot *s = shm_slot(&h->shm, slot);

	return s && atom_load_acquire(&s->dying);
}

static uint64_t leader_of(heir_t *h, uint32_t slot)
{
	int node = slot_place(&h->shm, slot).node;
	struct shm_node *n = node >= 0 ? shm_node(&h->shm, (uint32_t)node) : NULL;

	return n ? atom_load_acquire(&n->leader) : 0;
}

/* What the leader of the owner's node makes of it: ABSENT, it has let it go. Pairs with publish() in act.c. */
static uint32_t instance_of(heir_t *h, uint32_t owner)
{
	int node = slot_place(&h->shm, owner).node;

	return node >= 0 ? atom_load_acquire(&worker_app(h)->instance[node]) : INSTANCE_STARTING;
}

int standby_look(heir_t *h, struct control c, int64_t noticed)
{
	struct worker_run *run = h->run;
	struct shm_app *a = worker_app(h);
	uint32_t driver, instance;
	uint64_t owner, leader, heir;
	struct claim_view v = {.phase = c.phase, .now = noticed};
	struct policy policy;
	enum claim_decision d;

	run->look_again = DEADLINE_NEVER;
	if (!run->lead || run->state != WORKER_STANDBY || c.phase == PHASE_DOWN || c.owner == h->slot)
		return 0;
	driver = move_unpack(atom_load_acquire(&a->move)).slot;
	instance = instance_of(h, c.owner);
	policy = policy_of(&h->shm, a);
	owner = slot_handle(&h->shm, c.owner);
	leader = leader_of(h, c.owner);
	heir = c.heir ? slot_handle(&h->shm, c.heir) : 0;
	v.permitted = atom_load_relaxed(&a->permitted) >> run->node & 1;
	v.grace = policy.claim_grace;
	v.restart_in_place = policy.flags & POLICY_RESTART_IN_PLACE;
	/* Of whatever this look misses, the sleep that follows must not lose the wake: sleep_until compares. */
	run->saw = (struct worker_saw){
		.owner = owner == 0 || handle_noticed(&h->shm, owner),
		.leader = leader == 0 || handle_noticed(&h->shm, leader),
		.heir = heir == 0 || handle_noticed(&h->shm, heir),
		.dying = is_dying(h, c.owner), .absent = instance == INSTANCE_ABSENT,
		.in_force = policy.generation,
	};
	v.owner_gone = run->saw.owner || run->saw.dying;
	v.owner_leader_gone = run->saw.leader;
	v.instance_absent = run->saw.absent;
	v.driven = driver && driver != h->slot && driver != c.owner && move_is_driven(&h->shm, run->app, noticed);
	v.exhausted = failover_exhausted(&h->shm, run->app, noticed);
	v.held = patience_held(policy.stop_timeout, policy.step_timeout,
			       v.restart_in_place && instance != INSTANCE_STOPPING); /* which is not started again */
	v.is_heir = c.heir == h->slot;
	v.heir_alive = heir && !v.is_heir && handle_alive(&h->shm, heir);
	v.node_died = run->node_died = (run->node_died && run->claim_since >= 0) || run->saw.leader;
	v.failover_timeout = policy.failover_timeout;
	v.since = run->claim_since;
	v.turn = run->claim_turn;
	d = claim_decide(&v, &run->look_again);
	run->claim_since = d == CLAIM_NO ? DEADLINE_NEVER : v.since < 0 ? v.now : v.since;
	run->claim_turn = d != CLAIM_AFTER_HEIR ? DEADLINE_NEVER : v.turn < 0 ? v.now : v.turn;
	if (d != CLAIM_NOW && d != CLAIM_SWITCH)
		return 0;
	run->claim_since = DEADLINE_NEVER;
	if (drive_failover(h, d == CLAIM_SWITCH || !handle_noticed(&h->shm, owner), noticed) != HEIR_EAGAIN)
		return 1;
	run->look_again = noticed + PATIENCE_LOOK;
	return 0;
}

/* A life word to sleep on, unless it has fallen; *news if it has since standby_look looked. */
static unsigned life_word(heir_t *h, struct wait_word *w, uint32_t slot, unsigned which, bool seen, bool *news)
{
	atom32 *life = slot_life(&h->shm, slot, which);
	uint32_t v = life ? atom_load_acquire(life) : 0;

	if (!life || life_gone(v)) {
		*news |= !seen;
		return 0;
	}
	*w = (struct wait_word){life, v};
	return 1;
}

/* A standby sleeps on the lives of the owner, the owner's leader, and of whoever is named to go first. */
static unsigned watch_owner(heir_t *h, struct control c, unsigned which, struct wait_word *w, bool *news)
{
	struct worker_run *run = h->run;
	unsigned n = 0;

	n += life_word(h, &w[n], c.owner, which, run->saw.owner, news);
	n += life_word(h, &w[n], handle_slot(leader_of(h, c.owner)), which, run->saw.leader, news);
	if (c.heir && c.heir != h->slot)
		n += life_word(h, &w[n], c.heir, which, run->saw.heir, news);
	*news |= !run->saw.dying && is_dying(h, c.owner);
	*news |= !run->saw.absent && instance_of(h, c.owner) == INSTANCE_ABSENT;
	*news |= run->saw.in_force != in_force_generation(in_force_load(&h->shm));
	return n;
}

/*
 * And of those that may switch: who does tells nobody until it has served for a moment, as that would be on the path of
 * a takeover. Who is dead by now is no news; had it switched before, the control word would have changed.
 */
static unsigned watch_targets(heir_t *h, struct control c, unsigned which, struct wait_word *w, bool *news)
{
	struct shm_role *role = shm_role(&h->shm, (uint32_t)h->place.role);
	struct control now;
	unsigned n = 0;

	for (uint32_t node = 0; node < h->shm.limits.nodes && node < SHM_NODES_MAX; node++) {
		uint32_t slot = handle_slot(atom_load_acquire(&role->candidate[node]));

		if (slot && slot != h->slot && (c.phase == PHASE_DOWN || (slot != c.owner && slot != c.heir)))
			n += life_word(h, &w[n], slot, which, true, news);
	}
	now = control_unpack(atom_load_acquire(&worker_app(h)->control)); /* after the lives */
	*news |= now.owner != c.owner || now.generation != c.generation;
	return n;
}

unsigned standby_words(heir_t *h, struct control c, struct wait_word *w, bool *news)
{
	unsigned which = c.heir == h->slot ? LIFE_HEIR : LIFE_SPARE0 + (h->run->node & 1);
	unsigned n = c.phase == PHASE_DOWN ? 0 : watch_owner(h, c, which, w, news);

	return n + watch_targets(h, c, which, &w[n], news);
}
