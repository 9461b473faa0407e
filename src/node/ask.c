/* SPDX-License-Identifier: ISC */
#include "node/ask.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/log.h"
#include "mail/cell.h"
#include "node/act.h"
#include "node/instance.h"
#include "node/led.h"
#include "node/loop.h"
#include "proc/recover.h"
#include "trace/moves.h"

#define WORDS_MAX 4
#define HAND_OVER_EXTRA (5 * NS_PER_SECOND)
#define MAIL_A_ROUND 256

static void answer(struct leader *l, struct errand *e, const struct reply *reply)
{
	if (e->asked)
		lib_answer_kept(l->h, e->kept, 0, reply, sizeof(*reply));
	if (e->sent)
		lib_forget(l->h, e->ticket);
	*e = (struct errand){0};
}

void ask_end_guest(struct instance *i, const struct reply *reply)
{
	i->guest.sent = false; /* its answer was taken */
	i->guest_failed = false;
	answer(i->leader, &i->guest, reply);
}

static int refusal(struct instance *i, const struct seen *s, struct reply *reply)
{
	const struct app_view *v = &s->view;
	struct leader *l = i->leader;

	if (v->owner == OWNER_CHILD || v->owner == OWNER_LEADER)
		return HEIR_EALREADY;
	if (!v->permitted)
		return HEIR_EPERM;
	if (v->owner == OWNER_NONE || v->duty != DUTY_RUN || v->tree == TREE_STOPPING)
		return HEIR_ENOTREADY;
	if (s->control.generation >= CONTROL_GENERATION_PLANNED)
		return HEIR_EGENERATION;
	if (v->guest)
		reply->node = l->node + 1;
	else if (v->driver)
		reply->node = move_unpack(atom_load_acquire(&i->shm->move)).to;
	return v->guest || v->driver ? HEIR_EBUSY : 0;
}

static void take_over(struct leader *l, struct instance *i, const struct request *r)
{
	struct reply reply = {0};
	struct seen s;

	if (!i) {
		reply.error = HEIR_ENOTREADY;
		lib_answer(l->h, 0, &reply, sizeof(reply));
		return;
	}
	view_fill(i, &s);
	reply.error = refusal(i, &s, &reply);
	if (reply.error == 0 && s.view.led)
		reply.error = led_take_over(i, r, &reply);
	if (reply.error) {
		lib_answer(l->h, 0, &reply, sizeof(reply));
		return;
	}
	if (i->gave_up)
		instance_forget_restarts(i);
	i->guest_failed = false;
	i->guest = (struct errand){.active = true,
	                           .asked = true,
	                           .request = *r,
	                           .kept = lib_keep(l->h)};
}

/* The message in hand is of who drives the move: not of one that is dead by now, or whose place was taken. */
static bool is_of_driver(const struct leader *l, uint32_t app)
{
	struct shm_cell *cell = shm_cell(l->shm, l->h->in.head.ref.cell);
	uint32_t driver = move_unpack(atom_load_acquire(&shm_app(l->shm, app)->move)).slot;

	return cell && driver && cell_unpack(atom_load_acquire(&cell->word)).slot == driver &&
	       move_driver_alive(l->shm, app);
}

/* An exclusive takeover: the instance is stopped first, and the asker is told once the kernel says
 * that it is gone. */
static void yield(struct leader *l, struct instance *i, const struct request *r)
{
	struct reply reply = {.error = HEIR_ESTALE};
	struct seen s;

	if (i && is_of_driver(l, r->app)) {
		view_fill(i, &s);
		if (s.view.owner == OWNER_CHILD || s.view.owner == OWNER_LEADER ||
		    (s.view.owner == OWNER_DEAD && s.view.owner_here))
			reply.error = s.view.phase == APP_HELD ? 0 : act_hold(i, s.control.owner);
		if (i->yield.active)
			reply.error = HEIR_EBUSY;
	}
	if (reply.error) {
		lib_answer(l->h, 0, &reply, sizeof(reply));
		return;
	}
	i->yield = (struct errand){.active = true,
	                           .asked = true,
	                           .request = *r,
	                           .kept = lib_keep(l->h)};
	instance_stop(i, STOP_ORDERLY, 0, i->count);
}

static void control_mail(struct leader *l, const struct request *r)
{
	struct instance *i = l->instances[r->app];
	struct reply reply = {.error = HEIR_EINVAL};

	if (r->op == REQ_TAKEOVER)
		take_over(l, i, r);
	else if (r->op == REQ_STOP_INSTANCE)
		yield(l, i, r);
	else
		lib_answer(l->h, 0, &reply, sizeof(reply));
}

static void say(struct leader *l, const char *text)
{
	lib_answer(l->h, 0, text, strlen(text));
}

static void keep_asker(struct leader *l)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a) {
		say(l, "error: out of memory");
		return;
	}
	a->kept = lib_keep(l->h);
	a->next = l->askers;
	l->askers = a;
}

void ask_answer_all(struct leader *l, const char *text)
{
	struct asker *a;

	while ((a = l->askers)) {
		l->askers = a->next;
		lib_answer_kept(l->h, a->kept, 0, text, strlen(text));
		free(a);
	}
}

static void end_domain(struct leader *l, bool keep)
{
	uint32_t none = 0;

	(void)atomic_compare_exchange_strong(&l->shm->head->stopping, &none, keep ? 2 : 1);
	atom_add_release(&l->shm->head->changed, 1);
	(void)futex_wake(&l->shm->head->changed, INT_MAX);
	keep_asker(l);
}

static void want(struct leader *l, const char *name, bool wanted)
{
	int app = lib_find_app(l->h, name);
	struct shm_app *a;

	if (app < 0) {
		say(l, "error: no such application");
		return;
	}
	a = shm_app(l->shm, (uint32_t)app);
	if (wanted && l->instances[app])
		instance_forget_restarts(l->instances[app]);
	if (wanted)
		atom_store_release(&a->failed, 0);
	atom_store_release(&a->wanted, wanted);
	app_changed(l->shm, (uint32_t)app);
	say(l, "ok");
}

static void permit(struct leader *l, const char *name, const char *node_name, const char *what)
{
	int app = lib_find_app(l->h, name), node = lib_find_node(l->h, node_name);
	bool yes = !strcmp(what, "yes");
	struct shm_app *a;

	if (app < 0 || node < 0 || (!yes && strcmp(what, "no") != 0)) {
		say(l, app < 0    ? "error: no such application"
		       : node < 0 ? "error: no such node"
		                  : "error: yes or no?");
		return;
	}
	a = shm_app(l->shm, (uint32_t)app);
	if (policy_priority(l->shm, a, (uint32_t)node) == 0) {
		say(l, "error: this node is not among the application's nodes");
		return;
	}
	if (yes)
		atom_or_relaxed(&a->permitted, UINT64_C(1) << node);
	else
		atom_and_relaxed(&a->permitted, ~(UINT64_C(1) << node));
	app_changed(l->shm, (uint32_t)app);
	say(l, "ok");
}

static void text_mail(struct leader *l)
{
	const struct heir_message *m = &l->h->in.message;
	char text[1024], *rest = text, *word, *words[WORDS_MAX + 1] = {NULL};
	unsigned count = 0;

	snprintf(text, sizeof(text), "%.*s", m->size < sizeof(text) ? (int)m->size : 0,
	         (const char *)m->data);
	while (count <= WORDS_MAX && (word = strsep(&rest, " \n")))
		if (*word)
			words[count++] = word;
	if (count == 1 && !strcmp(words[0], "down")) {
		l->leaving = true;
		keep_asker(l);
	} else if (count >= 1 && count <= 2 && !strcmp(words[0], "shutdown") &&
	           (count == 1 || !strcmp(words[1], "keep"))) {
		end_domain(l, count == 2);
	} else if (count == 2 && (!strcmp(words[0], "start") || !strcmp(words[0], "stop"))) {
		want(l, words[1], !strcmp(words[0], "start"));
	} else if (count == 4 && !strcmp(words[0], "permit")) {
		permit(l, words[1], words[2], words[3]);
	} else {
		say(l, "error: a leader takes: down, shutdown [keep], start APPLICATION, stop "
		       "APPLICATION,"
		       " permit APPLICATION NODE yes|no");
	}
}

void ask_receive(struct leader *l)
{
	struct request r;

	for (unsigned n = 0; n < MAIL_A_ROUND; n++) {
		int rc = lib_receive(l->h, &r);

		if (rc < 0)
			log_error("own mailbox: %s", heir_strerror(rc));
		if (rc != 1)
			return;
		if (l->h->in.kind == CELL_CONTROL)
			control_mail(l, &r);
		else
			text_mail(l);
	}
	loop_again(l, l->now);
}

static void trace_spawn(struct instance *i, const struct seen *s, uint64_t driver)
{
	struct leader *l = i->leader;
	struct trace_move move = {.app = i->app,
	                          .generation = s->control.generation,
	                          .driver = driver};

	trace_step(l->shm, l->h->slot, &move, TRACE_STEP_SPAWN, i->spawn_began,
	           clock_ns() - i->spawn_began);
	i->spawn_began = 0;
}

static void advance_guest(struct instance *i, const struct seen *s)
{
	struct leader *l = i->leader;
	struct errand *e = &i->guest;
	struct reply reply = {.generation = s->control.generation,
	                      .result = HEIR_ABORTED,
	                      .step = "start"};
	struct child *lead = instance_lead(i);
	int rc;

	if (e->sent) {
		rc = lib_reply(l->h, e->ticket, &reply);
		if (rc == HEIR_EAGAIN && lead->handle == e->to)
			return;
		if (rc == HEIR_EAGAIN) {
			lib_forget(l->h, e->ticket);
			rc = HEIR_EDEAD;
		}
		if (rc)
			reply.error = rc;
		if (reply.error)
			log_warning("takeover of %s to here failed: %s", i->conf->name,
			            heir_strerror(reply.error));
		ask_end_guest(i, &reply);
		return;
	}
	if (i->gave_up || i->guest_failed || s->view.duty != DUTY_RUN ||
	    s->view.owner == OWNER_NONE) {
		reply.error = i->guest_failed || i->gave_up ? HEIR_EDEAD : HEIR_ENOTREADY;
		ask_end_guest(i, &reply);
		return;
	}
	if (s->view.tree != TREE_READY || !lead->handle)
		return;
	rc = lib_request(l->h, lead->handle, &e->request, &e->ticket);
	e->sent = rc == 0;
	e->until = deadline_from(l->now, i->policy.step_timeout);
	e->to = lead->handle;
	if (e->sent && i->spawn_began)
		trace_spawn(i, s, lead->handle);
	if (rc && rc != HEIR_EFULL && rc != HEIR_EAGAIN) {
		reply.error = rc;
		ask_end_guest(i, &reply);
	}
}

static void advance_hand(struct instance *i)
{
	struct leader *l = i->leader;
	struct errand *e = &i->hand;
	struct reply reply = {0};
	int rc = lib_reply(l->h, e->ticket, &reply);

	if (rc == HEIR_EAGAIN && l->now < e->until) {
		loop_again(l, e->until);
		return;
	}
	if (rc == HEIR_EAGAIN)
		lib_forget(l->h, e->ticket);
	if (rc == 0)
		rc = reply.error;
	if (rc && rc != HEIR_EBUSY) {
		i->tried |= UINT64_C(1) << e->request.from_node;
		log_warning("%s could not be handed over to %s: %s", i->conf->name,
		            l->conf->nodes[e->request.from_node],
		            rc == HEIR_EAGAIN ? "no answer in time" : heir_strerror(rc));
	}
	*e = (struct errand){0};
}

void ask_advance(struct instance *i, const struct seen *s)
{
	struct reply done = {0};
	bool failed = atom_load_acquire(&i->shm->failed);

	if (i->was_failed && !failed)
		instance_forget_restarts(i);
	i->was_failed = failed;
	if (i->guest.active && !s->view.led)
		advance_guest(i, s);
	if (i->hand.active)
		advance_hand(i);
	if (i->yield.active && i->stop.how == STOP_NOT) { /* which has seen all of it gone */
		i->yielded = true;
		i->dead_since = i->leader->now;
		answer(i->leader, &i->yield, &done);
	}
}

void ask_take_back(struct instance *i, const struct seen *s)
{
	struct request r = {.op = REQ_TAKEOVER,
	                    .app = i->app,
	                    .type = HEIR_TAKEOVER,
	                    .from_node = (uint32_t)(s->owner_node + 1),
	                    .generation = s->control.generation};
	struct reply reply = {0};

	i->take_back = false;
	i->guest_failed = false;
	log_note("%s is taken back to here", i->conf->name);
	if (s->view.led && led_take_over(i, &r, &reply))
		return;
	i->guest = (struct errand){.active = true, .request = r};
}

void ask_hand_over(struct instance *i, const struct seen *s)
{
	struct leader *l = i->leader;
	uint32_t to = (uint32_t)s->target;
	struct shm_role *lead = shm_role(l->shm, i->first_role + i->lead);
	uint64_t who = atom_load_acquire(s->view.hot ? &lead->candidate[to]
	                                             : &shm_node(l->shm, to)->leader);
	struct request r = {.op = REQ_TAKEOVER,
	                    .app = i->app,
	                    .type = HEIR_TAKEOVER,
	                    .from_node = l->node + 1,
	                    .generation = s->control.generation};
	int rc = lib_request(l->h, who, &r, &i->hand.ticket);

	if (rc) {
		i->tried |= UINT64_C(1) << to;
		return;
	}
	log_note("%s is handed over to %s", i->conf->name, l->conf->nodes[to]);
	i->hand.active = true;
	i->hand.request = r;
	i->hand.request.from_node = to; /* from here on: to whom */
	i->hand.until = deadline_from(
		l->now, i->policy.step_timeout * (int64_t)(i->conf->step_count + i->count) +
				HAND_OVER_EXTRA);
	loop_again(l, i->hand.until);
}
