/* SPDX-License-Identifier: ISC */
/*
 * The private side of a heir_t, and the calls that a leader needs beside the public ones.
 */
#ifndef HEIR_LIB_HANDLE_H
#define HEIR_LIB_HANDLE_H

#include "base/waitset.h"
#include "heir.h"
#include "mail/record.h"
#include "proc/request.h"
#include "proc/slot.h"
#include "state/state.h"

struct watch;
struct worker_run;

struct heir {
	struct shm shm;
	uint64_t self;       /* handle; 0: observer */
	uint32_t slot;       /* of it */
	uint32_t cell_hint;
	int64_t spin;        /* ns: a wait looks for so long before it sleeps */
	struct slot_place place;
	atom32 *here;        /* 1; 0 in a forked child, which must not use the handle: a page of its own */
	struct waitset waits;
	int epoll;           /* -1 until something is watched */
	struct watch *watches;
	unsigned watched;    /* how many */
	int watches_gone;    /* some are to be freed */
	void (*replied)(heir_t *h, void *arg);
	void *replied_arg;
	uint32_t replies_seen; /* the doorbell, when replied() was called last */

	/* the message in hand, if any */
	struct inbound {
		int active;          /* 0; 1 role mail, in a transaction; 2 direct */
		int answered;
		struct mail_head head;
		uint32_t mailbox;
		enum cell_kind kind;
		struct heir_message message;
		unsigned char *bytes; /* name, 0, request: a private copy */
		uint32_t reply_size;
		int status;
	} in;

	/* the transaction in hand */
	int open;
	unsigned parity; /* of the control word, while open */
	struct mail_record record;

	struct state state;      /* data NULL: none */
	struct worker_run *run;  /* worker.c */
};

/* As heir_open, with a kind and a place; node, app, role: indexes or -1. A leader and a worker use it. */
int lib_open(const char *domain, struct slot_place place, heir_t **ret);

/* A control request to a process; the answer is collected with lib_reply. */
int lib_request(heir_t *h, uint64_t to, const struct request *request, struct heir_ticket *ret);
/*
 * 0 and *ret once answered; HEIR_EAGAIN not yet; HEIR_EDEAD and others when there will be none. The ticket is
 * spent unless EAGAIN.
 */
int lib_reply(heir_t *h, struct heir_ticket ticket, struct reply *ret);
/* Give a ticket up. */
void lib_forget(heir_t *h, struct heir_ticket ticket);

/*
 * Direct mail of this process, one at a time: 1 and h->in filled (kind CELL_USER: in.message; CELL_CONTROL:
 * *ret_request checked), 0 none. Answer with lib_answer (user: bytes; control: a struct reply), or keep it:
 * lib_keep takes it out of h->in, to be answered later by lib_answer_kept.
 */
int lib_receive(heir_t *h, struct request *ret_request);
void lib_answer(heir_t *h, int status, const void *data, size_t size);
struct kept { struct cell_ref ref; };
struct kept lib_keep(heir_t *h);
void lib_answer_kept(heir_t *h, struct kept kept, int status, const void *data, size_t size);

int lib_find_app(const heir_t *h, const char *name);   /* index or -1 */
int lib_find_node(const heir_t *h, const char *name);

/* This process's doorbell, to sleep on: loaded before it is looked for what is rung for (mail/doorbell.h). */
struct wait_word lib_doorbell(heir_t *h);

#endif
