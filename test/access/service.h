/* SPDX-License-Identifier: ISC */
/*
 * A service to act upon: who owns the application counts each message in its state, in two places, within a
 * transaction, tells its caller, and sends a message on to "box". What was promised to whom is in the ledger, and
 * compared at the end.
 */
#ifndef HEIR_TEST_SERVICE_H
#define HEIR_TEST_SERVICE_H

#include "access/sweep.h"
#include "heir.h"
#include "lib/txn.h"
#include "proc/recover.h"

#define OWNER	   5u /* actor: the owner on node a, where the story has another actor than the owner */
#define BOXED(id)  ((id) + IDS / 2) /* what the message is called in the box */
#define ANSWER(id) ((id)*1000 + 1)

/* Messages: to "app", "box", "app@a", "app@b", ... */
int tell_send(unsigned self, const char *to, uint64_t id);
/* The ticket is in the ledger. */
int tell_call(unsigned self, const char *to, uint64_t id);
/* heir_call, for ever: waits for room as well. */
int tell_whole_call(unsigned self, const char *to, uint64_t id);
/* Waits; timeout as heir_call_finish. */
int tell_finish(unsigned self, uint64_t id, int64_t timeout);

/* Handlers: of the lead role, within a transaction; of others. */
int count_message(heir_t *h, const struct heir_message *m, void *arg);
int handle_box(heir_t *h, const struct heir_message *m, void *arg);

/* One message of the lead role, as its owner; what txn_message returns. */
int serve_one(unsigned self);
/* One of the box. */
int serve_box(unsigned self);
/* One that came directly: answered. 1, 0 none */
int serve_direct(unsigned self);
/* Answer the one in hand. */
int handle_direct(heir_t *h, const struct heir_message *m);
void note_handled(uint64_t id);

/* Owner, SERVING. */
void make_owner(unsigned self);
int acquire(unsigned self, enum acquire_how how);
/* A worker of the lead role that is no candidate: recoverers. */
heir_t *world_spare(unsigned actor);

/* A recoverer: buries, claims what is nobody's, serves, buries. */
void recover_service(unsigned self, long arg);
void bury_only(unsigned self, long arg);
/*
 * Everybody alive does what is left, somebody owns, the dead are buried. Then every promise is kept, and nothing is
 * left.
 */
void finish_service(void);
/* Cells of name that the story has registered. */
extern uint32_t service_names;
/* Messages that were set aside: none where it is not to be. */
unsigned service_aside(void);

/* Two words of the state, away from the counts. */
uint64_t *state_pair(void);

#endif
