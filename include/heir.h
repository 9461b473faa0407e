/* SPDX-License-Identifier: ISC */
/*
 * heir: takeover and failover of services between process groups of one Linux host.
 *
 * Rules of the whole interface
 *
 *  - A handle (heir_t) belongs to the thread that opened it: its death is what others watch. Other threads open
 *    handles of their own. A handle does not survive fork(): the child has no mapping and must not use it.
 *  - Every call returns 0, a count where said, or a negative HEIR_E... code. On failure outputs are untouched. The
 *    library prints nothing, exits nowhere and installs no signal handler but, for a worker, on the fatal signals
 *    that are at SIG_DFL (to publish "dying" before the core dump; the signal is then raised again).
 *  - Names are 1 to HEIR_NAME_MAX bytes without NUL; '@' is reserved (NAME@NODE).
 *  - Times are nanoseconds. A timeout is relative; HEIR_FOREVER waits without limit; 0 does not wait.
 *  - All that map a domain read-write are one trust domain (one user). Nothing here defends against a malicious
 *    one; everything here survives one that dies or stops at any instruction.
 *  - Messages, replies and state are plain bytes. A message or reply is at most heir_message_max() bytes.
 */
#ifndef HEIR_H
#define HEIR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEIR_VERSION "0.1.0"
#define HEIR_NAME_MAX 255
#define HEIR_NODES_MAX 16
#define HEIR_STEPS_MAX 20
#define HEIR_FOREVER INT64_C(-1)

typedef struct heir heir_t;

/*
 * Errors. heir_strerror() has a sentence for each, and for -errno values, which are passed through unchanged.
 * -1001 to -1099 are the library's: a handler's own codes, which its caller gets from heir_call, lie elsewhere.
 */
enum heir_error {
	HEIR_OK = 0,
	HEIR_EINVAL = -1001,     /* an argument is out of its range */
	HEIR_ENODOMAIN = -1002,  /* no such domain is running */
	HEIR_EFOREIGN = -1003,   /* not a heir segment, or another user's, or of another pid namespace */
	HEIR_ELAYOUT = -1004,    /* made by another major version, or its types differ */
	HEIR_ECORRUPT = -1005,   /* bytes in the segment contradict themselves */
	HEIR_EPERM = -1006,      /* mapped read-only, or not allowed */
	HEIR_EFULL = -1007,      /* a limit of the domain is reached (names, processes, messages) */
	HEIR_EEXIST = -1008,     /* the name is taken */
	HEIR_ENOENT = -1009,     /* no such name, application, node or role */
	HEIR_EAGAIN = -1010,     /* the mailbox is full; nothing was sent */
	HEIR_ETIMEDOUT = -1011,  /* the deadline passed; the request was never taken */
	HEIR_EUNKNOWN = -1012,   /* outcome unknown: the request was taken, no answer came */
	HEIR_ETOOBIG = -1013,    /* message, reply or transaction over its limit */
	HEIR_ESTALE = -1014,     /* not the owner any more: another instance was switched to */
	HEIR_EWANTED = -1015,    /* a takeover waits for this owner: no new transaction may begin */
	HEIR_EOPEN = -1016,      /* not allowed while a transaction is open, or not while none is */
	HEIR_EBUSY = -1017,      /* another takeover of this application is under way */
	HEIR_EPOISON = -1018,    /* the message killed its handler too often and was set aside */
	HEIR_EVERSION = -1019,   /* the state has another version than the worker understands */
	HEIR_EFAILED = -1020,    /* the request was carried out and failed; the result says how */
	HEIR_EDEAD = -1021,      /* the process died, and had not taken the request: it may be sent again */
	HEIR_EALREADY = -1022,   /* it is so already (a takeover to the node that has it) */
	HEIR_ENOTREADY = -1023,  /* no candidate is ready there */
	HEIR_EKERNEL = -1024,    /* Linux 5.16 or newer is needed */
	/* not started by a node: HEIR_DOMAIN, HEIR_NODE, HEIR_APPLICATION, HEIR_CHILD are unset */
	HEIR_ENOTWORKER = -1025,
	HEIR_EGENERATION = -1026 /* the generation is near its end; planned changes are refused */
};

const char *heir_strerror(int error);

/* Start types: OTP's normal, takeover and failover; local is OTP's name for a restart in place. */
enum heir_start_type { HEIR_NORMAL = 1, HEIR_TAKEOVER, HEIR_FAILOVER, HEIR_LOCAL };

struct heir_start {
	enum heir_start_type type;
	const char *from;     /* the other node of a takeover or failover, else "" */
	uint32_t generation;  /* fencing token: pass it to whatever outside heir must refuse an old owner */
};

/*
 * Attach and detach.
 */
#define HEIR_OBSERVE 1u /* map read-only, take no slot: lookups, status, steps */

/*
 * domain: NULL means $HEIR_DOMAIN or "default". Errors: ENODOMAIN EFOREIGN ELAYOUT ECORRUPT EFULL EPERM EKERNEL
 * -errno.
 */
int heir_open(const char *domain, unsigned flags, heir_t **ret);
void heir_close(heir_t *h); /* NULL is allowed. Answers in flight are given up (outcome unknown). */

uint64_t heir_handle(const heir_t *h);      /* this process's handle; never reused; 0 for an observer */
size_t heir_message_max(const heir_t *h);
const char *heir_domain(const heir_t *h);

/*
 * Mail. A message is applied and answered exactly once by the role it is sent to, whichever instance fills it.
 * name is a registered name, or NAME@NODE for one instance's process, or heir@NODE for a node's leader.
 */

/*
 * Errors: ENOENT EAGAIN ETOOBIG EFULL EINVAL. Inside a handler the message leaves with the commit or not at
 * all.
 */
int heir_send(heir_t *h, const char *name, const void *data, size_t size);

/*
 * Send and wait for the reply. *reply_size: in, room; out, size of the reply. A takeover meanwhile is not an
 * error: the new owner answers. Errors: ENOENT ETOOBIG EFULL; EAGAIN (full until the deadline); ETIMEDOUT
 * (never taken); EUNKNOWN (taken, not answered in time); EPOISON; EDEAD; EOPEN (in a transaction: it would hold
 * up a takeover); ECORRUPT; ENOSPC as -ENOSPC (the reply does not fit: *reply_size says what it needs); or the
 * negative code that the handler returned.
 */
int heir_call(heir_t *h, const char *name, const void *data, size_t size, void *reply, size_t *reply_size,
              int64_t timeout);

/*
 * Many calls in flight from one thread: start, then collect by ticket; poll by heir_call_ready or let heir_poll
 * call back.
 */
struct heir_ticket { uint32_t cell, generation; };
int heir_call_start(heir_t *h, const char *name, const void *data, size_t size, struct heir_ticket *ret);
int heir_call_ready(heir_t *h, struct heir_ticket ticket);              /* 1 answered, 0 not yet */
int heir_call_finish(heir_t *h, struct heir_ticket ticket, void *reply, size_t *reply_size, int64_t timeout);

struct heir_message {
	const char *name;   /* the name it was sent to; valid until the handler returns */
	const void *data;   /* a private copy; valid until the handler returns */
	size_t size;
	unsigned deliveries; /* 1 at first; more after its handler died with it */
	int direct;          /* 1: sent to NAME@NODE, handled outside a transaction */
};

/* Within a handler: the answer, at most one. Errors: EOPEN (not in a handler), ETOOBIG, EALREADY. */
int heir_reply(heir_t *h, const void *data, size_t size);
/*
 * Within a handler of a direct message: pass the request on; its new handler answers the caller. Errors as
 * heir_send, EALREADY.
 */
int heir_forward(heir_t *h, const char *name);

/*
 * Names (OTP's global: register_name, re_register_name, unregister_name, whereis_name). HEIR_SELF binds to this
 * process, HEIR_ROLE to the role that this worker fills (any later owner has the name as well).
 */
enum heir_bind { HEIR_SELF, HEIR_ROLE };
/* EEXIST EFULL EINVAL ESTALE EWANTED */
int heir_register(heir_t *h, const char *name, enum heir_bind bind);
/* EFULL EINVAL ESTALE EWANTED; no instant without an owner */
int heir_re_register(heir_t *h, const char *name, enum heir_bind bind);
int heir_unregister(heir_t *h, const char *name);                        /* ENOENT; EPERM (another's) */
int heir_unregister_any(heir_t *h, const char *name);                    /* whoever holds it. ENOENT */

enum heir_name_state { HEIR_NAME_LIVE = 1, HEIR_NAME_WAITING };
struct heir_where {
	char application[HEIR_NAME_MAX + 1]; /* "" for a name bound to a process */
	char node[64];                       /* "" where none */
	pid_t pid;                           /* 0 while no process fills the role */
	uint32_t generation;
	enum heir_name_state state;
	uint64_t handle;
};
int heir_whereis(heir_t *h, const char *name, struct heir_where *ret);   /* ENOENT ECORRUPT */
/*
 * Calls each() for every name, in no order; stops when it returns non-zero and returns that. Names that change
 * meanwhile may be seen or not.
 */
int heir_names(heir_t *h, int (*each)(const char *name, const struct heir_where *where, void *arg), void *arg);

/*
 * Worker: a program that a node starts. Every callback may be NULL. Negative results are failures.
 */
struct heir_worker {
	size_t size;       /* sizeof(struct heir_worker) */
	/* version of the state's contents that this program writes; 0 where there is no state */
	uint64_t version;
	/* Once, before readiness; nothing exclusive here: a hot standby stops after it and waits. */
	int (*init)(heir_t *h, void *arg);
	/* The type is known; not yet the owner when overlapped. Open what serving needs. */
	int (*start)(heir_t *h, const struct heir_start *start, void *arg);
	/* One of the application's own steps, by its name in start_phases. */
	int (*start_phase)(heir_t *h, const char *phase, const struct heir_start *start, void *arg);
	/*
	 * One message, within a transaction if it is the role's mail: 0 commits, negative undoes and is the
	 * caller's error.
	 */
	int (*handle)(heir_t *h, const struct heir_message *message, void *arg);
	/*
	 * Another instance owns the names, the mail and the state now; finish what is begun, forward the rest.
	 */
	void (*lost)(heir_t *h, const char *to, void *arg);
	/* Switched back: owner again; the state must be read anew. */
	int (*regained)(heir_t *h, uint32_t generation, void *arg);
	void (*prep_stop)(heir_t *h, void *arg);
	void (*stop)(heir_t *h, void *arg);
	/*
	 * The state has version `from`: bring it to `version` within the open transaction. Absent:
	 * HEIR_EVERSION.
	 */
	int (*upgrade)(heir_t *h, uint64_t from, void *arg);
};

/* Attach as the child that the environment names. Errors: as heir_open; ENOTWORKER; what init returned. */
int heir_worker_open(const struct heir_worker *worker, void *arg, heir_t **ret);
/* Serve until told to stop: 0 after an orderly stop; HEIR_ESTALE when replaced; other errors. */
int heir_serve(heir_t *h);
/*
 * One round of that loop, for a loop of one's own: waits at most timeout. 1: go on; 0: stopped in order;
 * negative: error.
 */
int heir_poll(heir_t *h, int64_t timeout);
void heir_finish(heir_t *h); /* make heir_serve return 0 after this callback */

/*
 * Descriptors that heir_serve and heir_poll watch beside the mail. events as in epoll (EPOLLIN, EPOLLOUT).
 * Errors: -errno.
 */
typedef void heir_ready_fn(heir_t *h, int fd, uint32_t events, void *arg);
/* again for the same fd: changes it */
int heir_watch(heir_t *h, int fd, uint32_t events, heir_ready_fn *ready, void *arg);
int heir_unwatch(heir_t *h, int fd);
/* Called by heir_poll after calls begun with heir_call_start may have been answered. NULL: none. */
void heir_on_replies(heir_t *h, void (*replied)(heir_t *h, void *arg), void *arg);

/*
 * The n-th inherited listening socket of this name (LISTEN_FDS, LISTEN_FDNAMES), or HEIR_ENOENT. Stays the
 * library's.
 */
int heir_listen_fd(const char *name);

int heir_is_owner(const heir_t *h);          /* 1 while this process owns its application, as far as it knows */
uint32_t heir_generation(const heir_t *h);   /* of the application, now */
const char *heir_node(const heir_t *h);      /* "" for a client */
const char *heir_application(const heir_t *h);

/*
 * State: one region of bytes of the worker's role. Touched only between begin and commit (in a handler both are
 * done by the loop) or within start, start_phase and regained of the owner after the switch, between a begin
 * and commit of one's own. begin: ESTALE EWANTED EOPEN. mark: before a range is changed its bytes go to the
 * undo log: ETOOBIG EOPEN EINVAL. commit: ESTALE (then nothing happened). abort: undoes the marked ranges.
 */
void *heir_state(heir_t *h, size_t *size);   /* NULL where the role has none */
int heir_begin(heir_t *h);
int heir_mark(heir_t *h, const void *start, size_t size);
int heir_commit(heir_t *h);
int heir_abort(heir_t *h);

/*
 * The domain as a whole. Read from the segment alone: works while every leader is stopped.
 */
enum heir_instance_state { HEIR_ABSENT, HEIR_STANDBY, HEIR_STARTING, HEIR_RUNNING, HEIR_STOPPING };
/* MOVING: served again soon; DOWN: nobody sees to that, be it that all processes of the domain have died. */
enum heir_app_state { HEIR_APP_DOWN, HEIR_APP_STARTING, HEIR_APP_RUNNING, HEIR_APP_MOVING, HEIR_APP_FAILED };

struct heir_child_status { char id[64]; pid_t pid; const char *state; uint32_t restarts; };
struct heir_instance_status { char node[64]; enum heir_instance_state state; int permitted; };
struct heir_app_status {
	char name[HEIR_NAME_MAX + 1];
	enum heir_app_state state;
	char node[64];
	uint32_t generation;
	enum heir_start_type start_type; /* 0: never started */
	int is_protected;                /* a permitted standby is ready */
	size_t instances, children;
	struct heir_instance_status instance[HEIR_NODES_MAX];
	struct heir_child_status child[64]; /* of the owner's node */
};
struct heir_node_status { char name[64]; pid_t pid; const char *state; };
struct heir_status {
	char domain[64];
	size_t nodes, applications;
	struct heir_node_status node[HEIR_NODES_MAX];
	struct heir_app_status *application;
};
int heir_status(heir_t *h, struct heir_status **ret); /* free with heir_status_free */
void heir_status_free(struct heir_status *status);
int heir_app_status(heir_t *h, const char *application, struct heir_app_status *ret); /* ENOENT */
/* Wait until the generation of an application is not `generation`, or the timeout. 0, ETIMEDOUT, ENOENT. */
int heir_wait_change(heir_t *h, const char *application, uint32_t generation, int64_t timeout);

enum heir_result { HEIR_DONE = 1, HEIR_ABORTED, HEIR_SWITCHED_BACK, HEIR_FAILED_OVER, HEIR_FORCED, HEIR_FAILED };
struct heir_step { char name[32]; int64_t start_ns, duration_ns; }; /* start: since the move began */
struct heir_move {
	char application[HEIR_NAME_MAX + 1];
	enum heir_start_type kind; /* HEIR_TAKEOVER or HEIR_FAILOVER (also NORMAL, LOCAL) */
	char from[64], to[64];
	uint32_t generation;
	int64_t at_ns;             /* CLOCK_REALTIME */
	int64_t total_ns;          /* to the return of the last step before stop_old */
	enum heir_result result;
	int error;                 /* why, where it did not end as done */
	char failed_step[32];
	size_t steps;
	struct heir_step step[HEIR_STEPS_MAX];
};
/* The newest moves first, at most max of them; application NULL: of all. Returns how many. */
int heir_moves(heir_t *h, const char *application, struct heir_move *ret, size_t max);

/*
 * Is the segment sound? Looks at all of it, also while its processes work, and when all of them are dead; stores
 * nothing and repairs nothing (whoever joins next does). Any thread and any process may call it, any number at once,
 * each with a handle of its own; one opened with HEIR_OBSERVE suffices.
 *
 * Each finding goes to each() (NULL: they are only counted); it is valid until each() returns, but part and what are
 * constants. heir_check ends when that returns non-zero, and returns that; *ret is then untouched. Otherwise 0
 * whatever was found, or -ENOMEM.
 */
#define HEIR_FINDINGS_MAX 1000
enum heir_finding_kind {
	HEIR_DAMAGE = 1, /* an invariant does not hold: memory was overwritten, or heir is at fault */
	HEIR_LEFTOVER    /* of the dead: seen to by the next who joins, claims or needs the room */
};
struct heir_finding {
	enum heir_finding_kind kind;
	/* head, node, role, application, process, mailbox, message, bucket or name cell; names: all of them */
	const char *part;
	uint32_t index;   /* which one, in the segment's own order */
	uint64_t count;   /* 1; of names: how many */
	const char *what; /* a clause, to follow "PART INDEX: " */
};
struct heir_check {
	uint64_t damage, leftovers; /* findings of each kind */
	uint64_t unjudged;          /* changed at each look, or may not be read */
	uint32_t processes;         /* that are alive; 0: what is judged only then was judged */
	int is_cut;                 /* 1: it ended at HEIR_FINDINGS_MAX findings */
};
int heir_check(heir_t *h, int (*each)(const struct heir_finding *finding, void *arg), void *arg,
               struct heir_check *ret);
/*
 * Why heir_open(domain, HEIR_OBSERVE, ...) refuses, for a person: its error, or 0 where it does not. text gets a clause
 * that says which gate and what was seen there, cut to size; where there is nothing to add, the error in words.
 */
int heir_refusal(const char *domain, char *text, size_t size);

#define HEIR_AS_CONFIGURED 0u
#define HEIR_OVERLAP 1u
#define HEIR_EXCLUSIVE 2u
#define HEIR_WAIT_TURN 4u /* wait for another takeover to end instead of EBUSY */
/*
 * Ask the node's instance to take the application over; returns when the move has ended (its last phase
 * returned or it failed) or at the timeout. ENOENT EALREADY EBUSY ENOTREADY ETIMEDOUT EUNKNOWN EFAILED; *ret is
 * filled for 0, EFAILED and EBUSY (then: the winner).
 */
int heir_takeover(heir_t *h, const char *application, const char *node, unsigned how, int64_t timeout,
                  struct heir_move *ret);

#ifdef __cplusplus
}
#endif
#endif
