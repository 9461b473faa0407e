/* SPDX-License-Identifier: ISC */
#include "node/enact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/patience.h"
#include "base/testpoint.h"
#include "heir.h"

static uint32_t flags_of(const struct conf_application *a, const struct conf_child *lead)
{
	uint32_t flags = 0;

	if (lead->on_death == CONF_ON_DEATH_RESTART)
		flags |= POLICY_RESTART_IN_PLACE;
	if (a->take_back == CONF_TAKE_BACK_AUTO)
		flags |= POLICY_TAKE_BACK;
	if (a->on_give_up != CONF_GIVE_UP_FAILOVER)
		flags |= POLICY_GIVE_UP_STOP;
	return flags;
}

/* A child whose time is infinite is given what others wait for it at most. */
static uint64_t stop_timeout(const struct conf_application *a)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < a->role_count; i++)
		sum += a->roles[i]->shutdown == CONF_INFINITY ? (uint64_t)PATIENCE_SHUTDOWN
		                                              : a->roles[i]->shutdown;
	return sum;
}

static void fill_priorities(struct shm_policy *p, const struct conf_application *a)
{
	uint64_t words[SHM_NODES_MAX / 8] = {0};

	for (uint32_t i = 0; i < a->candidate_count; i++) {
		uint32_t node = a->candidates[i].node;

		words[node / 8] |= (uint64_t)(uint8_t)(a->candidates[i].group + 1) << node % 8 * 8;
	}
	for (size_t i = 0; i < SHM_NODES_MAX / 8; i++)
		atom_store_relaxed(&p->priorities[i], words[i]);
}

static void fill_policy(struct shm_policy *p, const struct conf_application *a, const struct conf_child *lead)
{
	atom_store_relaxed(&p->step_timeout, a->step_timeout);
	atom_store_relaxed(&p->yield_timeout, a->yield_timeout);
	atom_store_relaxed(&p->claim_grace, a->claim_grace);
	atom_store_relaxed(&p->failover_timeout, a->failover_timeout);
	atom_store_relaxed(&p->failover_period, a->failovers_period);
	atom_store_relaxed(&p->stop_timeout, stop_timeout(a));
	atom_store_relaxed(&p->failover_intensity, a->failovers_intensity);
	atom_store_relaxed(&p->max_deliveries, a->max_deliveries);
	atom_store_relaxed(&p->flags, flags_of(a, lead));
	fill_priorities(p, a);
}

static atom64 *text_of(const struct shm *shm, unsigned area)
{
	return (atom64 *)(void *)(shm->conf + (size_t)area * shm->limits.conf);
}

void enact_fill(const struct shm *shm, unsigned area, const struct conf *conf, const char *text, size_t length)
{
	for (size_t at = 0; at < shm->limits.conf; at += sizeof(uint64_t)) {
		uint64_t word = 0;

		if (at < length)
			memcpy(&word, text + at, length - at < sizeof(word) ? length - at : sizeof(word));
		atom_store_relaxed(&text_of(shm, area)[at / sizeof(word)], word);
	}
	TESTPOINT("enact: text filled");
	for (uint32_t i = 0; i < conf->application_count; i++) {
		const struct conf_application *a = &conf->applications[i];
		struct shm_app *app = shm_app(shm, i);

		fill_policy(&app->policy[area], a, a->roles[app->lead_role - app->first_role]);
		TESTPOINT("enact: application filled");
	}
	atom_store_relaxed(&shm->head->conf_signature[area], conf_signature(conf));
}

uint64_t enact_signature(const struct shm *shm)
{
	uint64_t before, signature;
	unsigned tries = 0;

	do {
		before = in_force_load(shm);
		signature = atom_load_relaxed(&shm->head->conf_signature[in_force_area(before)]);
	} while (!in_force_still(shm, before) && ++tries < POLICY_TRIES);
	return signature;
}

/* It is the one that the segment was carved and filled by: what follows counts on that. */
static bool is_its_own(const struct shm *shm, const struct conf *conf, uint64_t signature)
{
	const struct shm_limits *l = &shm->limits;
	bool same = conf->node_count == l->nodes && conf->application_count == l->apps &&
	            conf_signature(conf) == signature;
	uint32_t first = 0;

	for (uint32_t i = 0; same && i < l->apps; i++) {
		same = shm_app(shm, i)->first_role == first &&
		       shm_app(shm, i)->roles == conf->applications[i].role_count &&
		       shm_app(shm, i)->lead_role - first < shm_app(shm, i)->roles;
		first += conf->applications[i].role_count;
	}
	return same && first == l->roles;
}

/* A private copy of one text and its signature. False: it was replaced meanwhile. */
static bool copy_text(const struct shm *shm, char *text, uint64_t *ret_signature, uint32_t *ret_generation)
{
	uint64_t before = in_force_load(shm);
	unsigned area = in_force_area(before);

	for (size_t at = 0; at < shm->limits.conf; at += sizeof(uint64_t)) {
		uint64_t word = atom_load_relaxed(&text_of(shm, area)[at / sizeof(word)]);

		memcpy(text + at, &word, sizeof(word));
	}
	text[shm->limits.conf] = 0;
	*ret_signature = atom_load_relaxed(&shm->head->conf_signature[area]);
	*ret_generation = in_force_generation(before);
	return in_force_still(shm, before);
}

int enact_load(const struct shm *shm, struct conf **ret, uint32_t *ret_generation)
{
	struct conf_report report = {0};
	struct conf *conf = NULL;
	char *text = malloc((size_t)shm->limits.conf + 1);
	uint64_t signature;
	uint32_t generation;
	unsigned tries = 0;
	int rc;

	if (!text)
		return -ENOMEM;
	while (!copy_text(shm, text, &signature, &generation) && ++tries < POLICY_TRIES)
		;
	rc = conf_load("the segment", text, &conf, &report);
	conf_report_finish(&report);
	free(text);
	if (rc == 0 && !is_its_own(shm, conf, signature)) {
		conf_free(conf);
		rc = HEIR_ECORRUPT;
	}
	if (rc == 0) {
		*ret = conf;
		*ret_generation = generation;
	}
	return rc == -EINVAL ? HEIR_ECORRUPT : rc;
}
