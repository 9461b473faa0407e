/* SPDX-License-Identifier: ISC */
/* Operations that are watched as the code of src is (accessops.h). */
#include "access/accessops.h"

#include "base/futex.h"
#include "heir.h"
#include "mail/doorbell.h"
#include "proc/bury.h"
#include "proc/recover.h"
#include "state/control.h"

static atom64 *word(heir_t *h)
{
	return &shm_app(&h->shm, 0)->control;
}

int op_serve(heir_t *h)
{
	uint32_t generation;
	int rc = app_serve(&h->shm, 0, h->self, HEIR_NORMAL, 0, &generation);

	if (rc == 0)
		atom_store_release(&shm_slot(&h->shm, h->slot)->ready, WORKER_SERVING);
	if (rc == 0)
		app_changed(&h->shm, 0);
	return rc;
}

int op_hold(heir_t *h)
{
	struct control c = control_unpack(atom_load_acquire(word(h)));
	uint64_t old, now;
	int rc = control_apply(word(h), &old, &now, control_hold, c.owner);

	if (rc == 0)
		app_changed(&h->shm, 0);
	return rc;
}

int op_want(heir_t *h)
{
	uint64_t old, now;

	return control_apply(word(h), &old, &now, control_want, h->slot);
}

int op_unwant(heir_t *h)
{
	uint64_t old, now;
	int rc = control_apply(word(h), &old, &now, control_unwant, h->slot);

	if (rc == 0)
		control_wake_commit(word(h));
	return rc;
}

int op_name_heir(heir_t *h)
{
	uint64_t old, now;
	int rc = control_apply(word(h), &old, &now, control_name_heir, h->slot);

	if (rc == 0)
		app_wake(&h->shm, 0);
	return rc;
}

int op_switch_back(heir_t *h)
{
	uint64_t previous = atom_load_acquire(&shm_app(&h->shm, 0)->previous);
	int rc;

	if (!previous || !handle_alive(&h->shm, previous))
		return HEIR_EDEAD;
	rc = app_give_back(&h->shm, 0, h->self, previous);
	if (rc == 0)
		app_changed(&h->shm, 0);
	return rc;
}

void op_store(uint64_t *to, uint64_t value)
{
	*to = value;
}

int op_call(heir_t *h, uint64_t target, uint64_t value, struct heir_ticket *ret)
{
	uint32_t mailbox = shm_slot_mailbox(&h->shm, handle_slot(target));
	struct cell_ref ref;
	int rc = cell_alloc(&h->shm, h->slot, CELL_CALL, &h->cell_hint, &ref);

	if (rc)
		return rc;
	(void)cell_fill(&h->shm, ref, CELL_USER, "x", 1, &value, sizeof(value));
	atom_store_relaxed(&shm_cell(&h->shm, ref.cell)->mailbox, mailbox);
	atom_store_relaxed(&shm_cell(&h->shm, ref.cell)->target, target);
	rc = mailbox_publish(&h->shm, mailbox, ref);
	if (rc)
		return rc;
	mailbox_ring(&h->shm, mailbox);
	mail_return(&h->shm, target);
	*ret = (struct heir_ticket){ref.cell, ref.generation};
	return 0;
}

uint32_t op_doorbell(heir_t *h)
{
	return doorbell_seen(&h->shm, h->slot);
}

void op_sleep_box(heir_t *h, uint32_t rung, const bool *quit)
{
	doorbell_sleep(&h->shm, h->slot);
	if (!*quit)
		(void)futex_wait(&h->shm.slots[h->slot].doorbell, rung, -1);
	doorbell_awake(&h->shm, h->slot);
}

void op_bury(heir_t *h)
{
	bool pending = bury_pending(&h->shm);

	if (bury_all(&h->shm, h->slot))
		app_changed(&h->shm, 0);
	if (pending)
		app_wake(&h->shm, 0); /* who died may have changed it, and woken nobody */
}

void op_stop_held(heir_t *h, uint64_t *asked, struct heir_ticket *ticket)
{
	struct shm_app *a = shm_app(&h->shm, 0);
	struct control c = control_unpack(atom_load_acquire(&a->control));
	uint64_t owner = c.phase == PHASE_HELD ? slot_handle(&h->shm, c.owner) : 0;
	int node = slot_place(&h->shm, c.owner).node;
	struct request stop = {.op = REQ_STOP};
	struct reply reply;

	if (*asked && lib_reply(h, *ticket, &reply) != HEIR_EAGAIN)
		*asked = 0;
	if (!owner || node < 0)
		return;
	if (handle_noticed(&h->shm, owner)) {
		if (atom_load_relaxed(&a->instance[node]) == INSTANCE_ABSENT)
			return;
		atom_store_release(&a->instance[node], INSTANCE_ABSENT);
		app_changed(&h->shm, 0);
	} else if (!*asked && lib_request(h, owner, &stop, ticket) == 0) {
		*asked = owner;
	}
}

uint32_t op_changes(heir_t *h)
{
	return atom_load_acquire(&h->shm.head->changed);
}

void op_sleep_leader(heir_t *h, uint32_t seen, uint32_t rung, const bool *quit)
{
	struct futex_waitv at[] = {
		futex_word(&h->shm.head->changed, seen),
		futex_word(&h->shm.slots[h->slot].doorbell, rung),
	};

	doorbell_sleep(&h->shm, h->slot);
	if (!*quit)
		(void)futex_waitv(at, 2, -1);
	doorbell_awake(&h->shm, h->slot);
}
