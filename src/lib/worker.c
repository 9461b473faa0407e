/* SPDX-License-Identifier: ISC */
/* A worker: attached as the child that its environment names; its loop. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/appclaim.h"
#include "base/clock.h"
#include "base/patience.h"
#include "base/timeslice.h"
#include "lib/resolve.h"
#include "lib/txn.h"
#include "lib/worker.h"
#include "mail/doorbell.h"
#include "proc/recover.h"
#include "shm/policy.h"

#define MAIL_A_ROUND 64
#define ANNOUNCE_NS INT64_C(1000000)
#define WAIT_WORDS   (1 + 3 + SHM_NODES_MAX) /* doorbell; owner, its leader, heir; who may switch */

_Static_assert(WAIT_WORDS <= WAITSET_WORDS_MAX, "a standby's words fit into one wait");

struct shm_app *worker_app(heir_t *h)
{
	return &h->shm.apps[h->run->app]; /* checked when the handle was opened */
}

static struct shm_slot *own_slot(heir_t *h)
{
	return &h->shm.slots[h->slot];
}

void worker_state(heir_t *h, enum worker_state state)
{
	h->run->state = state;
	atom_store_release(&own_slot(h)->ready, state);
}

/*
 * Those who wait for answers come first, and the instance's other children, who answer as well: the old owner, standbys
 * and leaders would take their processors. Should this process die before it has told them, its death does.
 */
void worker_announce(heir_t *h)
{
	app_wake_instance(&h->shm, h->run->app, h->self);
	h->run->announce_at = clock_ns() + ANNOUNCE_NS;
}

/*
 * Should this process die, the kernel takes longer to tear its memory down than the standby to serve: whoever is
 * woken on its processor then, standby or caller, goes first by a shorter time slice. Done off the path.
 */
static void be_patient(heir_t *h)
{
	if (!h->run->is_patient && h->run->state == WORKER_SERVING)
		(void)slice_set(SLICE_OWNER * slice_get());
	h->run->is_patient |= h->run->state == WORKER_SERVING;
}

static void announce_now(heir_t *h)
{
	h->run->announce_at = DEADLINE_NEVER;
	app_changed(&h->shm, h->run->app);
	be_patient(h);
}

static int env_number(const char *name)
{
	const char *s = getenv(name);
	char *end;
	long v;

	if (!s || !*s)
		return -1;
	v = strtol(s, &end, 10);
	return *end || v < 0 || v > 1 << 24 ? -1 : (int)v;
}

/* Where the environment puts this process; the domain is opened only to look the names up. */
static int find_place(struct slot_place *ret)
{
	const char *node = getenv("HEIR_NODE"), *app = getenv("HEIR_APPLICATION"),
		   *child = getenv("HEIR_CHILD");
	struct slot_place place = {KIND_WORKER, -1, -1, -1};
	heir_t *h;
	int rc;

	if (!getenv("HEIR_DOMAIN") || !node || !app || !child)
		return HEIR_ENOTWORKER;
	rc = heir_open(NULL, HEIR_OBSERVE, &h);
	if (rc)
		return rc;
	place.node = lib_find_node(h, node);
	place.app = lib_find_app(h, app);
	if (place.app >= 0) {
		struct shm_app *a = shm_app(&h->shm, (uint32_t)place.app);

		for (uint32_t i = 0, role = a->first_role; i < a->roles && i < SHM_APP_ROLES_MAX; i++, role++) {
			struct shm_role *r = shm_role(&h->shm, role);

			if (r && strncmp(r->id, child, sizeof(r->id)) == 0)
				place.role = (int)role;
		}
	}
	heir_close(h);
	if (place.node < 0 || place.app < 0 || place.role < 0)
		return HEIR_ENOENT;
	*ret = place;
	return 0;
}

/* This process fills its role on its node: in place of nobody or of a dead one. */
static int register_candidate(heir_t *h)
{
	atom64 *cell = &shm_role(&h->shm, (uint32_t)h->place.role)->candidate[h->place.node];
	uint64_t old = atom_load_acquire(cell);

	do {
		if (old && !handle_gone(&h->shm, old))
			return HEIR_EEXIST;
	} while (!atom_cas_seq(cell, &old, h->self)); /* before it looks for mail; pairs with mailbox_ring() */
	return 0;
}

static uint32_t unasked(const struct worker_run *run)
{
	return (run->cb.start ? 0 : UNASKED_START) | (run->cb.start_phase ? 0 : UNASKED_PHASES);
}

static int setup(heir_t *h)
{
	struct shm_app *a = worker_app(h);
	bool is_prefaulted = a->flags & APP_HOT || h->shm.head->memory & MEMORY_PREFAULTED;
	int rc;

	if (h->run->lead && a->state_size) {
		rc = state_map(&h->shm, h->run->app, is_prefaulted, &h->state);
		if (rc)
			return rc;
	}
	warm_memory(h);
	atom_store_relaxed(&own_slot(h)->version, h->run->cb.version);
	/* Seen by whoever sees this process as a candidate: register_candidate(). */
	atom_store_relaxed(&own_slot(h)->unasked, unasked_word(h->self, unasked(h->run)));
	rc = dying_install(&h->shm, h->self);
	if (rc)
		return rc;
	rc = h->run->cb.init ? h->run->cb.init(h, h->run->arg) : 0;
	if (rc < 0)
		return rc;
	rc = register_candidate(h);
	if (rc)
		return rc;
	if (h->run->lead && (a->flags & APP_HOT))
		warm_path(h);
	worker_state(h, WORKER_STANDBY);
	if (h->run->lifeline >= 0) {
		if (fcntl(h->run->lifeline, F_SETFD, FD_CLOEXEC) < 0 || write(h->run->lifeline, "R", 1) != 1)
			return -errno;
	}
	app_changed(&h->shm, h->run->app);
	return 0;
}

int heir_worker_open(const struct heir_worker *worker, void *arg, heir_t **ret)
{
	struct slot_place place;
	struct worker_run *run;
	heir_t *h;
	int rc = find_place(&place);

	if (rc)
		return rc;
	if (!worker || worker->size < offsetof(struct heir_worker, init) || worker->size > 4096)
		return HEIR_EINVAL;
	run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	memcpy(&run->cb, worker, worker->size < sizeof(run->cb) ? worker->size : sizeof(run->cb));
	run->arg = arg;
	run->start.from = run->from; /* "": also where a phase comes before a start */
	run->claim_since = run->claim_turn = run->look_again = run->wanted_since = run->announce_at = DEADLINE_NEVER;
	run->lifeline = env_number("HEIR_LIFELINE");
	run->app = (uint32_t)place.app;
	run->node = (uint32_t)place.node;
	rc = lib_open(NULL, place, &h);
	if (rc) {
		free(run);
		return rc;
	}
	h->run = run;
	run->lead = (uint32_t)place.role == worker_app(h)->lead_role;
	rc = setup(h);
	if (rc < 0) {
		heir_close(h);
		return rc;
	}
	*ret = h;
	return 0;
}

void worker_finish(heir_t *h)
{
	uint64_t self = h->self;

	if (!h->run)
		return;
	if (h->run->announce_at >= 0)
		announce_now(h);
	if (h->run->is_patient)
		(void)slice_set(slice_get() / SLICE_OWNER);
	dying_remove();
	watch_finish(h);
	(void)atom_cas(&shm_role(&h->shm, (uint32_t)h->place.role)->candidate[h->place.node], &self, 0);
	if (h->run->stop_kept)
		lib_answer_kept(h, h->run->stop_request, 0, &(struct reply){0}, sizeof(struct reply));
	free(h->run);
	h->run = NULL;
}

static void stop_worker(heir_t *h, int code)
{
	struct worker_run *run = h->run;

	if (run->state == WORKER_STOPPING)
		return;
	worker_state(h, WORKER_STOPPING);
	if (run->cb.prep_stop && run->started)
		run->cb.prep_stop(h, run->arg);
	if (run->cb.stop)
		run->cb.stop(h, run->arg);
	run->finish = 1;
	run->exit_code = code;
}

static void child_request(heir_t *h, const struct request *r)
{
	struct reply reply = {0};

	reply.error = r->op == REQ_CHILD_START ? call_start(h, (enum heir_start_type)r->type, r->from_node)
					       : call_phase(h, r->phase);
	if (reply.error == 0 && r->op == REQ_CHILD_START)
		worker_state(h, WORKER_STARTING); /* serving once the lead of this node is */
	lib_answer(h, 0, &reply, sizeof(reply));
}

static void control_request(heir_t *h, const struct request *r)
{
	struct reply reply = {0};
	struct kept kept;

	switch (r->op) {
	case REQ_STOP:
		h->run->stop_request = lib_keep(h);
		h->run->stop_kept = 1;
		stop_worker(h, 0);
		return;
	case REQ_CHILD_START:
	case REQ_CHILD_PHASE:
		child_request(h, r);
		return;
	case REQ_START:
	case REQ_TAKEOVER:
		kept = lib_keep(h);
		if (r->app != h->run->app || !h->run->lead)
			reply.error = HEIR_EINVAL;
		else if (r->op == REQ_START)
			drive_start(h, r, &reply);
		else
			drive_takeover(h, r, &reply);
		lib_answer_kept(h, kept, 0, &reply, sizeof(reply));
		worker_announce(h);
		return;
	default:
		reply.error = HEIR_EINVAL;
		lib_answer(h, 0, &reply, sizeof(reply));
	}
}

static int direct_mail(heir_t *h)
{
	struct request request;
	int n = 0, rc = 0;

	while (n < MAIL_A_ROUND && !h->run->finish && (rc = lib_receive(h, &request)) == 1) {
		n++;
		if (h->in.kind == CELL_CONTROL)
			control_request(h, &request);
		else
			direct_done(h, h->run->cb.handle ? h->run->cb.handle(h, &h->in.message, h->run->arg)
							 : HEIR_ENOENT);
	}
	return rc < 0 ? rc : n;
}

/* HELD: until its leader tells it to stop, which may itself be stopped. */
static bool is_served(struct control c)
{
	return c.phase == PHASE_SERVING || c.phase == PHASE_HELD;
}

static bool mine(heir_t *h, struct control c)
{
	if (c.phase == PHASE_DOWN || c.owner == 0)
		return false;
	return h->run->lead ? c.owner == h->slot : slot_place(&h->shm, c.owner).node == h->place.node;
}

/* Begin is refused: somebody waits to take over. For longer than it would: then go on. */
static void wait_for_taker(heir_t *h)
{
	struct worker_run *run = h->run;
	int64_t now = clock_ns(), patience = patience_taker(policy_of(&h->shm, worker_app(h)).yield_timeout);
	uint64_t old, new_word;

	run->wanted = 1;
	if (run->wanted_since < 0)
		run->wanted_since = now;
	run->look_again = run->wanted_since + patience;
	if (now < run->look_again)
		return;
	/* Alive or not: it may be stopped, and switches at rest all the same when it goes on. */
	(void)control_apply(&worker_app(h)->control, &old, &new_word, control_unwant, 0);
	run->wanted = 0;
	run->wanted_since = run->look_again = DEADLINE_NEVER;
}

int serve_mail(heir_t *h, unsigned most)
{
	struct worker_run *run = h->run;
	unsigned n = 0;
	int rc = 1;

	run->wanted = 0;
	while (n < most && rc == 1) {
		rc = run->lead ? txn_message(h, (uint32_t)h->place.role, run->cb.handle, run->arg)
			       : plain_message(h, (uint32_t)h->place.role, run->cb.handle, run->arg);
		n += rc == 1;
	}
	/* Also where no mail is there: transactions of the worker's own are refused as well. */
	if (run->lead && control_unpack(atom_load_acquire(&worker_app(h)->control)).want)
		wait_for_taker(h);
	else
		run->wanted_since = DEADLINE_NEVER;
	return rc == HEIR_EWANTED || rc == HEIR_ESTALE || rc >= 0 ? (int)n : rc;
}

/* Owner again after a takeover that failed: what this process knows of the state may be old. */
static int come_back(heir_t *h, struct control c)
{
	struct worker_run *run = h->run;
	int rc = run->lead ? app_recover(&h->shm, run->app, h->self, &h->state) : 0;

	run->since = c.generation;
	if (rc == 0 && run->cb.regained)
		rc = run->cb.regained(h, c.generation, run->arg);
	worker_state(h, WORKER_SERVING);
	app_changed(&h->shm, run->app);
	return rc < 0 ? rc : 1;
}

/* One that has nothing to do in a failover is not asked, and begins with its lead; not while that is held. */
static bool begins_unasked(const struct worker_run *run, struct control c)
{
	return run->state == WORKER_STANDBY && c.phase == PHASE_SERVING &&
	       unasked(run) == (UNASKED_START | UNASKED_PHASES);
}

/* The owner has changed under this worker: told once each way. */
static int follow_owner(heir_t *h, struct control c)
{
	struct worker_run *run = h->run;
	uint32_t returned = (uint32_t)atom_load_acquire(&worker_app(h)->returned);
	struct shm_node *to;
	int node;

	if (run->state == WORKER_SERVING && !mine(h, c)) {
		node = slot_place(&h->shm, c.owner).node;
		to = node >= 0 ? shm_node(&h->shm, (uint32_t)node) : NULL;
		worker_state(h, WORKER_LOST);
		if (run->cb.lost)
			run->cb.lost(h, to ? to->name : "", run->arg);
		return 1;
	}
	if (!mine(h, c) || !is_served(c))
		return 0;
	if (!run->lead && (run->state == WORKER_STARTING || begins_unasked(run, c))) {
		run->started = 1;
		run->since = c.generation;
		worker_state(h, WORKER_SERVING);
		return 1;
	}
	if (run->state == WORKER_LOST)
		return come_back(h, c);
	/* Switched away and back between two looks. */
	if (run->state == WORKER_SERVING && returned > run->since && returned <= c.generation)
		return come_back(h, c);
	return 0;
}

/* What this worker sleeps on beside its doorbell, given the control word it has just acted upon. */
static unsigned wait_words(heir_t *h, uint64_t word, struct wait_word *w, bool *news)
{
	struct worker_run *run = h->run;
	struct control c = control_unpack(word);
	unsigned n = 0;

	if (run->state == WORKER_SERVING && run->wanted)
		w[n++] = (struct wait_word){control_commit_futex(&worker_app(h)->control), (uint32_t)(word >> 32)};
	else if (run->state == WORKER_STANDBY && run->lead && (c.phase == PHASE_DOWN || c.owner != h->slot))
		n += standby_words(h, c, w, news);
	return n;
}

/* It may be given back by one who is stopped before it rings; told that it is lost it is before (give_back()). */
static void look_back(heir_t *h, struct control c)
{
	if (h->run->state == WORKER_LOST && (c.phase == PHASE_MOVING || c.phase == PHASE_RECOVERING))
		h->run->look_again = clock_ns() + PATIENCE_LOOK;
}

/* One round without waiting: how much was done, or negative. *ret_word: the control word it has acted upon. */
static int round_of(heir_t *h, uint64_t *ret_word)
{
	struct worker_run *run = h->run;
	uint32_t seen = doorbell_seen(&h->shm, h->slot);
	int64_t now = run->state == WORKER_STANDBY || run->announce_at >= 0 ? clock_ns() : 0;
	int done = 0, rc;

	if (run->announce_at >= 0 && now >= run->announce_at)
		announce_now(h);
	*ret_word = atom_load_seq(&worker_app(h)->control); /* before it looks for mail; pairs with mailbox_ring() */
	rc = follow_owner(h, control_unpack(*ret_word));
	if (rc < 0)
		return rc;
	done += rc + standby_look(h, control_unpack(*ret_word), now);
	look_back(h, control_unpack(*ret_word));
	if (run->state == WORKER_SERVING && is_served(control_unpack(*ret_word))) {
		rc = serve_mail(h, MAIL_A_ROUND);
		if (rc < 0)
			return rc;
		done += rc;
	}
	rc = direct_mail(h);
	if (rc < 0)
		return rc;
	done += rc;
	if (h->replied && seen != h->replies_seen) {
		h->replies_seen = seen;
		h->replied(h, h->replied_arg);
		done++;
	}
	return done + watch_dispatch(h);
}

static int sleep_until(heir_t *h, struct wait_word doorbell, uint64_t word, int64_t deadline)
{
	struct wait_word words[WAIT_WORDS];
	bool news = false;
	unsigned n = 1 + wait_words(h, word, words + 1, &news);
	int rc;

	words[0] = doorbell;
	if (news || (!h->watched && wait_spin(words, n, h->spin, deadline)))
		return 0;
	doorbell_sleep(&h->shm, h->slot);
	rc = waitset_wait(&h->waits, words, n, h->watched ? h->epoll : -1, deadline);
	doorbell_awake(&h->shm, h->slot);
	return rc < 0 ? rc : 0;
}

int heir_poll(heir_t *h, int64_t timeout)
{
	struct worker_run *run = h->run;
	int64_t deadline = deadline_after(timeout);
	struct wait_word doorbell;
	uint64_t word;
	int rc;

	if (!run)
		return HEIR_EINVAL;
	if (!atom_load_relaxed(h->here))
		return HEIR_EPERM;
	doorbell = lib_doorbell(h);
	rc = round_of(h, &word);
	if (rc == 0 && !run->finish && timeout != 0) {
		rc = sleep_until(h, doorbell, word,
		                 deadline_min(deadline, deadline_min(run->look_again, run->announce_at)));
		if (rc == 0)
			rc = round_of(h, &word);
	}
	if (run->finish)
		return run->exit_code;
	return rc < 0 ? rc : 1;
}

int heir_serve(heir_t *h)
{
	int rc;

	do {
		rc = heir_poll(h, HEIR_FOREVER);
	} while (rc == 1);
	return rc;
}

void heir_finish(heir_t *h)
{
	if (h->run)
		h->run->finish = 1;
}

void heir_on_replies(heir_t *h, void (*replied)(heir_t *h, void *arg), void *arg)
{
	h->replied = replied;
	h->replied_arg = arg;
}

int heir_listen_fd(const char *name)
{
	const char *names = getenv("LISTEN_FDNAMES");
	size_t n = strlen(name);
	int count = env_number("LISTEN_FDS");

	if (!names || env_number("LISTEN_PID") != (int)getpid())
		return HEIR_ENOENT;
	for (int i = 0; i < count; i++) {
		const char *end = strchrnul(names, ':');

		if ((size_t)(end - names) == n && memcmp(names, name, n) == 0)
			return 3 + i;
		if (!*end)
			break;
		names = end + 1;
	}
	return HEIR_ENOENT;
}
