/* SPDX-License-Identifier: ISC */
#include "conf_impl.h"

#include <string.h>

void conf_decode_id(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_child *child = object;
	if (!conf_expect(c, value, CONF_YAML_TEXT, "'id'") ||
		!conf_check_identifier(c, value, value->text, "id", CONF_ID_LENGTH_MAX))
		return;
	for (const struct conf_place *place = c->children.first; place; place = place->next)
		if (place->application == c->application && place->child->id &&
			place->child != child && !strcmp(place->child->id, value->text)) {
			conf_error(c, value,
				"child id '%s' is there twice in one application; the first is on "
				"line %u",
				value->text,
				(unsigned)conf_source_line(c->source, place->node->offset));
			return;
		}
	child->id = conf_copy(c, value->text);
}

void conf_decode_exec(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_child *child = object;
	if (!conf_expect(c, value, CONF_YAML_LIST, "'exec'"))
		return;
	if (value->count == 0 || value->count > CONF_ARGUMENTS_MAX) {
		conf_error(c, value, "'exec' has %u words; it takes from 1, the program, to %d",
			(unsigned)value->count, CONF_ARGUMENTS_MAX);
		return;
	}
	child->mark = value->first->value->offset;
	child->exec_count = 0;
	child->exec = conf_alloc(c, (value->count + 1) * sizeof(child->exec[0]));
	for (const struct conf_pair *pair = value->first; pair && !c->failure; pair = pair->next) {
		const char *word = conf_decode_text(c, pair->value, "a word of 'exec'");
		if (word && !*word && child->exec_count == 0)
			conf_error(c, pair->value, "the program of 'exec' is an empty text");
		else if (word)
			child->exec[child->exec_count++] = word;
	}
}

static bool check_registered(struct conf_ctx *c, const struct conf_yaml *at, const char *name)
{
	size_t length = strlen(name);
	if (length < 1 || length > CONF_NAME_LENGTH_MAX)
		conf_error(c, at, "a name of %zu bytes; it takes from 1 to %d", length,
			CONF_NAME_LENGTH_MAX);
	else if (strchr(name, '@'))
		conf_error(c, at, "name '%.64s' has an '@', which is reserved for NAME@NODE", name);
	else
		return true;
	return false;
}

void conf_decode_names(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_child *child = object;
	if (!conf_expect(c, value, CONF_YAML_LIST, "'names'"))
		return;
	child->name_count = 0;
	child->names = conf_alloc(c, value->count * sizeof(child->names[0]));
	for (const struct conf_pair *pair = value->first; pair && !c->failure; pair = pair->next) {
		const char *name = conf_decode_text(c, pair->value, "a name");
		if (!name || !check_registered(c, pair->value, name))
			continue;
		child->names[child->name_count++] = name;
		struct conf_place *place = conf_place_add(c, &c->names, pair->value);
		if (place)
			place->name = name;
	}
}

void conf_decode_ready(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_child *child = object;
	unsigned word;
	if (value->kind == CONF_YAML_MAP) {
		child->ready = CONF_READY_FD;
		conf_decode_map(c, value, "ready", conf_ready_keys, child, NULL, NULL);
		if (!conf_yaml_get(value, "fd"))
			conf_error(c, value, "'ready' has no 'fd'");
	} else if (conf_decode_word(c, value, "ready", conf_ready_words, &word)) {
		child->ready = (enum conf_ready)word;
	}
}

void conf_decode_log(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_child *child = object;
	const char *log = conf_decode_text(c, value, "'log'");
	if (log && *log == '/')
		child->log = log;
	else if (log && strcmp(log, "inherit") != 0)
		conf_error(c, value,
			"'log' must be inherit or a path that begins with '/'; this is '%.64s'",
			log);
}

/* False once there are too many, which is said once. */
static bool count_child(struct conf_ctx *c, const struct conf_yaml *at, enum conf_type type)
{
	uint32_t *count = type == CONF_WORKER ? &c->worker_count : &c->supervisor_count;
	uint32_t limit = type == CONF_WORKER ? CONF_ROLES_MAX : CONF_SUPERVISORS_MAX;
	if (++*count <= limit)
		return true;
	conf_error(c, at, "more than %u %s in one application", (unsigned)limit,
		type == CONF_WORKER ? "workers" : "supervisors");
	c->full = true;
	return false;
}

static enum conf_type child_type(struct conf_ctx *c, const struct conf_yaml *node)
{
	const struct conf_yaml *type = conf_yaml_get(node, "type");
	if (type)
		return strcmp(type->text, "supervisor") ? CONF_WORKER : CONF_SUPERVISOR;
	if (!conf_yaml_get(node, "children"))
		return CONF_WORKER;
	conf_error(c, node, "a child with 'children' needs type: supervisor");
	return CONF_SUPERVISOR;
}

static void decode_child(struct conf_ctx *c, const struct conf_yaml *node, struct conf_child *child)
{
	enum conf_type type = child_type(c, node);
	struct conf_place *place = conf_place_add(c, &c->children, node);
	if (!place)
		return;
	place->child = child;
	child->mark = node->offset;
	const struct conf_key *keys = type == CONF_WORKER ? conf_worker_keys : conf_nested_keys;
	const struct conf_key *other = type == CONF_WORKER ? conf_nested_keys : conf_worker_keys;
	conf_defaults(keys, child);
	child->on_death = CONF_WORD_UNSET;
	conf_decode_map(c, node, type == CONF_WORKER ? "a worker" : "a supervisor", keys, child,
		type == CONF_WORKER ? "a supervisor" : "a worker", other);
	child->type = type;
	if (!conf_yaml_get(node, "id"))
		conf_error(c, node, "the child has no 'id'");
	if (type == CONF_WORKER && !conf_yaml_get(node, "exec"))
		conf_error(c, node, "the worker has no 'exec'");
	if (type == CONF_SUPERVISOR && !conf_yaml_get(node, "children"))
		conf_error(c, node, "the supervisor has no 'children'");
}

void conf_decode_children(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_supervisor *supervisor = object;
	if (!conf_expect(c, value, CONF_YAML_LIST, "'children'"))
		return;
	if (c->depth == CONF_SUPERVISOR_DEPTH_MAX) {
		conf_error(c, value, "supervisors more than %d deep", CONF_SUPERVISOR_DEPTH_MAX);
		return;
	}
	uint32_t room = value->count;
	if (room > CONF_ROLES_MAX + CONF_SUPERVISORS_MAX)
		room = CONF_ROLES_MAX + CONF_SUPERVISORS_MAX;
	supervisor->children = conf_alloc(c, room * sizeof(supervisor->children[0]));
	supervisor->child_count = 0;
	c->depth++;
	for (const struct conf_pair *pair = value->first; pair && !c->failure && !c->full;
		pair = pair->next) {
		if (supervisor->child_count == room)
			break;
		if (!conf_expect(c, pair->value, CONF_YAML_MAP, "a child"))
			continue;
		if (count_child(c, pair->value, child_type(c, pair->value)))
			decode_child(
				c, pair->value, &supervisor->children[supervisor->child_count++]);
	}
	c->depth--;
}

void conf_decode_nested_children(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_child *child = object;
	conf_decode_children(c, value, &child->supervisor);
}
