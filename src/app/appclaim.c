/* SPDX-License-Identifier: ISC */
#include "app/appclaim.h"

#define HELD_PATIENCE INT64_C(10000000000)

static enum claim_decision wanted(const struct claim_view *v)
{
	enum claim_decision take = v->owner_gone ? CLAIM_NOW : CLAIM_SWITCH;

	if (!v->permitted || (!v->owner_gone && !v->owner_leader_gone))
		return CLAIM_NO;
	switch (v->phase) {
	case PHASE_SERVING:
		return v->restart_in_place && !v->owner_leader_gone ? CLAIM_NO : take;
	case PHASE_HELD:
		/* A leader that was stopped after it had held: long after the owner is gone, others go on. */
		if (v->owner_gone && !v->restart_in_place && v->since >= 0 && v->now >= v->since + HELD_PATIENCE)
			return CLAIM_NOW;
		return v->owner_leader_gone || (v->owner_gone && v->instance_absent) ? take : CLAIM_NO;
	case PHASE_MOVING:
	case PHASE_RECOVERING:
		return take;
	case PHASE_DOWN:
		break;
	}
	return CLAIM_NO;
}

enum claim_decision claim_decide(const struct claim_view *v, int64_t *ret_deadline)
{
	enum claim_decision d = wanted(v);
	int64_t until = (v->since < 0 ? v->now : v->since) + v->grace;

	if (d == CLAIM_NO && v->phase == PHASE_HELD && v->owner_gone && v->permitted && !v->restart_in_place) {
		*ret_deadline = (v->since < 0 ? v->now : v->since) + HELD_PATIENCE;
		return CLAIM_WAIT;
	}
	if (d == CLAIM_NO)
		return d;
	if (v->phase == PHASE_SERVING && v->node_died && v->failover_timeout) {
		int64_t since = v->since < 0 ? v->now : v->since;

		if (v->failover_timeout < 0)
			return CLAIM_NO;
		if (v->now < since + v->failover_timeout) {
			*ret_deadline = since + v->failover_timeout;
			return CLAIM_WAIT;
		}
		until += v->failover_timeout;
	}
	if (v->driver_alive) {
		*ret_deadline = v->now + v->grace;
		return CLAIM_WAIT;
	}
	if (v->is_heir || !v->heir_alive || v->now >= until)
		return d;
	*ret_deadline = until;
	return CLAIM_WAIT;
}
