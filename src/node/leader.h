/* SPDX-License-Identifier: ISC */
/* The leader of a node: what its files share. One thread; nothing in it waits but the loop. */
#ifndef HEIR_NODE_LEADER_H
#define HEIR_NODE_LEADER_H

#include "app/appstep.h"
#include "app/apptree.h"
#include "lib/handle.h"
#include "node/conf.h"
#include "node/spawn.h"
#include "shm/policy.h"

struct leader;

/* A descriptor in the loop, within the struct of whoever it belongs to. fd -1: none. */
struct source {
	int fd;
	void (*ready)(struct leader *leader, struct source *source, uint32_t events);
};

struct ran {
	int64_t first, all; /* ns on a processor: the first thread, the process */
};

/* Of a child that is watched: watchdog.c. */
struct pulse {
	int64_t since;   /* when it was alive, as far as is known; 0: not watched */
	struct ran ran;  /* until then, or until it was asked */
	bool asked;      /* by mail, as: */
	struct heir_ticket ticket;
	int64_t asked_at;
	bool starved;
};

/* A process that is no child, watched by its pidfd: loop.c. */
struct watched {
	uint64_t handle; /* 0: nobody */
	struct source exit;
};

/* One process that fills a role here. */
struct child {
	struct instance *instance;
	const struct conf_child *conf;
	uint32_t index; /* within the application */
	enum child_state state;
	pid_t pid;                              /* 0: none */
	uint64_t handle;                        /* of a ready: attach child, once it is ready */
	struct source exit, exec, life, notice; /* pidfd; result of exec; lifeline; notify socket or
	                                           notification descriptor */
	bool running;                           /* exec has succeeded */
	bool ready;
	bool done;  /* ended, and is not to be restarted */
	bool begun; /* told to start since it attached, or told what to start as by its environment
	             */
	struct heir_ticket request; /* REQ_CHILD_START or REQ_STOP */
	bool requested;
	int64_t ready_by, spawn_at, healthy_since;
	uint64_t watchdog; /* that it was spawned with */
	struct pulse pulse;
	uint32_t restarts, failures; /* failures in a row: the next spawn is delayed by them */
	uint64_t spawn; /* which one of this leader's it is */
	bool unswept;   /* what one before it has forked may be left, and is looked for: */
	int64_t sweep_at;
};

enum stop_how { STOP_NOT, STOP_ORDERLY, STOP_KILL };

struct stop {
	enum stop_how how;
	uint32_t first, end; /* children */
	uint32_t at;         /* those from here to end are gone */
	bool told;           /* the one before at */
	int64_t kill_at, since;
};

/* A takeover to here, a stop for one, or a hand-over to elsewhere. */
struct errand {
	bool active, asked, sent; /* asked: somebody waits for an answer */
	struct request request;
	struct kept kept;          /* the asker's, to be answered */
	struct heir_ticket ticket; /* what it was passed on as */
	uint64_t to;               /* and to whom */
	int64_t until;
};

/* A move of an application that the leader drives itself (APP_LED). */
struct led {
	bool active, switched, stopped_old, sent;
	bool from_serving; /* the owner before served when it was switched from */
	enum app_start type;
	int from;                     /* node or -1 */
	uint8_t plan[CONF_STEPS_MAX]; /* indexes of steps */
	uint32_t count, at, child;
	uint32_t generation; /* when it began */
	uint64_t previous;   /* the owner before */
	struct heir_ticket ticket;
	int64_t began, step_began, deadline;
};

/* An application that this node may run. */
struct instance {
	struct leader *leader;
	const struct conf_application *conf;
	uint32_t app;
	struct shm_app *shm;
	struct policy policy; /* as it was when this look began */
	struct child *children;
	uint32_t count, lead; /* lead: index of the lead child */
	uint32_t first_role;  /* of shm, as it was when it was checked */
	struct tree tree;
	struct stop stop;
	bool served, gave_up, uncounted, yielded, take_back, guest_failed, ended_normally,
		was_failed;
	enum app_start start_type; /* what children are spawned as, and started as */
	int start_from;            /* node or -1 */
	bool asked;
	struct heir_ticket ask;
	struct errand guest, yield, hand;
	uint64_t tried; /* nodes that a hand-over failed to */
	struct led led;
	int fence_node;      /* what its dead leader left is not gone yet; -1: none */
	uint64_t fenced;     /* nodes of which that was seen to since the application is this one's */
	int64_t unsure_until; /* for how long what may be of it is waited for; -1: nothing is */
	uint64_t last_owner; /* handle, and since when it has been seen */
	int64_t owner_since;
	int owner_node;        /* the last that was another's, or -1 */
	uint64_t owner_leader; /* who led it when its owner was last seen alive; 0: was not seen */
	uint64_t dead_owner;   /* handle, and since when it is known */
	int64_t dead_since;
	int64_t driven_until; /* when a move of another was last seen, or seen to have ended */
	bool driven;
	struct watched watch[SHM_NODES_MAX + 1]; /* who stands by or serves there; last: the owner, if none of those */
	int64_t ask_after; /* a start that was refused is not asked for again before */
	int64_t ask_until; /* one that was asked for has begun by then */
	int64_t adrift_since; /* since when the lead child is in a move that it does not drive; -1: it is not */
	int64_t noticed, claim_began, claim_ended,
		spawn_began; /* of the failover or takeover under way; 0: none */
	bool stop_old;       /* the stop under way is the last step of a takeover: */
	uint64_t stop_driver;
	uint32_t stop_generation;
	enum app_action last; /* for the log */
};

/* A child that is dying or not ours any more, until its pidfd fires. */
struct zombie {
	struct source exit;
	pid_t pid;
	uint32_t app, child;
	char name[2 * CONF_NAME_LENGTH_MAX];
	bool survivor; /* not a child of this process: left by a dead leader */
	struct zombie *next;
};

struct asker {
	struct kept kept;
	struct asker *next;
};

struct listens;

struct leader {
	heir_t *h;
	struct shm *shm;
	struct conf *conf;
	uint32_t generation; /* of it: shm/policy.h */
	const char *file;    /* that it was started with, or NULL */
	int latency;         /* the held /dev/cpu_dma_latency, or -1 */
	struct rlimit files; /* that it was started with, and that children are */
	uint64_t watching, watching_most; /* processes that are no children, by pidfd */
	char domain[64];
	uint32_t node;
	int epoll;
	struct source signals;
	struct waitset waits;
	struct instance *instances[SHM_APPS_MAX]; /* NULL: not a candidate */
	struct watched peers[SHM_NODES_MAX]; /* leaders */
	struct zombie *zombies;
	struct listens *listens;
	struct asker *askers;         /* who asked for the end of this node */
	char *search;                 /* directories for programs */
	int64_t now, up_since, again; /* again: look once more then; -1: never */
	uint32_t changed;             /* as it was before the last look */
	bool leaving, ended, fatal;
	bool bury; /* something has died */
	uint64_t spawns;
	int64_t bury_at, bury_delay; /* again then: somebody dead could not be buried yet; -1: nobody */
	bool made; /* this process made the domain */
	bool join; /* started by `up`: takes part in a domain that is there, or in none */
};

#define GRACE                                                                                      \
	INT64_C(1000000000) /* how long better candidates are waited for after this leader came up \
	                     */

#endif
