/* SPDX-License-Identifier: ISC */
/* What dead leaders and dead children have left of an application's instance. */
#ifndef HEIR_NODE_REMAINS_H
#define HEIR_NODE_REMAINS_H

#include "node/leader.h"

#define GONE_LOOK INT64_C(5000000) /* looked again by then whether it is gone: reaping tells, this is the backstop */

/* It is killed; fence_node is -1 once it is gone. Looked at again with each look at the instance. */
void remains_fence(struct instance *instance, int node);

/* What former processes of a child have forked, and left to this leader, is killed. Whether it is gone. */
bool remains_sweep_child(struct child *child);
/* Of all of them, a moment after each died. */
void remains_sweep(struct instance *instance);
/* Whether the stop, were one under way, is complete: nothing of it lives, adopted processes included. */
bool remains_are_gone(struct instance *instance);

#endif
