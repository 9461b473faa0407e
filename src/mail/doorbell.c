/* SPDX-License-Identifier: ISC */
/* Doorbells rung (doorbell.h has the argument). */
#include "mail/doorbell.h"

#include <limits.h>

#include "base/futex.h"
#include "state/control.h"

void doorbell_ring(const struct shm *shm, uint32_t slot)
{
	struct shm_slot *s = shm_slot(shm, slot);

	if (!s)
		return;
	atom_add_seq(&s->doorbell, 1);
	if (atom_load_seq(&s->asleep))
		futex_wake(&s->doorbell, INT_MAX);
}

/* 0: nobody reads it now. */
static uint32_t reader_of(const struct shm *shm, uint32_t mailbox)
{
	struct shm_role *role = shm_role(shm, mailbox);
	struct shm_app *app;
	uint32_t owner;
	int node;

	if (!role)
		return mailbox - shm->limits.roles;
	app = shm_app(shm, role->app);
	if (!app)
		return 0;
	/* seq_cst, behind the publishing CAS: pairs with control_apply() and the peek of whoever becomes the reader */
	owner = control_unpack(atom_load_seq(&app->control)).owner;
	if (mailbox == app->lead_role)
		return app->flags & APP_LED ? 0 : owner; /* a leader owns for a program that reads no mail */
	node = shm_slot_node(shm, owner);
	/* seq_cst: pairs with register_candidate() */
	return node >= 0 ? handle_slot(atom_load_seq(&role->candidate[node])) : 0;
}

void mailbox_ring(const struct shm *shm, uint32_t mailbox)
{
	doorbell_ring(shm, reader_of(shm, mailbox));
}
