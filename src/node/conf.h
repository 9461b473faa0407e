/* SPDX-License-Identifier: ISC */
/*
 * The configuration of a domain: heir.yaml(5) read, checked and resolved into plain structs.
 *
 * conf_load() starts no process and touches no segment; the file system is touched only to read
 * PATH, and by conf_check_exec(). Nothing here prints or exits: what is wrong with the input goes,
 * all of it and in the order of the file, into a struct conf_report as FILE:LINE:COLUMN: error:
 * MESSAGE, the line, and a caret.
 *
 * A struct conf is fully resolved: defaults filled in, templates expanded, names of nodes and
 * applications turned into indexes. It and all that it points to is read-only, belongs to one
 * arena, and ends with conf_free(). Times are nanoseconds, sizes bytes. Text is UTF-8 without NUL.
 */
#ifndef HEIR_NODE_CONF_H
#define HEIR_NODE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Limits of the text itself. */
#define CONF_TEXT_MAX (4u << 20)    /* bytes, of a file and of what conf_print() gives */
#define CONF_MEMORY_MAX (64u << 20) /* bytes, once resolved */
#define CONF_DEPTH_MAX 32           /* lists and mappings within each other */
#define CONF_KEYS_MAX 256           /* keys of one mapping */
#define CONF_ANCHORS_MAX 64
#define CONF_ERRORS_MAX 100 /* that are shown; all are counted */

/* Limits of what it describes. */
#define CONF_NODES_MAX 16
#define CONF_APPLICATIONS_MAX 64
#define CONF_ROLES_MAX 64       /* workers of one application */
#define CONF_SUPERVISORS_MAX 64 /* of one application, besides its top one */
#define CONF_SUPERVISOR_DEPTH_MAX 8
#define CONF_STEPS_MAX 16
#define CONF_LISTEN_MAX 16 /* of one application */
#define CONF_ENV_MAX 64
#define CONF_ARGUMENTS_MAX 256
#define CONF_READY_FD_MIN 3
#define CONF_READY_FD_MAX 255

/* Lengths, in bytes. */
#define CONF_DOMAIN_LENGTH_MAX 31
#define CONF_NODE_LENGTH_MAX 31
#define CONF_APPLICATION_LENGTH_MAX 63
#define CONF_ID_LENGTH_MAX 63 /* children and listening sockets */
#define CONF_PHASE_LENGTH_MAX 31
#define CONF_NAME_LENGTH_MAX 255

#define CONF_LIMIT_NAMES_MIN 16
#define CONF_LIMIT_NAMES_MAX 16777216
#define CONF_LIMIT_NAMES_DEFAULT 16384
#define CONF_LIMIT_PROCESSES_MIN 8
#define CONF_LIMIT_PROCESSES_MAX 4096
#define CONF_LIMIT_PROCESSES_DEFAULT 256
#define CONF_LIMIT_MESSAGES_MIN 16
#define CONF_LIMIT_MESSAGES_MAX 1048576
#define CONF_LIMIT_MESSAGES_DEFAULT 1024
#define CONF_LIMIT_MESSAGE_MIN 64
#define CONF_LIMIT_MESSAGE_MAX 1048576
#define CONF_LIMIT_MESSAGE_DEFAULT 4096
#define CONF_LIMIT_TRACE_MIN 16
#define CONF_LIMIT_TRACE_MAX 1048576
#define CONF_LIMIT_TRACE_DEFAULT 256

#define CONF_US UINT64_C(1000)
#define CONF_MS UINT64_C(1000000)
#define CONF_SECOND UINT64_C(1000000000)
#define CONF_MINUTE (60 * CONF_SECOND)
#define CONF_HOUR (60 * CONF_MINUTE)
#define CONF_DAY (24 * CONF_HOUR)
#define CONF_INFINITY UINT64_MAX
#define CONF_BRUTAL_KILL UINT64_C(0) /* as a shutdown time: killed at once */

#define CONF_SPIN_MAX (10 * CONF_MS)
#define CONF_SPIN_ON (50 * CONF_US) /* of `low_latency: true`, with so many processors: */
#define CONF_SPIN_PROCESSORS 4 /* a caller, an owner and a standby that spin, and one for the rest */
#define CONF_CPU_DMA_LATENCY_MAX CONF_SECOND

#define CONF_STEP_TIMEOUT_MIN CONF_MS
#define CONF_STEP_TIMEOUT_MAX CONF_HOUR
#define CONF_STEP_TIMEOUT_DEFAULT (2 * CONF_SECOND)
#define CONF_YIELD_TIMEOUT_MAX CONF_MINUTE
#define CONF_YIELD_TIMEOUT_DEFAULT (100 * CONF_MS)
#define CONF_CLAIM_GRACE_MAX CONF_MINUTE
#define CONF_CLAIM_GRACE_DEFAULT (50 * CONF_MS)
#define CONF_FAILOVER_TIMEOUT_MAX CONF_DAY
#define CONF_FAILOVER_TIMEOUT_DEFAULT UINT64_C(0)
#define CONF_INTENSITY_MAX 1000
#define CONF_INTENSITY_DEFAULT 1
#define CONF_PERIOD_MIN CONF_MS
#define CONF_PERIOD_MAX CONF_DAY
#define CONF_PERIOD_DEFAULT (5 * CONF_SECOND)
#define CONF_FAILOVERS_INTENSITY_DEFAULT 10
#define CONF_FAILOVERS_PERIOD_DEFAULT CONF_MINUTE
#define CONF_MAX_DELIVERIES_MIN 1
#define CONF_MAX_DELIVERIES_MAX 100
#define CONF_MAX_DELIVERIES_DEFAULT 3
#define CONF_SHUTDOWN_MIN CONF_MS
#define CONF_SHUTDOWN_MAX CONF_HOUR
#define CONF_SHUTDOWN_DEFAULT (5 * CONF_SECOND) /* of a worker; of a supervisor, CONF_INFINITY */
#define CONF_WATCHDOG_MIN (10 * CONF_MS)
#define CONF_WATCHDOG_MAX CONF_HOUR
#define CONF_STATE_MIN UINT64_C(1)
#define CONF_STATE_MAX (UINT64_C(1) << 40)

enum conf_standby { CONF_COLD, CONF_HOT };
enum conf_take_back { CONF_TAKE_BACK_MANUAL, CONF_TAKE_BACK_AUTO };
enum conf_give_up { CONF_GIVE_UP_FAILOVER, CONF_GIVE_UP_TERMINATE, CONF_GIVE_UP_STOP };
enum conf_restart { CONF_PERMANENT, CONF_TRANSIENT, CONF_TEMPORARY };
enum conf_strategy { CONF_ONE_FOR_ONE, CONF_ONE_FOR_ALL, CONF_REST_FOR_ONE };
enum conf_type { CONF_WORKER, CONF_SUPERVISOR };
enum conf_ready { CONF_READY_ATTACH, CONF_READY_EXEC, CONF_READY_NOTIFY, CONF_READY_FD };
enum conf_on_death { CONF_ON_DEATH_FAILOVER, CONF_ON_DEATH_RESTART };

enum conf_step_kind {
	CONF_STEP_START,
	CONF_STEP_SWITCH,
	CONF_STEP_STOP_OLD,
	CONF_STEP_TAKEOVER, /* the application's phase of that name: skipped unless the type is
			       takeover */
	CONF_STEP_PHASE,    /* any other phase of the application's own */
};

struct conf_limits {
	uint32_t names;
	uint32_t processes;
	uint32_t messages; /* cells in the pool */
	uint64_t message;  /* bytes: the largest request or reply */
	uint32_t trace;    /* records in each process's ring */
};

struct conf_low_latency {
	uint64_t spin;            /* a wait looks for so long before it sleeps */
	uint64_t cpu_dma_latency; /* that leaders hold; CONF_INFINITY: they hold none */
	unsigned lock_memory;     /* 0 or 1 */
	unsigned prefault;
};

struct conf_candidate {
	uint32_t node;  /* index into conf.nodes */
	uint32_t group; /* priority, 0 the highest; equal for nodes of one group */
};

struct conf_step {
	enum conf_step_kind kind;
	const char *name; /* of every kind, as in the file */
};

struct conf_listen {
	const char *name;
	const char *address; /* as in the file */
	struct sockaddr_storage socket;
	socklen_t socket_length;
};

struct conf_variable {
	const char *name;
	const char *value;
};

struct conf_child;

struct conf_supervisor {
	enum conf_strategy strategy;
	uint32_t intensity;
	uint64_t period;
	struct conf_child *children; /* in start order */
	uint32_t child_count;
};

struct conf_child {
	const char *id; /* unique in the application */
	enum conf_type type;
	enum conf_restart restart;
	uint64_t shutdown; /* CONF_BRUTAL_KILL, CONF_INFINITY or a time */
	uint32_t mark;     /* where in the file, for conf_check_exec() */

	struct conf_supervisor supervisor; /* of a CONF_SUPERVISOR; the rest is a worker's */

	uint32_t role;       /* index into conf_application.roles */
	const char **exec;   /* ends with NULL */
	uint32_t exec_count; /* without that NULL */
	const char **names;
	uint32_t name_count;
	uint64_t state; /* bytes, 0 if it has none */
	enum conf_ready ready;
	uint32_t ready_fd; /* of CONF_READY_FD */
	enum conf_on_death on_death;
	const char *log;   /* NULL: inherited */
	uint64_t watchdog; /* 0 if it has none */
};

struct conf_application {
	const char *name; /* of an instance of a template, NAME/INSTANCE */
	struct conf_candidate *candidates;
	uint32_t candidate_count;
	enum conf_standby standby;
	struct conf_step *steps; /* in order, switch among them */
	uint32_t step_count;
	uint64_t step_timeout;
	uint64_t yield_timeout;
	uint64_t claim_grace;
	uint64_t failover_timeout; /* or CONF_INFINITY */
	uint32_t failovers_intensity;
	uint64_t failovers_period;
	uint32_t max_deliveries;
	enum conf_take_back take_back;
	enum conf_give_up on_give_up;
	enum conf_restart restart_type;
	uint32_t *dependencies; /* indexes into conf.applications; never a cycle */
	uint32_t dependency_count;
	struct conf_listen *listen;
	uint32_t listen_count;
	struct conf_variable *env;
	uint32_t env_count;
	struct conf_supervisor supervisor;
	struct conf_child **roles; /* the workers of the whole tree, in start order */
	uint32_t role_count;       /* at least 1 */
};

struct conf_store;

struct conf {
	const char *domain;
	const char **nodes;
	uint32_t node_count;
	struct conf_limits limits;
	struct conf_low_latency low_latency;
	struct conf_application *applications;
	uint32_t application_count;
	struct conf_store *store;
};

/* Begins as all zeroes. What several calls report is appended. */
struct conf_report {
	char *text; /* ends with NUL; NULL while there is nothing to say */
	size_t length;
	size_t size;
	unsigned count; /* errors, those included that are past CONF_ERRORS_MAX */
};

/* The text of the configuration that conf_load(NULL, NULL, ...) loads. */
extern const char conf_default_text[];

/*
 * Reads TEXT if it is not NULL, else the file at PATH if it is not NULL, else the embedded default.
 * PATH beside TEXT only names it in diagnostics.
 *
 * Returns 0 and sets *ret, or leaves *ret alone and returns: -EINVAL: the text is wrong, the report
 * says where; -EFBIG: larger than CONF_TEXT_MAX; -ENOMEM; or the error of open(2) or read(2). The
 * report is added to in each case.
 */
int conf_load(const char *path, const char *text, struct conf **ret, struct conf_report *report);

/* Accepts NULL. */
void conf_free(struct conf *conf);

void conf_report_finish(struct conf_report *report);

/*
 * Whether each child's program is there and may be executed, by the caller, now. SEARCH is a list
 * of directories with colons between them, as PATH; NULL stands for PATH. Returns 0; or -EINVAL,
 * having reported each that is not.
 */
int conf_check_exec(const struct conf *conf, const char *search, struct conf_report *report);

/*
 * The file that FILE names: itself if it has a slash, else the first in SEARCH that may be
 * executed. Returns 0 and fills PATH; -ENOENT; -EACCES: found, but not executable or not a regular
 * file; -ENAMETOOLONG.
 */
int conf_find_exec(const char *file, const char *search, char *path, size_t size);

/*
 * A hash of the resolved configuration, the same in every process and on every host, never 0. Keys
 * at their default do not count, so that a later version's new keys leave it as it is.
 */
uint64_t conf_signature(const struct conf *conf);

/*
 * The whole of the resolved configuration as one JSON document without line breaks, at most
 * CONF_TEXT_MAX bytes. conf_load() accepts it and gives an equal configuration. *ret is for free().
 * Returns 0 or -ENOMEM.
 */
int conf_print(const struct conf *conf, char **ret, size_t *ret_length);

struct conf_change {
	char *key;       /* applications.kv.step_timeout */
	char *from, *to; /* as conf_print() has them; "" where there is none */
	bool reloads;    /* a running domain can follow */
};

struct conf_changes {
	struct conf_change *list;
	size_t count;
	size_t refused; /* that cannot be followed */
};

/* What differs, in the order of the keys. 0, or -ENOMEM with *ret untouched. */
int conf_compare(const struct conf *in_force, const struct conf *given, struct conf_changes *ret);
void conf_changes_finish(struct conf_changes *changes);

/* An index, or -1. */
int conf_find_node(const struct conf *conf, const char *name);
int conf_find_application(const struct conf *conf, const char *name);

#endif
