/* SPDX-License-Identifier: ISC */
/* What a dead leader has left of an application's instance. */
#ifndef HEIR_NODE_REMAINS_H
#define HEIR_NODE_REMAINS_H

#include "node/leader.h"

/* It is killed; fence_node is -1 once it is gone. Looked at again with each look at the instance. */
void remains_fence(struct instance *instance, int node);

#endif
