/* SPDX-License-Identifier: ISC */
/*
 * Whether a hot standby is to take an application over by itself: a pure decision on what it sees.
 *
 * A crash is told from an ordered death by the phase: an owner's leader holds (SERVING -> HELD) before it ends
 * it. HELD and MOVING are left to their driver while it lives.
 */
#ifndef HEIR_APP_APPCLAIM_H
#define HEIR_APP_APPCLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "state/control.h"

struct claim_view {
	enum control_phase phase;
	bool permitted;
	bool restart_in_place;   /* policy: the owner's leader restarts it */
	bool owner_gone;         /* certainly, or dying */
	bool owner_leader_gone;
	bool instance_absent;    /* HELD: the owner's leader has let the instance go */
	bool driver_alive;       /* another process drives a move of this application */
	bool is_heir;            /* this standby is named */
	bool heir_alive;         /* somebody else is named, and lives */
	int64_t now;
	int64_t since;           /* when this standby first saw that it may have to; -1: not yet */
	int64_t grace;           /* how long the named one goes first */
	bool node_died;          /* the owner's leader died with it, or before it */
	int64_t failover_timeout; /* then: how long the node has to come back; -1: for ever */
};

enum claim_decision { CLAIM_NO, CLAIM_WAIT, CLAIM_NOW, CLAIM_SWITCH };

/*
 * CLAIM_NOW: the owner is gone. CLAIM_SWITCH: it lives, but its leader is gone, and it will be. CLAIM_WAIT:
 * somebody else goes first, look again at *ret_deadline.
 */
enum claim_decision claim_decide(const struct claim_view *view, int64_t *ret_deadline);

#endif
