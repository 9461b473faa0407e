/* SPDX-License-Identifier: ISC */
/* Commit records, their redo, and what the dead left in the mail (record.h has the argument). */
#include "mail/record.h"

#include "base/testpoint.h"
#include "heir.h"
#include "mail/doorbell.h"
#include "shm/policy.h"

struct burial {
	const struct shm *shm;
	uint64_t handle;
	uint32_t slot, mailbox; /* the dead one's */
	bool (*still_dead)(void *arg);
	void *arg;
	bool direct; /* only what was sent to its own mailbox */
};

enum verdict { LEAVE, REFUSE, RELEASE, DISCARD, KEEP };

static uint64_t ref_pack(struct cell_ref r)
{
	return (uint64_t)r.generation << 32 | r.cell;
}

static struct cell_ref ref_unpack(uint64_t w)
{
	return (struct cell_ref){(uint32_t)w, (uint32_t)(w >> 32)};
}

void record_store(struct shm_record *to, const struct mail_record *from)
{
	/*
	 * The generation under which this is written before the words; pairs with the fence behind
	 * record_load() in app_recover().
	 */
	fence_release();
	atom_store_relaxed(&to->cell, ref_pack(from->ref));
	atom_store_relaxed(&to->ticket,
			   (uint64_t)from->outcome << 56 | (uint64_t)from->mailbox << 32 | from->ticket);
	for (unsigned i = 0; i < from->sent; i++) {
		atom_store_relaxed(&to->sent[i].cell, ref_pack(from->outbox[i].ref));
		atom_store_relaxed(&to->sent[i].mailbox, from->outbox[i].mailbox);
	}
	atom_store_relaxed(&to->outbox, from->sent);
}

void record_load(struct mail_record *to, const struct shm_record *from)
{
	struct shm_record *f = (struct shm_record *)(uintptr_t)from;
	uint64_t t = atom_load_relaxed(&f->ticket);

	*to = (struct mail_record){.ref = ref_unpack(atom_load_relaxed(&f->cell)),
				   .ticket = (uint32_t)t,
				   .mailbox = (uint32_t)(t >> 32) & 0xffffff,
				   .outcome = (enum mail_outcome)(t >> 56)};
	to->sent = atom_load_relaxed(&f->outbox);
	if (to->sent > SHM_OUTBOX_MAX)
		to->sent = 0;
	for (unsigned i = 0; i < to->sent; i++) {
		to->outbox[i].ref = ref_unpack(atom_load_relaxed(&f->sent[i].cell));
		to->outbox[i].mailbox = (uint32_t)atom_load_relaxed(&f->sent[i].mailbox);
	}
}

/*
 * TAKEN -> DONE for a caller that waits, FREE where nobody does, ASIDE for poison. Whatever it is already
 * stays.
 */
static void let_go(const struct shm *shm, struct cell_ref ref, enum mail_outcome outcome)
{
	uint64_t w;

	while (cell_load(shm, ref, &w) == 0) {
		struct cell_word cw = cell_unpack(w), next = cw;
		bool waits = (cw.flags & CELL_CALL) && !(cw.flags & CELL_ABANDONED);

		if (cw.state == CELL_DONE || cw.state == CELL_ASIDE) {
			doorbell_ring(shm, cw.slot);
			return;
		}
		if (cw.state != CELL_TAKEN)
			return;
		if (outcome == MAIL_ASIDE) {
			next.state = CELL_ASIDE;
		} else if (waits) {
			next.state = CELL_DONE;
		} else {
			next = (struct cell_word){.generation = cw.generation + 1, .state = CELL_FREE};
		}
		if (cell_move(shm, ref.cell, w, next) == 0) {
			TESTPOINT("mail: let go");
			if (waits)
				doorbell_ring(shm, cw.slot);
			return;
		}
	}
}

static void publish_sent(const struct shm *shm, uint32_t mailbox, struct cell_ref ref)
{
	struct shm_cell *c = shm_cell(shm, ref.cell);
	uint64_t target = c ? atom_load_relaxed(&c->target) : 0;

	(void)mailbox_publish(shm, mailbox, ref);
	TESTPOINT("redo: published one");
	mailbox_ring(shm, mailbox);
	if (mailbox >= shm->limits.roles && shm_slot_mailbox(shm, handle_slot(target)) == mailbox)
		mail_return(shm, target);
}

void record_redo(const struct shm *shm, const struct mail_record *r)
{
	for (unsigned i = 0; i < r->sent; i++) {
		if (!shm_mailbox(shm, r->outbox[i].mailbox))
			continue;
		publish_sent(shm, r->outbox[i].mailbox, r->outbox[i].ref);
	}
	TESTPOINT("redo: outbox published");
	if (r->outcome == MAIL_NONE || r->ref.cell == 0 || !shm_mailbox(shm, r->mailbox))
		return;
	mailbox_pass(shm, r->mailbox, r->ticket, r->ref.cell);
	TESTPOINT("redo: passed");
	let_go(shm, r->ref, r->outcome);
}

void mail_answer(const struct shm *shm, struct cell_ref ref)
{
	let_go(shm, ref, MAIL_ANSWERED);
}

/* From exactly that word. Whether it still was that. */
static bool refuse(const struct shm *shm, uint32_t cell, uint64_t w)
{
	struct cell_word cw = cell_unpack(w), next = cw;

	next.state = CELL_DONE;
	next.flags |= CELL_REFUSED;
	if (!(cw.flags & CELL_CALL) || (cw.flags & CELL_ABANDONED))
		next = (struct cell_word){.generation = cw.generation + 1, .state = CELL_FREE};
	if (cell_move(shm, cell, w, next))
		return false;
	TESTPOINT("mail: refused");
	doorbell_ring(shm, cw.slot);
	return true;
}

void mail_refuse(const struct shm *shm, struct cell_ref ref)
{
	uint64_t w;

	while (cell_load(shm, ref, &w) == 0) {
		enum cell_state state = cell_unpack(w).state;

		if (state == CELL_FREE || state == CELL_DONE || state == CELL_ASIDE || refuse(shm, ref.cell, w))
			return;
	}
}

/* A message for that process or one before it in its slot. */
static bool meant_for(uint64_t target, uint64_t handle)
{
	return handle_slot(target) == handle_slot(handle) &&
	       handle_incarnation(target) <= handle_incarnation(handle);
}

void mail_return(const struct shm *shm, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	uint32_t mailbox = shm_slot_mailbox(shm, handle_slot(handle));
	struct mail_head head;

	/*
	 * Either the slot is seen dead here, or what was published is seen by the burial that follows: pairs
	 * with bury().
	 */
	fence_seq();
	for (uint32_t i = 0; s && i <= shm->ring_entries; i++) {
		uint64_t w = atom_load_acquire(&s->word);
		enum slot_state state = (enum slot_state)(w >> 24 & 0xff);

		if (state == SLOT_ALIVE || state == SLOT_JOINING)
			return; /* it sees to its own mailbox, or whoever buries it */
		if (mailbox_peek(shm, mailbox, &head) != 1 ||
		    !meant_for(atom_load_relaxed(&shm_cell(shm, head.ref.cell)->target), handle))
			return;
		mailbox_pass(shm, mailbox, head.ticket, head.ref.cell);
		TESTPOINT("mail: returned");
		mail_refuse(shm, head.ref);
	}
}

/* What lies in the dead one's own ring is taken out of it, so that no let-go cell stands in it. */
static bool empty_ring(const struct burial *b)
{
	struct mail_head head;

	for (uint32_t i = 0; i <= b->shm->ring_entries && mailbox_peek(b->shm, b->mailbox, &head) == 1; i++) {
		if (!b->still_dead(b->arg))
			return false;
		mailbox_pass(b->shm, b->mailbox, head.ticket, head.ref.cell);
	}
	return true;
}

/* Does the cell, as it is in word w, stand at the head of the mailbox? Then *ret is its ticket. */
static bool at_head(const struct shm *shm, uint32_t mailbox, uint32_t cell, uint64_t w, uint32_t *ret)
{
	struct shm_mailbox *m = shm_mailbox(shm, mailbox);
	uint64_t head, entry;

	if (!m)
		return false;
	head = atom_load_acquire(&m->head);
	entry = atom_load_acquire(&shm_ring(shm, mailbox)[head & (shm->ring_entries - 1)]);
	*ret = (uint32_t)head;
	/* The word again: the entry is of this use of the cell. */
	return entry == ((head & UINT32_MAX) << 32 | cell) &&
	       atom_load_acquire(&shm_cell(shm, cell)->word) == w;
}

/*
 * A message to one who is buried already: whoever was about to return it has died with it in hand, out of the
 * ring.
 */
static bool undelivered(const struct shm *shm, uint32_t mailbox, uint32_t cell, uint64_t target)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(target));
	atom64 *ring = shm_ring(shm, mailbox);
	uint64_t w = s ? atom_load_acquire(&s->word) : 0;

	if (!s || !ring || (uint32_t)(w >> 32) < handle_incarnation(target) ||
	    ((uint32_t)(w >> 32) == handle_incarnation(target) && (w >> 24 & 0xff) != SLOT_FREE))
		return false;
	for (uint32_t i = 0; i < shm->ring_entries; i++)
		if ((uint32_t)atom_load_acquire(&ring[i]) == cell)
			return false;
	return true;
}

/* Delivered too often: its reader has passed it to set it aside. */
static bool is_poison(const struct shm *shm, uint32_t mailbox, struct cell_word cw)
{
	struct shm_role *role = shm_role(shm, mailbox);
	struct shm_app *app = role ? shm_app(shm, role->app) : NULL;

	return app && cw.deliveries > POLICY_WORD(shm, app, max_deliveries);
}

/*
 * What is to become of a cell of which the dead party was the sender, the reader, or the one who passed it on.
 */
static enum verdict judge(const struct burial *b, uint32_t cell, struct shm_cell *c, uint64_t w)
{
	struct cell_word cw = cell_unpack(w);
	uint32_t mailbox = atom_load_relaxed(&c->mailbox), ticket;
	uint64_t target = atom_load_relaxed(&c->target);
	bool sent = cw.slot == b->slot, to_it = target && meant_for(target, b->handle), stands;

	if (b->direct && !(to_it && (cw.state == CELL_PUBLISHED || cw.state == CELL_TAKEN)))
		return LEAVE;
	switch (cw.state) {
	case CELL_OWNED:
		if (!(cw.flags & CELL_FORWARDED))
			return sent ? DISCARD : LEAVE;
		return atom_load_relaxed(&c->holder) == b->slot ? REFUSE : sent ? RELEASE : LEAVE;
	case CELL_TAKEN:
		/*
		 * A role's: still at the head, the next reader takes it again; passed, and not answered, nobody
		 * would.
		 */
		stands = at_head(b->shm, mailbox, cell, w, &ticket);
		if (!stands && atom_load_relaxed(&c->holder) == b->slot)
			return is_poison(b->shm, mailbox, cw) ? KEEP : REFUSE;
		return to_it ? REFUSE : sent ? RELEASE : LEAVE;
	case CELL_PUBLISHED:
		to_it = to_it || (target && undelivered(b->shm, mailbox, cell, target));
		return to_it ? REFUSE : sent ? RELEASE : LEAVE;
	case CELL_DONE:
		/* Or given up, and skipped by a reader who died before it freed it. */
		return sent || (cw.slot == 0 && (cw.flags & CELL_ABANDONED)) ? DISCARD : LEAVE;
	case CELL_ASIDE:
		return sent ? RELEASE : LEAVE;
	case CELL_FREE:
		break;
	}
	return LEAVE;
}

/* One look at a cell, at most one change. True: look again. */
static bool settle(const struct burial *b, uint32_t cell, bool *ret_dead)
{
	struct shm_cell *c = shm_cell(b->shm, cell);
	uint64_t w = c ? atom_load_acquire(&c->word) : 0;
	struct cell_word cw = cell_unpack(w), next = cw;
	enum verdict verdict = c ? judge(b, cell, c, w) : LEAVE;
	uint32_t mailbox, ticket;
	uint64_t target;

	if (verdict == LEAVE)
		return false;
	mailbox = atom_load_relaxed(&c->mailbox);
	target = atom_load_relaxed(&c->target);
	/* After the look: what was seen is the dead one's, not a successor's. */
	*ret_dead = b->still_dead(b->arg);
	if (!*ret_dead)
		return false;
	if (cw.state == CELL_OWNED && shm_mailbox(b->shm, mailbox)) {
		mailbox_settle(b->shm, mailbox); /* it may stand in the ring: then it was accepted */
		if (atom_load_acquire(&c->word) != w)
			return true;
	}
	/* Sent to one who is buried already, by one who died before it took that back: nobody reads there. */
	if (cw.state == CELL_PUBLISHED && verdict == RELEASE && target) {
		mail_return(b->shm, target);
		if (atom_load_acquire(&c->word) != w)
			return true;
	}
	/* Out of the ring before it is let go. */
	if (cw.state == CELL_PUBLISHED && verdict == REFUSE && !empty_ring(b))
		return false;
	if (cw.state == CELL_DONE && at_head(b->shm, mailbox, cell, w, &ticket))
		mailbox_pass(b->shm, mailbox, ticket, cell);
	next.slot = 0;
	if (cw.flags & CELL_CALL)
		next.flags |= CELL_ABANDONED;
	if (verdict == REFUSE)
		(void)refuse(b->shm, cell, w);
	else if (verdict == DISCARD)
		cell_free(b->shm, cell, w);
	else if (verdict == KEEP)
		let_go(b->shm, (struct cell_ref){cell, cw.generation}, MAIL_ASIDE);
	else
		(void)cell_move(b->shm, cell, w, next);
	TESTPOINT("bury: cell settled");
	return true;
}

static void settle_all(const struct burial *b)
{
	bool dead = empty_ring(b);

	for (uint32_t i = 1; dead && i < b->shm->limits.cells; i++)
		while (settle(b, i, &dead))
			;
}

void mail_bury(const struct shm *shm, uint64_t handle, bool (*still_dead)(void *arg), void *arg)
{
	uint32_t slot = handle_slot(handle);

	settle_all(&(struct burial){shm, handle, slot, shm_slot_mailbox(shm, slot), still_dead, arg, false});
}

void mail_bury_direct(const struct shm *shm, uint64_t handle, bool (*still_dead)(void *arg), void *arg)
{
	uint32_t slot = handle_slot(handle);

	settle_all(&(struct burial){shm, handle, slot, shm_slot_mailbox(shm, slot), still_dead, arg, true});
}
