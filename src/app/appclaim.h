/* SPDX-License-Identifier: ISC */
/*
 * Whether a hot standby is to take an application over by itself: a pure decision on what it sees.
 *
 * A crash is told from an ordered death by the phase: an owner's leader holds (SERVING -> HELD) before it ends
 * it. What is left to others (HELD to that leader, a move to its driver, a restart in place to the leader, the first
 * claim to the heir) is left to them while they live, and for as long as they need: one that is stopped is passed
 * over then (base/patience.h).
 */
#ifndef HEIR_APP_APPCLAIM_H
#define HEIR_APP_APPCLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "state/control.h"

struct claim_view {
	enum control_phase phase;
	bool permitted;
	bool exhausted;          /* too many failovers just now: leaders see to it */
	bool restart_in_place;   /* policy: the owner's leader restarts it */
	bool owner_gone;         /* certainly, or dying */
	bool owner_leader_gone;
	bool instance_absent;    /* HELD: the owner's leader has let the instance go */
	bool driven;             /* another process drives a move of this application, and is not late */
	bool is_heir;            /* this standby is named */
	bool heir_alive;         /* somebody else is named, and lives */
	int64_t now;
	int64_t since;           /* when this standby first saw that it may have to; -1: not yet */
	int64_t turn;            /* when it first saw that it is for standbys to do; -1: not yet */
	int64_t grace;           /* claim_grace: how long the named one goes first then */
	int64_t held;            /* patience_held() */
	bool node_died;          /* the owner's leader died with it, or before it */
	int64_t failover_timeout; /* then: how long the node has to come back; -1: for ever */
};

enum claim_decision { CLAIM_NO, CLAIM_WAIT, CLAIM_AFTER_HEIR, CLAIM_NOW, CLAIM_SWITCH };

/*
 * CLAIM_NOW: the owner is gone. CLAIM_SWITCH: it lives, but its leader is gone, and it will be. CLAIM_WAIT: a leader
 * or a driver goes first, look again at *ret_deadline; CLAIM_AFTER_HEIR: it is the heir's turn. CLAIM_NO: nothing to
 * look for until something changes.
 */
enum claim_decision claim_decide(const struct claim_view *view, int64_t *ret_deadline);

#endif
