/* SPDX-License-Identifier: ISC */
#ifndef HEIR_NODE_FOLLOW_H
#define HEIR_NODE_FOLLOW_H

#include "node/leader.h"

/* Where another configuration is in force than this leader goes by: takes it. Between two looks. */
void follow_advance(struct leader *leader);

#endif
