/* SPDX-License-Identifier: ISC */
/* What others ask of this leader, and what it asks of others on the way: takeovers to here, stops
 * for exclusive ones, hand-overs. */
#ifndef HEIR_NODE_ASK_H
#define HEIR_NODE_ASK_H

#include "node/view.h"

/* Takes what is in the mailbox. */
void ask_receive(struct leader *leader);
/* Goes on with what is under way for an application. */
void ask_advance(struct instance *instance, const struct seen *seen);
/* A takeover to here that nobody asked for: take_back. */
void ask_take_back(struct instance *instance, const struct seen *seen);
void ask_hand_over(struct instance *instance, const struct seen *seen);
/* Ends a takeover to here, and answers. */
void ask_end_guest(struct instance *instance, const struct reply *reply);
/* Those who asked for the end of this node. */
void ask_answer_all(struct leader *leader, const char *text);

#endif
