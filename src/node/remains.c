/* SPDX-License-Identifier: ISC */
#include "node/remains.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/belong.h"
#include "node/instance.h"
#include "node/loop.h"

#define SOON INT64_C(1000000)

static void survivor_ended(struct leader *l, struct source *source, uint32_t events)
{
	struct zombie **at = &l->zombies, *z;

	(void)events;
	while ((z = *at) && &z->exit != source)
		at = &z->next;
	source_close(l, source);
	if (!z)
		return;
	*at = z->next;
	free(z);
}

static void keep_survivor(pid_t pid, int pidfd, void *arg)
{
	struct instance *i = arg;
	struct leader *l = i->leader;
	struct zombie *z = calloc(1, sizeof(*z));

	if (!z) {
		close(pidfd);
		return; /* it is found again */
	}
	z->pid = pid;
	z->app = i->app;
	z->survivor = true;
	z->next = l->zombies;
	l->zombies = z;
	if (source_open(l, &z->exit, pidfd, survivor_ended) == 0)
		return;
	l->zombies = z->next;
	free(z);
}

static bool has_survivors(const struct instance *i)
{
	const struct zombie *z = i->leader->zombies;

	while (z && !(z->survivor && z->app == i->app))
		z = z->next;
	return z != NULL;
}

/* The workers that the node's dead leader had written down, which may be beyond their environment
 * already. */
static bool is_any_exiting(const struct instance *i, int node)
{
	for (uint32_t k = 0; k < i->count; k++) {
		struct shm_role *role = shm_role(i->leader->shm, i->first_role + k);
		pid_t pid = (pid_t)(atom_load_relaxed(&role->child[node]) & 0xffffff);

		if (pid > 1 && belong_is_exiting(pid))
			return true;
	}
	return false;
}

/*
 * A process that cannot be told for that long, as its exec does not come to an end, is most likely a stranger:
 * nobody waits for a bystander.
 */
static bool is_to_wait(struct instance *i)
{
	struct leader *l = i->leader;

	if (i->unsure_until < 0)
		i->unsure_until = deadline_from(l->now, i->policy.step_timeout);
	if (l->now < i->unsure_until)
		return true;
	log_warning("%s: a process that is in an exec for too long is taken for none of its own", i->conf->name);
	return false;
}

void remains_fence(struct instance *i, int node)
{
	struct leader *l = i->leader;
	uint64_t leader = atom_load_acquire(&shm_node(l->shm, (uint32_t)node)->leader);
	char except[32];
	const struct belong_to to = {.domain = l->domain,
	                             .node = l->conf->nodes[node],
	                             .application = i->conf->name,
	                             .leader = except};
	bool unsure;

	if (i->fence_node != node)
		i->unsure_until = DEADLINE_NEVER;
	i->fence_node = node;
	if (has_survivors(i))
		return;
	snprintf(except, sizeof(except), "%016llx",
	         leader && !handle_gone(l->shm, leader) ? (unsigned long long)leader : 0);
	if (belong_kill_survivors(&to, keep_survivor, i, &unsure))
		return;
	if (is_any_exiting(i, node) || (unsure && is_to_wait(i))) {
		loop_again(l, l->now + SOON);
		return;
	}
	i->fence_node = -1;
}

static bool is_known(pid_t pid, void *arg)
{
	struct leader *l = arg;

	for (uint32_t a = 0; a < l->conf->application_count; a++)
		for (uint32_t k = 0; l->instances[a] && k < l->instances[a]->count; k++)
			if (l->instances[a]->children[k].pid == pid)
				return true;
	for (struct zombie *z = l->zombies; z; z = z->next)
		if (z->pid == pid)
			return true;
	return false;
}

static bool is_dying(const struct child *c)
{
	const struct zombie *z = c->instance->leader->zombies;

	while (z && (z->survivor || z->app != c->instance->app || z->child != c->index))
		z = z->next;
	return z != NULL;
}

bool remains_sweep_child(struct child *c)
{
	const struct instance *i = c->instance;
	struct leader *l = i->leader;
	char spawn[32];
	const struct belong_to to = {l->domain, l->conf->nodes[l->node], i->conf->name, NULL, c->conf->id, spawn};

	if (!c->unswept)
		return true;
	snprintf(spawn, sizeof(spawn), "%llu", c->pid ? (unsigned long long)c->spawn : 0);
	c->unswept = belong_kill_adopted(&to, is_known, l) > 0 || is_dying(c);
	c->sweep_at = l->now + GONE_LOOK;
	return !c->unswept;
}

void remains_sweep(struct instance *i)
{
	struct leader *l = i->leader;

	for (uint32_t k = 0; k < i->count; k++) {
		struct child *c = &i->children[k];

		if (c->unswept && l->now >= c->sweep_at)
			(void)remains_sweep_child(c);
		if (c->unswept)
			loop_again(l, c->sweep_at);
	}
}

bool remains_are_gone(struct instance *i)
{
	struct leader *l = i->leader;

	for (uint32_t k = 0; k < i->count; k++)
		if (i->children[k].pid)
			return false;
	for (struct zombie *z = l->zombies; z; z = z->next)
		if (z->app == i->app)
			return false;
	instance_reap(l); /* one signal may have told of several */
	return belong_kill_adopted(&(struct belong_to){.domain = l->domain,
	                                               .node = l->conf->nodes[l->node],
	                                               .application = i->conf->name},
	                           is_known, l) == 0;
}
