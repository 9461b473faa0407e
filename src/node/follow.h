/* SPDX-License-Identifier: ISC */
#ifndef HEIR_NODE_FOLLOW_H
#define HEIR_NODE_FOLLOW_H

#include "node/leader.h"

/* The first of a look: what is in force now, and where that is another configuration, the whole of it. */
void follow_advance(struct leader *leader);

#endif
