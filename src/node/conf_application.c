/* SPDX-License-Identifier: ISC */
#include "conf_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int conf_find_node(const struct conf *conf, const char *name)
{
	for (uint32_t i = 0; i < conf->node_count; i++)
		if (!strcmp(conf->nodes[i], name))
			return (int)i;
	return -1;
}

int conf_find_application(const struct conf *conf, const char *name)
{
	for (uint32_t i = 0; i < conf->application_count; i++)
		if (conf->applications[i].name && !strcmp(conf->applications[i].name, name))
			return (int)i;
	return -1;
}

static void unknown_node(struct conf_ctx *c, const struct conf_yaml *at)
{
	char list[CONF_HINT_MAX] = "", hint[CONF_HINT_MAX];
	struct conf_nearest nearest = {.word = at->text};
	for (uint32_t i = 0; i < c->conf->node_count; i++) {
		conf_nearest_offer(&nearest, c->conf->nodes[i]);
		conf_list_add(list, c->conf->nodes[i]);
	}
	conf_error(c, at, "unknown node '%.64s'%s", at->text,
		conf_nearest_hint(&nearest, "the nodes are", list, hint));
}

static void decode_candidate(struct conf_ctx *c, const struct conf_yaml *at,
	struct conf_application *application, uint32_t group)
{
	if (at->kind != CONF_YAML_TEXT) {
		conf_error(c, at, "a node must be text; this is %s", conf_yaml_kind_text(at));
		return;
	}
	if (c->conf->node_count == 0)
		return;
	int node = conf_find_node(c->conf, at->text);
	if (node < 0) {
		unknown_node(c, at);
		return;
	}
	for (uint32_t i = 0; i < application->candidate_count; i++)
		if (application->candidates[i].node == (uint32_t)node) {
			conf_error(c, at, "node '%s' is there twice", at->text);
			return;
		}
	application->candidates[application->candidate_count++] =
		(struct conf_candidate){(uint32_t)node, group};
}

static bool alloc_candidates(struct conf_ctx *c, struct conf_application *application)
{
	application->candidates =
		conf_alloc(c, CONF_NODES_MAX * sizeof(application->candidates[0]));
	application->candidate_count = 0;
	return application->candidates != NULL;
}

void conf_decode_candidates(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_application *application = object;
	uint32_t group = 0;
	if (!conf_expect(c, value, CONF_YAML_LIST, "'nodes'") || !alloc_candidates(c, application))
		return;
	if (value->count == 0)
		conf_error(c, value, "'nodes' names no node; leave it out for all of them");
	for (const struct conf_pair *pair = value->first; pair; pair = pair->next, group++) {
		if (pair->value->kind != CONF_YAML_LIST) {
			decode_candidate(c, pair->value, application, group);
			continue;
		}
		if (pair->value->count == 0)
			conf_error(c, pair->value, "a group of no nodes");
		for (const struct conf_pair *equal = pair->value->first; equal; equal = equal->next)
			decode_candidate(c, equal->value, application, group);
	}
}

static void all_nodes(struct conf_ctx *c, struct conf_application *application)
{
	if (!alloc_candidates(c, application))
		return;
	for (uint32_t i = 0; i < c->conf->node_count; i++)
		application->candidates[i] = (struct conf_candidate){i, i};
	application->candidate_count = c->conf->node_count;
}

void conf_decode_failovers(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	if (conf_expect(c, value, CONF_YAML_MAP, "'failovers'"))
		conf_decode_map(c, value, "failovers", conf_failovers_keys, object, NULL, NULL);
}

void conf_decode_dependencies(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	(void)object;
	if (!conf_expect(c, value, CONF_YAML_LIST, "'applications'"))
		return;
	for (const struct conf_pair *pair = value->first; pair && !c->failure; pair = pair->next) {
		const char *name = conf_decode_text(c, pair->value, "an application");
		struct conf_place *place =
			name ? conf_place_add(c, &c->dependencies, pair->value) : NULL;
		if (place)
			place->name = name;
	}
}

static void decode_socket(
	struct conf_ctx *c, const struct conf_pair *pair, struct conf_application *application)
{
	struct conf_listen *listen = &application->listen[application->listen_count];
	const char *reason;
	if (!conf_check_identifier(
		    c, pair->key, pair->key->text, "name of a socket", CONF_ID_LENGTH_MAX))
		return;
	listen->name = conf_copy(c, pair->key->text);
	listen->address = conf_decode_text(c, pair->value, "an address");
	if (!listen->name || !listen->address)
		return;
	if (conf_parse_address(listen->address, listen, &reason) != 0) {
		conf_error(c, pair->value, "'%.128s' is no address to listen on; %s",
			listen->address, reason);
		return;
	}
	application->listen_count++;
	struct conf_place *place = conf_place_add(c, &c->listens, pair->value);
	if (place)
		place->listen = listen;
}

void conf_decode_listen(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_application *application = object;
	if (!conf_expect(c, value, CONF_YAML_MAP, "'listen'"))
		return;
	if (value->count > CONF_LISTEN_MAX) {
		conf_error(c, value, "%u listening sockets; the limit is %d",
			(unsigned)value->count, CONF_LISTEN_MAX);
		return;
	}
	application->listen_count = 0;
	application->listen = conf_alloc(c, value->count * sizeof(application->listen[0]));
	for (const struct conf_pair *pair = value->first; pair && !c->failure; pair = pair->next)
		decode_socket(c, pair, application);
}

static bool is_reserved_variable(const char *name)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID",
		"LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"};
	for (size_t i = 0; i < CONF_ARRAY_LENGTH(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return !strncmp(name, "HEIR_", 5);
}

static bool is_variable(const char *name)
{
	return *name && !(*name >= '0' && *name <= '9') && strlen(name) <= CONF_NAME_LENGTH_MAX &&
		!name[strspn(
			name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

void conf_decode_env(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_application *application = object;
	if (!conf_expect(c, value, CONF_YAML_MAP, "'env'"))
		return;
	if (value->count > CONF_ENV_MAX) {
		conf_error(c, value, "%u variables; the limit is %d", (unsigned)value->count,
			CONF_ENV_MAX);
		return;
	}
	application->env_count = 0;
	application->env = conf_alloc(c, value->count * sizeof(application->env[0]));
	for (const struct conf_pair *pair = value->first; pair && !c->failure; pair = pair->next) {
		if (!is_variable(pair->key->text)) {
			conf_error(c, pair->key,
				"'%.64s' is no name of a variable: letters, digits and '_', the "
				"first not "
				"a digit",
				pair->key->text);
			continue;
		}
		if (is_reserved_variable(pair->key->text)) {
			conf_error(c, pair->key, "variable '%s' is set by heir itself",
				pair->key->text);
			continue;
		}
		const char *name = conf_copy(c, pair->key->text);
		const char *text = conf_decode_text(c, pair->value, "a variable");
		if (name && text)
			application->env[application->env_count++] =
				(struct conf_variable){name, text};
	}
}

void conf_decode_supervisor(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_application *application = object;
	if (!conf_expect(c, value, CONF_YAML_MAP, "'supervisor'"))
		return;
	conf_decode_map(c, value, "a supervisor", conf_supervisor_keys, &application->supervisor,
		"a child", conf_worker_keys);
	if (!conf_yaml_get(value, "children"))
		conf_error(c, value, "the supervisor has no 'children'");
}

static void begin_application(struct conf_ctx *c, struct conf_application *application)
{
	c->application = c->conf->application_count++;
	c->worker_count = c->supervisor_count = c->depth = 0;
	c->full = false;
	conf_defaults(conf_application_keys, application);
	conf_defaults(conf_failovers_keys, application);
	conf_defaults(conf_supervisor_keys, &application->supervisor);
}

/* NODES is the instance's list, NULL unless there is an instance. */
static void decode_application(struct conf_ctx *c, const struct conf_yaml *at, const char *name,
	const struct conf_yaml *value, const struct conf_yaml *nodes)
{
	struct conf_application *application = &c->conf->applications[c->conf->application_count];
	if (conf_find_application(c->conf, name) >= 0) {
		conf_error(c, at, "application '%s' is there twice", name);
		return;
	}
	unsigned said = c->said;
	application->name = conf_copy(c, name);
	begin_application(c, application);
	conf_decode_map(c, value, "an application", conf_application_keys, application,
		"the whole domain", conf_domain_keys);
	if (nodes)
		conf_decode_candidates(c, nodes, application);
	else if (!conf_yaml_get(value, "nodes"))
		all_nodes(c, application);
	const struct conf_yaml *takeover = conf_yaml_get(value, "takeover");
	const struct conf_yaml *start_phases = conf_yaml_get(value, "start_phases");
	if (!takeover && !start_phases)
		conf_fill_steps(c, application, conf_overlap_steps);
	else if (takeover && start_phases)
		conf_error(c, start_phases,
			"'takeover' and 'start_phases' both give the steps; leave one out");
	if (!conf_yaml_get(value, "supervisor"))
		conf_error(c, nodes ? value : at, "the application has no 'supervisor'");
	if (!c->failure)
		conf_resolve_application(c, application);
	if (c->worker_count == 0 && c->said == said)
		conf_error(c, conf_yaml_get(value, "supervisor"), "the application has no worker");
}

static void decode_template(
	struct conf_ctx *c, const struct conf_pair *pair, const struct conf_yaml *instances)
{
	const struct conf_yaml *nodes = conf_yaml_get(pair->value, "nodes");
	if (!conf_check_identifier(c, pair->key, pair->key->text, "name of a template",
		    CONF_APPLICATION_LENGTH_MAX) ||
		!conf_expect(c, instances, CONF_YAML_MAP, "'instances'"))
		return;
	c->templates[c->template_count++] = pair->key;
	if (nodes)
		conf_error(c, nodes,
			"'nodes' beside 'instances', where each instance has its own list");
	if (instances->count == 0)
		conf_error(c, instances, "'instances' names no instance");
	for (const struct conf_pair *instance = instances->first; instance && !c->failure;
		instance = instance->next) {
		char name[CONF_APPLICATION_LENGTH_MAX + 1];
		if (!conf_check_identifier(c, instance->key, instance->key->text,
			    "name of an instance", CONF_APPLICATION_LENGTH_MAX))
			continue;
		int length =
			snprintf(name, sizeof(name), "%s/%s", pair->key->text, instance->key->text);
		if (length > CONF_APPLICATION_LENGTH_MAX) {
			conf_error(c, instance->key, "'%s/%s' is %d bytes long; the limit is %d",
				pair->key->text, instance->key->text, length,
				CONF_APPLICATION_LENGTH_MAX);
			continue;
		}
		c->instance = instance->key->text;
		decode_application(c, instance->key, name, pair->value, instance->value);
		c->instance = NULL;
	}
}

/* What an instance is called may also be written out, as conf_print() does. */
static bool check_name(struct conf_ctx *c, const struct conf_yaml *at)
{
	char part[CONF_APPLICATION_LENGTH_MAX + 1];
	const char *slash = strchr(at->text, '/');
	if (!slash || strlen(at->text) > CONF_APPLICATION_LENGTH_MAX)
		return conf_check_identifier(
			c, at, at->text, "name of an application", CONF_APPLICATION_LENGTH_MAX);
	memcpy(part, at->text, (size_t)(slash - at->text));
	part[slash - at->text] = '\0';
	return conf_check_identifier(
		       c, at, part, "name of an application", CONF_APPLICATION_LENGTH_MAX) &&
		conf_check_identifier(
			c, at, slash + 1, "name of an instance", CONF_APPLICATION_LENGTH_MAX);
}

static const struct conf_yaml *get_instances(const struct conf_pair *pair)
{
	return conf_yaml_get(pair->value, "instances");
}

void conf_decode_applications(struct conf_ctx *c, const struct conf_yaml *value)
{
	struct conf *conf = c->conf;
	uint64_t count = 0;
	if (!conf_expect(c, value, CONF_YAML_MAP, "'applications'"))
		return;
	for (const struct conf_pair *pair = value->first; pair; pair = pair->next)
		count += get_instances(pair) ? get_instances(pair)->count : 1;
	if (count > CONF_APPLICATIONS_MAX) {
		conf_error(c, value, "%llu applications; the limit is %d",
			(unsigned long long)count, CONF_APPLICATIONS_MAX);
		return;
	}
	conf->applications = conf_alloc(c, CONF_APPLICATIONS_MAX * sizeof(conf->applications[0]));
	for (const struct conf_pair *pair = value->first; pair && !c->failure; pair = pair->next) {
		if (!conf_expect(c, pair->value, CONF_YAML_MAP, "an application"))
			continue;
		const struct conf_yaml *instances = get_instances(pair);
		if (instances)
			decode_template(c, pair, instances);
		else if (check_name(c, pair->key))
			decode_application(c, pair->key, pair->key->text, pair->value, NULL);
	}
}
