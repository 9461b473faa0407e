/* SPDX-License-Identifier: ISC */
/* What a leader sees of an application: the segment's words, and its own processes, resolved to
 * plain values. */
#ifndef HEIR_NODE_VIEW_H
#define HEIR_NODE_VIEW_H

#include "node/leader.h"
#include "state/control.h"

struct seen {
	struct app_view view;
	struct control control;
	uint64_t owner; /* handle; 0: none */
	int owner_node; /* -1: none */
	uint32_t heir;  /* slot of the best standby elsewhere, 0: none */
	int target;     /* node to hand over to, or -1 */
};

void view_fill(struct instance *instance, struct seen *ret);
/* A hot standby of another node is ready. */
bool view_other_ready(const struct instance *instance);
/* The leader of a node is up, and is not about to stop. */
bool view_is_up(const struct leader *leader, uint32_t node);

#endif
