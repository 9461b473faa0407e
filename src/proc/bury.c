/* SPDX-License-Identifier: ISC */
/* The order in which a dead process is buried; the repairs themselves lie beside their writers (bury.h). */
#include "proc/bury.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/testpoint.h"
#include "heir.h"
#include "mail/doorbell.h"
#include "mail/record.h"
#include "name/names.h"
#include "proc/move.h"
#include "proc/recover.h"
#include "state/control.h"

struct corpse {
	const struct shm *shm;
	uint64_t handle;
};

static bool still_dead(void *arg)
{
	const struct corpse *c = arg;
	struct slot_word sw = slot_unpack(atom_load_acquire(&shm_slot(c->shm, handle_slot(c->handle))->word));

	return sw.incarnation == handle_incarnation(c->handle) && sw.state == SLOT_DEAD;
}

/*
 * As long as a control word names the slot, or what it committed is not redone, it is not reused. What is
 * cleared here was loaded before still_dead(): it is the dead one's, not a successor's.
 */
static bool owed(const struct corpse *corpse)
{
	const struct shm *shm = corpse->shm;
	uint32_t slot = handle_slot(corpse->handle);
	struct slot_place place = slot_place(shm, slot);

	for (uint32_t i = 0; i < shm->limits.apps; i++) {
		struct shm_app *a = shm_app(shm, i);
		uint64_t word = atom_load_acquire(&a->control);
		struct control c = control_unpack(word);

		if (c.owner == slot) {
			/* For a target that waits for its commit: the kernel may have told another sleeper. */
			control_wake_commit(&a->control);
			return true;
		}
		if ((int)i == place.app && (c.phase == PHASE_MOVING || c.phase == PHASE_RECOVERING) &&
		    atom_load_acquire(&a->redone) != c.generation)
			return true;
		if (c.heir != slot)
			continue;
		if (!still_dead((void *)(uintptr_t)corpse) || control_name_heir(&c, 0) ||
		    control_cas(&a->control, word, c))
			return true;
		app_wake(shm, i);
	}
	return false;
}

/* The owner while MOVING may yet give the application back to it: then its slot is named again. */
static bool awaited(const struct shm *shm, uint64_t handle)
{
	for (uint32_t i = 0; i < shm->limits.apps; i++) {
		struct shm_app *a = shm_app(shm, i);

		if (control_unpack(atom_load_acquire(&a->control)).phase == PHASE_MOVING &&
		    atom_load_acquire(&a->previous) == handle)
			return true;
	}
	return false;
}

/* What an exclusive application's worker holds is not free before its process is gone: app_confirm() looks for it. */
static bool lingers(const struct corpse *corpse)
{
	struct slot_place place = slot_place(corpse->shm, handle_slot(corpse->handle));
	struct shm_app *a = place.app < 0 ? NULL : shm_app(corpse->shm, (uint64_t)place.app);
	struct pollfd p = {.events = POLLIN};
	bool is_there;

	if (place.kind != KIND_WORKER || !a || !(a->flags & APP_EXCLUSIVE))
		return false;
	p.fd = handle_exit_fd(corpse->shm, corpse->handle);
	if (p.fd < 0)
		return p.fd != HEIR_ENOENT;
	is_there = poll(&p, 1, 0) != 1;
	close(p.fd);
	return is_there;
}

static void clear_places(const struct corpse *corpse)
{
	const struct shm *shm = corpse->shm;
	uint64_t handle = corpse->handle;

	for (uint32_t r = 0; r < shm->limits.roles; r++) {
		for (uint32_t n = 0; n < shm->limits.nodes; n++) {
			uint64_t h = handle;

			(void)atom_cas(&shm_role(shm, r)->candidate[n], &h, 0);
		}
	}
	for (uint32_t n = 0; n < shm->limits.nodes; n++) {
		uint64_t h = handle;

		(void)atom_cas(&shm_node(shm, n)->leader, &h, 0);
	}
	(void)atom_cas(&shm->head->opener, &(uint64_t){handle}, 0);
	for (uint32_t i = 0; i < shm->limits.apps; i++) {
		uint64_t w = atom_load_acquire(&shm_app(shm, i)->move);
		struct move_word m = move_unpack(w);

		if (m.slot != handle_slot(handle) || !still_dead((void *)(uintptr_t)corpse))
			continue;
		m.slot = 0;
		(void)atom_cas(&shm_app(shm, i)->move, &w, move_pack(m));
	}
}

/* It may have died between a change and the wake that goes with it. */
static void ring_all(const struct shm *shm)
{
	for (uint32_t i = 0; i < shm_mailbox_count(shm); i++) {
		struct shm_mailbox *m = shm_mailbox(shm, i);

		if (atom_load_relaxed(&m->tail) != atom_load_relaxed(&m->head))
			mailbox_settle(shm, i);
	}
	for (uint32_t i = 1; i < shm->limits.slots; i++) {
		struct shm_slot *s = shm_slot(shm, i);

		if (s && slot_unpack(atom_load_relaxed(&s->word)).state == SLOT_ALIVE)
			doorbell_ring(shm, i);
	}
	for (uint32_t i = 0; i < shm->limits.apps; i++) {
		control_wake_commit(&shm_app(shm, i)->control);
		app_changed(shm, i);
	}
}

int bury(const struct shm *shm, uint32_t me, uint64_t handle)
{
	struct shm_slot *s = shm_slot(shm, handle_slot(handle));
	struct corpse corpse = {shm, handle};
	struct slot_word sw;
	uint64_t w;

	if (!s || !handle_gone(shm, handle))
		return 0;
	w = atom_load_acquire(&s->word);
	sw = slot_unpack(w);
	if (sw.incarnation != handle_incarnation(handle) || sw.state == SLOT_FREE)
		return 1;
	if (sw.state != SLOT_DEAD) {
		sw.state = SLOT_DEAD;
		if (!atom_cas(&s->word, &w, slot_pack(sw)))
			return 0;
	}
	TESTPOINT("bury: declared dead");
	fence_seq(); /* dead before what is seen below; pairs with remember() in recover.c and mail_return() */
	clear_places(&corpse);
	if (owed(&corpse) || lingers(&corpse)) {
		mail_bury_direct(shm, handle, still_dead, &corpse);
		return 0;
	}
	if (atom_load_relaxed(&s->names)) {
		if (me == 0)
			return 0;
		names_drop_binding((struct shm *)(uintptr_t)shm, me, handle);
	}
	names_bury((struct shm *)(uintptr_t)shm, handle_slot(handle), still_dead, &corpse);
	TESTPOINT("bury: names dropped");
	mail_bury(shm, handle, still_dead, &corpse);
	TESTPOINT("bury: mail settled");
	ring_all(shm);
	if (awaited(shm, handle))
		return 0;
	sw.state = SLOT_DEAD;
	w = slot_pack(sw);
	sw.state = SLOT_FREE;
	sw.pid = 0;
	(void)atom_cas(&s->word, &w, slot_pack(sw));
	return 1;
}

unsigned bury_all(const struct shm *shm, uint32_t me)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < shm->limits.slots; i++) {
		uint64_t handle = slot_handle(shm, i);

		if (handle && handle_gone(shm, handle))
			n += bury(shm, me, handle) == 1;
	}
	return n;
}

bool bury_pending(const struct shm *shm)
{
	for (uint32_t i = 1; i < shm->limits.slots; i++) {
		uint64_t handle = slot_handle(shm, i);

		if (handle && handle_gone(shm, handle))
			return true;
	}
	return false;
}
