/* SPDX-License-Identifier: ISC */
#include "support/owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void owner_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	_exit(OWNER_FAILED);
}

heir_t *owner_open(void)
{
	struct slot_place place = {KIND_WORKER, -1, 0, 0};
	uint64_t old = 0;
	heir_t *h;

	MUST(getenv("HEIR_NODE"));
	place.node = getenv("HEIR_NODE")[0] - 'a';
	MUST(lib_open(getenv("HEIR_DOMAIN"), place, &h) == 0);
	MUST(state_map(&h->shm, 0, 0, &h->state) == 0);
	MUST(atom_cas(&h->shm.roles[0].candidate[place.node], &old, h->self));
	atom_store_release(&h->shm.slots[h->slot].ready, WORKER_STANDBY);
	return h;
}

void owner_serve(heir_t *h)
{
	struct acquired got;
	uint64_t old, now;

	MUST(app_acquire(&h->shm, 0, h->self, ACQUIRE_CLAIM, &h->state, &got) == 0);
	MUST(control_apply(&h->shm.apps[0].control, &old, &now, control_serve, h->slot) == 0);
	atom_store_release(&h->shm.slots[h->slot].ready, WORKER_SERVING);
}

heir_t *owner_client(void)
{
	heir_t *h;

	MUST(heir_open(getenv("HEIR_DOMAIN"), 0, &h) == 0);
	return h;
}

struct control owner_control(heir_t *h)
{
	return control_unpack(atom_load_acquire(&h->shm.apps[0].control));
}
