/* SPDX-License-Identifier: ISC */
#include "node/instance.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/child.h"
#include "node/loop.h"
#include "node/remains.h"
#include "node/view.h"
#include "node/watchdog.h"
#include "proc/recover.h"

#define DELAY_FIRST INT64_C(100000000)
#define DELAY_MOST (5 * NS_PER_SECOND)

static uint32_t count_supervisors(const struct conf_supervisor *s)
{
	uint32_t n = 1;

	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->children[i].type == CONF_SUPERVISOR)
			n += count_supervisors(&s->children[i].supervisor);
	return n;
}

/* The supervisors in start order, so that the workers under each are a range. */
static int add_supervisor(struct tree *t, const struct conf_supervisor *s, int above,
                          enum conf_restart restart)
{
	int me = (int)t->supervisor_count++, rc = 0;
	struct tree_supervisor *to = &t->supervisors[me];

	*to = (struct tree_supervisor){.above = above,
	                               .strategy = (enum tree_strategy)s->strategy,
	                               .restart = (enum tree_restart)restart,
	                               .intensity = s->intensity,
	                               .period = (int64_t)s->period,
	                               .first = t->worker_count};
	to->times = calloc(s->intensity + 1, sizeof(*to->times));
	if (!to->times)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->child_count && rc == 0; i++) {
		const struct conf_child *c = &s->children[i];

		if (c->type == CONF_SUPERVISOR)
			rc = add_supervisor(t, &c->supervisor, me, c->restart);
		else
			t->workers[t->worker_count++] =
				(struct tree_worker){(uint32_t)me, (enum tree_restart)c->restart};
	}
	t->supervisors[me].end = t->worker_count;
	return rc;
}

int instance_create(struct leader *l, uint32_t app, struct instance **ret)
{
	const struct conf_application *conf = &l->conf->applications[app];
	struct instance *i = calloc(1, sizeof(*i));
	int rc = -ENOMEM;

	if (!i)
		return rc;
	i->leader = l;
	i->conf = conf;
	i->app = app;
	i->shm = shm_app(l->shm, app);
	i->policy = policy_of(l->shm, i->shm);
	for (uint32_t n = 0; n <= SHM_NODES_MAX; n++)
		i->watch[n].exit.fd = -1;
	i->start_from = i->owner_node = -1;
	i->fence_node = -1;
	i->adrift_since = -1;
	i->unsure_until = DEADLINE_NEVER;
	i->take_back = i->policy.flags & POLICY_TAKE_BACK;
	i->first_role = i->shm->first_role;
	i->lead = i->shm->lead_role - i->first_role;
	i->children = calloc(conf->role_count, sizeof(*i->children));
	i->tree.supervisors =
		calloc(count_supervisors(&conf->supervisor), sizeof(*i->tree.supervisors));
	i->tree.workers = calloc(conf->role_count, sizeof(*i->tree.workers));
	if (i->children && i->tree.supervisors && i->tree.workers)
		rc = add_supervisor(&i->tree, &conf->supervisor, -1, CONF_PERMANENT);
	if (rc == 0 && (i->shm->roles != conf->role_count || i->lead >= conf->role_count ||
	                i->first_role > l->shm->limits.roles ||
	                conf->role_count > l->shm->limits.roles - i->first_role))
		rc = HEIR_ECORRUPT;
	for (; rc == 0 && i->count < conf->role_count; i->count++)
		child_init(&i->children[i->count], i, i->count);
	if (rc) {
		instance_destroy(i);
		return rc;
	}
	for (uint32_t k = 0; k < i->count;
	     k++) /* an earlier leader's children may not be gone yet */
		if ((uint32_t)atom_load_relaxed(
			    &shm_role(l->shm, i->first_role + k)->child[l->node]))
			i->fence_node = (int)l->node;
	*ret = i;
	return 0;
}

void instance_destroy(struct instance *i)
{
	if (!i)
		return;
	for (uint32_t k = 0; k < i->count; k++)
		child_finish(&i->children[k]);
	for (uint32_t n = 0; n <= SHM_NODES_MAX; n++)
		source_close(i->leader, &i->watch[n].exit);
	for (uint32_t k = 0; k < i->tree.supervisor_count; k++)
		free(i->tree.supervisors[k].times);
	free(i->tree.supervisors);
	free(i->tree.workers);
	free(i->children);
	free(i);
}

struct child *instance_lead(struct instance *i)
{
	return &i->children[i->lead];
}

bool instance_lead_alive(const struct instance *i)
{
	const struct child *c = &i->children[i->lead];

	return c->pid && (!c->handle || handle_alive(i->leader->shm, c->handle));
}

enum app_tree instance_tree(const struct instance *i)
{
	uint32_t alive = 0, ready = 0, wanted = 0;

	if (i->stop.how != STOP_NOT)
		return TREE_STOPPING;
	for (uint32_t k = 0; k < i->count; k++) {
		const struct child *c = &i->children[k];

		alive += c->pid != 0;
		wanted += !c->done;
		ready += c->pid && c->ready;
	}
	if (alive == 0)
		return TREE_EMPTY;
	return ready >= wanted ? TREE_READY : TREE_PARTIAL;
}

int64_t instance_spawn_at(const struct instance *i)
{
	for (uint32_t k = 0; k < i->count; k++)
		if (!i->children[k].pid && !i->children[k].done)
			return i->children[k].spawn_at;
	return 0;
}

/* A child that was restarted beside a serving lead: told to start, as type local. */
static void begin_child(struct instance *i, struct child *c)
{
	struct request r = {.op = REQ_CHILD_START, .app = i->app, .type = HEIR_LOCAL};
	struct leader *l = i->leader;

	if (c->begun || c->requested || !i->served || c->index == i->lead || !c->handle ||
	    i->stop.how != STOP_NOT)
		return;
	if (lib_request(l->h, c->handle, &r, &c->request) == 0)
		c->requested = c->begun = true;
}

void instance_bring_up(struct instance *i)
{
	struct leader *l = i->leader;

	for (uint32_t k = 0; k < i->count; k++) {
		struct child *c = &i->children[k];

		if (c->done)
			continue;
		if (!c->pid && l->now < c->spawn_at) {
			c->state = CHILD_RESTARTING;
			loop_again(l, c->spawn_at);
			return;
		}
		/* Of what is exclusive, they may have a share. */
		if (!c->pid && i->shm->flags & APP_EXCLUSIVE && !remains_sweep_child(c))
			return;
		if (!c->pid)
			child_spawn(c);
		if (!c->pid) { /* it could not be: again at its time */
			loop_again(l, c->spawn_at > l->now ? c->spawn_at : l->now + NS_PER_SECOND / 10);
			return;
		}
		if (!c->ready)
			return;
	}
}

void instance_stop(struct instance *i, enum stop_how how, uint32_t first, uint32_t end)
{
	struct stop *s = &i->stop;

	if (s->how == STOP_NOT)
		*s = (struct stop){.how = how,
		                   .first = first,
		                   .end = end,
		                   .at = end,
		                   .kill_at = -1,
		                   .since = i->leader->now};
	if (first < s->first)
		s->first = first;
	if (end > s->end) {
		s->end = s->at = end;
		s->told = false;
	}
	if (how > s->how)
		s->how = how;
	if (how == STOP_KILL)
		for (uint32_t k = s->first; k < s->end; k++)
			if (i->children[k].pid)
				child_kill(&i->children[k]);
	loop_again(i->leader, i->leader->now);
}

static void stop_one(struct instance *i, struct child *c)
{
	struct stop *s = &i->stop;
	struct leader *l = i->leader;

	if (!s->told) {
		s->told = true;
		s->kill_at = c->conf->shutdown == CONF_INFINITY
		                     ? -1
		                     : deadline_from(l->now, (int64_t)c->conf->shutdown);
		if (c->conf->shutdown != CONF_BRUTAL_KILL)
			child_tell(c);
	}
	if (s->kill_at >= 0 && l->now >= s->kill_at) {
		if (c->conf->shutdown != CONF_BRUTAL_KILL)
			log_warning("%s, pid %d, did not stop within its time and is killed",
			            child_name(c), (int)c->pid);
		child_kill(c);
		s->kill_at = -1;
	}
	loop_again(l, s->kill_at);
}

static void advance_stop(struct instance *i)
{
	struct stop *s = &i->stop;

	while (s->at > s->first) {
		struct child *c = &i->children[s->at - 1];

		if (c->pid) {
			if (s->how == STOP_ORDERLY)
				stop_one(i, c);
			return;
		}
		c->done = false;
		c->spawn_at = 0;
		s->at--;
		s->told = false;
	}
	if (s->first > 0 || s->end < i->count) {
		s->how = STOP_NOT;
		return;
	}
	if (!remains_are_gone(i)) {
		loop_again(i->leader, i->leader->now + GONE_LOOK);
		return;
	}
	s->how = STOP_NOT;
	i->served = i->uncounted = false;
}

static void check_times(struct instance *i, struct child *c)
{
	struct leader *l = i->leader;

	if (!c->pid || c->ready_by < 0)
		return;
	if (l->now < c->ready_by) {
		loop_again(l, c->ready_by);
		return;
	}
	c->ready_by = -1;
	log_error("%s, pid %d, was not ready in time and is killed", child_name(c), (int)c->pid);
	child_kill(c);
}

/* In the middle of a move that it does not drive: it owns and has not begun, or another has gone on in its place. */
static bool is_adrift(struct instance *i, const struct child *lead, struct control c)
{
	const struct shm *shm = i->leader->shm;

	if (c.phase != PHASE_DOWN && c.owner == handle_slot(lead->handle))
		return c.phase == PHASE_MOVING || c.phase == PHASE_RECOVERING;
	/* A move that it has begun meanwhile is its own. One that is being stopped has another time for that. */
	return lead->state != CHILD_STOPPING &&
	       atom_load_acquire(&shm_slot(shm, handle_slot(lead->handle))->ready) == WORKER_STARTING &&
	       !move_is_mine(shm, i->app, lead->handle);
}

/*
 * When the lead child should have begun a move, or let go of one, at the latest: with what it was asked for, or by its
 * own decision, which comes first; -1: never.
 */
static int64_t begins_by(struct instance *i, const struct child *lead)
{
	struct control c = control_unpack(atom_load_acquire(&i->shm->control));

	if (is_adrift(i, lead, c)) {
		if (i->adrift_since < 0)
			i->adrift_since = i->leader->now;
		return deadline_from(i->adrift_since, i->policy.step_timeout);
	}
	i->adrift_since = -1;
	if (c.phase != PHASE_DOWN && c.owner == handle_slot(lead->handle))
		return DEADLINE_NEVER;
	return deadline_min(i->asked ? i->ask_until : DEADLINE_NEVER,
	                    i->guest.active && i->guest.sent ? i->guest.until : DEADLINE_NEVER);
}

static void end_lead(struct instance *i, const char *what, const char *step)
{
	struct child *lead = instance_lead(i);

	log_error("%s, pid %d, did not %s%s in time and is killed", child_name(lead), (int)lead->pid, what, step);
	child_kill(lead);
	loop_again(i->leader, i->leader->now + NS_PER_SECOND);
}

/*
 * A step that its driver, a child of this leader, does not come back from. Nobody wakes a leader
 * when a move begins, as that would be on its path: a standby that may begin one is looked at once
 * in a while.
 */
static void check_driver(struct instance *i)
{
	struct leader *l = i->leader;
	struct child *lead = instance_lead(i);
	struct move_word m = move_unpack(atom_load_acquire(&i->shm->move));
	int64_t deadline = move_step_ends(m, lead->handle);

	if (!lead->pid || !lead->handle) {
		i->adrift_since = -1;
		return;
	}
	if (deadline < 0) {
		deadline = begins_by(i, lead);
		if (!i->served)
			loop_again(l, l->now + i->policy.step_timeout);
		if (deadline >= 0 && l->now >= deadline)
			end_lead(i, i->adrift_since < 0 ? "begin to start" : "go on with its move", "");
		else
			loop_again(l, deadline);
		return;
	}
	i->ask_until = i->guest.until = i->adrift_since = DEADLINE_NEVER; /* it has begun */
	deadline = deadline_from(deadline, DELAY_FIRST / 2);
	if (l->now < deadline)
		loop_again(l, deadline);
	else
		end_lead(i, "end step ",
		         m.step < i->shm->steps && m.step < SHM_STEPS_MAX ? i->shm->step[m.step] : "?");
}

static void collect_answer(struct child *c)
{
	struct leader *l = c->instance->leader;
	struct reply reply;
	int rc;

	if (!c->requested)
		return;
	rc = lib_reply(l->h, c->request, &reply);
	if (rc == HEIR_EAGAIN)
		return;
	c->requested = false;
	if (c->state == CHILD_STOPPING || (rc == 0 && reply.error == 0))
		return;
	log_error("%s, pid %d, cannot start: %s", child_name(c), (int)c->pid,
	          heir_strerror(rc ? rc : reply.error));
	child_kill(c);
}

void instance_advance(struct instance *i)
{
	for (uint32_t k = 0; k < i->count; k++) {
		struct child *c = &i->children[k];

		collect_answer(c);
		check_times(i, c);
		begin_child(i, c);
		watchdog_advance(c);
		/* What is exclusive it holds until it is gone; else its successor need not wait for that. */
		if (child_crashed(c) && !(i->shm->flags & APP_EXCLUSIVE)) {
			child_disown(c);
			if (!c->pid)
				instance_ended(c, false);
		}
	}
	check_driver(i);
	if (i->fence_node >= 0)
		remains_fence(i, i->fence_node);
	if (i->stop.how != STOP_NOT)
		advance_stop(i);
}

void instance_forget_restarts(struct instance *i)
{
	tree_forget(&i->tree);
	i->gave_up = false;
	for (uint32_t k = 0; k < i->count; k++) {
		i->children[k].failures = 0;
		i->children[k].spawn_at = 0;
		i->children[k].done = false;
		if (i->children[k].state == CHILD_FAILED)
			i->children[k].state = CHILD_ABSENT;
	}
}

static void delay(struct child *c)
{
	struct instance *i = c->instance;
	const struct tree_supervisor *s = &i->tree.supervisors[i->tree.workers[c->index].above];
	int64_t wait = 0, now = i->leader->now;

	if (c->healthy_since > 0 && now - c->healthy_since > s->period)
		c->failures = 0;
	for (unsigned n = c->failures; n > 0 && wait < DELAY_MOST; n--)
		wait = wait ? wait * 2 : DELAY_FIRST;
	c->failures++;
	c->spawn_at = now + (wait < DELAY_MOST ? wait : DELAY_MOST);
	c->state = CHILD_RESTARTING;
	if (wait)
		log_note("%s is started again in %d ms", child_name(c), (int)(wait / 1000000));
}

void instance_restart(struct instance *i, uint32_t worker, bool normally)
{
	struct child *c = &i->children[worker];
	uint32_t first = worker, end = worker + 1;

	switch (tree_died(&i->tree, worker, normally, i->leader->now, &first, &end)) {
	case TREE_RESTART:
		delay(c);
		if (end - first > 1)
			instance_stop(i, STOP_ORDERLY, first, end);
		return;
	case TREE_LEAVE:
		c->done = true;
		if (worker != i->lead)
			return;
		log_note("%s has ended and is not restarted", child_name(c));
		break;
	case TREE_GIVE_UP:
		log_error("%s died too often: its supervisor gives up on node %s; `heir start %s` "
		          "tries again",
		          child_name(c), i->leader->conf->nodes[i->leader->node], i->conf->name);
		break;
	}
	c->state = CHILD_FAILED;
	i->gave_up = true;
	i->take_back = false;
}

static bool takes_the_lead_along(const struct child *c)
{
	struct instance *i = c->instance;

	return i->served && c->index != i->lead && c->conf->on_death == CONF_ON_DEATH_FAILOVER &&
	       instance_lead_alive(i) && view_other_ready(i);
}

/* The child is gone: what that means. Its record is clear already. */
void instance_ended(struct child *c, bool normally)
{
	struct instance *i = c->instance;

	loop_again(i->leader, i->leader->now);
	if (i->guest.active && !i->guest.sent)
		i->guest_failed = true;
	if (i->stop.how != STOP_NOT && c->index >= i->stop.first && c->index < i->stop.end)
		return;
	c->restarts++;
	if (c->index == i->lead && i->served) {
		i->uncounted = true;
		i->ended_normally = normally;
		c->spawn_at = 0;
		return;
	}
	if (takes_the_lead_along(c)) {
		log_note("%s has died: the application fails over", child_name(c));
		instance_stop(i, STOP_KILL, 0, i->count);
		return;
	}
	instance_restart(i, c->index, normally);
}

static void log_end(const char *name, bool expected, const siginfo_t *info)
{
	int pid = (int)info->si_pid;

	if (expected && (info->si_code != CLD_EXITED || info->si_status == 0))
		log_detail("%s, pid %d, has stopped", name, pid);
	else if (info->si_code == CLD_EXITED)
		log_note("%s, pid %d, exited with status %d", name, pid, info->si_status);
	else
		log_note("%s, pid %d, was killed by signal %d (%s)", name, pid, info->si_status,
		         strsignal(info->si_status));
}

static bool is_expected(const struct child *c)
{
	return c->state == CHILD_STOPPING || c->instance->stop.how != STOP_NOT;
}

static struct child *find_child(struct leader *l, pid_t pid)
{
	for (uint32_t a = 0; a < l->conf->application_count; a++)
		for (uint32_t k = 0; l->instances[a] && k < l->instances[a]->count; k++)
			if (l->instances[a]->children[k].pid == pid)
				return &l->instances[a]->children[k];
	return NULL;
}

static void reap_zombie(struct leader *l, const siginfo_t *info)
{
	struct zombie **at = &l->zombies, *z;

	while ((z = *at) && z->pid != info->si_pid)
		at = &z->next;
	if (!z)
		return;
	log_end(z->name, false, info);
	*at = z->next;
	source_close(l, &z->exit);
	free(z);
}

void instance_reap(struct leader *l)
{
	for (;;) {
		siginfo_t info = {0}, again;
		struct child *c;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		c = find_child(l, info.si_pid);
		if (c) {
			(void)kill(-info.si_pid, SIGKILL); /* helpers in its process group; not
			                                      reaped yet, so it is its own */
			log_end(child_name(c), is_expected(c), &info);
			child_clear(c);
		}
		(void)waitid(P_PID, (id_t)info.si_pid, &again, WEXITED | WNOHANG);
		reap_zombie(l, &info);
		l->bury = true;
		if (c)
			instance_ended(c, info.si_code == CLD_EXITED && info.si_status == 0);
	}
}

void instance_publish(struct instance *i)
{
	struct leader *l = i->leader;

	for (uint32_t k = 0; k < i->count; k++) {
		const struct child *c = &i->children[k];
		struct shm_role *role = shm_role(l->shm, i->first_role + k);
		uint64_t word = (uint64_t)c->restarts << 32 | (uint64_t)c->state << 24 |
		                ((uint32_t)c->pid & 0xffffff);

		if (atom_load_relaxed(&role->child[l->node]) != word)
			atom_store_release(&role->child[l->node], word);
	}
}
