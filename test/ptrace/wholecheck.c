/* SPDX-License-Identifier: ISC */
/* The product's own check (proc/verify.h); and what holds besides when nothing is left to do (wholecheck.h). */
#include "wholecheck.h"

#include <stddef.h>

#include "mail/cell.h"
#include "name/names.h"
#include "proc/slot.h"
#include "proc/verify.h"
#include "state/control.h"

#define MUST_HOLD(what, why)                                                                                   \
	do {                                                                                                   \
		if (!(what))                                                                                   \
			return why;                                                                            \
	} while (0)
#define PASS_ON(check)                                                                                         \
	do {                                                                                                   \
		const char *wrong_ = (check);                                                                  \
                                                                                                               \
		if (wrong_)                                                                                    \
			return wrong_;                                                                         \
	} while (0)

static struct slot_word slot_of(const struct shm *s, uint32_t slot)
{
	return slot_unpack(atom_load_relaxed(&s->slots[slot].word));
}

static struct cell_word cell_of(const struct shm *s, uint32_t cell)
{
	return cell_unpack(atom_load_relaxed(&shm_cell(s, cell)->word));
}

static bool in_use(const struct shm *s, uint32_t slot)
{
	return slot > 0 && slot < s->limits.slots && slot_of(s, slot).state != SLOT_FREE;
}

static int first_damage(const struct heir_finding *finding, void *arg)
{
	if (finding->kind == HEIR_DAMAGE && !*(const char **)arg)
		*(const char **)arg = finding->what;
	return 0;
}

const char *whole_check(const struct shm *s)
{
	const char *wrong = NULL;
	struct heir_check check;

	MUST_HOLD(verify(s, 0, first_damage, &wrong, &check) == 0, "no memory for the check");
	MUST_HOLD(wrong || check.unjudged == 0, "a segment that stands still is not judged");
	return wrong;
}

static int count_cells(const char *name, size_t length, uint64_t binding, void *arg)
{
	(void)name;
	(void)binding;
	*(uint32_t *)arg += names_cells_of(length);
	return 0;
}

const char *whole_rest(const struct shm *s)
{
	uint32_t cells = 0;

	PASS_ON(whole_check(s));
	for (uint32_t i = 1; i < s->limits.slots; i++)
		MUST_HOLD(!in_use(s, i) || handle_alive(s, slot_handle(s, i)),
			  "somebody is dead and not buried");
	for (uint32_t i = 0; i < shm_mailbox_count(s); i++)
		MUST_HOLD(atom_load_relaxed(&s->mailboxes[i].head) == atom_load_relaxed(&s->mailboxes[i].tail),
			  "mail that nobody reads");
	for (uint32_t i = 1; i < s->limits.cells; i++)
		MUST_HOLD(cell_of(s, i).state == CELL_FREE, "a cell is lost");
	for (uint32_t i = 0; i < s->limits.apps; i++) {
		struct control c = control_unpack(atom_load_relaxed(&s->apps[i].control));

		MUST_HOLD(!c.open && !c.want, "a control word left open, or wanted");
		MUST_HOLD(c.owner == 0 || handle_alive(s, slot_handle(s, c.owner)), "the owner is dead");
	}
	(void)names_each(s, count_cells, &cells);
	MUST_HOLD(names_sweep((struct shm *)(uintptr_t)s) == cells, "a name cell is lost");
	return NULL;
}
