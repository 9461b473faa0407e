/* SPDX-License-Identifier: ISC */
/*
 * The peers: the same work done by heir and by what its users have now, in turns in one run. Each
 * family of peers runs in a process of its own, which ends whatever it started. A peer whose program
 * is absent is skipped with a word.
 */
#ifndef HEIR_BENCH_PEERS_H
#define HEIR_BENCH_PEERS_H

#include "bench/measure.h"
#include "cmd/demodomain.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SECOND	    INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define TIMEOUT	    (20 * SECOND)
#define PATH_ROOM   (PATH_MAX + 64)

enum peer {
	PEER_OTP,
	PEER_S6,
	PEER_RUNIT,
	PEER_SUPERVISORD,
	PEER_SOCKET,
	PEER_PIPE,
	PEER_NGINX,
	PEER_HAPROXY,
	PEERS,
	PEER_BARE = PEERS, /* none to be chosen: processes that do nothing but wake each other */
};

struct peers {
	bool is_quick, is_json;
	unsigned chosen;     /* bit 1 << PEER_... */
	const char *heir;    /* the program */
	char home[PATH_MAX]; /* where this program's companions are */
	char work[PATH_MAX]; /* a folder of this family alone; removed after it */
};

/* Families: false where something that is there could not be measured, which has been said. */
bool peers_otp(const struct peers *p);
bool peers_restart(const struct peers *p);
bool peers_trip(const struct peers *p);
bool peers_reload(const struct peers *p);

static inline bool is_chosen(const struct peers *p, enum peer peer)
{
	return p->chosen >> peer & 1;
}

const char *peer_name(enum peer peer);

/* peerout.c */

/* Says it on standard error. False, for `return`. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void out_machine(const struct peers *p);
void out_skip(const struct peers *p, enum peer peer, const char *why);
/*
 * One measurement: the peer's line, then heir's. parameters is the inside of a JSON object. A negative
 * `failed` is left out. Empties both.
 */
struct measured {
	enum peer peer;
	const char *what, *parameters;
	struct samples ours, theirs;
	int64_t failed_ours, failed_theirs;
};
void measured_init(struct measured *m, enum peer peer, const char *what, const char *parameters);
void out_measured(const struct peers *p, struct measured *m);

/* peerproc.c */

/* Searched for in PATH, then where servers are. False: absent. */
bool find_program(const char *name, char path[PATH_MAX]);
/* Skips the peer with a word where it is absent. */
bool have_program(const struct peers *p, enum peer peer, const char *name, char path[PATH_MAX]);
/* A file in the family's folder; its folder is made if need be. */
bool write_file(const struct peers *p, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct process {
	pid_t pid;   /* 0: none */
	int in, out; /* pipes to its standard input and from its standard output; -1: none */
};
/*
 * Started in the family's folder; what it prints goes to the file NAME.log there, but its standard
 * output to `out` if it is piped. It gets `end` when this process dies.
 */
bool process_start(struct process *process, const struct peers *p, const char *name, bool is_piped, int end,
		   char *const argv[]);
/* Waits for its end. False: its exit status is not 0. */
bool process_finish(struct process *process);
/* SIGTERM, and SIGKILL after five seconds. */
void process_stop(struct process *process);
void process_kill(struct process *process);
/* Until somebody listens at that port of 127.0.0.1. False: nobody does in time. */
bool await_port(uint16_t port);
/* Of the file NAME.log, to standard error. */
void process_show_log(const struct peers *p, const char *name);
void sleep_until(int64_t when); /* measure_now() */
void rest(void);		/* before what begins with nothing under way: 5 ms */
/* The name of a family's domain, of which it has one at a time: its files go, whatever happens, with the family. */
void domain_name(char name[64], pid_t family);
/* With what heir says when it does not work. The application that is waited for is `svc`. */
bool start_domain(const struct peers *p, struct demo_domain *domain, const char *configuration);
bool stop_domain(struct demo_domain *domain, bool was_well);
/* DIR/NAME of a companion as a scalar of YAML. */
bool quote_companion(const struct peers *p, const char *name, char *buffer, size_t size);

#endif
