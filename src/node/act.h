/* SPDX-License-Identifier: ISC */
/* Decisions carried out: for each application look, decide, act, until there is nothing to do. */
#ifndef HEIR_NODE_ACT_H
#define HEIR_NODE_ACT_H

#include "node/view.h"

void act_on(struct instance *instance);
/* Nothing of it lives here, and nothing here owns it. */
bool act_is_settled(struct instance *instance);
/* SERVING -> HELD. 0, or HEIR_ESTALE: the owner is another by now. */
int act_hold(struct instance *instance, uint32_t owner_slot);

#endif
