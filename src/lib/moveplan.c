/* SPDX-License-Identifier: ISC */
#include "lib/moveplan.h"

#include <string.h>

static enum step_kind kind_of(const char *name)
{
	return strcmp(name, "start") == 0      ? STEP_START
	       : strcmp(name, "switch") == 0   ? STEP_SWITCH
	       : strcmp(name, "stop_old") == 0 ? STEP_STOP_OLD
					       : STEP_PHASE;
}

static void add_steps(const struct shm_app *a, struct moveplan *p,
		      bool (*wants)(const char *name, enum heir_start_type type), enum heir_start_type type)
{
	for (unsigned i = 0; i < a->steps && i < SHM_STEPS_MAX; i++)
		if (p->count < SHM_STEPS_MAX && wants(a->step[i], type)) {
			p->step[p->count].kind = kind_of(a->step[i]);
			p->step[p->count++].index = i;
		}
}

static bool is_stop_old(const char *name, enum heir_start_type type)
{
	(void)type;
	return kind_of(name) == STEP_STOP_OLD;
}

static bool is_switch(const char *name, enum heir_start_type type)
{
	(void)type;
	return kind_of(name) == STEP_SWITCH;
}

/* takeover is OTP's phase for moving from a living instance: skipped unless there is one. */
static bool is_other(const char *name, enum heir_start_type type)
{
	return kind_of(name) != STEP_STOP_OLD && (type == HEIR_TAKEOVER || strcmp(name, "takeover") != 0);
}

static bool is_rest(const char *name, enum heir_start_type type)
{
	return kind_of(name) != STEP_STOP_OLD && kind_of(name) != STEP_SWITCH &&
	       strcmp(name, "takeover") != 0 && (type != HEIR_LOCAL || kind_of(name) == STEP_START);
}

static bool is_any(const char *name, enum heir_start_type type)
{
	(void)name;
	(void)type;
	return true;
}

static bool is_exclusive_rest(const char *name, enum heir_start_type type)
{
	return is_rest(name, type) || kind_of(name) == STEP_SWITCH;
}

void moveplan(const struct shm_app *a, enum heir_start_type type, uint32_t how, struct moveplan *p)
{
	p->count = 0;
	if (type == HEIR_FAILOVER || type == HEIR_LOCAL) { /* the claim is the switch, and comes first */
		add_steps(a, p, is_switch, type);
		add_steps(a, p, is_rest, type);
	} else if (type == HEIR_NORMAL) {
		add_steps(a, p, is_other, type);
	} else if (how == HEIR_EXCLUSIVE) {
		add_steps(a, p, is_stop_old, type);
		add_steps(a, p, is_exclusive_rest, type);
	} else if (how == HEIR_OVERLAP) {
		add_steps(a, p, is_other, type);
		add_steps(a, p, is_stop_old, type);
	} else {
		add_steps(a, p, is_any, type);
	}
}
