/* SPDX-License-Identifier: ISC */
/* The canonical text of a configuration, JSON in the shape of heir.yaml, and the hash over it. */
#include "conf_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_unit.h"

struct conf_out {
	const struct conf *conf;
	bool changed_only; /* leaves out numbers and words at their default */
	bool first;        /* in the list or mapping that is open */
	void (*write)(struct conf_out *out, const char *text, size_t length);
	char *text;
	size_t length;
	size_t size;
	bool no_memory;
	uint64_t hash;
};

static void write_count(struct conf_out *out, const char *text, size_t length)
{
	(void)text;
	out->length += length;
}

static void write_text(struct conf_out *out, const char *text, size_t length)
{
	if (out->size - out->length <= length && !out->no_memory) {
		size_t size = (out->length + length + 1) * 2;
		char *grown = realloc(out->text, size);
		if (grown) {
			out->text = grown;
			out->size = size;
		}
		out->no_memory = !grown;
	}
	if (out->no_memory)
		return;
	memcpy(out->text + out->length, text, length);
	out->length += length;
	out->text[out->length] = '\0';
}

/* FNV-1a. */
static void write_hash(struct conf_out *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		out->hash = (out->hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
}

static void put(struct conf_out *out, const char *text)
{
	out->write(out, text, strlen(text));
}

static void put_escaped(struct conf_out *out, uint32_t point, const char *bytes, size_t length)
{
	char escape[8];
	if (point == '"' || point == '\\') {
		put(out, "\\");
		out->write(out, bytes, length);
	} else if (point == '\n' || point == '\t') {
		put(out, point == '\n' ? "\\n" : "\\t");
	} else if (point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 ||
		point == 0x2029 || point == 0xfeff || point == 0xfffe || point == 0xffff) {
		(void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(point & 0xffff));
		put(out, escape);
	} else {
		out->write(out, bytes, length);
	}
}

static void put_string(struct conf_out *out, const char *text)
{
	size_t left = strlen(text);
	put(out, "\"");
	while (left > 0) {
		uint32_t point = 0;
		size_t length = conf_utf8_length((const unsigned char *)text, left, &point);
		if (length == 0)
			length = 1;
		put_escaped(out, point, text, length);
		text += length;
		left -= length;
	}
	put(out, "\"");
}

static void begin(struct conf_out *out, const char *bracket)
{
	put(out, bracket);
	out->first = true;
}

static void end(struct conf_out *out, const char *bracket)
{
	put(out, bracket);
	out->first = false;
}

static void next(struct conf_out *out)
{
	if (!out->first)
		put(out, ",");
	out->first = false;
}

static void put_key(struct conf_out *out, const char *key)
{
	next(out);
	put_string(out, key);
	put(out, ":");
}

static void put_pair(struct conf_out *out, const char *key, const char *value)
{
	put_key(out, key);
	put_string(out, value);
}

static void put_number(struct conf_out *out, const struct conf_key *key, uint64_t value)
{
	char text[CONF_UNIT_TEXT_MAX];
	if ((key->flags & CONF_KEY_INFINITY) && value == CONF_INFINITY) {
		put_string(out, "infinity");
	} else if ((key->flags & CONF_KEY_BRUTAL) && value == CONF_BRUTAL_KILL) {
		put_string(out, "brutal_kill");
	} else if (key->kind == CONF_KEY_DURATION) {
		put_string(out, conf_format_duration(value, text));
	} else if (key->kind == CONF_KEY_SIZE) {
		put_string(out, conf_format_size(value, text));
	} else {
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
		put(out, text);
	}
}

static void put_value(struct conf_out *out, const struct conf_key *key, const void *object)
{
	if (key->kind == CONF_KEY_OTHER) {
		if (key->print)
			key->print(out, object);
		return;
	}
	uint64_t value = conf_key_load(key, object);
	if ((key->flags & CONF_KEY_OPTIONAL) && value == 0)
		return;
	if (out->changed_only && !(key->flags & CONF_KEY_UNSET) && value == key->initial)
		return;
	put_key(out, key->name);
	if (key->kind == CONF_KEY_WORD && key->words == conf_switch_words)
		put(out, key->words[value]);
	else if (key->kind == CONF_KEY_WORD)
		put_string(out, key->words[value]);
	else
		put_number(out, key, value);
}

static void put_keys(struct conf_out *out, const struct conf_key *keys, const void *object)
{
	for (const struct conf_key *key = keys; key->name; key++)
		put_value(out, key, object);
}

static void put_list(
	struct conf_out *out, const char *key, const char *const *items, uint32_t count)
{
	put_key(out, key);
	begin(out, "[");
	for (uint32_t i = 0; i < count; i++) {
		next(out);
		put_string(out, items[i]);
	}
	end(out, "]");
}

void conf_print_domain(struct conf_out *out, const void *object)
{
	const struct conf *conf = object;
	put_pair(out, "domain", conf->domain);
}

void conf_print_nodes(struct conf_out *out, const void *object)
{
	const struct conf *conf = object;
	put_list(out, "nodes", conf->nodes, conf->node_count);
}

void conf_print_limits(struct conf_out *out, const void *object)
{
	const struct conf *conf = object;
	put_key(out, "limits");
	begin(out, "{");
	put_keys(out, conf_limits_keys, &conf->limits);
	end(out, "}");
}

static bool is_as_preset(const struct conf_key *keys, const void *object)
{
	for (const struct conf_key *key = keys; key->name; key++)
		if (conf_key_load(key, object) != key->initial)
			return false;
	return true;
}

void conf_print_low_latency(struct conf_out *out, const void *object)
{
	const struct conf *conf = object;
	if (out->changed_only && is_as_preset(conf_low_latency_keys, &conf->low_latency))
		return;
	put_key(out, "low_latency");
	begin(out, "{");
	put_keys(out, conf_low_latency_keys, &conf->low_latency);
	end(out, "}");
}

void conf_print_applications(struct conf_out *out, const void *object)
{
	const struct conf *conf = object;
	put_key(out, "applications");
	begin(out, "{");
	for (uint32_t i = 0; i < conf->application_count; i++) {
		put_key(out, conf->applications[i].name);
		begin(out, "{");
		put_keys(out, conf_application_keys, &conf->applications[i]);
		end(out, "}");
	}
	end(out, "}");
}

void conf_print_candidates(struct conf_out *out, const void *object)
{
	const struct conf_application *application = object;
	const struct conf_candidate *list = application->candidates;
	uint32_t count = application->candidate_count;
	put_key(out, "nodes");
	begin(out, "[");
	for (uint32_t i = 0; i < count; i++) {
		bool follows = i > 0 && list[i - 1].group == list[i].group;
		bool precedes = i + 1 < count && list[i + 1].group == list[i].group;
		next(out);
		if (precedes && !follows)
			begin(out, "[");
		out->first = false;
		put_string(out, out->conf->nodes[list[i].node]);
		if (follows && !precedes)
			end(out, "]");
	}
	end(out, "]");
}

void conf_print_takeover(struct conf_out *out, const void *object)
{
	const struct conf_application *application = object;
	if (conf_steps_equal(application, conf_overlap_steps)) {
		put_pair(out, "takeover", "overlap");
		return;
	}
	if (conf_steps_equal(application, conf_exclusive_steps)) {
		put_pair(out, "takeover", "exclusive");
		return;
	}
	put_key(out, "takeover");
	begin(out, "[");
	for (uint32_t i = 0; i < application->step_count; i++) {
		next(out);
		put_string(out, application->steps[i].name);
	}
	end(out, "]");
}

void conf_print_failovers(struct conf_out *out, const void *object)
{
	put_key(out, "failovers");
	begin(out, "{");
	put_keys(out, conf_failovers_keys, object);
	end(out, "}");
}

void conf_print_dependencies(struct conf_out *out, const void *object)
{
	const struct conf_application *application = object;
	put_key(out, "applications");
	begin(out, "[");
	for (uint32_t i = 0; i < application->dependency_count; i++) {
		next(out);
		put_string(out, out->conf->applications[application->dependencies[i]].name);
	}
	end(out, "]");
}

void conf_print_listen(struct conf_out *out, const void *object)
{
	const struct conf_application *application = object;
	put_key(out, "listen");
	begin(out, "{");
	for (uint32_t i = 0; i < application->listen_count; i++)
		put_pair(out, application->listen[i].name, application->listen[i].address);
	end(out, "}");
}

void conf_print_env(struct conf_out *out, const void *object)
{
	const struct conf_application *application = object;
	put_key(out, "env");
	begin(out, "{");
	for (uint32_t i = 0; i < application->env_count; i++)
		put_pair(out, application->env[i].name, application->env[i].value);
	end(out, "}");
}

void conf_print_supervisor(struct conf_out *out, const void *object)
{
	const struct conf_application *application = object;
	put_key(out, "supervisor");
	begin(out, "{");
	put_keys(out, conf_supervisor_keys, &application->supervisor);
	end(out, "}");
}

void conf_print_children(struct conf_out *out, const void *object)
{
	const struct conf_supervisor *supervisor = object;
	put_key(out, "children");
	begin(out, "[");
	for (uint32_t i = 0; i < supervisor->child_count; i++) {
		const struct conf_child *child = &supervisor->children[i];
		next(out);
		begin(out, "{");
		put_keys(out, child->type == CONF_SUPERVISOR ? conf_nested_keys : conf_worker_keys,
			child);
		end(out, "}");
	}
	end(out, "]");
}

void conf_print_nested_children(struct conf_out *out, const void *object)
{
	const struct conf_child *child = object;
	conf_print_children(out, &child->supervisor);
}

void conf_print_id(struct conf_out *out, const void *object)
{
	const struct conf_child *child = object;
	put_pair(out, "id", child->id);
}

void conf_print_exec(struct conf_out *out, const void *object)
{
	const struct conf_child *child = object;
	put_list(out, "exec", child->exec, child->exec_count);
}

void conf_print_names(struct conf_out *out, const void *object)
{
	const struct conf_child *child = object;
	put_list(out, "names", child->names, child->name_count);
}

void conf_print_ready(struct conf_out *out, const void *object)
{
	const struct conf_child *child = object;
	if (child->ready != CONF_READY_FD) {
		put_pair(out, "ready", conf_ready_words[child->ready]);
		return;
	}
	put_key(out, "ready");
	begin(out, "{");
	put_keys(out, conf_ready_keys, child);
	end(out, "}");
}

void conf_print_log(struct conf_out *out, const void *object)
{
	const struct conf_child *child = object;
	put_pair(out, "log", child->log ? child->log : "inherit");
}

static void put_conf(struct conf_out *out)
{
	begin(out, "{");
	put_keys(out, conf_domain_keys, out->conf);
	end(out, "}");
}

int conf_print(const struct conf *conf, char **ret, size_t *ret_length)
{
	struct conf_out out = {.conf = conf, .write = write_text};
	put_conf(&out);
	if (out.no_memory) {
		free(out.text);
		return -ENOMEM;
	}
	*ret = out.text;
	*ret_length = out.length;
	return 0;
}

char *conf_print_value(const struct conf *conf, const struct conf_key *key, const void *object)
{
	struct conf_out out = {.conf = conf, .first = true, .write = write_text};
	size_t skip = strlen(key->name) + strlen("\"\":");
	put_value(&out, key, object);
	if (out.no_memory) {
		free(out.text);
		return NULL;
	}
	if (!out.text)
		return calloc(1, 1);
	memmove(out.text, out.text + skip, out.length - skip + 1);
	return out.text;
}

size_t conf_printed_length(const struct conf *conf)
{
	struct conf_out out = {.conf = conf, .write = write_count};
	put_conf(&out);
	return out.length;
}

uint64_t conf_signature(const struct conf *conf)
{
	struct conf_out out = {.conf = conf,
		.changed_only = true,
		.write = write_hash,
		.hash = UINT64_C(0xcbf29ce484222325)};
	put_conf(&out);
	return out.hash ? out.hash : 1;
}
