/* SPDX-License-Identifier: ISC */
/*
 * The segment: what lies where, and who may write it.
 *
 *   head | nodes | applications | roles | slots | mailboxes | rings | cells | buckets | name cells | trace rings |
 *   two configurations
 *
 * The place of each part follows from the limits in the head by carve() alone; no offset is stored. A process
 * loads the limits once, at the gate (segment.c), checks that the carved size is the file's size, and from then
 * on uses its private struct shm. Every index that is read from the segment goes through an accessor there that
 * returns NULL when out of range.
 *
 * "Static" fields are written by the creator before the segment is linked into place and by nobody afterwards.
 * Everything else is an aligned atomic word whose comment names its writer. Reserved fields are zero.
 */
#ifndef HEIR_SHM_LAYOUT_H
#define HEIR_SHM_LAYOUT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atom.h"

#define SHM_MAGIC UINT64_C(0x3130474553524948) /* "HIRSEG01" in memory order */
#define SHM_MAJOR 1u
#define SHM_MINOR 0u

#define SHM_NODES_MAX 16u
#define SHM_APPS_MAX 64u
#define SHM_ROLES_MAX 1024u   /* in the domain */
#define SHM_APP_ROLES_MAX 64u
#define SHM_SLOTS_MAX 4096u   /* 12 bits in the control word; slot 0 is nobody */
#define SHM_NAME_MAX 255u
#define SHM_STEPS_MAX 16u
#define SHM_LIVES 4u
#define SHM_OUTBOX_MAX 16u
#define SHM_CELLS_MAX (1u << 20)
#define SHM_NAMES_MAX (1u << 22)

struct shm_limits { /* static */
	uint32_t nodes;
	uint32_t apps;
	uint32_t roles;
	uint32_t slots;      /* processes + 1: slot 0 is never used */
	/* messages + 1: cell 0 is never used; a ring has the next power of two of entries */
	uint32_t cells;
	uint32_t message;    /* bytes of a request or a reply, multiple of 64 */
	uint32_t buckets;    /* power of two */
	uint32_t name_cells; /* + 1: name cell 0 holds hints for allocation */
	uint32_t trace;      /* records a slot, power of two */
	uint32_t conf;       /* bytes of configuration text, multiple of 64; twice */
	uint32_t reserved[6];
};

struct shm_head {
	uint64_t magic; /* static */
	uint32_t major, minor;
	uint64_t signature; /* over sizes and offsets of the frozen types: layout_signature() */
	uint64_t size;
	uint32_t uid;
	uint32_t pad;
	uint64_t pid_namespace; /* inode of /proc/self/ns/pid: a pid means nothing in another one */
	atom64 conf_signature[2]; /* of each text; the creator, then whoever fills that area */
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t spin;       /* ns: a wait looks for so long before it sleeps */
	uint32_t memory;     /* of workers: MEMORY_… */
	uint32_t pad1;
	char domain[64];
	struct shm_limits limits;
	/*
	 * {generation:32 | incarnation:20 | slot:12}: which of the two configurations is in force, and who fills the
	 * other; CAS: shm/policy.h
	 */
	_Alignas(CACHE_LINE) atom64 in_force;
	_Alignas(CACHE_LINE) atom32 changed; /* futex: +1 by anyone after a change that leaders act upon */
	atom32 stopping;                     /* futex: 0, 1 stop, 2 stop and keep; CLI or `up` */
	/* handle of the leader that opens the listen sockets; CAS 0 or dead -> me */
	atom64 opener;
	atom64 join_hint;                    /* where the next joiner begins to look for a slot; anyone */
	/* handle of the `heir up` that starts dead leaders again; CAS 0 or gone -> me */
	atom64 up;
	atom64 reserved[4];
};

enum { MEMORY_LOCKED = 1, MEMORY_PREFAULTED = 2 };

struct shm_node {
	char name[64];                      /* static */
	_Alignas(CACHE_LINE) atom64 leader; /* handle; CAS 0 or dead -> me, by the leader */
	atom32 state;                       /* enum node_state; the leader */
	atom32 pad;
	atom64 reserved[6];
};
enum node_state { NODE_DOWN, NODE_STARTING, NODE_UP, NODE_STOPPING };

/*
 * What was committed last, so that whoever owns the application next can redo it. Written by the owner while
 * open, into record[!parity]; made valid by the commit's CAS, which flips parity. Words are atomics only
 * because a stale reader may look (its CASes then fail by generation); see mail/record.h.
 */
struct shm_record {
	atom64 cell;   /* {generation:32 | cell:32}; 0: no message in this transaction */
	atom64 ticket; /* {outcome:8 | mailbox:24 | ticket:32} */
	atom32 outbox; /* how many of: */
	atom32 pad;
	struct {
		atom64 cell;    /* {generation:32 | cell:32} */
		atom64 mailbox;
	} sent[SHM_OUTBOX_MAX];
};

/*
 * What of an application a reload can change: twice in each, shm/policy.h says which one is in force. Written by
 * the creator, then by whoever fills the configuration that it belongs to. Times are ns.
 */
struct shm_policy {
	_Alignas(CACHE_LINE) atom64 step_timeout;
	atom64 yield_timeout, claim_grace, failover_timeout, failover_period;
	atom64 stop_timeout; /* to stop all children of an instance, one after the other */
	atom64 failover_intensity, max_deliveries;
	atom64 flags;        /* POLICY_… */
	/* 1 first; equal numbers are a group; 0: not a candidate, which is static */
	union {
		uint8_t priority[SHM_NODES_MAX];
		atom64 priorities[SHM_NODES_MAX / 8];
	};
	atom64 reserved[5];
};
enum {
	/* a dead lead is restarted in place by its leader, the standby does not claim */
	POLICY_RESTART_IN_PLACE = 1,
	POLICY_TAKE_BACK = 2,
	POLICY_GIVE_UP_STOP = 4,
};

struct shm_app {
	/* static */
	char name[SHM_NAME_MAX + 1];
	uint32_t first_role, roles;
	/* domain-wide index: the role whose process is the owner; it has the state, if any has */
	uint32_t lead_role;
	uint32_t flags;            /* APP_… */
	uint64_t state_size, undo_size;
	uint32_t steps, pad0;
	char step[SHM_STEPS_MAX][32];
	uint64_t reserved0[8];

	struct shm_policy policy[2];
	_Alignas(CACHE_LINE) atom64 control; /* state/control.h */
	atom64 redone;                       /* {generation}: the owner's, after redo; informative */
	/* Who drives a move, where it is, and until when: proc/move.h. CAS. */
	_Alignas(CACHE_LINE) atom64 move;
	atom64 reserved1;
	/* handle of the old owner while it may be switched back to, else 0; CAS by the owner while MOVING */
	atom64 previous;
	/* {type:8 | from node + 1:8 | generation:32}: of the present owner; the owner while MOVING */
	atom64 start;
	/* generation that a switch-back made: its new owner is told; the driver, before that CAS */
	atom64 returned;
	atom64 failovers; /* {seconds of CLOCK_MONOTONIC:32 | count:32}; CAS by a claimant */
	atom64 permitted; /* bit per node; CAS */
	atom32 failed;    /* 1: failovers beyond the intensity; CAS by whoever finds it, cleared by start */
	atom32 wanted;    /* 1: is to run (start), 0: is to be down (stop); CLI through a leader */
	atom32 instance[SHM_NODES_MAX]; /* enum instance_state; that node's leader */
	atom64 reserved[7];
	_Alignas(CACHE_LINE) struct shm_record record[2];
};
enum {
	APP_HOT = 1,
	/* the lead role is a program that knows nothing of heir: its leader owns in its place */
	APP_LED = 8,
	APP_EXCLUSIVE = 16,       /* informative: the configured list begins with stop_old */
};
enum instance_state { INSTANCE_ABSENT, INSTANCE_STANDBY, INSTANCE_STARTING, INSTANCE_RUNNING, INSTANCE_STOPPING };

struct shm_role {
	char id[64];                           /* static */
	uint32_t app, flags;                   /* static; ROLE_… */
	uint64_t reserved;
	/* handle of the process that fills it on that node; CAS 0 or dead -> me, by it */
	atom64 candidate[SHM_NODES_MAX];
	atom64 child[SHM_NODES_MAX];           /* {restarts:32 | state:8 | pid:24}; that node's leader */
};
enum { ROLE_ATTACH = 1, ROLE_STATE = 2 };
enum child_state { CHILD_ABSENT, CHILD_STARTING, CHILD_RUNNING, CHILD_STOPPING, CHILD_RESTARTING, CHILD_FAILED };

/*
 * A life word is the lock word of a robust, process-shared mutex that is locked once and never unlocked while
 * the thread lives: the kernel sets FUTEX_OWNER_DIED in it and wakes one waiter when the thread dies or execs.
 * One line a watcher.
 */
struct shm_life {
	_Alignas(CACHE_LINE) pthread_mutex_t mutex; /* the slot's thread */
};
enum { LIFE_HEIR, LIFE_LEADER, LIFE_SPARE0, LIFE_SPARE1 };

struct shm_slot {
	_Alignas(CACHE_LINE) atom64 word; /* {incarnation:32 | state:8 | pid:24}; CAS: proc/slot.h */
	/* {kind:8 | node + 1:8 | app + 1:16 | role + 1:32}; the slot's thread */
	atom64 place;
	/* {incarnation:16 | field 22 of /proc/PID/stat:48}; the slot's thread */
	atom64 started;
	atom64 version;                   /* state version it understands; the slot's thread */
	atom32 ready;                     /* worker_state; the slot's thread */
	atom32 dying;                     /* 1: a fatal signal was caught; any thread of that process */
	atom32 doorbell;                  /* futex: +1 by whoever has something for it: mail/doorbell.h */
	atom32 names;                     /* direct names registered; the slot's thread */
	atom64 beat;                      /* reserved for the watchdog; the slot's thread */
	atom32 asleep;                    /* 1: it sleeps on the doorbell, or is about to; the slot's thread */
	atom32 unasked;                   /* {incarnation:30 | worker_unasked:2}; the slot's thread */
	struct shm_life life[SHM_LIVES];
};
enum slot_state { SLOT_FREE, SLOT_JOINING, SLOT_ALIVE, SLOT_DEAD };
enum slot_kind { KIND_CLIENT = 1, KIND_WORKER, KIND_LEADER };
/* What a worker has no callback for, so that a move need not ask it. */
enum worker_unasked { UNASKED_START = 1, UNASKED_PHASES = 2 };
enum worker_state { WORKER_INIT, WORKER_STANDBY, WORKER_STARTING, WORKER_SERVING, WORKER_LOST, WORKER_STOPPING };

/*
 * A mailbox: role r has mailbox r, slot s has mailbox roles + s. Its ring is entries of {ticket:32 | cell:32}:
 * mail/mailbox.h.
 */
struct shm_mailbox {
	/* next ticket to take; CAS by the redo; its low half is the futex of senders that found it full */
	_Alignas(CACHE_LINE) atom64 head;
	/* how many of these sleep; +1 -1 by them (the dead leave it too high: one more wake) */
	atom32 senders;
	atom32 aside;                         /* messages set aside; the owner's redo */
	atom64 reserved0[6];
	_Alignas(CACHE_LINE) atom64 tail; /* next ticket to fill; CAS by anyone */
	atom64 reserved1[7];
};

struct shm_cell {
	/* {generation:32 | slot:12 | deliveries:8 | flags:4 | state:8}: mail/cell.h */
	_Alignas(CACHE_LINE) atom64 word;
	atom32 kind;        /* enum cell_kind; sender while OWNED */
	atom32 mailbox;     /* where it is or was published; sender while OWNED */
	atom32 name_size;   /* bytes of the name at the start of the data; sender while OWNED */
	atom32 size;        /* bytes of the request behind it; sender while OWNED */
	atom32 status;      /* 0 or a negative error; reader while it holds the cell */
	atom32 reply_size;  /* reader while it holds the cell */
	atom64 reserved0;
	/*
	 * handle that a direct message is meant for; 0: a role; sender, or holder that passes it on, while
	 * OWNED
	 */
	atom64 target;
	atom32 holder;      /* slot of the reader that took it last; that reader, after it has taken it */
	atom32 pad;
	atom64 reserved1;
	/* then shm_limits.message + 256 bytes of name and request, then shm_limits.message bytes of reply */
};

/* {version:32 | name cell:32}; CAS by anyone: name/names.h */
struct shm_bucket { atom64 head; };

struct shm_name_cell { /* 64 bytes; name/names.h */
	_Alignas(CACHE_LINE) atom64 words[8];
};

struct shm_trace_record { /* 32 bytes; trace/tracering.h */
	atom64 words[4];
};
struct shm_trace_head { /* one a slot, in front of its records */
	/* number of the next record; the slot's thread; goes on over incarnations */
	_Alignas(CACHE_LINE) atom64 next;
};

/*
 * The file beside the segment that holds one application's state: head, undo log, data. Mapped by the role's
 * workers alone.
 */
#define STATE_MAGIC UINT64_C(0x3130415453524948) /* "HIRSTA01" */
struct shm_state_head {
	uint64_t magic;  /* static */
	uint64_t size, undo_size, undo_offset, data_offset, file_size;
	_Alignas(CACHE_LINE) atom64 version;   /* of the contents; the owner while open */
	/*
	 * bytes of valid undo entries of the transaction opened under parity 0, 1; the owner while open, or its
	 * recoverer
	 */
	_Alignas(CACHE_LINE) atom64 undo_used[2];
	atom64 reserved[6];
};

#endif
