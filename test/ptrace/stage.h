/* SPDX-License-Identifier: ISC */
/*
 * The small domain in which actors act, and images of it: all bytes of its segment and of its state file. A copy
 * of the domain under another name is filled with an image, so that a process that attaches to it finds what one
 * would find after a death there.
 */
#ifndef HEIR_TEST_STAGE_H
#define HEIR_TEST_STAGE_H

#include "support/domain.h"
#include "support/owner.h"

#define STAGE_CELLS   8u
#define STAGE_SLOTS   12u
#define STAGE_MESSAGE 64u
#define STAGE_BOX     1u	/* the mailbox of the second role, "box" */
#define STAGE_NOBODY  0x7fffffu /* a pid that no process ever has (above the kernel's largest) */

struct stage {
	struct domain d;	 /* nodes a, b, c; roles "app" with state, and "box" */
	heir_t *server, *client; /* of the first process: the owner, on node a, and a client */
	unsigned char *state;	 /* the state file, mapped by the first process */
	size_t state_size, size; /* of the state file, of an image */
	unsigned char *rest;	 /* image: at rest, nobody else attached */
	char copy[64];		 /* the copy's name */
	unsigned char *copy_segment, *copy_state;
	char path[4][512]; /* all that is in /dev/shm */
};

/* What actor, verifier and the first process tell each other; shared memory. */
struct backstage {
	uint64_t base;		   /* the actor's mapping of the segment */
	int ask;		   /* STAGE_START, or what the first process is to do for the actor */
	int found;		   /* by a verifier: how much of the operation took effect */
	struct heir_ticket ticket; /* of a call of the client's */
	uint64_t handle;	   /* of whoever died before the actor began */
	char text[200];		   /* by a verifier: what is wrong */
};
#define STAGE_START (-1)

extern struct stage stage;
extern struct backstage *backstage;

void stage_open(void);
void stage_close(void);
void stage_unlink(void); /* by a signal handler that ends the process */
void stage_take(unsigned char *image); /* the domain as it is now */
void stage_restore(
	const unsigned char *image); /* the domain is that again; nobody is attached but the first process */
void stage_fill_copy(const unsigned char *image);
bool stage_same(const unsigned char *image);
/* A view of the segment in an image. */
struct shm stage_view(const unsigned char *image);

#endif
