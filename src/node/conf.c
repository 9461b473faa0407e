/* SPDX-License-Identifier: ISC */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_impl.h"

/* clang-format off */
const char conf_default_text[] =
	"domain: default\n"
	"nodes: [a, b]\n"
	"limits: {names: 16384, processes: 256, messages: 1024,\n"
	"         message: 4KiB, trace: 256}\n"
	"applications:\n"
	"  kv:\n"
	"    nodes: [a, b]\n"
	"    standby: hot\n"
	"    takeover: overlap\n"
	"    listen: {resp: \"127.0.0.1:7379\"}\n"
	"    supervisor:\n"
	"      children:\n"
	"        - id: server\n"
	"          exec: [heir-kv]\n"
	"          names: [kv]\n"
	"          state: 8MiB\n"
	"          on_death: failover\n";
/* clang-format on */

void conf_decode_domain(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf *conf = object;
	if (conf_expect(c, value, CONF_YAML_TEXT, "'domain'") &&
		conf_check_identifier(
			c, value, value->text, "name of a domain", CONF_DOMAIN_LENGTH_MAX))
		conf->domain = conf_copy(c, value->text);
}

void conf_decode_limits(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf *conf = object;
	if (conf_expect(c, value, CONF_YAML_MAP, "'limits'"))
		conf_decode_map(c, value, "limits", conf_limits_keys, &conf->limits, NULL, NULL);
}

/* `true` and `false` stand for all of it. */
void conf_decode_low_latency(struct conf_ctx *c, const struct conf_yaml *value, void *object)
{
	struct conf_low_latency *l = &((struct conf *)object)->low_latency;
	unsigned word;
	if (value->kind != CONF_YAML_TEXT) {
		if (conf_expect(c, value, CONF_YAML_MAP, "'low_latency'"))
			conf_decode_map(c, value, "low_latency", conf_low_latency_keys, l, NULL, NULL);
	} else if (conf_decode_word(c, value, "low_latency", conf_switch_words, &word) && word) {
		bool can_spin = sysconf(_SC_NPROCESSORS_ONLN) >= CONF_SPIN_PROCESSORS;

		*l = (struct conf_low_latency){can_spin ? CONF_SPIN_ON : 0, 0, 1, 1};
	}
}

static void decode_node(struct conf_ctx *c, const struct conf_yaml *at)
{
	struct conf *conf = c->conf;
	if (!conf_expect(c, at, CONF_YAML_TEXT, "a node") ||
		!conf_check_identifier(c, at, at->text, "name of a node", CONF_NODE_LENGTH_MAX))
		return;
	if (conf_find_node(conf, at->text) >= 0) {
		conf_error(c, at, "node '%s' is there twice", at->text);
		return;
	}
	const char *name = conf_copy(c, at->text);
	if (name)
		conf->nodes[conf->node_count++] = name;
}

static void decode_nodes(struct conf_ctx *c, const struct conf_yaml *value)
{
	if (!conf_expect(c, value, CONF_YAML_LIST, "'nodes'"))
		return;
	if (value->count < 1 || value->count > CONF_NODES_MAX) {
		conf_error(c, value, "'nodes' has %u nodes; it takes from 1 to %d",
			(unsigned)value->count, CONF_NODES_MAX);
		return;
	}
	c->conf->nodes = conf_alloc(c, CONF_NODES_MAX * sizeof(c->conf->nodes[0]));
	for (const struct conf_pair *pair = value->first; pair && !c->failure; pair = pair->next)
		decode_node(c, pair->value);
}

static void decode(struct conf_ctx *c)
{
	struct conf *conf = c->conf;
	if (c->root->kind != CONF_YAML_MAP) {
		conf_error(c, c->root,
			"a configuration is a mapping, with keys such as 'nodes:' and "
			"'applications:'; "
			"this is %s",
			conf_yaml_kind_text(c->root));
		return;
	}
	const struct conf_yaml *nodes = conf_yaml_get(c->root, "nodes");
	const struct conf_yaml *applications = conf_yaml_get(c->root, "applications");
	conf->domain = "default";
	conf_defaults(conf_limits_keys, &conf->limits);
	conf_defaults(conf_low_latency_keys, &conf->low_latency);
	if (nodes)
		decode_nodes(c, nodes);
	else
		conf_error(c, c->root, "the domain has no 'nodes', such as nodes: [a, b]");
	conf_decode_map(c, c->root, "the domain", conf_domain_keys, conf, "an application",
		conf_application_keys);
	if (applications && !c->failure)
		conf_decode_applications(c, applications);
	if (!c->failure)
		conf_check(c);
	if (c->count > 0 || c->failure)
		return;
	size_t length = conf_printed_length(conf);
	if (length > CONF_TEXT_MAX)
		conf_error(c, c->root,
			"the configuration has %zu bytes with its templates expanded; the limit is "
			"%u",
			length, CONF_TEXT_MAX);
}

static bool find_lines(struct conf_ctx *c)
{
	struct conf_source *s = c->source;
	uint32_t count = 1;
	for (size_t i = 0; i < s->length; i++)
		count += s->text[i] == '\n' || (s->text[i] == '\r' && s->text[i + 1] != '\n');
	s->lines = conf_alloc(c, count * sizeof(s->lines[0]));
	if (!s->lines)
		return false;
	s->lines[0] = 0;
	s->line_count = 1;
	for (size_t i = 0; i < s->length; i++)
		if (s->text[i] == '\n' || (s->text[i] == '\r' && s->text[i + 1] != '\n'))
			s->lines[s->line_count++] = (uint32_t)i + 1;
	return true;
}

static void parse(struct conf_ctx *c)
{
	size_t offset;
	if (!find_lines(c))
		return;
	if (!conf_text_valid(c->source->text, c->source->length, &offset)) {
		conf_error_at(c, (uint32_t)offset, "not text: byte 0x%02x%s",
			(unsigned char)c->source->text[offset],
			(unsigned char)c->source->text[offset] < 0x80 ? " is a control character"
								      : " is not UTF-8");
		return;
	}
	c->root = conf_yaml_build(c);
	if (c->root && c->root->kind != CONF_YAML_EMPTY)
		decode(c);
	else if (c->count == 0 && !c->failure)
		conf_error_at(c, 0, "nothing is in here; the least is nodes: [a, b]");
}

static int read_all(int fd, char *text, size_t *ret_length)
{
	size_t length = 0;
	while (length <= CONF_TEXT_MAX) {
		ssize_t n = read(fd, text + length, CONF_TEXT_MAX + 1 - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	return length > CONF_TEXT_MAX ? -EFBIG : 0;
}

static int read_file(const char *path, char **ret, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	char *text = malloc(CONF_TEXT_MAX + 2);
	int r = text ? read_all(fd, text, ret_length) : -ENOMEM;
	(void)close(fd);
	if (r != 0) {
		free(text);
		return r;
	}
	text[*ret_length] = '\0';
	*ret = text;
	return 0;
}

/* The text is copied, for later diagnostics. Its last line is given an end: without one, libfyaml
 * 0.7.12 reads uninitialised bytes. */
static int set_source(struct conf_ctx *c, const char *name, const char *text, size_t length)
{
	static const char bom[] = "\xef\xbb\xbf";
	if (length > CONF_TEXT_MAX)
		return -EFBIG;
	if (length >= 3 && !memcmp(text, bom, 3)) {
		text += 3;
		length -= 3;
	}
	c->source = &c->conf->store->source;
	char *copy = conf_alloc(c, length + 2);
	c->source->name = conf_copy(c, name);
	if (!copy || !c->source->name)
		return c->failure;
	memcpy(copy, text, length);
	if (length > 0 && copy[length - 1] != '\n')
		copy[length++] = '\n';
	c->source->text = copy;
	c->source->length = length;
	return 0;
}

static int load(struct conf_ctx *c, const char *path, const char *text)
{
	char *file = NULL;
	size_t length = 0;
	int r = 0;
	if (!text && path) {
		r = read_file(path, &file, &length);
		if (r == 0)
			r = set_source(c, path, file, length);
		free(file);
	} else {
		const char *source = text ? text : conf_default_text;
		r = set_source(c, path ? path : text ? "text" : "default", source, strlen(source));
	}
	if (r == 0)
		parse(c);
	return r != 0 ? r : c->failure;
}

static void report_failure(struct conf_report *report, const char *name, int r)
{
	char message[128];
	if (r == -EFBIG)
		(void)snprintf(message, sizeof(message),
			"too large; a configuration is at most %u bytes", CONF_TEXT_MAX);
	else
		(void)snprintf(message, sizeof(message), "%s", strerror(-r));
	conf_report_plain(report, name ? name : "text", message);
}

int conf_load(const char *path, const char *text, struct conf **ret, struct conf_report *report)
{
	int r = -ENOMEM;
	struct conf_ctx *c = calloc(1, sizeof(*c));
	struct conf *conf = calloc(1, sizeof(*conf));
	if (!c || !conf || !(conf->store = calloc(1, sizeof(*conf->store))))
		goto fail;
	c->conf = conf;
	r = load(c, path, text);
	if (c->count > 0) {
		conf_flush(c, report);
		r = r != 0 ? r : -EINVAL;
	}
	if (r == 0) {
		conf_arena_finish(&c->scratch);
		free(c);
		*ret = conf;
		return 0;
	}
fail:
	if (r != -EINVAL)
		report_failure(report, path, r);
	if (c)
		conf_arena_finish(&c->scratch);
	free(c);
	conf_free(conf);
	return r;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	if (conf->store)
		conf_arena_finish(&conf->store->arena);
	free(conf->store);
	free(conf);
}
