/* SPDX-License-Identifier: ISC */
/*
 * Moves of an application whose lead program knows nothing of heir: its leader owns in its place
 * and drives the steps, one after the other, without waiting.
 */
#ifndef HEIR_NODE_LED_H
#define HEIR_NODE_LED_H

#include "node/view.h"

/* As type normal or failover: the leader has claimed. */
void led_start(struct instance *instance, enum app_start type, int from);
/* A takeover to here. 0, or why not; then nothing was begun. */
int led_take_over(struct instance *instance, const struct request *request, struct reply *ret);
/* Its step `start` has been reached: children may be spawned. */
bool led_has_begun(const struct instance *instance);
/* Goes on. The takeover's asker is answered at its end. */
void led_advance(struct instance *instance);

#endif
