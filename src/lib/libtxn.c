/* SPDX-License-Identifier: ISC */
/*
 * Transactions. Begin opens the control word; what the handler changes is marked in the undo log, what it sends
 * waits in OWNED cells, its reply in the cell that it holds; commit stores the record and closes the word in
 * one CAS, by which all that becomes valid at once; redo makes it visible. Died before the CAS: the next owner
 * undoes all of it. After: redoes.
 */
#include <string.h>

#include "base/testpoint.h"
#include "lib/txn.h"
#include "lib/worker.h"
#include "mail/doorbell.h"
#include "shm/policy.h"
#include "state/control.h"

static struct shm_app *app_of(heir_t *h)
{
	return h->place.app >= 0 ? shm_app(&h->shm, (uint32_t)h->place.app) : NULL;
}

/*
 * Switched away and back since this worker last looked: it has not been told, and may know an old state. The word is
 * open by now, so nobody switches; nothing was touched.
 */
static bool given_back(heir_t *h, struct shm_app *a, uint64_t word)
{
	uint32_t returned = (uint32_t)atom_load_acquire(&a->returned);

	return h->run && (h->run->state == WORKER_SERVING || h->run->state == WORKER_LOST) &&
	       returned > h->run->since && returned <= control_unpack(word).generation;
}

int heir_begin(heir_t *h)
{
	struct shm_app *a = app_of(h);
	uint64_t old, new_word;
	int rc;

	if (!a || h->self == 0)
		return HEIR_EPERM;
	if (h->open)
		return HEIR_EOPEN;
	rc = control_apply(&a->control, &old, &new_word, control_begin, h->slot);
	if (rc)
		return rc;
	TESTPOINT("txn: open");
	if (given_back(h, a, new_word)) {
		(void)control_apply(&a->control, &old, &new_word, control_abort, h->slot);
		control_wake_commit(&a->control);
		return HEIR_ESTALE;
	}
	h->parity = control_unpack(new_word).parity;
	state_begin(&h->state, h->parity);
	h->record.outcome = MAIL_NONE;
	h->record.ref = (struct cell_ref){0, 0};
	h->record.sent = 0;
	h->open = 1;
	return 0;
}

int heir_mark(heir_t *h, const void *start, size_t size)
{
	return h->open ? state_mark(&h->state, start, size) : HEIR_EOPEN;
}

static int close_open(heir_t *h, int commit)
{
	struct shm_app *a = app_of(h);
	uint64_t old = 0, new_word;
	int rc;

	if (commit) {
		/* parity cannot change while the word is open */
		record_store(&a->record[!h->parity], &h->record);
		state_commit(&h->state, h->parity);
		TESTPOINT("txn: record stored");
	}
	rc = commit ? control_apply(&a->control, &old, &new_word, control_commit, h->slot)
		    : control_apply(&a->control, &old, &new_word, control_abort, h->slot);
	TESTPOINT("txn: closed");
	h->open = 0;
	if (rc == 0 && control_unpack(old).want)
		control_wake_commit(&a->control);
	return rc;
}

int heir_commit(heir_t *h)
{
	int rc;

	if (!h->open || h->in.active == 1)
		return HEIR_EOPEN;
	rc = close_open(h, 1);
	if (rc == 0)
		record_redo(&h->shm, &h->record);
	return rc;
}

/* What the transaction did so far never was: marked ranges and the outbox. */
static int take_back(heir_t *h)
{
	int rc = state_undo(&h->state, h->parity);

	for (unsigned i = 0; i < h->record.sent; i++) {
		uint64_t w;

		if (cell_load(&h->shm, h->record.outbox[i].ref, &w) == 0)
			cell_free(&h->shm, h->record.outbox[i].ref.cell, w);
	}
	h->record.sent = 0;
	return rc < 0 ? rc : 0;
}

int heir_abort(heir_t *h)
{
	int rc;

	if (!h->open || h->in.active == 1)
		return HEIR_EOPEN;
	rc = take_back(h);
	return rc ? rc : close_open(h, 0);
}

static void set_aside(heir_t *h, uint32_t role)
{
	atom_add_relaxed(&shm_mailbox(&h->shm, role)->aside, 1);
}

/* The head of the mailbox as it is now, while open: taken. 1, 0 none, negative */
static int take_open(heir_t *h, uint32_t role, struct mail_head *head)
{
	int rc;

	do {
		rc = mailbox_peek(&h->shm, role, head);
		if (rc <= 0)
			return rc;
	} while (mailbox_take(&h->shm, h->slot, head));
	h->record.ref = head->ref;
	h->record.mailbox = role;
	h->record.ticket = head->ticket;
	h->record.outcome = MAIL_ANSWERED;
	return 1;
}

static void store_answer(heir_t *h, int status)
{
	struct shm_cell *c = shm_cell(&h->shm, h->in.head.ref.cell);

	atom_store_relaxed(&c->reply_size, status ? 0 : h->in.reply_size);
	atom_store_relaxed(&c->status, (uint32_t)status);
}

int txn_message(heir_t *h, uint32_t role, txn_handler *handle, void *arg)
{
	struct shm_app *a = app_of(h);
	struct mail_head head;
	int rc = mailbox_peek(&h->shm, role, &head), status;

	if (rc <= 0)
		return rc;
	rc = heir_begin(h);
	if (rc)
		return rc;
	rc = take_open(h, role, &head);
	if (rc <= 0) {
		(void)close_open(h, 0);
		return rc;
	}
	if (cell_unpack(head.word).deliveries > POLICY_WORD(&h->shm, a, max_deliveries)) {
		h->record.outcome = MAIL_ASIDE;
		set_aside(h, role);
		status = HEIR_EPOISON;
		h->in.head = head;
		h->in.reply_size = 0;
	} else if (lib_load(h, role, &head)) {
		status = HEIR_ECORRUPT;
		h->in.head = head;
		h->in.reply_size = 0;
	} else {
		h->in.active = 1;
		status = handle ? handle(h, &h->in.message, arg) : HEIR_ENOENT;
		h->in.active = 0;
		if (status < 0) {
			rc = take_back(h);
			if (rc)
				return rc;
		}
	}
	store_answer(h, status < 0 ? status : 0);
	rc = close_open(h, 1);
	if (rc)
		return rc;
	record_redo(&h->shm, &h->record);
	return 1;
}

/*
 * What another live instance's worker of this role may have in hand is left to it: two must not answer into one
 * cell. Who took it cannot be told for certain, so it is whoever serves, or has served, in this role on another
 * node.
 */
static bool in_other_hands(heir_t *h, const struct mail_head *head)
{
	struct shm_role *role = &h->shm.roles[h->place.role];

	if (cell_unpack(head->word).state != CELL_TAKEN)
		return false;
	for (uint32_t n = 0; n < h->shm.limits.nodes; n++) {
		uint64_t other = atom_load_acquire(&role->candidate[n]);

		if (other && other != h->self && !handle_noticed(&h->shm, other) &&
		    atom_load_acquire(&shm_slot(&h->shm, handle_slot(other))->ready) >= WORKER_SERVING)
			return true;
	}
	return false;
}

int plain_message(heir_t *h, uint32_t role, txn_handler *handle, void *arg)
{
	struct mail_record record = {.mailbox = role, .outcome = MAIL_ANSWERED};
	struct mail_head head;
	int rc = mailbox_peek(&h->shm, role, &head), status;

	if (rc <= 0)
		return rc;
	if (in_other_hands(h, &head))
		return 0;
	if (mailbox_take(&h->shm, h->slot, &head))
		return 1;
	h->in.head = head;
	h->in.reply_size = 0;
	if (cell_unpack(head.word).deliveries > POLICY_WORD(&h->shm, app_of(h), max_deliveries)) {
		record.outcome = MAIL_ASIDE;
		set_aside(h, role);
		status = HEIR_EPOISON;
	} else if (lib_load(h, role, &head)) {
		status = HEIR_ECORRUPT;
	} else {
		h->in.active = 1;
		status = handle ? handle(h, &h->in.message, arg) : HEIR_ENOENT;
		h->in.active = 0;
	}
	store_answer(h, status < 0 ? status : 0);
	record.ref = head.ref;
	record.ticket = head.ticket;
	record_redo(&h->shm, &record);
	mailbox_ring(&h->shm, role);
	return 1;
}

void direct_done(heir_t *h, int rc)
{
	h->in.active = 0;
	if (h->in.answered == 2)
		return;
	store_answer(h, rc < 0 ? rc : 0);
	mail_answer(&h->shm, h->in.head.ref);
}

void *heir_state(heir_t *h, size_t *size)
{
	if (size)
		*size = h->state.size;
	return h->state.data;
}
