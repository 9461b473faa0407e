/* SPDX-License-Identifier: ISC */
/* The transitions of the control word: pure; and the wakes that follow them. */
#include "state/control.h"

#include <limits.h>

#include "base/futex.h"
#include "heir.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the generation is the low half: a little-endian machine");

static int raise_generation(struct control *c, uint32_t last)
{
	if (c->generation >= last)
		return HEIR_EGENERATION;
	c->generation++;
	return 0;
}

int control_begin(struct control *c, uint32_t me)
{
	if (c->owner != me || c->phase == PHASE_DOWN || c->phase == PHASE_RECOVERING)
		return HEIR_ESTALE;
	if (c->open)
		return HEIR_EOPEN;
	if (c->want)
		return HEIR_EWANTED;
	c->open = 1;
	return 0;
}

static int close_open(struct control *c, uint32_t me, unsigned flip)
{
	if (c->owner != me || c->phase == PHASE_DOWN || c->phase == PHASE_RECOVERING)
		return HEIR_ESTALE;
	if (!c->open)
		return HEIR_EOPEN;
	c->open = 0;
	c->parity ^= flip;
	return 0;
}

int control_commit(struct control *c, uint32_t me)
{
	return close_open(c, me, 1);
}

int control_abort(struct control *c, uint32_t me)
{
	return close_open(c, me, 0);
}

int control_want(struct control *c, uint32_t me)
{
	if (!c->open || c->want || c->owner == me)
		return HEIR_EALREADY;
	c->want = 1;
	return 0;
}

int control_unwant(struct control *c, uint32_t me)
{
	(void)me;
	if (!c->want)
		return HEIR_EALREADY;
	c->want = 0;
	return 0;
}

int control_switch(struct control *c, uint32_t me)
{
	if (c->phase == PHASE_DOWN || c->phase == PHASE_RECOVERING)
		return HEIR_ESTALE;
	if (c->owner == me)
		return HEIR_EALREADY;
	if (c->open)
		return HEIR_EOPEN;
	if (raise_generation(c, CONTROL_GENERATION_PLANNED))
		return HEIR_EGENERATION;
	c->owner = me;
	c->heir = 0;
	c->phase = PHASE_MOVING;
	c->want = 0;
	return 0;
}

int control_claim(struct control *c, uint32_t me)
{
	if (c->owner == me)
		return HEIR_EALREADY;
	if (raise_generation(c, CONTROL_GENERATION_LAST))
		return HEIR_EGENERATION;
	c->owner = me;
	c->heir = 0;
	c->phase = c->open ? PHASE_RECOVERING : PHASE_MOVING;
	c->want = 0;
	return 0;
}

int control_recovered(struct control *c, uint32_t me)
{
	if (c->owner != me || c->phase != PHASE_RECOVERING)
		return HEIR_ESTALE;
	if (raise_generation(c, CONTROL_GENERATION_LAST))
		return HEIR_EGENERATION;
	c->phase = PHASE_MOVING;
	c->open = 0;
	return 0;
}

int control_serve(struct control *c, uint32_t me)
{
	if (c->owner != me || c->phase != PHASE_MOVING)
		return HEIR_ESTALE;
	if (c->open)
		return HEIR_EOPEN;
	if (raise_generation(c, CONTROL_GENERATION_LAST))
		return HEIR_EGENERATION;
	c->phase = PHASE_SERVING;
	c->want = 0;
	return 0;
}

int control_switch_back(struct control *c, uint32_t me, uint32_t to)
{
	if (c->owner != me || c->phase != PHASE_MOVING)
		return HEIR_ESTALE;
	if (c->open)
		return HEIR_EOPEN;
	if (raise_generation(c, CONTROL_GENERATION_LAST))
		return HEIR_EGENERATION;
	c->owner = to;
	c->heir = 0;
	c->phase = PHASE_SERVING;
	c->want = 0;
	return 0;
}

int control_hold(struct control *c, uint32_t owner)
{
	if (c->owner != owner || c->phase != PHASE_SERVING)
		return HEIR_ESTALE;
	if (raise_generation(c, CONTROL_GENERATION_LAST))
		return HEIR_EGENERATION;
	c->phase = PHASE_HELD;
	return 0;
}

int control_release(struct control *c, uint32_t owner)
{
	if (c->owner != owner || c->phase == PHASE_DOWN)
		return HEIR_ESTALE;
	if (c->open)
		return HEIR_EOPEN;
	if (raise_generation(c, CONTROL_GENERATION_LAST))
		return HEIR_EGENERATION;
	c->owner = 0;
	c->heir = 0;
	c->phase = PHASE_DOWN;
	c->want = 0;
	return 0;
}

int control_name_heir(struct control *c, uint32_t heir)
{
	if ((c->phase != PHASE_SERVING && c->phase != PHASE_HELD) || (heir && c->owner == heir))
		return HEIR_ESTALE;
	if (c->heir == heir)
		return HEIR_EALREADY;
	if (raise_generation(c, CONTROL_GENERATION_LAST))
		return HEIR_EGENERATION;
	c->heir = heir;
	return 0;
}

int control_cas(atom64 *word, uint64_t old, struct control next)
{
	return atom_cas_seq(word, &old, control_pack(next)) ? 0 : HEIR_EAGAIN;
}

void control_wake_generation(atom64 *word)
{
	futex_wake(control_generation_futex(word), INT_MAX);
}

void control_wake_commit(atom64 *word)
{
	futex_wake(control_commit_futex(word), INT_MAX);
}
