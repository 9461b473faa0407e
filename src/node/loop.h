/* SPDX-License-Identifier: ISC */
/* The leader's only wait, and what wakes it: descriptors, mail, a change in the segment, the death
 * of an owner, a time. */
#ifndef HEIR_NODE_LOOP_H
#define HEIR_NODE_LOOP_H

#include "node/leader.h"

int loop_init(struct leader *leader);
void loop_finish(struct leader *leader);
/* Takes fd over: source_close() closes it. 0 or -errno, and then fd is closed. */
int source_open(struct leader *leader, struct source *source, int fd,
                void (*ready)(struct leader *leader, struct source *source, uint32_t events));
void source_close(struct leader *leader,
                  struct source *source); /* one that is closed already is allowed */
/* Takes it out of the loop and gives the descriptor back. */
int source_release(struct leader *leader, struct source *source);
/* Look again at this time at the latest; -1 changes nothing. */
void loop_again(struct leader *leader, int64_t deadline);
/* Until the leader has ended. */
void loop_run(struct leader *leader);

#endif
