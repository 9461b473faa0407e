/* SPDX-License-Identifier: ISC */
/* Slots, nodes, roles and applications; and the order of the whole check (verify.h has the argument). */
#include "proc/verify.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "mail/record.h"
#include "proc/move.h"
#include "proc/slot.h"
#include "proc/verify_impl.h"
#include "shm/policy.h"
#include "state/control.h"
#include "state/state.h"

const char verify_changing[] = "it changed at each look";

static void say(struct verify *v, enum heir_finding_kind kind, const char *part, uint32_t index, uint64_t count,
		const char *what)
{
	struct heir_finding f = {.kind = kind, .part = part, .index = index, .count = count, .what = what};

	if (v->end)
		return;
	if (kind == HEIR_DAMAGE)
		v->sum.damage++;
	else
		v->sum.leftovers++;
	if (v->found)
		v->end = v->found(&f, v->arg);
	if (v->end == 0 && v->sum.damage + v->sum.leftovers >= HEIR_FINDINGS_MAX)
		v->sum.is_cut = v->end = 1;
}

void verify_judge(struct verify *v, const char *part, uint32_t index, verify_look *look, uint32_t which)
{
	const char *wrong = NULL;

	for (unsigned i = 0; i < VERIFY_LOOKS && !v->end; i++) {
		const char *now = look(v, which);

		if (!now)
			return;
		if (now != verify_changing)
			wrong = now;
		if (i && v->yields) {
			v->yields--;
			(void)sched_yield();
		}
	}
	if (wrong)
		say(v, HEIR_DAMAGE, part, index, 1, wrong);
	else if (!v->end)
		v->sum.unjudged++;
}

void verify_leftover(struct verify *v, const char *part, uint32_t index, uint64_t count, const char *what)
{
	say(v, HEIR_LEFTOVER, part, index, count, what);
}

bool verify_still(const struct verify *v)
{
	return v->sum.processes == 0 && atom_load_acquire(&v->shm->head->join_hint) == v->joins;
}

static bool is_there(const struct shm *s, uint32_t slot)
{
	struct slot_word w = slot_unpack(atom_load_acquire(&s->slots[slot].word));

	return (w.state == SLOT_JOINING || w.state == SLOT_ALIVE) &&
	       !handle_gone(s, handle_make(slot, w.incarnation));
}

static const char *look_slot(struct verify *v, uint32_t i)
{
	struct shm_slot *s = &v->shm->slots[i];
	const struct shm_limits *l = &v->shm->limits;
	uint64_t w = atom_load_acquire(&s->word), place = atom_load_relaxed(&s->place);
	uint32_t ready = atom_load_relaxed(&s->ready), dying = atom_load_relaxed(&s->dying);
	struct slot_word sw = slot_unpack(w);

	if (sw.state > SLOT_DEAD)
		return "its word is in no state";
	if (sw.state != SLOT_ALIVE)
		return NULL;
	fence_acquire(); /* what its process says of itself, before the word: of this process */
	if (atom_load_relaxed(&s->word) != w)
		return verify_changing;
	if (sw.pid == 0 || sw.incarnation == 0 || sw.incarnation >> 31)
		return "it is alive, and has no process or no incarnation";
	if (place >> 56 < KIND_CLIENT || place >> 56 > KIND_LEADER)
		return "its process is of no kind";
	if ((place >> 48 & 0xff) > l->nodes || (place >> 32 & 0xffff) > l->apps || (uint32_t)place > l->roles)
		return "its process is of a node, an application or a role that does not exist";
	return ready > WORKER_STOPPING || dying > 1 ? "its process says of itself what cannot be" : NULL;
}

/* Who is buried is named nowhere. Incarnations rise: the handle is loaded first. */
static const char *look_handle(struct verify *v, atom64 *at, bool may_be_buried, const char *never,
			       const char *buried)
{
	uint64_t handle = atom_load_acquire(at);
	struct shm_slot *s = shm_slot(v->shm, handle_slot(handle));
	struct slot_word w;

	if (handle == 0)
		return NULL;
	if (!s)
		return never;
	w = slot_unpack(atom_load_acquire(&s->word));
	if (atom_load_acquire(at) != handle)
		return verify_changing;
	if (w.incarnation < handle_incarnation(handle))
		return never;
	return w.incarnation == handle_incarnation(handle) && w.state == SLOT_FREE && !may_be_buried ? buried
												     : NULL;
}

static const char *look_node(struct verify *v, uint32_t i)
{
	if (atom_load_relaxed(&v->shm->nodes[i].state) > NODE_STOPPING)
		return "it is in no state";
	return look_handle(v, &v->shm->nodes[i].leader, false, "its leader is nobody who ever was",
			   "its leader is buried");
}

static const char *look_role(struct verify *v, uint32_t i)
{
	struct shm_role *r = &v->shm->roles[i];
	const struct shm_app *a = shm_app(v->shm, r->app);
	const char *wrong = NULL;

	if (!a || i < a->first_role || i - a->first_role >= a->roles)
		return "its application does not have it";
	for (uint32_t n = 0; n < v->shm->limits.nodes && !wrong; n++) {
		if ((atom_load_relaxed(&r->child[n]) >> 24 & 0xff) > CHILD_FAILED)
			return "its child is in no state";
		wrong = look_handle(v, &r->candidate[n], false, "its candidate is nobody who ever was",
				    "its candidate is buried");
	}
	return wrong;
}

static const char *look_head(struct verify *v, uint32_t i)
{
	struct shm_head *h = v->shm->head;
	const char *wrong = look_handle(v, &h->opener, false, "who opens sockets is nobody who ever was",
					"who opens sockets is buried");

	(void)i;
	if (!wrong)
		wrong = look_handle(v, &h->up, true, "its `heir up` is nobody who ever was", NULL);
	if (!wrong && atom_load_relaxed(&h->stopping) > 2)
		wrong = "it is told to stop in no known way";
	return wrong;
}

static const char *look_record(struct verify *v, struct shm_record *record)
{
	struct mail_record r;

	if (atom_load_relaxed(&record->outbox) > SHM_OUTBOX_MAX)
		return "its commit record sends too many messages";
	record_load(&r, record);
	if (r.outcome > MAIL_ASIDE)
		return "its commit record has no such outcome";
	if (r.outcome != MAIL_NONE && r.ref.cell &&
	    (!shm_cell(v->shm, r.ref.cell) || !shm_mailbox(v->shm, r.mailbox)))
		return "its commit record is about no message, or of no mailbox";
	for (unsigned i = 0; i < r.sent; i++)
		if (!shm_cell(v->shm, r.outbox[i].ref.cell) || !shm_mailbox(v->shm, r.outbox[i].mailbox))
			return "its commit record sends no message, or to no mailbox";
	return NULL;
}

static bool in_use(const struct shm *s, uint32_t slot)
{
	return slot > 0 && slot < s->limits.slots &&
	       slot_unpack(atom_load_acquire(&s->slots[slot].word)).state != SLOT_FREE;
}

static const char *look_control(struct verify *v, uint32_t i)
{
	struct shm_app *a = &v->shm->apps[i];
	uint64_t redone = atom_load_acquire(&a->redone), w = atom_load_acquire(&a->control);
	struct control c = control_unpack(w);
	bool owner = c.owner == 0 || in_use(v->shm, c.owner), heir = c.heir == 0 || in_use(v->shm, c.heir);
	const char *record = look_record(v, &a->record[c.parity]);

	if (c.phase > PHASE_RECOVERING || w >> 62)
		return "its control word is in no phase, or more is set than there is";
	if ((c.phase == PHASE_DOWN) != (c.owner == 0))
		return "it has no owner, or one while it is down";
	if (c.phase == PHASE_RECOVERING ? !c.open : c.phase == PHASE_DOWN && c.open)
		return "its transaction is open or closed where that cannot be";
	if (redone > c.generation) /* loaded before: both only rise */
		return "what is redone is ahead of its generation";
	fence_acquire(); /* slots and record before the word: at one instant, or the generation has changed */
	if (atom_load_relaxed(&a->control) != w)
		return verify_changing;
	return !owner ? "its owner is buried" : !heir ? "its heir is buried" : record;
}

static const char *look_move(struct verify *v, uint32_t i)
{
	const struct shm_limits *l = &v->shm->limits;
	struct shm_app *a = &v->shm->apps[i];
	uint64_t w = atom_load_acquire(&a->move), start = atom_load_acquire(&a->start);
	struct move_word m = move_unpack(w);
	bool driver = m.slot == 0 || in_use(v->shm, m.slot);

	if (start >> 56 > HEIR_LOCAL || (start >> 48 & 0xff) > l->nodes)
		return "it is said to have been started in no known way, or from no node";
	for (uint32_t n = 0; n < l->nodes; n++)
		if (atom_load_relaxed(&a->instance[n]) > INSTANCE_STOPPING)
			return "an instance of it is in no state";
	if (m.slot && (m.from > l->nodes || m.to > l->nodes))
		return "it is being moved between nodes that do not exist";
	if (atom_load_acquire(&a->move) != w)
		return verify_changing;
	return driver ? look_handle(v, &a->previous, true, "its owner before is nobody who ever was", NULL)
		      : "the driver of its move is buried";
}

static const char *look_static(struct verify *v, uint32_t i)
{
	const struct shm_app *a = &v->shm->apps[i];
	const struct policy policy = policy_of(v->shm, a);

	if (a->roles && (a->lead_role < a->first_role || a->lead_role - a->first_role >= a->roles))
		return "its lead is not one of its roles";
	for (uint32_t n = 0; n < SHM_NODES_MAX; n++)
		if (n >= v->shm->limits.nodes && policy.priority[n])
			return "it is to run on a node that does not exist";
	return NULL;
}

static const char *look_state(struct verify *v, uint32_t i)
{
	struct shm_app *a = &v->shm->apps[i];
	uint64_t w = atom_load_acquire(&a->control);
	struct control c = control_unpack(w);
	enum state_still still = !verify_still(v) ? STATE_IN_USE : c.open ? STATE_OPEN : STATE_AT_REST;
	const char *what;
	int rc = state_check(v->shm, i, c.parity, still, &what);

	if (rc == 0)
		return NULL;
	if (still != STATE_IN_USE && !verify_still(v))
		return verify_changing;
	if (rc == -ENOENT)
		return "its state file is missing";
	return rc == HEIR_ECORRUPT || rc == HEIR_EFOREIGN ? what : verify_changing;
}

static void check_app(struct verify *v, uint32_t i, unsigned flags)
{
	struct shm_app *a = &v->shm->apps[i];
	struct control c;

	verify_judge(v, "application", i, look_static, i);
	verify_judge(v, "application", i, look_control, i);
	verify_judge(v, "application", i, look_move, i);
	if ((flags & VERIFY_STATE) && a->state_size)
		verify_judge(v, "application", i, look_state, i);
	c = control_unpack(atom_load_acquire(&a->control));
	if (c.owner == 0 || !verify_still(v))
		return;
	verify_leftover(v, "application", i, 1,
			c.open ? "its owner died in a transaction: whoever claims it undoes that"
			       : "its owner is dead: the next start claims it");
}

static void check_slot(struct verify *v, uint32_t i)
{
	uint64_t handle = slot_handle(v->shm, i);

	verify_judge(v, "process", i, look_slot, i);
	if (handle && handle_gone(v->shm, handle) && slot_handle(v->shm, i) == handle)
		verify_leftover(v, "process", i, 1,
				"it is dead and not buried: the next joiner or a leader does that");
}

int verify(const struct shm *shm, unsigned flags, verify_found *found, void *arg, struct heir_check *ret)
{
	struct verify v = {.shm = shm, .found = found, .arg = arg, .yields = VERIFY_YIELDS};

	v.stands = calloc(shm->limits.cells, sizeof(*v.stands));
	if (!v.stands)
		return -ENOMEM;
	v.joins = atom_load_acquire(&shm->head->join_hint);
	for (uint32_t i = 1; i < shm->limits.slots; i++)
		v.sum.processes += is_there(shm, i);
	verify_judge(&v, "head", 0, look_head, 0);
	for (uint32_t i = 0; i < shm->limits.nodes && !v.end; i++)
		verify_judge(&v, "node", i, look_node, i);
	for (uint32_t i = 0; i < shm->limits.roles && !v.end; i++)
		verify_judge(&v, "role", i, look_role, i);
	for (uint32_t i = 0; i < shm->limits.apps && !v.end; i++)
		check_app(&v, i, flags);
	for (uint32_t i = 1; i < shm->limits.slots && !v.end; i++)
		check_slot(&v, i);
	verify_mail(&v);
	verify_names(&v);
	verify_lost_mail(&v);
	free(v.stands);
	if (v.end && !v.sum.is_cut)
		return v.end;
	*ret = v.sum;
	return 0;
}
