/* SPDX-License-Identifier: ISC */
/*
 * The load of the demo: clients in processes of their own, and what they tell the runner through a
 * mapping that they share with it. Each client writes its own record alone; the runner writes the
 * gates and the window.
 *
 * A window is a stretch of time that the runner marks, one for each move. A client keeps, for each
 * window, the longest time between two complete replies, of those times that touch the window.
 */
#ifndef HEIR_CMD_DEMOLOAD_H
#define HEIR_CMD_DEMOLOAD_H

#include "bench/measure.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum demo_kind { DEMO_NO_MOVE, DEMO_OVERLAP, DEMO_EXCLUSIVE, DEMO_KILL, DEMO_KINDS };

enum demo_gate { GATE_RUN, GATE_PAUSE, GATE_FINISH };
enum demo_state { CLIENT_STARTING, CLIENT_RUNNING, CLIENT_PAUSED, CLIENT_DONE };

#define DEMO_MAIL_CLIENTS 2
#define DEMO_TCP_CLIENTS 2
#define DEMO_LOADERS (DEMO_MAIL_CLIENTS + DEMO_TCP_CLIENTS)
#define DEMO_PROBE DEMO_LOADERS /* a client that is paused but for the moments that it measures */
#define DEMO_CLIENTS (DEMO_PROBE + 1)
#define DEMO_NOTE 160

struct demo_count {
	uint64_t done; /* calls or commands that were answered */
	uint64_t failed, lost, twice;
	uint64_t acknowledged, missing; /* writes */
	uint64_t cut[DEMO_KINDS];       /* replies, by the move around which it was */
	uint64_t unanswered;            /* commands, when their connection was closed */
	uint64_t connections;
	char note[DEMO_NOTE]; /* the first thing that was wrong, in words */
};

struct demo_silence {
	int64_t ns, end; /* 0: none */
};

struct demo_record {
	_Alignas(64) _Atomic uint32_t gate;  /* enum demo_gate; the runner; a futex */
	_Alignas(64) _Atomic uint32_t state; /* enum demo_state; the client; a futex */
	struct demo_count count;
	struct histogram latency;
	_Atomic int32_t server;             /* pid that answered the probe last */
	_Atomic int64_t first_ns;           /* when that one answered it first */
	struct demo_silence silence[];      /* for each window */
};

struct demo_shared {
	_Atomic uint32_t window; /* number of the last one << 1, | 1 while it is open */
	_Atomic uint32_t kind;   /* of the last window that was a move; enum demo_kind */
};

struct demo_load {
	struct demo_shared *shared;
	struct demo_record *record[DEMO_CLIENTS];
	pid_t pid[DEMO_CLIENTS];
	size_t windows, record_size;
	const char *domain;
	uint16_t port; /* of the service, on 127.0.0.1 */
};

/*
 * Fork the clients, the probe paused; `windows` is more than the number of any window. 0 or a
 * negative errno.
 */
int load_start(struct demo_load *load, const char *domain, uint16_t port, size_t windows);
static inline bool load_is_mail(int client)
{
	return client < DEMO_MAIL_CLIENTS;
}
/* Tell one client, and wait until it has come there. False: it did not in time, or it died. */
bool load_gate(struct demo_load *load, int client, enum demo_gate gate);
/* All but the probe. */
bool load_gate_loaders(struct demo_load *load, enum demo_gate gate);
/* After GATE_FINISH: their processes end. How many ended otherwise than by exit(0). */
int load_join(struct demo_load *load);
/* Kill what is left, unmap. */
void load_finish(struct demo_load *load);

/* Open window 1, 2, … in turn, close it. */
void load_open_window(struct demo_load *load, uint32_t window, enum demo_kind kind);
void load_close_window(struct demo_load *load);

/* For the clients. */
struct demo_client {
	const struct demo_load *load;
	struct demo_record *record;
	struct demo_count *count;
	int number; /* from 1, of its kind */
	int64_t last;    /* reply; 0: none */
	uint32_t window; /* as it was then */
};

/* True to go on. Waits here while the gate says so. */
bool client_goes_on(struct demo_client *client);
/* A reply is complete. */
void client_replied(struct demo_client *client, int64_t now);
/* Something is wrong; what it is is kept if it is the first. */
void client_note(struct demo_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, and it is a failure. */
void client_failed(struct demo_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void mail_client(struct demo_client *client);
void tcp_client(struct demo_client *client);
/* Asks who answers, on and on. */
void probe_client(struct demo_client *client);

#endif
