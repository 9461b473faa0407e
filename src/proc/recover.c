/* SPDX-License-Identifier: ISC */
/* Ownership taken, in every way in which it can be: one loop around the control word; and who drives a move. */
#include "proc/recover.h"

#include <limits.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/testpoint.h"
#include "heir.h"
#include "mail/record.h"
#include "state/control.h"
#include "state/state.h"

#define NS_PER_MS     INT64_C(1000000)
#define FENCE_TIMEOUT INT64_C(2000000000)

void app_changed(const struct shm *shm, uint32_t app)
{
	control_wake_generation(&shm_app(shm, app)->control);
	atom_add_release(&shm->head->changed, 1);
	futex_wake(&shm->head->changed, INT_MAX);
}

void app_nudge(const struct shm *shm, uint32_t app)
{
	struct shm_role *role = shm_role(shm, shm_app(shm, app)->lead_role);

	for (uint32_t n = 0; role && n < shm->limits.nodes; n++) {
		uint64_t handle = atom_load_acquire(&role->candidate[n]);

		if (handle && handle_alive(shm, handle))
			slot_nudge(shm, handle_slot(handle));
	}
}

static int undo(const struct shm *shm, uint32_t app, unsigned parity, struct state *state)
{
	struct state mapped = {0};
	int rc;

	if (shm_app(shm, app)->state_size == 0)
		return 0;
	if (!state || !state->base) {
		rc = state_map(shm, app, 0, &mapped);
		if (rc)
			return rc;
		state = &mapped;
	}
	rc = state_undo(state, parity);
	state_unmap(&mapped);
	return rc < 0 ? rc : 0;
}

int app_recover(const struct shm *shm, uint32_t app, uint64_t me, struct state *state)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->control), now, done;
	struct control c = control_unpack(w);
	struct mail_record record;
	int rc;

	if (c.owner != handle_slot(me))
		return HEIR_ESTALE;
	if (c.phase == PHASE_RECOVERING) {
		rc = undo(shm, app, c.parity, state);
		if (rc)
			return rc;
		TESTPOINT("recover: undone");
		rc = control_apply(&a->control, &w, &now, control_recovered, handle_slot(me));
		if (rc)
			return rc;
		control_wake_generation(&a->control);
		c = control_unpack(now);
	}
	record_load(&record, &a->record[c.parity]);
	fence_acquire(); /* the record before the word; pairs with the fence in record_store() */
	if (control_unpack(atom_load_acquire(&a->control)).generation != c.generation)
		return HEIR_ESTALE;
	record_redo(shm, &record);
	TESTPOINT("recover: redone");
	/* Not backwards: this process may have been stopped, and others owners since. */
	done = atom_load_acquire(&a->redone);
	while (done < c.generation && !atom_cas(&a->redone, &done, c.generation))
		;
	return 0;
}

/*
 * While MOVING its slot is not reused, should it die: the application may be switched back to it. A claim waits
 * for nobody, so there it is 0. After the switch's CAS, and by CAS, as this process may be stopped and no owner
 * any more.
 */
static void remember(struct shm_app *a, uint32_t generation, uint64_t previous)
{
	uint64_t old;

	do {
		old = atom_load_acquire(&a->previous);
		if (control_unpack(atom_load_acquire(&a->control)).generation != generation)
			return;
	} while (!atom_cas(&a->previous, &old, previous));
	fence_seq(); /* before the old owner is seen alive; pairs with bury() */
}

/*
 * Wait for the commit of an open transaction, or the death of its writer; at the deadline, or if it is dying,
 * fence it.
 */
static int wait_for_writer(const struct shm *shm, struct shm_app *a, uint64_t word, uint64_t owner,
			   int64_t deadline, int *ret_forced)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(owner));
	struct futex_waitv words[2];
	atom32 *life = slot_life(shm, handle_slot(owner), LIFE_SPARE1);
	uint32_t alive = atom_load_acquire(life);
	int rc;

	if (deadline_passed(deadline) || (s && atom_load_acquire(&s->dying))) {
		/* Still so: then the writer's slot was not reused meanwhile, and nobody else is killed. */
		if (atom_load_acquire(&a->control) != word)
			return 0;
		*ret_forced = 1;
		return handle_fence(shm, owner, clock_ns() + FENCE_TIMEOUT);
	}
	if (life_gone(alive))
		return 0;
	words[0] = futex_word(control_commit_futex(&a->control), (uint32_t)(word >> 32));
	words[1] = futex_word(life, alive);
	rc = futex_waitv(words, 2, deadline);
	return rc == -ENOSYS ? HEIR_EKERNEL : 0;
}

/* One look and at most one CAS: 1 acquired, 0 look again, negative. */
static int acquire_once(const struct shm *shm, uint32_t app, uint64_t me, enum acquire_how how,
			int64_t deadline, struct acquired *got)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->control), owner, word;
	struct control c = control_unpack(w);
	bool dead;
	int rc;

	TESTPOINT("recover: looking");
	owner = c.phase == PHASE_DOWN ? 0 : slot_handle(shm, c.owner);
	dead = owner == 0 || handle_noticed(shm, owner);
	if (c.owner == handle_slot(me) && c.phase != PHASE_DOWN)
		return HEIR_EALREADY;
	if (!dead && how == ACQUIRE_CLAIM)
		return HEIR_EAGAIN;
	got->old_word = w;
	got->previous = owner;
	if (c.open && !dead) {
		if (control_want(&c, handle_slot(me)) == 0) {
			got->wanted |= control_cas(&a->control, w, c) == 0;
			return 0;
		}
		return wait_for_writer(shm, a, w, owner, deadline, &got->forced);
	}
	word = w;
	rc = dead ? control_claim(&c, handle_slot(me)) : control_switch(&c, handle_slot(me));
	if (rc)
		return rc;
	if (control_cas(&a->control, word, c))
		return how == ACQUIRE_CLAIM ? HEIR_EAGAIN : 0;
	got->undone = c.phase == PHASE_RECOVERING;
	remember(a, c.generation, dead ? 0 : owner);
	return 1;
}

int app_acquire(const struct shm *shm, uint32_t app, uint64_t me, enum acquire_how how, struct state *state,
		struct acquired *ret)
{
	struct shm_app *a = shm_app(shm, app);
	int64_t deadline = deadline_after((int64_t)a->yield_timeout);
	struct acquired got = {0};
	uint64_t w, n;
	int rc;

	do {
		rc = acquire_once(shm, app, me, how, deadline, &got);
	} while (rc == 0);
	if (rc < 0) {
		if (got.wanted && control_apply(&a->control, &w, &n, control_unwant, handle_slot(me)) == 0)
			control_wake_commit(&a->control);
		return rc;
	}
	TESTPOINT("recover: acquired");
	rc = app_recover(shm, app, me, state);
	if (rc)
		return rc;
	got.generation = control_unpack(atom_load_acquire(&a->control)).generation;
	*ret = got;
	return 0;
}

int app_release(const struct shm *shm, uint32_t app, uint64_t me)
{
	struct shm_app *a = shm_app(shm, app);
	struct acquired got;
	uint64_t w, n;
	int rc = app_acquire(shm, app, me, ACQUIRE_CLAIM, NULL, &got);

	if (rc && rc != HEIR_EALREADY)
		return rc;
	rc = control_apply(&a->control, &w, &n, control_release, handle_slot(me));
	if (rc == 0)
		app_changed(shm, app);
	return rc;
}

struct move_word move_unpack(uint64_t w)
{
	return (struct move_word){.slot = (uint32_t)w & 0xfff,
				  .step = (uint32_t)(w >> 12) & 0xff,
				  .type = (uint32_t)(w >> 20) & 0xf,
				  .from = (uint32_t)(w >> 24) & 0x1f,
				  .to = (uint32_t)(w >> 29) & 0x1f,
				  .sequence = (uint32_t)(w >> 40)};
}

uint64_t move_pack(struct move_word m)
{
	return (uint64_t)(m.slot & 0xfff) | (uint64_t)(m.step & 0xff) << 12 | (uint64_t)(m.type & 0xf) << 20 |
	       (uint64_t)(m.from & 0x1f) << 24 | (uint64_t)(m.to & 0x1f) << 29 |
	       (uint64_t)(m.sequence & 0xffffff) << 40;
}

int move_begin(const struct shm *shm, uint32_t app, uint64_t me, uint32_t type, uint32_t from, uint32_t to,
	       struct move_word *ret_winner)
{
	struct shm_app *a = shm_app(shm, app);

	for (;;) {
		uint64_t w = atom_load_acquire(&a->move);
		struct move_word m = move_unpack(w);
		uint64_t driver = m.slot ? slot_handle(shm, m.slot) : 0;

		if (m.slot && m.slot != handle_slot(me) && driver && !handle_noticed(shm, driver)) {
			if (ret_winner)
				*ret_winner = m;
			return HEIR_EBUSY;
		}
		m = (struct move_word){handle_slot(me), 0, type, from, to, m.sequence + 1};
		if (atom_cas(&a->move, &w, move_pack(m)))
			return 0;
	}
}

void move_step(const struct shm *shm, uint32_t app, uint64_t me, uint32_t step, int64_t deadline)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->move);
	struct move_word m = move_unpack(w);

	if (m.slot != handle_slot(me))
		return;
	m.step = step;
	m.sequence++;
	atom_store_relaxed(&a->deadline, (uint64_t)(deadline / NS_PER_MS + 1) << 24 | (m.sequence & 0xffffff));
	(void)atom_cas(&a->move, &w, move_pack(m));
}

int64_t move_deadline(const struct shm *shm, uint32_t app)
{
	struct shm_app *a = shm_app(shm, app);
	struct move_word m = move_unpack(atom_load_acquire(&a->move)); /* pairs with the CAS in move_step */
	uint64_t w = atom_load_relaxed(&a->deadline);

	if (m.slot == 0 || (w & 0xffffff) != m.sequence)
		return DEADLINE_NEVER;
	return (int64_t)(w >> 24) * NS_PER_MS;
}

void move_end(const struct shm *shm, uint32_t app, uint64_t me)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->move);
	struct move_word m = move_unpack(w);

	if (m.slot != handle_slot(me))
		return;
	m.slot = 0;
	m.sequence++;
	(void)atom_cas(&a->move, &w, move_pack(m));
}

bool move_driver_alive(const struct shm *shm, uint32_t app)
{
	struct move_word m = move_unpack(atom_load_acquire(&shm_app(shm, app)->move));

	return m.slot && !handle_noticed(shm, slot_handle(shm, m.slot));
}

bool failover_exhausted(const struct shm *shm, uint32_t app, int64_t now_ns)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->failovers);
	uint32_t now = (uint32_t)(now_ns / NS_PER_SECOND) + 1, since = (uint32_t)(w >> 32);

	return (uint32_t)w >= a->failover_intensity &&
	       (uint64_t)(now - since) * NS_PER_SECOND < a->failover_period;
}

int failover_count(const struct shm *shm, uint32_t app, int64_t now_ns)
{
	struct shm_app *a = shm_app(shm, app);
	uint32_t now = (uint32_t)(now_ns / NS_PER_SECOND) + 1;

	for (;;) {
		uint64_t w = atom_load_acquire(&a->failovers);
		uint32_t since = (uint32_t)(w >> 32), count = (uint32_t)w;

		if (count == 0 || (uint64_t)(now - since) * NS_PER_SECOND >= a->failover_period) {
			since = now;
			count = 0;
		}
		if (count >= a->failover_intensity)
			return HEIR_EFAILED;
		if (atom_cas(&a->failovers, &w, (uint64_t)since << 32 | (count + 1)))
			return 0;
	}
}
