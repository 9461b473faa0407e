/* SPDX-License-Identifier: ISC */
/* One child: spawned, found ready, told, killed, seen to end. */
#ifndef HEIR_NODE_CHILD_H
#define HEIR_NODE_CHILD_H

#include "node/leader.h"

void child_init(struct child *child, struct instance *instance, uint32_t index);
void child_finish(struct child *child);
void child_spawn(struct child *child);
/* To stop in order: as a worker that is attached by request, else by SIGTERM. */
void child_tell(struct child *child);
void child_kill(struct child *child);
/* What a program that notifies has said since it was last listened to. */
void child_hear(struct child *child);
/* Forgets the process: zombie or not, it is gone for good as far as the segment is concerned. */
void child_clear(struct child *child);
/* A crash that shows in the life words before the pidfd fires. */
bool child_crashed(const struct child *child);
/* The process goes on to die as a zombie; the child is free for another. */
void child_disown(struct child *child);
const char *child_name(const struct child *child); /* "kv/server"; valid until the next call */

#endif
