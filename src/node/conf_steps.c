/* SPDX-License-Identifier: ISC */
/* The steps of a takeover: `takeover` and `start_phases`, two spellings of one list. */
#include "conf_impl.h"

#include <string.h>

const char *const conf_overlap_steps[] = {"start", "switch", "takeover", "go", "stop_old", NULL};
const char *const conf_exclusive_steps[] = {"stop_old", "start", "switch", "go", NULL};

static enum conf_step_kind step_kind(const char *name)
{
	static const char *const names[] = {
		[CONF_STEP_START] = "start",
		[CONF_STEP_SWITCH] = "switch",
		[CONF_STEP_STOP_OLD] = "stop_old",
		[CONF_STEP_TAKEOVER] = "takeover",
	};
	for (unsigned i = 0; i < CONF_ARRAY_LENGTH(names); i++)
		if (!strcmp(names[i], name))
			return (enum conf_step_kind)i;
	return CONF_STEP_PHASE;
}

void conf_fill_steps(
	struct conf_ctx *c, struct conf_application *application, const char *const *steps)
{
	uint32_t count = 0;
	while (steps[count])
		count++;
	application->steps = conf_alloc(c, count * sizeof(application->steps[0]));
	if (!application->steps)
		return;
	application->step_count = count;
	for (uint32_t i = 0; i < count; i++)
		application->steps[i] = (struct conf_step){step_kind(steps[i]), steps[i]};
}

bool conf_steps_equal(const struct conf_application *application, const char *const *steps)
{
	uint32_t i = 0;
	while (i < application->step_count && steps[i] &&
		!strcmp(application->steps[i].name, steps[i]))
		i++;
	return i == application->step_count && !steps[i];
}

static bool is_phase(const char *name)
{
	return *name >= 'a' && *name <= 'z' &&
		!name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

static bool decode_step(
	struct conf_ctx *c, const struct conf_yaml *at, struct conf_application *application)
{
	if (!conf_expect(c, at, CONF_YAML_TEXT, "a step"))
		return false;
	if (!is_phase(at->text) || strlen(at->text) > CONF_PHASE_LENGTH_MAX) {
		conf_error(c, at,
			"'%.64s' is no step: at most %d lower-case letters, digits and '_', the "
			"first a letter",
			at->text, CONF_PHASE_LENGTH_MAX);
		return false;
	}
	if (!strcmp(at->text, "notice") || !strcmp(at->text, "claim")) {
		conf_error(
			c, at, "'%s' is a step of every failover and cannot be a phase", at->text);
		return false;
	}
	for (uint32_t i = 0; i < application->step_count; i++)
		if (!strcmp(application->steps[i].name, at->text)) {
			conf_error(c, at, "step '%s' is there twice", at->text);
			return false;
		}
	const char *name = conf_copy(c, at->text);
	if (!name)
		return false;
	application->steps[application->step_count++] = (struct conf_step){step_kind(name), name};
	return true;
}

static int find_step(const struct conf_application *application, enum conf_step_kind kind)
{
	for (uint32_t i = 0; i < application->step_count; i++)
		if (application->steps[i].kind == kind)
			return (int)i;
	return -1;
}

static void require_step(struct conf_ctx *c, const struct conf_yaml *list,
	const struct conf_application *application, enum conf_step_kind kind, const char *name)
{
	char hint[CONF_HINT_MAX];
	struct conf_nearest nearest = {.word = name};
	if (find_step(application, kind) >= 0)
		return;
	for (uint32_t i = 0; i < application->step_count; i++)
		if (application->steps[i].kind == CONF_STEP_PHASE)
			conf_nearest_offer(&nearest, application->steps[i].name);
	conf_nearest_hint(&nearest, "", NULL, hint);
	if (nearest.best)
		conf_error(c, list, "step '%s' is missing; is it '%s'?", name, nearest.best);
	else
		conf_error(c, list, "step '%s' is missing", name);
}

static void check_order(struct conf_ctx *c, const struct conf_yaml *list,
	const struct conf_application *application)
{
	int start = find_step(application, CONF_STEP_START);
	if (start < 0)
		return;
	for (int i = 0; i < start; i++)
		if (application->steps[i].kind != CONF_STEP_STOP_OLD) {
			conf_error(c, list, "'%s' comes before 'start'; only 'stop_old' can",
				application->steps[i].name);
			return;
		}
}

static void decode_steps(
	struct conf_ctx *c, const struct conf_yaml *list, struct conf_application *application)
{
	bool complete = true;
	application->step_count = 0;
	if (list->count > CONF_STEPS_MAX) {
		conf_error(c, list, "%u steps; the limit is %d", (unsigned)list->count,
			CONF_STEPS_MAX);
		return;
	}
	application->steps = conf_alloc(c, CONF_STEPS_MAX * sizeof(application->steps[0]));
	if (!application->steps)
		return;
	for (const struct conf_pair *pair = list->first; pair && !c->failure; pair = pair->next)
		complete &= decode_step(c, pair->value, application);
	require_step(c, list, application, CONF_STEP_START, "start");
	require_step(c, list, application, CONF_STEP_SWITCH, "switch");
	if (complete)
		check_order(c, list, application);
}

void conf_decode_takeover(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	static const char *const words[] = {"overlap", "exclusive", NULL};
	unsigned word;
	if (value->kind == CONF_YAML_LIST)
		decode_steps(c, value, object);
	else if (conf_decode_word(c, value, "takeover", words, &word))
		conf_fill_steps(c, object, word == 0 ? conf_overlap_steps : conf_exclusive_steps);
}

void conf_decode_start_phases(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	if (conf_expect(c, value, CONF_YAML_LIST, "'start_phases'"))
		decode_steps(c, value, object);
}
