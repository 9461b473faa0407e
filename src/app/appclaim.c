/* SPDX-License-Identifier: ISC */
/* A hot standby's decision (appclaim.h): who goes first, and for how long. */
#include "app/appclaim.h"

#include "base/clock.h"
#include "base/patience.h"

/* For how long the owner's leader is to see to a dead owner, because it said so or by policy; 0: it is not. */
static int64_t leader_first(const struct claim_view *v)
{
	if (v->owner_leader_gone)
		return 0;
	if (v->phase == PHASE_HELD)
		return v->instance_absent ? 0 : v->held;
	return v->phase == PHASE_SERVING && v->restart_in_place ? v->held : 0;
}

/* The same of that leader, and of the node's next one; -1: for ever. */
static int64_t node_first(const struct claim_view *v)
{
	int64_t wait = leader_first(v);

	if (v->phase != PHASE_SERVING || !v->node_died)
		return wait;
	return v->failover_timeout < 0 ? -1 : wait + v->failover_timeout;
}

enum claim_decision claim_decide(const struct claim_view *v, int64_t *ret_deadline)
{
	int64_t first = node_first(v), until;

	if (v->phase == PHASE_DOWN || !v->permitted || v->exhausted || first < 0)
		return CLAIM_NO;
	if (!v->owner_gone && !v->owner_leader_gone)
		return CLAIM_NO;
	until = deadline_from(v->since < 0 ? v->now : v->since, first);
	if (v->driven) /* by a word that is no futex */
		until = v->now + (v->grace > PATIENCE_LOOK ? v->grace : PATIENCE_LOOK);
	if (v->now < until) {
		*ret_deadline = until;
		return CLAIM_WAIT;
	}
	until = deadline_from(v->turn < 0 ? v->now : v->turn, v->grace);
	if (v->heir_alive && !v->is_heir && v->now < until) {
		*ret_deadline = until;
		return CLAIM_AFTER_HEIR;
	}
	return v->owner_gone ? CLAIM_NOW : CLAIM_SWITCH;
}
