/* SPDX-License-Identifier: ISC */
/* Which steps of an application's list a move has, and in which order. */
#ifndef HEIR_LIB_MOVEPLAN_H
#define HEIR_LIB_MOVEPLAN_H

#include <stdint.h>

#include "heir.h"
#include "shm/layout.h"

enum step_kind { STEP_START, STEP_SWITCH, STEP_STOP_OLD, STEP_PHASE };

struct moveplan {
	unsigned count;
	struct {
		enum step_kind kind;
		unsigned index;
	} step[SHM_STEPS_MAX]; /* index into shm_app.step */
};

/* `how`: HEIR_OVERLAP or HEIR_EXCLUSIVE, of a takeover; 0: as the list is. */
void moveplan(const struct shm_app *a, enum heir_start_type type, uint32_t how, struct moveplan *p);

#endif
