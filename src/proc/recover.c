/* SPDX-License-Identifier: ISC */
/* Ownership taken, in every way in which it can be: one loop around the control word. */
#include "proc/recover.h"

#include <limits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/testpoint.h"
#include "heir.h"
#include "mail/doorbell.h"
#include "mail/record.h"
#include "proc/move.h"
#include "shm/policy.h"
#include "state/control.h"
#include "state/state.h"

#define FENCE_TIMEOUT INT64_C(2000000000)

/* Of one node, or of all (-1); not `me`. */
static void wake_candidates(const struct shm *shm, uint32_t app, int node, uint64_t me)
{
	struct shm_app *a = shm_app(shm, app);

	for (uint32_t i = 0; i < a->roles && i < SHM_APP_ROLES_MAX; i++) {
		struct shm_role *role = shm_role(shm, a->first_role + i);

		for (uint32_t n = 0; role && n < shm->limits.nodes; n++) {
			/* seq_cst, behind the change: pairs with register_candidate() and the look that follows it */
			uint64_t handle = node < 0 || n == (uint32_t)node ? atom_load_seq(&role->candidate[n]) : 0;

			if (handle && handle != me && handle_alive(shm, handle))
				doorbell_ring(shm, handle_slot(handle));
		}
	}
}

void app_wake_instance(const struct shm *shm, uint32_t app, uint64_t me)
{
	wake_candidates(shm, app, slot_place(shm, handle_slot(me)).node, me);
}

void app_wake(const struct shm *shm, uint32_t app)
{
	control_wake_generation(&shm_app(shm, app)->control);
	wake_candidates(shm, app, -1, 0);
}

void app_changed(const struct shm *shm, uint32_t app)
{
	app_wake(shm, app);
	atom_add_release(&shm->head->changed, 1);
	futex_wake(&shm->head->changed, INT_MAX);
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
	/* Nobody who is just joining owns anything: then the word is damaged, and stays so. */
	if (life_gone(alive))
		return handle_noticed(shm, owner) || atom_load_acquire(&a->control) != word ? 0 : HEIR_ECORRUPT;
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
	/* Asked after the load, and before whatever CAS or fence follows: move.h. */
	if (how == ACQUIRE_SWITCH && !move_is_mine(shm, app, me))
		return HEIR_EBUSY;
	TESTPOINT("recover: may acquire");
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
	TESTPOINT("recover: owns");
	got->undone = c.phase == PHASE_RECOVERING;
	remember(a, c.generation, dead ? 0 : owner);
	return 1;
}

int app_acquire(const struct shm *shm, uint32_t app, uint64_t me, enum acquire_how how, struct state *state,
		struct acquired *ret)
{
	struct shm_app *a = shm_app(shm, app);
	int64_t deadline = deadline_after(policy_time(POLICY_WORD(shm, a, yield_timeout)));
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

typedef uint64_t note_value(uint32_t generation, uint64_t arg);

/* `*word` becomes what `value` makes of the generation, if that is still the caller's to say. */
static int note_as_owner(struct shm_app *a, atom64 *word, uint32_t me, note_value *value, uint64_t arg)
{
	struct control c;
	uint64_t old;

	do {
		old = atom_load_acquire(word);
		c = control_unpack(atom_load_acquire(&a->control));
		if (c.owner != me || c.phase != PHASE_MOVING)
			return HEIR_ESTALE;
		TESTPOINT("recover: noting");
	} while (!atom_cas(word, &old, value(c.generation, arg)));
	return 0;
}

static uint64_t note_start(uint32_t generation, uint64_t arg)
{
	return arg | generation;
}

static uint64_t note_next(uint32_t generation, uint64_t arg)
{
	(void)arg;
	return generation + 1;
}

int app_serve(const struct shm *shm, uint32_t app, uint64_t me, uint32_t type, uint32_t from, uint32_t *ret_generation)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t old, now = 0;
	int rc = note_as_owner(a, &a->start, handle_slot(me), note_start, (uint64_t)type << 56 | (uint64_t)from << 48);

	if (rc == 0)
		rc = control_apply(&a->control, &old, &now, control_serve, handle_slot(me));
	if (rc == 0)
		*ret_generation = control_unpack(now).generation;
	return rc;
}

int app_give_back(const struct shm *shm, uint32_t app, uint64_t me, uint64_t to)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t old, now;
	int rc = note_as_owner(a, &a->returned, handle_slot(me), note_next, 0);

	return rc ? rc : control_apply(&a->control, &old, &now, control_switch_back, handle_slot(me), handle_slot(to));
}

/*
 * A worker of an instance that was started on another node. Of a joiner, place and readiness are still those of
 * whoever had the slot before; it has been told to start nothing.
 */
static bool is_rival(const struct shm *shm, uint32_t app, uint64_t handle, uint64_t me)
{
	struct slot_place place;

	if (!handle_alive(shm, handle))
		return false;
	place = slot_place(shm, handle_slot(handle));
	return place.kind == KIND_WORKER && place.app == (int)app &&
	       place.node != slot_place(shm, handle_slot(me)).node &&
	       atom_load_acquire(&shm_slot(shm, handle_slot(handle))->ready) > WORKER_STANDBY;
}

/* Still this process's to start: one that was stopped may find its place taken, and the next one started. */
static bool may_start(const struct shm *shm, uint32_t app, uint64_t me)
{
	struct control c = control_unpack(atom_load_acquire(&shm_app(shm, app)->control));

	return move_is_mine(shm, app, me) || (c.phase != PHASE_DOWN && c.owner == handle_slot(me));
}

int app_confirm(const struct shm *shm, uint32_t app, uint64_t me, bool rivals, int64_t deadline)
{
	int rc = 0;

	fence_seq(); /* after STARTING in this process's own slot: of two that start at once, one sees the other's */
	for (uint32_t i = 1; i < shm->limits.slots && rc == 0; i++) {
		uint64_t handle = slot_handle(shm, i);
		struct slot_place place = slot_place(shm, i);
		bool is_dead = handle && handle_noticed(shm, handle);
		int fd;

		if (!handle || handle == me || place.kind != KIND_WORKER || place.app != (int)app ||
		    !(is_dead || (rivals && is_rival(shm, app, handle, me))))
			continue;
		if (!is_dead && !may_start(shm, app, me))
			return HEIR_EBUSY;
		fd = handle_exit_fd(shm, handle);
		if (fd == HEIR_ENOENT)
			continue;
		rc = fd < 0 ? fd : is_dead ? 0 : handle_fence(shm, handle, deadline);
		if (rc == 0)
			rc = exit_await(fd, deadline);
		if (fd >= 0)
			close(fd);
	}
	return rc;
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

bool failover_exhausted(const struct shm *shm, uint32_t app, int64_t now_ns)
{
	struct shm_app *a = shm_app(shm, app);
	uint64_t w = atom_load_acquire(&a->failovers);
	uint32_t now = (uint32_t)(now_ns / NS_PER_SECOND) + 1, since = (uint32_t)(w >> 32);
	struct policy p = policy_of(shm, a);

	return (uint32_t)w >= p.failover_intensity && (now - since) * NS_PER_SECOND < p.failover_period;
}

int failover_count(const struct shm *shm, uint32_t app, int64_t now_ns)
{
	struct shm_app *a = shm_app(shm, app);
	uint32_t now = (uint32_t)(now_ns / NS_PER_SECOND) + 1;
	struct policy p = policy_of(shm, a);

	for (;;) {
		uint64_t w = atom_load_acquire(&a->failovers);
		uint32_t since = (uint32_t)(w >> 32), count = (uint32_t)w;

		if (count == 0 || (now - since) * NS_PER_SECOND >= p.failover_period) {
			since = now;
			count = 0;
		}
		if (count >= p.failover_intensity)
			return HEIR_EFAILED;
		if (atom_cas(&a->failovers, &w, (uint64_t)since << 32 | (count + 1)))
			return 0;
	}
}
