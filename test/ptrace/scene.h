/* SPDX-License-Identifier: ISC */
/*
 * A scene: one operation, by an actor in one situation, and what a verifier, in another process and in a fresh
 * mapping, has to find after the actor's death: nothing of it, or all.
 */
#ifndef HEIR_TEST_SCENE_H
#define HEIR_TEST_SCENE_H

#include "stepper.h"

struct verifier {
	heir_t *h;		 /* worker of the lead role on node c; owner by the time of judge() */
	struct heir_ticket call; /* the client's */
	bool early;		 /* it serves before it buries */
	int sent, others; /* messages of its own, and how many of these it handled */
	int served;		 /* messages of the role "app" that it handled */
	int boxed;		 /* and of "box" */
	char last[80];		 /* what the last of each said */
	char last_boxed[80];
};

struct scene {
	const char *name;
	struct actor actor;
	/*
	 * How much of the operation took effect: 0, or 1 (more where an operation has parts that are each by
	 * themselves). Of glance, found and judge, those that are there agree.
	 */
	int (*glance)(const struct shm *shm); /* as any reader sees it before anybody recovers */
	int (*found)(struct verifier *v);     /* recovered and buried, before mail is served */
	int (*judge)(struct verifier *v);     /* when everything is served */
	int last;			      /* of an operation that has returned */
	bool early;			      /* also: everything is served before the dead one is buried */
	int last_early;
	size_t really; /* every so many-th state it is really killed there; 0: in the last one alone */
	void (*besides)(struct shm *shm); /* what happened to others when the actor died */
};

/* Until NULL. */
extern const struct scene name_scenes[], mail_scenes[], txn_scenes[], control_scenes[], slot_scenes[];

/* In the actor: as somebody; every one has told its mapping. */
extern heir_t *actor;
void as_client(void);
void as_worker(void); /* of the lead role on node b: a standby */
void as_owner(void);  /* the same, switched to and serving */
void as_box(void);    /* of the second role on node b */
void as_other(void);  /* of the lead role on node b, where a candidate is already */
/* In the first process: a process that takes over on node b, does this, and dies by SIGKILL. */
void let_die(void (*body)(void));
void let_stop(void (*body)(void)); /* the same, but it stops, until somebody kills it */

/* State of the application: two words that are changed together. */
uint64_t *counters(heir_t *h);
int count_one(heir_t *h, const struct heir_message *message, void *arg);

/* A verifier says that it is not so; the step, the operation and this text are told. */
_Noreturn void deny(const char *file, int line, const char *what);
#define SURE(what)                                                                                             \
	do {                                                                                                   \
		if (!(what))                                                                                   \
			deny(__FILE__, __LINE__, #what);                                                       \
	} while (0)

/* The client's call: how it ended, and *ret its answer; there must be one. */
int collect_call(struct verifier *v, char ret[STAGE_MESSAGE]);

#endif
