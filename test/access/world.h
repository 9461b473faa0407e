/* SPDX-License-Identifier: ISC */
/*
 * A small whole segment: nodes a, b, c; one application "app" with two roles: 0 is the lead role, with a state (name
 * "app"), 1 has neither (name "box"). Leaders of a and b are the test's own. It can be saved and restored, simulated
 * kernel, handles and ledger included; and checked.
 */
#ifndef HEIR_TEST_WORLD_H
#define HEIR_TEST_WORLD_H

#include "access/engine.h"
#include "access/history.h"
#include "heir.h"
#include "lib/handle.h"
#include "state/control.h"

#define WORLD_CELLS   8u
#define WORLD_SLOTS   12u /* slot 0 is nobody's */
#define WORLD_STATE   256u
#define WORLD_NAMES   2u /* cells that its own names take */
#define TEST_SLOT     1u /* of node a's leader, as whom the test acts */
#define ROLE_LEAD     0u
#define ROLE_BOX      1u
#define NODE_A	      0
#define NODE_B	      1
#define NODE_C	      2
#define IDS	      16u /* messages that are told apart */
#define FIRST_RECOVER 2u  /* actors 2 and 3 put in order what actor 1 left */

/* What is known outside of the segment: what was promised to whom. */
enum told { TOLD_NOTHING, TOLD_ASKED, TOLD_ACCEPTED, TOLD_NO };
struct ledger {
	struct message {
		const char *to;
		unsigned sender;
		uint64_t sender_handle;
		enum told sent;	     /* ACCEPTED: the call that sends has returned 0, NO: an error */
		bool call, finished; /* finished: the caller knows; rc and reply say what */
		struct heir_ticket ticket;
		int rc;
		uint64_t reply;
		unsigned handled; /* outside of transactions */
		/* what the story lets happen */
		bool forwarded, may_be_lost;
		bool aside; /* found so in the end */
	} message[IDS];
	bool box_died; /* a reader of the box may have died with a message in hand: then it is handled again */
	uint64_t self[ACTORS]; /* the handle with which it joined */
	uint64_t note[8];      /* the story's */
	uint64_t joined[12];   /* handles that the test has taken */
	struct history history;
};

extern struct shm world;
extern struct state world_state;
extern struct ledger *ledger;

struct image;
struct image *image_new(void);
void image_free(struct image *image);
void world_save(struct image *image);
void world_load(const struct image *image);

void world_open(void); /* once a process */
/* All anew: nobody but the leaders. */
void world_lay(void);
uint64_t world_leader(int node);

/* Join in that actor's name (or the test's own: 0), and its handle; NULL: no slot is free. */
heir_t *world_join(unsigned actor, struct slot_place place);
heir_t *world_handle(unsigned actor);
/* As the candidate of a role: ready, not yet the owner. */
heir_t *world_worker(unsigned actor, int node, uint32_t role);
heir_t *world_client(unsigned actor);

struct control world_control(void);
/* At any instant. */
void world_sound(void);
/*
 * Nobody does anything, and the dead are buried: nothing is left of them. aside: cells that are kept. names: cells
 * in use.
 */
void world_quiet(unsigned aside, uint32_t name_cells);

#endif
