/* SPDX-License-Identifier: ISC */
/* What a configuration must satisfy beyond the form of each value. */
#include "conf_impl.h"

#include <stdlib.h>
#include <string.h>

static void add_roles(struct conf_application *application, struct conf_supervisor *supervisor)
{
	for (uint32_t i = 0; i < supervisor->child_count; i++) {
		struct conf_child *child = &supervisor->children[i];
		if (child->type == CONF_SUPERVISOR) {
			add_roles(application, &child->supervisor);
			continue;
		}
		child->role = application->role_count;
		application->roles[application->role_count++] = child;
		if ((unsigned)child->on_death == CONF_WORD_UNSET)
			child->on_death = application->standby == CONF_HOT ? CONF_ON_DEATH_FAILOVER
									   : CONF_ON_DEATH_RESTART;
	}
}

static const struct conf_yaml *value_or_child(const struct conf_place *place, const char *key)
{
	const struct conf_yaml *value = conf_yaml_get(place->node, key);
	return value ? value : place->node;
}

static void check_worker(struct conf_ctx *c, const struct conf_application *application,
	const struct conf_place *place)
{
	const struct conf_child *child = place->child;
	const struct conf_yaml *ready = value_or_child(place, "ready");
	if (application->standby == CONF_HOT && child->ready != CONF_READY_ATTACH)
		conf_error(c, ready, "a hot standby needs ready: attach of each worker");
	else if (child->state > 0 && child->ready != CONF_READY_ATTACH)
		conf_error(c, ready, "'state' needs ready: attach");
	if (child->watchdog > 0 && child->ready != CONF_READY_ATTACH &&
		child->ready != CONF_READY_NOTIFY)
		conf_error(c, value_or_child(place, "watchdog"),
			"'watchdog' needs ready: attach or notify");
	if (child->ready == CONF_READY_FD && child->ready_fd >= CONF_READY_FD_MIN &&
		child->ready_fd < CONF_READY_FD_MIN + application->listen_count)
		conf_error(c, ready, "descriptors %d to %u are those of 'listen'; use one from %u",
			CONF_READY_FD_MIN,
			(unsigned)(CONF_READY_FD_MIN + application->listen_count - 1),
			(unsigned)(CONF_READY_FD_MIN + application->listen_count));
}

void conf_resolve_application(struct conf_ctx *c, struct conf_application *application)
{
	const struct conf_place *state = NULL;
	application->roles = conf_alloc(c, CONF_ROLES_MAX * sizeof(application->roles[0]));
	if (!application->roles)
		return;
	add_roles(application, &application->supervisor);
	for (const struct conf_place *place = c->children.first; place; place = place->next) {
		if (place->application != c->application || place->child->type != CONF_WORKER)
			continue;
		check_worker(c, application, place);
		if (place->child->state > 0 && state)
			conf_error(c, value_or_child(place, "state"),
				"two states in one application; the first is on "
				"line %u",
				(unsigned)conf_source_line(
					c->source, value_or_child(state, "state")->offset));
		else if (place->child->state > 0)
			state = place;
	}
}

static bool is_instance_of(const char *application, const char *template)
{
	size_t length = strlen(template);
	return !strncmp(application, template, length) && application[length] == '/';
}

static const struct conf_yaml *find_template(const struct conf_ctx *c, const char *name)
{
	for (uint32_t i = 0; i < c->template_count; i++)
		if (!strcmp(c->templates[i]->text, name))
			return c->templates[i];
	return NULL;
}

static void unknown_application(struct conf_ctx *c, const struct conf_place *place)
{
	char list[CONF_HINT_MAX] = "", hint[CONF_HINT_MAX];
	struct conf_nearest nearest = {.word = place->name};
	for (uint32_t i = 0; i < c->conf->application_count; i++) {
		if (i == place->application)
			continue;
		conf_nearest_offer(&nearest, c->conf->applications[i].name);
		conf_list_add(list, c->conf->applications[i].name);
	}
	for (uint32_t i = 0; i < c->template_count; i++)
		conf_nearest_offer(&nearest, c->templates[i]->text);
	conf_error(c, place->node, "unknown application '%.64s'%s", place->name,
		conf_nearest_hint(&nearest, "the others are", list, hint));
}

static void add_dependency(struct conf_application *application, uint32_t on)
{
	for (uint32_t i = 0; i < application->dependency_count; i++)
		if (application->dependencies[i] == on)
			return;
	application->dependencies[application->dependency_count++] = on;
}

static void resolve_dependency(struct conf_ctx *c, const struct conf_place *place)
{
	struct conf_application *application = &c->conf->applications[place->application];
	const struct conf_yaml *template = find_template(c, place->name);
	int on = conf_find_application(c->conf, place->name);
	if (!application->dependencies)
		application->dependencies = conf_alloc(c, CONF_APPLICATIONS_MAX * sizeof(uint32_t));
	if (!application->dependencies)
		return;
	if (on >= 0)
		add_dependency(application, (uint32_t)on);
	else if (!template)
		unknown_application(c, place);
	for (uint32_t i = 0; template && i < c->conf->application_count; i++)
		if (is_instance_of(c->conf->applications[i].name, place->name))
			add_dependency(application, i);
}

struct walk {
	struct conf_ctx *c;
	uint32_t path[CONF_APPLICATIONS_MAX];
	uint32_t depth;
	bool done[CONF_APPLICATIONS_MAX];
};

static const struct conf_yaml *dependency_node(const struct walk *w, uint32_t from, uint32_t to)
{
	const struct conf *conf = w->c->conf;
	for (const struct conf_place *place = w->c->dependencies.first; place; place = place->next)
		if (place->application == from &&
			(!strcmp(place->name, conf->applications[to].name) ||
				is_instance_of(conf->applications[to].name, place->name)))
			return place->node;
	return w->c->root;
}

static void report_cycle(struct walk *w, uint32_t from)
{
	const struct conf *conf = w->c->conf;
	char path[1024] = "";
	size_t length = 0;
	for (uint32_t i = from; i <= w->depth; i++) {
		const char *name = conf->applications[w->path[i < w->depth ? i : from]].name;
		if (length + strlen(name) + 16 > sizeof(path)) {
			(void)strcpy(path + length, " -> ...");
			break;
		}
		if (i > from)
			length = (size_t)(stpcpy(path + length, " -> ") - path);
		length = (size_t)(stpcpy(path + length, name) - path);
	}
	conf_error(w->c, dependency_node(w, w->path[w->depth - 1], w->path[from]),
		"cycle in 'applications': %s", path);
}

static void visit(struct walk *w, uint32_t at)
{
	const struct conf_application *application = &w->c->conf->applications[at];
	w->path[w->depth++] = at;
	for (uint32_t i = 0; i < application->dependency_count; i++) {
		uint32_t on = application->dependencies[i], step = 0;
		while (step < w->depth && w->path[step] != on)
			step++;
		if (step < w->depth)
			report_cycle(w, step);
		else if (!w->done[on])
			visit(w, on);
	}
	w->depth--;
	w->done[at] = true;
}

static void check_dependencies(struct conf_ctx *c)
{
	struct walk w = {.c = c};
	for (const struct conf_place *place = c->dependencies.first; place && !c->failure;
		place = place->next)
		resolve_dependency(c, place);
	for (uint32_t i = 0; i < c->conf->application_count && !c->failure; i++)
		if (!w.done[i])
			visit(&w, i);
}

static int compare_names(const void *left, const void *right)
{
	const struct conf_place *a = *(const struct conf_place *const *)left,
				*b = *(const struct conf_place *const *)right;
	int order = strcmp(a->name, b->name);
	if (order != 0)
		return order;
	if (a->node->offset != b->node->offset)
		return a->node->offset < b->node->offset ? -1 : 1;
	return a->application < b->application ? -1 : a->application > b->application;
}

static void report_twice(struct conf_ctx *c, const char *what, const char *text,
	const struct conf_place *first, const struct conf_place *second)
{
	const char *a = c->conf->applications[first->application].name;
	const char *b = c->conf->applications[second->application].name;
	if (first->node == second->node && first->application != second->application)
		conf_error(c, second->node,
			"%s '%.128s' is given to %s and to %s; %%i in it stands for the instance",
			what, text, a, b);
	else
		conf_error(c, second->node, "%s '%.128s' is there twice; the first is on line %u",
			what, text, (unsigned)conf_source_line(c->source, first->node->offset));
}

static void check_names(struct conf_ctx *c)
{
	if (c->names.count < 2)
		return;
	const struct conf_place **sorted = conf_scratch(c, c->names.count * sizeof(sorted[0]));
	if (!sorted)
		return;
	uint32_t count = 0;
	for (const struct conf_place *place = c->names.first; place; place = place->next)
		sorted[count++] = place;
	qsort(sorted, count, sizeof(sorted[0]), compare_names);
	for (uint32_t i = 1, first = 0; i < count; i++) {
		if (!strcmp(sorted[i]->name, sorted[first]->name))
			report_twice(c, "name", sorted[i]->name, sorted[first], sorted[i]);
		else
			first = i;
	}
}

static void check_listens(struct conf_ctx *c)
{
	for (const struct conf_place *b = c->listens.first; b; b = b->next)
		for (const struct conf_place *a = c->listens.first; a != b; a = a->next) {
			if (a->listen->socket_length != b->listen->socket_length ||
				memcmp(&a->listen->socket, &b->listen->socket,
					a->listen->socket_length) != 0)
				continue;
			report_twice(c, "address", b->listen->address, a, b);
			break;
		}
}

static void check_limits(struct conf_ctx *c)
{
	const struct conf *conf = c->conf;
	const struct conf_yaml *limits = conf_yaml_get(c->root, "limits");
	const struct conf_yaml *names = limits ? conf_yaml_get(limits, "names") : NULL;
	const struct conf_yaml *processes = limits ? conf_yaml_get(limits, "processes") : NULL;
	uint32_t needed = conf->node_count;
	for (uint32_t i = 0; i < conf->application_count; i++) {
		const struct conf_application *application = &conf->applications[i];
		uint32_t instances = application->candidate_count;
		if (application->standby == CONF_COLD && instances > 2)
			instances = 2;
		needed += instances * application->role_count;
	}
	if (c->names.count > conf->limits.names)
		conf_error(c, names ? names : c->root,
			"limits: names is %u, but %u are in this file",
			(unsigned)conf->limits.names, (unsigned)c->names.count);
	if (needed > conf->limits.processes)
		conf_error(c, processes ? processes : c->root,
			"limits: processes is %u, but leaders and workers are %u",
			(unsigned)conf->limits.processes, (unsigned)needed);
}

void conf_check(struct conf_ctx *c)
{
	check_dependencies(c);
	check_names(c);
	check_listens(c);
	check_limits(c);
}
