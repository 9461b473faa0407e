/* SPDX-License-Identifier: ISC */
/*
 * What is linked between the library's own parts, by --wrap: a bank can die or stop between a commit and its redo,
 * where no callback is; and recovery can be broken on purpose. SOAK_BREAK=no_undo leaves what an open transaction
 * had changed; no_redo tells nobody what a dead owner had committed and not told.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "mail/record.h"
#include "money.h"
#include "state/state.h"

int __real_state_undo(struct state *state, unsigned parity);
int __wrap_state_undo(struct state *state, unsigned parity);
void __real_record_load(struct mail_record *to, const struct shm_record *from);
void __wrap_record_load(struct mail_record *to, const struct shm_record *from);
void __real_record_redo(const struct shm *shm, const struct mail_record *record);
void __wrap_record_redo(const struct shm *shm, const struct mail_record *record);

static int is_broken(const char *way)
{
	const char *broken = getenv("SOAK_BREAK");

	return broken && strcmp(broken, way) == 0;
}

int __wrap_state_undo(struct state *state, unsigned parity)
{
	/* Who has begun a transaction itself takes back what it has done; others recover. */
	if (!is_broken("no_undo") || !state->head || state->used)
		return __real_state_undo(state, parity);
	atom_store_release(&state->head->undo_used[parity & 1], 0);
	return 0;
}

/* Only who recovers loads the record; who has committed redoes from its own copy. */
void __wrap_record_load(struct mail_record *to, const struct shm_record *from)
{
	__real_record_load(to, from);
	if (is_broken("no_redo"))
		*to = (struct mail_record){.outcome = MAIL_NONE};
}

void __wrap_record_redo(const struct shm *shm, const struct mail_record *record)
{
	bank_committed();
	__real_record_redo(shm, record);
}
