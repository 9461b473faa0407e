/* SPDX-License-Identifier: ISC */
/*
 * What a leader does next for one application: a pure function of what it sees. It is called after
 * every wake, for every application that this node may run, until it says WAIT; so nothing is
 * remembered here, and a wake that comes twice or a leader that starts anew in the middle of
 * something changes nothing.
 *
 * Standbys claim by themselves, without a leader; what is decided here for a dead owner is what is
 * left over: a restart in place, cold candidates, and standbys that did not claim within their
 * time.
 *
 * Times are CLOCK_MONOTONIC ns; a deadline of -1 is none.
 */
#ifndef HEIR_APP_APPSTEP_H
#define HEIR_APP_APPSTEP_H

#include <stdbool.h>
#include <stdint.h>

enum app_duty {
	DUTY_RUN,
	DUTY_LEAVE, /* this node stops: hand over, then stop */
	DUTY_STOP,  /* the application is to be down everywhere */
};

enum app_owner {
	OWNER_NONE,
	OWNER_CHILD,  /* this node's lead child */
	OWNER_LEADER, /* this leader: it drives, or starts the lead child */
	OWNER_OTHER,  /* another process, alive */
	OWNER_DEAD,
};

/* The control word's phase; RECOVERING is MOVING here. */
enum app_phase { APP_DOWN, APP_SERVING, APP_HELD, APP_MOVING };

/* The processes of this node's instance: none; some missing or not ready; all that are to run are
 * ready; being stopped. */
enum app_tree { TREE_EMPTY, TREE_PARTIAL, TREE_READY, TREE_STOPPING };

struct app_view {
	int64_t now;
	enum app_duty duty;
	enum app_owner owner;
	enum app_phase phase;
	enum app_tree tree;
	/* the application */
	bool hot, led, in_place, give_up_stop;
	int64_t claim_grace, failover_timeout; /* -1: never */
	int64_t held, start;                   /* patience_held(), patience_start() */
	/* this node */
	bool permitted;
	bool able;         /* what its children need is here: listening sockets */
	bool dependencies; /* the applications that it needs run */
	bool gave_up;      /* its supervisor did, and was not asked to try again */
	bool served;       /* the instance owned the application and was not stopped since */
	bool lead_alive;
	bool asked;       /* a request to start, or a move that this leader drives, is under way */
	bool guest;       /* a takeover to here was asked for and has not ended */
	bool yielded;     /* it was stopped because a takeover asked for that */
	bool uncounted;   /* the lead child's death has not been counted as a restart */
	bool take_back;   /* this node joined and has a better priority than the owner's */
	bool heir_wrong;  /* the control word names no heir, or not the best */
	bool handing;     /* a takeover to another node was asked for and is not answered */
	bool target;      /* there is another candidate to hand over to that was not tried */
	int64_t spawn_at; /* not before it is the next child spawned */
	int64_t grace_until; /* better ones whose leaders are not up are waited for */
	/* the others */
	bool owner_here;    /* the dead owner was of this node */
	bool first_start;   /* the dead owner was starting as type normal */
	bool abandoned;     /* the dead owner's leader is dead too, or has let the instance go */
	bool driver;        /* a live process drives a move, and is not late */
	int64_t late_at;    /* when it will be */
	int64_t driven_until; /* when such a move was last seen, or seen to have ended */
	/* when the owner was first seen dead; or the application down, with nothing left to wait for */
	int64_t dead_since;
	bool named_heir;    /* a live process of another node is named */
	bool other_ready;   /* a standby of another node is ready */
	bool other_up;      /* another permitted candidate's leader is up, and it did not give up */
	bool better_up;     /* such a one of better priority */
	bool better_missing; /* a permitted one of better priority whose leader is not up */
	bool exhausted;      /* the application has failed over too often just now */
	bool best;           /* none of better priority is up, whether it gave up or not */
};

enum app_action {
	DO_WAIT,
	DO_BRING_UP, /* the next child that is missing */
	DO_START,    /* ask the lead child to start as `type` */
	DO_ACQUIRE,  /* the leader claims, to start as `type` */
	DO_SERVE,    /* the leader's application serves from now on */
	DO_COUNT,    /* count the lead child's death as a restart: may end in giving up */
	DO_RETRY,    /* forget that it gave up, as one more failover: may end in failing */
	DO_HOLD,
	DO_STOP, /* in order */
	DO_KILL, /* at once */
	DO_RELEASE,
	DO_FAIL, /* release, and mark as failed */
	DO_NAME_HEIR,
	DO_HAND_OVER, /* ask another candidate to take over */
	DO_TAKE_BACK, /* take over to here */
};

/* As enum heir_start_type. */
enum app_start { APP_NORMAL = 1, APP_TAKEOVER, APP_FAILOVER, APP_LOCAL };

struct app_step {
	enum app_action action;
	enum app_start type;
	int64_t again; /* look again then, though nothing may have changed */
};

struct app_step app_step(const struct app_view *view);
const char *app_action_name(enum app_action action);

#endif
