/* SPDX-License-Identifier: ISC */
/*
 * What trace records tell, and the names of steps: one list each.
 */
#ifndef HEIR_TRACE_TRACESTEP_H
#define HEIR_TRACE_TRACESTEP_H

#include "shm/layout.h"

/* X(event, its name, then what a, b, at and value of its record mean) */
#define TRACE_EVENTS(X)                                                                           \
	X(MOVE_BEGIN, "move-begin", "start type", "nodes + 1: from, to * 256", "begin", "driver") \
	X(STEP, "step", "step", "slot of the move's driver, 0 unknown", "start", "duration")    \
	X(MOVE_END, "move-end", "result", "step that failed", "end", "error")                   \
	X(JOIN, "join", "slot kind", "", "now", "handle")                                       \
	X(DEATH, "death", "slot kind", "", "now", "handle of the dead")                         \
	X(NAME, "name", "0 lost, 1 won", "", "now", "hash of the name")

/* 0 is no event: a record that was never written, or is being written. */
enum trace_event {
	TRACE_NONE,
#define X(event, name, a, b, at, value) TRACE_##event,
	TRACE_EVENTS(X)
#undef X
	TRACE_EVENTS_END
};

/*
 * A step is the index of its name in the application's list, below SHM_STEPS_MAX, or one of these,
 * which are in no list or may not be in this one.
 */
#define TRACE_STEPS(X)              \
	X(NOTICE, "notice")         \
	X(CLAIM, "claim")           \
	X(CONFIRM, "confirm")       \
	X(SPAWN, "spawn")           \
	X(START, "start")           \
	X(YIELD, "yield")           \
	X(FENCE, "fence")           \
	X(SWITCH, "switch")         \
	X(UNDO, "undo")             \
	X(REDO, "redo")             \
	X(SWITCH_BACK, "switch_back") \
	X(STOP_OLD, "stop_old")

enum trace_step {
	TRACE_STEP_BUILT_IN = 0x80,
	TRACE_STEP_BEFORE_FIRST = TRACE_STEP_BUILT_IN - 1,
#define X(step, name) TRACE_STEP_##step,
	TRACE_STEPS(X)
#undef X
	TRACE_STEPS_END,
	TRACE_STEP_NONE = 0xff
};
_Static_assert((int)SHM_STEPS_MAX <= (int)TRACE_STEP_BUILT_IN, "indexes and built-in steps differ");
_Static_assert((int)TRACE_STEPS_END <= (int)TRACE_STEP_NONE, "a step fits eight bits");

#endif
