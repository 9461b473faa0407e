/* SPDX-License-Identifier: ISC */
/* What the library does in its loops and not in functions of its own: in code that is watched as src is. */
#ifndef HEIR_TEST_ACCESSOPS_H
#define HEIR_TEST_ACCESSOPS_H

#include "lib/handle.h"

int op_serve(heir_t *h);       /* MOVING -> SERVING: drive.c */
int op_hold(heir_t *h);	       /* the owner's leader: act.c */
int op_want(heir_t *h);	       /* recover.c */
int op_unwant(heir_t *h);      /* worker.c */
int op_name_heir(heir_t *h);   /* worker.c */
int op_switch_back(heir_t *h); /* drive.c */
void op_store(uint64_t *to, uint64_t value);
/* A call to a process whatever has become of it since it was looked up: libmail.c. */
int op_call(heir_t *h, uint64_t target, uint64_t value, struct heir_ticket *ret);
void op_bury(heir_t *h); /* loop.c, bury_dead() */
/*
 * An ordered stop, as act.c does it: what a leader, this one or the one before, has held is asked to stop, and let
 * go when it is dead. *asked is whom this leader has asked.
 */
void op_stop_held(heir_t *h, uint64_t *asked, struct heir_ticket *ticket);
/* A leader's loop sleeps until something has changed, or was rung for, since these were loaded. */
uint32_t op_changes(heir_t *h);
uint32_t op_doorbell(heir_t *h);
void op_sleep_leader(heir_t *h, uint32_t seen, uint32_t rung, const bool *busy);
/* A reader of a role without a state. */
void op_sleep_box(heir_t *h, uint32_t rung, const bool *busy);

#endif
