/* SPDX-License-Identifier: ISC */
/*
 * A leader takes the configuration that a reload has put into force.
 *
 * The shape is the one that it has: the same nodes, applications, children and steps (conf_compare.c), so indexes,
 * plans and records stay, and what points into the old configuration points to the same place of the new one. What
 * runs goes on: a program, its environment, log and watchdog are those that it was spawned with.
 */
#include "node/follow.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "heir.h"
#include "node/enact.h"

/* New times for the restarts of one supervisor, if they do not fit: the latest are kept. */
static int64_t *times_for(const struct tree_supervisor *s, uint32_t intensity)
{
	uint32_t kept = s->count < intensity ? s->count : intensity;
	int64_t *times = calloc(intensity + 1, sizeof(*times));

	if (times)
		memcpy(times, s->times + (s->count - kept), kept * sizeof(*times));
	return times;
}

static bool follow_supervisor(struct tree *t, const struct conf_supervisor *s, enum conf_restart restart,
                              uint32_t *at, uint32_t *worker)
{
	struct tree_supervisor *to = &t->supervisors[(*at)++];
	int64_t *times = to->intensity == s->intensity ? to->times : times_for(to, s->intensity);
	bool done = times != NULL;

	if (times && times != to->times) {
		free(to->times);
		to->times = times;
		to->intensity = s->intensity;
		to->count = to->count < s->intensity ? to->count : s->intensity;
	}
	to->strategy = (enum tree_strategy)s->strategy;
	to->restart = (enum tree_restart)restart;
	to->period = (int64_t)s->period;
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->children[i].type == CONF_SUPERVISOR)
			done &= follow_supervisor(t, &s->children[i].supervisor, s->children[i].restart, at, worker);
		else
			t->workers[(*worker)++].restart = (enum tree_restart)s->children[i].restart;
	return done;
}

static bool follow_instance(struct instance *i, const struct conf_application *conf)
{
	uint32_t at = 0, worker = 0;

	i->conf = conf;
	for (uint32_t k = 0; k < i->count; k++)
		i->children[k].conf = conf->roles[k];
	if (conf->take_back != CONF_TAKE_BACK_AUTO)
		i->take_back = false;
	return follow_supervisor(&i->tree, &conf->supervisor, CONF_PERMANENT, &at, &worker);
}

static void follow_conf(struct leader *l, uint32_t generation)
{
	struct conf *conf, *old = l->conf;
	bool done = true;
	int rc;

	l->generation = generation; /* one that cannot be taken is not tried again and again */
	rc = enact_load(l->shm, &conf, &l->generation);
	if (rc) {
		log_error("the configuration in force cannot be taken, the one before is gone by: %s",
		          heir_strerror(rc));
		return;
	}
	l->conf = conf;
	for (uint32_t a = 0; a < conf->application_count; a++)
		if (l->instances[a])
			done &= follow_instance(l->instances[a], &conf->applications[a]);
	conf_free(old);
	if (done)
		log_note("goes by the configuration that is in force now, number %u", (unsigned)l->generation + 1);
	else
		log_error("out of memory: an intensity stays as it was until the next reload");
}

void follow_advance(struct leader *l)
{
	uint32_t generation = in_force_generation(in_force_load(l->shm));

	for (uint32_t a = 0; a < l->conf->application_count; a++)
		if (l->instances[a])
			l->instances[a]->policy = policy_of(l->shm, l->instances[a]->shm);
	if (generation != l->generation)
		follow_conf(l, generation);
}
