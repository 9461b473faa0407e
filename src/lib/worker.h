/* SPDX-License-Identifier: ISC */
/*
 * The worker inside a handle. worker.c: attach, the loop; standby.c: while it stands by; drive.c: the moves that this
 * process drives; warm.c: what they touch first; watch.c: descriptors.
 *
 * WORKER_STANDBY -> WORKER_STARTING (a move) -> WORKER_SERVING -> WORKER_LOST (another was switched to) ->
 * STOPPING; back to SERVING by a switch-back. A worker of another role than the lead follows the lead of its
 * node.
 */
#ifndef HEIR_LIB_WORKER_H
#define HEIR_LIB_WORKER_H

#include "lib/handle.h"
#include "state/control.h"

/* Who was seen to be gone when a standby last looked. */
struct worker_saw { bool owner, leader, heir, dying, absent; uint32_t in_force; };

struct worker_run {
	struct heir_worker cb;
	void *arg;
	enum worker_state state;
	int lead;                 /* fills the lead role */
	uint32_t app, node;
	struct heir_start start;
	char from[64];
	uint32_t since;           /* generation at which it began to serve, or was given back */
	int started;              /* start() has been called and neither undone nor stopped */
	int finish;               /* stop after this round */
	int exit_code;            /* what heir_poll returns then */
	int lifeline;
	int64_t claim_since;      /* -1: no claim is due */
	int64_t claim_turn;       /* since when it is for standbys to do; -1: it is not */
	bool node_died;           /* since then the owner's leader has been seen dead */
	struct worker_saw saw;
	int64_t announce_at;      /* leaders are told then; -1: nothing to tell */
	int64_t look_again;       /* deadline of the next look, or never */
	bool is_patient;          /* it has an owner's time slice */
	int wanted;               /* a begin was refused: wait for the commit futex as well */
	int64_t wanted_since;     /* -1: it is not */
	struct kept stop_request; /* answered before the process ends */
	int stop_kept;
};

/* shm_slot.unasked of that process. Its incarnation: one of an older library leaves there what it finds. */
static inline uint32_t unasked_word(uint64_t handle, uint32_t unasked)
{
	return handle_incarnation(handle) << 2 | unasked;
}

void worker_finish(heir_t *h); /* no worker: nothing */
void worker_state(heir_t *h, enum worker_state state);
struct shm_app *worker_app(heir_t *h);
/* Tell the instance's other children now, and all others, for whom nothing is urgent, a moment later. */
void worker_announce(heir_t *h);

/* drive.c. Each ends with the application served by this process, or not, and says so in *ret. */
void drive_start(heir_t *h, const struct request *request, struct reply *ret);    /* REQ_START */
void drive_takeover(heir_t *h, const struct request *request, struct reply *ret); /* REQ_TAKEOVER */
/* claim by this standby's own decision. HEIR_EAGAIN: not needed */
int drive_failover(heir_t *h, int planned, int64_t noticed);
int call_start(heir_t *h, enum heir_start_type type, uint32_t from_node);
int call_phase(heir_t *h, const char *phase);
/* Role mail, as much as is there, at most `most` messages. How many, or negative. */
int serve_mail(heir_t *h, unsigned most);

/* standby.c */
/* A standby looks at the owner that it may have to follow. 1: it has claimed, or tried. */
int standby_look(heir_t *h, struct control c, int64_t noticed);
/* Whose lives it sleeps on: how many words. *news: something has changed since it looked; do not sleep. */
unsigned standby_words(heir_t *h, struct control c, struct wait_word *w, bool *news);
/* warm.c. Of a hot standby: what is on the path of a move. Of every worker: as the configuration says. */
void warm_path(heir_t *h);
void warm_memory(heir_t *h);

/* watch.c */
int watch_dispatch(heir_t *h); /* ready descriptors, without waiting: how many */
void watch_finish(heir_t *h);

#endif
