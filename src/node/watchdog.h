/* SPDX-License-Identifier: ISC */
/*
 * Children that asked to be watched: one that is silent for longer than its watchdog says is killed, and its death
 * handled as any other. A worker that is attached is asked by mail, which its loop answers; a program that
 * notifies sends WATCHDOG=1 by itself. One that could run and gets no processor is starved: it is given time
 * until it has had its share.
 */
#ifndef HEIR_NODE_WATCHDOG_H
#define HEIR_NODE_WATCHDOG_H

#include "node/leader.h"

void watchdog_advance(struct child *child);
/* It says that it is alive. */
void watchdog_beat(struct child *child);
/* It says itself that it is to be ended. */
void watchdog_trigger(struct child *child);
/* No longer watched. */
void watchdog_forget(struct child *child);

#endif
