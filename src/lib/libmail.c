/* SPDX-License-Identifier: ISC */
/* Sending, calling, and direct mail. */
#include <string.h>

#include "base/clock.h"
#include "base/futex.h"
#include "lib/resolve.h"
#include "lib/txn.h"
#include "mail/doorbell.h"

#define POOL_RETRY_NS INT64_C(1000000)

static int name_valid(const char *name)
{
	size_t n = name ? strnlen(name, SHM_NAME_MAX + 66) : 0;

	return n >= 1 && n <= SHM_NAME_MAX + 65;
}

/* An OWNED cell with everything in it but its publication. */
static int prepare(heir_t *h, enum cell_kind kind, uint32_t flags, const struct resolved *to, const char *name,
		   const void *data, size_t size, struct cell_ref *ret)
{
	size_t name_size = strnlen(name, SHM_NAME_MAX);
	struct shm_cell *c;
	int rc;

	if (h->self == 0)
		return HEIR_EPERM;
	if (size > h->shm.limits.message)
		return HEIR_ETOOBIG;
	if (!mailbox_has_room(&h->shm, to->mailbox))
		return HEIR_EAGAIN;
	rc = cell_alloc(&h->shm, h->slot, flags, &h->cell_hint, ret);
	if (rc)
		return HEIR_EAGAIN;
	(void)cell_fill(&h->shm, *ret, kind, name, name_size, data, size);
	c = shm_cell(&h->shm, ret->cell);
	atom_store_relaxed(&c->mailbox, to->mailbox);
	atom_store_relaxed(&c->target, to->role < 0 ? to->handle : 0);
	if (to->mailbox >= h->shm.limits.roles)
		atom_store_relaxed(&c->target, to->handle);
	return 0;
}

static int publish(heir_t *h, uint32_t mailbox, struct cell_ref ref)
{
	uint64_t target = atom_load_relaxed(&shm_cell(&h->shm, ref.cell)->target);
	int rc = mailbox_publish(&h->shm, mailbox, ref);

	if (rc)
		return rc;
	mailbox_ring(&h->shm, mailbox);
	if (mailbox >= h->shm.limits.roles)
		mail_return(&h->shm, target); /* it may have been buried before this was published */
	return 0;
}

int heir_send(heir_t *h, const char *name, const void *data, size_t size)
{
	struct resolved to;
	struct cell_ref ref;
	int rc;

	if (!name_valid(name) || (!data && size))
		return HEIR_EINVAL;
	rc = resolve(h, name, &to);
	if (rc)
		return rc;
	if (h->open && h->record.sent == SHM_OUTBOX_MAX)
		return HEIR_ETOOBIG;
	rc = prepare(h, CELL_USER, 0, &to, name, data, size, &ref);
	if (rc)
		return rc;
	if (!h->open)
		return publish(h, to.mailbox, ref);
	h->record.outbox[h->record.sent].ref = ref;
	h->record.outbox[h->record.sent++].mailbox = to.mailbox;
	return 0;
}

static int call_start(heir_t *h, enum cell_kind kind, const struct resolved *to, const char *name,
		      const void *data, size_t size, struct heir_ticket *ret)
{
	struct cell_ref ref;
	int rc = prepare(h, kind, CELL_CALL, to, name, data, size, &ref);

	if (rc)
		return rc;
	rc = publish(h, to->mailbox, ref);
	if (rc)
		return rc;
	*ret = (struct heir_ticket){ref.cell, ref.generation};
	return 0;
}

int heir_call_start(heir_t *h, const char *name, const void *data, size_t size, struct heir_ticket *ret)
{
	struct resolved to;
	int rc;

	if (!name_valid(name) || (!data && size))
		return HEIR_EINVAL;
	if (h->open)
		return HEIR_EOPEN;
	rc = resolve(h, name, &to);
	return rc ? rc : call_start(h, CELL_USER, &to, name, data, size, ret);
}

static int answered(uint64_t w)
{
	struct cell_word cw = cell_unpack(w);

	return cw.state == CELL_DONE || cw.state == CELL_ASIDE;
}

int heir_call_ready(heir_t *h, struct heir_ticket ticket)
{
	uint64_t w;
	int rc = cell_load(&h->shm, (struct cell_ref){ticket.cell, ticket.generation}, &w);

	return rc ? rc : answered(w);
}

/*
 * The caller does not wait any longer. What the cell's reader has done, or will do, decides what the caller is
 * told.
 */
static int give_up(heir_t *h, struct cell_ref ref)
{
	uint64_t w;

	while (cell_load(&h->shm, ref, &w) == 0) {
		struct cell_word cw = cell_unpack(w), next = cw;

		if (cw.state == CELL_DONE || cw.state == CELL_FREE)
			return HEIR_EALREADY;
		next.slot = 0;
		next.flags |= CELL_ABANDONED;
		if (cell_move(&h->shm, ref.cell, w, next) == 0)
			return cw.state == CELL_ASIDE				  ? HEIR_EPOISON
			       : cw.state == CELL_PUBLISHED && cw.deliveries == 0 ? HEIR_ETIMEDOUT
										  : HEIR_EUNKNOWN;
	}
	return HEIR_EUNKNOWN;
}

static int collect(heir_t *h, struct cell_ref ref, uint64_t w, void *reply, size_t *reply_size)
{
	struct shm_cell *c = shm_cell(&h->shm, ref.cell);
	struct cell_word cw = cell_unpack(w);
	uint32_t size = atom_load_relaxed(&c->reply_size);
	int status = (int)atom_load_relaxed(&c->status);

	if (cw.flags & CELL_REFUSED)
		status = cw.deliveries ? HEIR_EUNKNOWN : HEIR_EDEAD;
	else if (size > h->shm.limits.message)
		status = HEIR_ECORRUPT;
	if (status == 0 && reply_size) {
		size_t room = *reply_size;

		*reply_size = size;
		if (size > room)
			status = -ENOSPC;
		else if (size)
			memcpy(reply, shm_cell_reply(&h->shm, c), size);
	}
	cell_free(&h->shm, ref.cell, w);
	return status > 0 ? HEIR_ECORRUPT : status;
}

static int call_finish(heir_t *h, struct heir_ticket ticket, void *reply, size_t *reply_size, int64_t deadline)
{
	struct cell_ref ref = {ticket.cell, ticket.generation};
	for (bool waited = false;; waited = true) {
		struct wait_word doorbell = lib_doorbell(h);
		uint64_t w;
		int rc = cell_load(&h->shm, ref, &w);

		if (rc)
			return HEIR_EINVAL;
		if (cell_unpack(w).state == CELL_ASIDE) {
			(void)give_up(h, ref);
			return HEIR_EPOISON;
		}
		if (cell_unpack(w).state == CELL_FREE) /* whoever frees it raises its generation */
			return HEIR_ECORRUPT;
		if (answered(w))
			return collect(h, ref, w, reply, reply_size);
		if (waited && deadline_passed(deadline)) {
			rc = give_up(h, ref);
			if (rc != HEIR_EALREADY)
				return rc;
			continue;
		}
		if (wait_spin(&doorbell, 1, h->spin, deadline))
			continue;
		doorbell_sleep(&h->shm, h->slot);
		(void)futex_wait(doorbell.word, doorbell.expected, deadline);
		doorbell_awake(&h->shm, h->slot);
	}
}

int heir_call_finish(heir_t *h, struct heir_ticket ticket, void *reply, size_t *reply_size, int64_t timeout)
{
	return call_finish(h, ticket, reply, reply_size, deadline_after(timeout));
}

/*
 * Room appears when the mailbox is read (its head moves), or when anybody's cell is freed: look again soon for
 * that.
 */
static void wait_for_room(heir_t *h, uint32_t mailbox, int64_t deadline)
{
	struct shm_mailbox *m = shm_mailbox(&h->shm, mailbox);
	uint32_t head = (uint32_t)atom_load_acquire(&m->head);

	atom_add_seq(&m->senders, 1);
	if (!mailbox_has_room(&h->shm, mailbox) || head == (uint32_t)atom_load_seq(&m->head))
		(void)futex_wait((atom32 *)(void *)&m->head, head,
				 deadline_min(deadline, clock_ns() + POOL_RETRY_NS));
	atom_add_relaxed(&m->senders, (uint32_t)-1);
}

int heir_call(heir_t *h, const char *name, const void *data, size_t size, void *reply, size_t *reply_size,
	      int64_t timeout)
{
	int64_t deadline = deadline_after(timeout);
	struct heir_ticket ticket;
	struct resolved to;
	int rc;

	if (!name_valid(name) || (!data && size))
		return HEIR_EINVAL;
	if (h->open)
		return HEIR_EOPEN;
	for (;;) {
		rc = resolve(h, name, &to);
		if (rc)
			return rc;
		rc = call_start(h, CELL_USER, &to, name, data, size, &ticket);
		if (rc != HEIR_EAGAIN || deadline_passed(deadline))
			break;
		wait_for_room(h, to.mailbox, deadline);
	}
	if (rc)
		return rc;
	return call_finish(h, ticket, reply, reply_size, deadline);
}

int lib_request(heir_t *h, uint64_t to, const struct request *request, struct heir_ticket *ret)
{
	struct resolved r = {-1, to, shm_slot_mailbox(&h->shm, handle_slot(to))};

	if (!handle_alive(&h->shm, to))
		return HEIR_EDEAD;
	return call_start(h, CELL_CONTROL, &r, "", request, sizeof(*request), ret);
}

int lib_reply(heir_t *h, struct heir_ticket ticket, struct reply *ret)
{
	struct reply reply;
	size_t size = sizeof(reply);
	int rc = heir_call_ready(h, ticket);

	if (rc == 0)
		return HEIR_EAGAIN;
	rc = heir_call_finish(h, ticket, &reply, &size, 0);
	if (rc == 0 && size != sizeof(reply))
		rc = HEIR_ECORRUPT;
	if (rc == 0) {
		reply.step[sizeof(reply.step) - 1] = 0;
		*ret = reply;
	}
	return rc;
}

void lib_forget(heir_t *h, struct heir_ticket ticket)
{
	size_t size = 0;
	uint64_t w;

	if (give_up(h, (struct cell_ref){ticket.cell, ticket.generation}) == HEIR_EALREADY &&
	    cell_load(&h->shm, (struct cell_ref){ticket.cell, ticket.generation}, &w) == 0 && answered(w))
		(void)collect(h, (struct cell_ref){ticket.cell, ticket.generation}, w, NULL, &size);
}

static bool request_valid(const heir_t *h, const struct request *r)
{
	return r->op >= REQ_START && r->op <= REQ_STOP_INSTANCE && r->app < h->shm.limits.apps &&
	       r->type <= HEIR_LOCAL && r->from_node <= h->shm.limits.nodes &&
	       memchr(r->phase, 0, sizeof(r->phase));
}

int lib_load(heir_t *h, uint32_t mailbox, const struct mail_head *head)
{
	struct shm_cell *c = shm_cell(&h->shm, head->ref.cell);
	uint32_t name_size = atom_load_relaxed(&c->name_size), size = atom_load_relaxed(&c->size);

	if (name_size > SHM_NAME_MAX || size > h->shm.limits.message)
		return HEIR_ECORRUPT;
	memcpy(h->in.bytes, shm_cell_data(c), name_size);
	h->in.bytes[name_size] = 0;
	memcpy(h->in.bytes + name_size + 1, shm_cell_data(c) + name_size, size);
	h->in.bytes[name_size + 1 + size] = 0;
	h->in.head = *head;
	h->in.mailbox = mailbox;
	h->in.kind = (enum cell_kind)atom_load_relaxed(&c->kind);
	h->in.answered = 0;
	h->in.reply_size = 0;
	h->in.status = 0;
	h->in.message =
		(struct heir_message){(const char *)h->in.bytes, h->in.bytes + name_size + 1, size,
				      cell_unpack(head->word).deliveries, mailbox >= h->shm.limits.roles};
	return 0;
}

int lib_receive(heir_t *h, struct request *ret_request)
{
	uint32_t mailbox = shm_slot_mailbox(&h->shm, h->slot);
	struct mail_head head;
	struct request request;
	int rc;

	for (;;) {
		rc = mailbox_peek(&h->shm, mailbox, &head);
		if (rc <= 0)
			return rc;
		if (atom_load_relaxed(&shm_cell(&h->shm, head.ref.cell)->target) != h->self) {
			mailbox_pass(&h->shm, mailbox, head.ticket, head.ref.cell);
			mail_refuse(&h->shm, head.ref);
			continue;
		}
		if (mailbox_take(&h->shm, h->slot, &head))
			continue;
		mailbox_pass(&h->shm, mailbox, head.ticket, head.ref.cell);
		if (lib_load(h, mailbox, &head)) {
			mail_refuse(&h->shm, head.ref);
			continue;
		}
		h->in.active = 2;
		if (h->in.kind == CELL_USER)
			return 1;
		if (h->in.message.size == sizeof(request)) {
			memcpy(&request, h->in.message.data, sizeof(request));
			if (request_valid(h, &request)) {
				*ret_request = request;
				return 1;
			}
		}
		lib_answer(h, HEIR_EINVAL, NULL, 0);
	}
}

static void answer(heir_t *h, struct cell_ref ref, int status, const void *data, size_t size)
{
	struct shm_cell *c = shm_cell(&h->shm, ref.cell);

	if (size > h->shm.limits.message) {
		size = 0;
		status = HEIR_ETOOBIG;
	}
	if (size)
		memcpy(shm_cell_reply(&h->shm, c), data, size);
	atom_store_relaxed(&c->reply_size, (uint32_t)size);
	atom_store_relaxed(&c->status, (uint32_t)status);
	mail_answer(&h->shm, ref);
}

void lib_answer(heir_t *h, int status, const void *data, size_t size)
{
	h->in.active = 0;
	answer(h, h->in.head.ref, status, data, size);
}

struct kept lib_keep(heir_t *h)
{
	h->in.active = 0;
	return (struct kept){h->in.head.ref};
}

void lib_answer_kept(heir_t *h, struct kept kept, int status, const void *data, size_t size)
{
	answer(h, kept.ref, status, data, size);
}

int heir_reply(heir_t *h, const void *data, size_t size)
{
	struct shm_cell *c;

	if (!h->in.active)
		return HEIR_EOPEN;
	if (h->in.answered)
		return HEIR_EALREADY;
	if (size > h->shm.limits.message)
		return HEIR_ETOOBIG;
	c = shm_cell(&h->shm, h->in.head.ref.cell);
	if (size)
		memcpy(shm_cell_reply(&h->shm, c), data, size);
	h->in.reply_size = (uint32_t)size;
	h->in.answered = 1;
	return 0;
}

int heir_forward(heir_t *h, const char *name)
{
	struct resolved to;
	struct shm_cell *c;
	struct cell_word next;
	int rc;

	if (h->in.active != 2)
		return HEIR_EOPEN;
	if (h->in.answered)
		return HEIR_EALREADY;
	if (!name_valid(name))
		return HEIR_EINVAL;
	rc = resolve(h, name, &to);
	if (rc)
		return rc;
	if (!mailbox_has_room(&h->shm, to.mailbox))
		return HEIR_EAGAIN;
	c = shm_cell(&h->shm, h->in.head.ref.cell);
	for (;;) {
		uint64_t w;

		/* Ours while TAKEN; only its caller may change it, by giving up. */
		if (cell_load(&h->shm, h->in.head.ref, &w) || cell_unpack(w).state != CELL_TAKEN)
			return HEIR_ECORRUPT;
		atom_store_relaxed(&c->mailbox, to.mailbox);
		atom_store_relaxed(&c->target, to.mailbox >= h->shm.limits.roles ? to.handle : 0);
		next = cell_unpack(w);
		next.state = CELL_OWNED;
		/* Forwarded again, the count goes on: no word of this use may come twice, or a late helper marks it. */
		if (!(next.flags & CELL_FORWARDED))
			next.deliveries = 0;
		next.flags |= CELL_FORWARDED;
		if (cell_move(&h->shm, h->in.head.ref.cell, w, next) == 0)
			break;
	}
	h->in.answered = 2;
	return publish(h, to.mailbox, h->in.head.ref);
}

struct wait_word lib_doorbell(heir_t *h)
{
	return (struct wait_word){&h->shm.slots[h->slot].doorbell, doorbell_seen(&h->shm, h->slot)};
}
