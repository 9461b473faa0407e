/* SPDX-License-Identifier: ISC */
#include "support/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t first; /* the test itself, not a child of it */

__attribute__((constructor)) static void note_first(void)
{
	first = getpid();
}

void owner_fail(const char *file, int line, const char *what)
{
	if (getpid() == first)
		fail_msg("%s:%d: %s", file, line, what);
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	_exit(OWNER_FAILED);
}

heir_t *owner_open(const char *domain, int node)
{
	struct slot_place place = {KIND_WORKER, node, 0, 0};
	uint64_t old;
	heir_t *h;

	MUST(lib_open(domain, place, &h) == 0);
	MUST(state_map(&h->shm, 0, 0, &h->state) == 0);
	old = atom_load_acquire(&h->shm.roles[0].candidate[node]);
	MUST(!old || handle_gone(&h->shm, old));
	MUST(atom_cas(&h->shm.roles[0].candidate[node], &old, h->self));
	atom_store_release(&h->shm.slots[h->slot].ready, WORKER_STANDBY);
	return h;
}

int owner_acquire(heir_t *h, enum acquire_how how, struct acquired *ret)
{
	if (how == ACQUIRE_SWITCH) /* which is for who drives; others may have, and be late by now */
		atom_store_release(&h->shm.apps[0].move, move_pack((struct move_word){.slot = h->slot}));
	return app_acquire(&h->shm, 0, h->self, how, &h->state, ret);
}

void owner_serve(heir_t *h)
{
	uint64_t old, now;

	MUST(control_apply(&h->shm.apps[0].control, &old, &now, control_serve, h->slot) == 0);
	atom_store_release(&h->shm.slots[h->slot].ready, WORKER_SERVING);
}

struct control owner_control(const struct shm *shm)
{
	return control_unpack(atom_load_acquire(&shm->apps[0].control));
}
