/* SPDX-License-Identifier: ISC */
/*
 * The processes of one application on this node: brought up in order, each until it is ready;
 * stopped in reverse order, each within its time; watched in between. Nothing here decides whether
 * the application is to run: act.c does.
 */
#ifndef HEIR_NODE_INSTANCE_H
#define HEIR_NODE_INSTANCE_H

#include "node/leader.h"

int instance_create(struct leader *leader, uint32_t app, struct instance **ret);
void instance_destroy(struct instance *instance);

enum app_tree instance_tree(const struct instance *instance);
struct child *instance_lead(struct instance *instance);
bool instance_lead_alive(const struct instance *instance);
/* The earliest time at which the next missing child may be spawned; 0: at once. */
int64_t instance_spawn_at(const struct instance *instance);

/* Spawns the next missing child, if those before it are ready. */
void instance_bring_up(struct instance *instance);
/* The children from first to before end; a stop under way becomes wider and no gentler. */
void instance_stop(struct instance *instance, enum stop_how how, uint32_t first, uint32_t end);
/* Goes on with a stop, looks at times. */
void instance_advance(struct instance *instance);
/* The child has ended, its record is clear: what that means for the instance. */
void instance_ended(struct child *child, bool normally);
/* Counts the death of a worker and does what the supervisors above it decide. */
void instance_restart(struct instance *instance, uint32_t worker, bool normally);
void instance_forget_restarts(struct instance *instance);
/* Writes what is to be seen of the children. */
void instance_publish(struct instance *instance);

/* SIGCHLD: everything that has ended is reaped. */
void instance_reap(struct leader *leader);

#endif
