/* SPDX-License-Identifier: ISC */
/*
 * From text to a tree of struct conf_yaml, by the events of libfyaml. Its documents are not used:
 * they would expand aliases, know nothing of limits, and print to stderr. An alias here is one more
 * pointer to the same node, so the tree is never larger than the text; a collection cannot contain
 * itself.
 */
#include "conf_impl.h"

#include <errno.h>
#include <libfyaml.h>
#include <string.h>

struct anchor {
	const char *name;
	struct conf_yaml *node;
};

struct builder {
	struct conf_ctx *c;
	struct fy_parser *parser;
	struct conf_yaml *root;
	struct conf_yaml *stack[CONF_DEPTH_MAX];
	struct conf_yaml *keys[CONF_DEPTH_MAX]; /* of the pair that is being read */
	bool duplicate[CONF_DEPTH_MAX];         /* that pair, which is left out */
	unsigned depth;
	struct anchor anchors[CONF_ANCHORS_MAX];
	unsigned anchor_count;
	unsigned documents;
	uint32_t offset; /* of the last event that had a position */
	bool stop;
};

static void fail(struct builder *b, uint32_t offset, const char *message)
{
	conf_error_at(b->c, offset, "%s", message);
	b->stop = true;
}

static uint32_t mark_offset(const struct builder *b, const struct fy_mark *mark)
{
	if (!mark || mark->line < 0 || mark->column < 0 || mark->input_pos > b->c->source->length)
		return b->offset;
	return (uint32_t)mark->input_pos;
}

static struct conf_yaml *new_node(struct builder *b, enum conf_yaml_kind kind, uint32_t offset)
{
	struct conf_yaml *node = conf_scratch(b->c, sizeof(*node));
	if (!node)
		return NULL;
	node->kind = kind;
	node->offset = offset;
	node->text = "";
	return node;
}

static const char *copy_token(struct builder *b, struct fy_token *token, size_t *ret_length)
{
	size_t length = 0;
	const char *text = token ? fy_token_get_text(token, &length) : "";
	if (!text) {
		fail(b, b->offset, "text that cannot be read");
		return NULL;
	}
	char *copy = conf_scratch(b->c, length + 1);
	if (!copy)
		return NULL;
	if (length > 0)
		memcpy(copy, text, length);
	*ret_length = length;
	return copy;
}

const struct conf_yaml *conf_yaml_get(const struct conf_yaml *map, const char *key)
{
	if (map->kind != CONF_YAML_MAP)
		return NULL;
	for (const struct conf_pair *pair = map->first; pair; pair = pair->next)
		if (!strcmp(pair->key->text, key))
			return pair->value;
	return NULL;
}

const char *conf_yaml_kind_text(const struct conf_yaml *node)
{
	switch (node->kind) {
	case CONF_YAML_TEXT:
		return "text";
	case CONF_YAML_LIST:
		return "a list";
	case CONF_YAML_MAP:
		return "a mapping";
	default:
		return "empty";
	}
}

static void add_pair(
	struct builder *b, struct conf_yaml *parent, struct conf_yaml *key, struct conf_yaml *value)
{
	struct conf_pair *pair = conf_scratch(b->c, sizeof(*pair));
	if (!pair)
		return;
	pair->key = key;
	pair->value = value;
	if (parent->last)
		parent->last->next = pair;
	else
		parent->first = pair;
	parent->last = pair;
	parent->count++;
}

static void add_key(struct builder *b, struct conf_yaml *map, struct conf_yaml *key)
{
	if (key->kind != CONF_YAML_TEXT) {
		conf_error(
			b->c, key, "a key must be text; this one is %s", conf_yaml_kind_text(key));
		b->stop = true;
		return;
	}
	if (map->count == CONF_KEYS_MAX) {
		conf_error(b->c, key, "more than %d keys in one mapping", CONF_KEYS_MAX);
		b->stop = true;
		return;
	}
	const struct conf_pair *pair = map->first;
	while (pair && strcmp(pair->key->text, key->text) != 0)
		pair = pair->next;
	if (pair)
		conf_error(b->c, key, "duplicate key '%.64s'; the first is on line %u", key->text,
			(unsigned)conf_source_line(b->c->source, pair->key->offset));
	b->duplicate[b->depth - 1] = pair != NULL;
	b->keys[b->depth - 1] = key;
}

static void add_node(struct builder *b, struct conf_yaml *node)
{
	if (b->depth == 0) {
		b->root = node;
		return;
	}
	struct conf_yaml *parent = b->stack[b->depth - 1];
	if (parent->kind == CONF_YAML_LIST) {
		add_pair(b, parent, NULL, node);
		return;
	}
	struct conf_yaml *key = b->keys[b->depth - 1];
	if (!key) {
		add_key(b, parent, node);
		return;
	}
	if (node->kind == CONF_YAML_EMPTY)
		node->offset = key->offset;
	b->keys[b->depth - 1] = NULL;
	if (!b->duplicate[b->depth - 1])
		add_pair(b, parent, key, node);
}

static void add_anchor(struct builder *b, struct fy_event *event, struct conf_yaml *node)
{
	struct fy_token *token = fy_event_get_anchor_token(event);
	size_t length;
	const char *name = token ? copy_token(b, token, &length) : NULL;
	if (!name)
		return;
	unsigned i = 0;
	while (i < b->anchor_count && strcmp(b->anchors[i].name, name) != 0)
		i++;
	if (i == CONF_ANCHORS_MAX) {
		conf_error(b->c, node, "more than %d anchors", CONF_ANCHORS_MAX);
		b->stop = true;
		return;
	}
	b->anchors[i] = (struct anchor){name, node};
	if (i == b->anchor_count)
		b->anchor_count++;
}

static bool is_null(const char *text)
{
	return !*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") ||
		!strcmp(text, "NULL");
}

/* NULL, said, if there is no such text. */
static const char *decode_scalar(struct builder *b, struct fy_token *token, size_t *ret_length)
{
	enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
	if (style != FYSS_SINGLE_QUOTED && style != FYSS_DOUBLE_QUOTED)
		return copy_token(b, token, ret_length);
	const struct conf_source *source = b->c->source;
	const struct fy_mark *mark = fy_token_start_mark(token);
	if (!mark || mark->input_pos > source->length) {
		fail(b, b->offset, "quotes without a place");
		return NULL;
	}
	const char *raw = source->text + mark->input_pos;
	char quote = style == FYSS_DOUBLE_QUOTED ? '"' : '\'';
	char *text = conf_scratch(b->c, 2 * conf_quoted_length(raw, quote) + 1);
	if (text && !conf_unquote(raw, quote, text, ret_length)) {
		fail(b, b->offset, "an escape that is none of YAML's");
		return NULL;
	}
	return text;
}

static void add_scalar(struct builder *b, struct fy_event *event, uint32_t offset)
{
	size_t length;
	struct conf_yaml *node = new_node(b, CONF_YAML_TEXT, offset);
	const char *text = node ? decode_scalar(b, event->scalar.value, &length) : NULL;
	if (!text)
		return;
	char before = offset > 0 ? b->c->source->text[offset - 1] : '\0';
	bool plain =
		!event->scalar.value || fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
	if (!plain && (before == '"' || before == '\''))
		node->offset--;
	if (plain && is_null(text))
		node->kind = CONF_YAML_EMPTY;
	else if (memchr(text, '\0', length))
		conf_error(b->c, node, "text with a NUL byte");
	else if (!conf_text_is_utf8(text, length))
		conf_error(b->c, node, "text that is not UTF-8");
	if (node->kind == CONF_YAML_TEXT)
		node->text = text;
	add_anchor(b, event, node);
	add_node(b, node);
}

static void add_alias(struct builder *b, struct fy_event *event, uint32_t offset)
{
	size_t length;
	if (offset > 0 && b->c->source->text[offset - 1] == '*')
		offset--;
	const char *name = copy_token(b, event->alias.anchor, &length);
	if (!name)
		return;
	unsigned i = 0;
	while (i < b->anchor_count && strcmp(b->anchors[i].name, name) != 0)
		i++;
	if (i == b->anchor_count) {
		conf_error_at(b->c, offset, "no anchor '%s' comes before its alias", name);
		b->stop = true;
	} else if (b->anchors[i].node->open) {
		conf_error_at(b->c, offset, "alias '%s' is within what it stands for", name);
		b->stop = true;
	} else {
		add_node(b, b->anchors[i].node);
	}
}

static void open_node(
	struct builder *b, struct fy_event *event, enum conf_yaml_kind kind, uint32_t offset)
{
	struct conf_yaml *node = new_node(b, kind, offset);
	if (!node)
		return;
	if (b->depth == CONF_DEPTH_MAX) {
		conf_error(b->c, node, "lists and mappings more than %d deep", CONF_DEPTH_MAX);
		b->stop = true;
		return;
	}
	add_anchor(b, event, node);
	add_node(b, node);
	node->open = true;
	b->keys[b->depth] = NULL;
	b->stack[b->depth++] = node;
}

static void take_event(struct builder *b, struct fy_event *event)
{
	uint32_t offset = mark_offset(b, fy_event_start_mark(event));
	b->offset = offset;
	switch (event->type) {
	case FYET_DOCUMENT_START:
		if (b->documents++ > 0)
			fail(b, offset, "a second document begins here; a configuration is one");
		break;
	case FYET_MAPPING_START:
		open_node(b, event, CONF_YAML_MAP, offset);
		break;
	case FYET_SEQUENCE_START:
		open_node(b, event, CONF_YAML_LIST, offset);
		break;
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		if (b->depth > 0)
			b->stack[--b->depth]->open = false;
		break;
	case FYET_SCALAR:
		add_scalar(b, event, offset);
		break;
	case FYET_ALIAS:
		add_alias(b, event, offset);
		break;
	default:
		break;
	}
	if (!b->stop && fy_event_get_tag_token(event))
		conf_error_at(b->c, offset, "tags are not used in a configuration");
}

/* The innermost bracket that is open, or NULL. */
static const struct conf_yaml *open_bracket(const struct builder *b)
{
	const struct conf_source *source = b->c->source;
	const struct conf_yaml *node = b->depth > 0 ? b->stack[b->depth - 1] : NULL;
	if (!node || node->offset >= source->length)
		return NULL;
	return source->text[node->offset] == '[' || source->text[node->offset] == '{' ? node : NULL;
}

static void report_syntax(struct builder *b, struct fy_diag *diag)
{
	const struct conf_source *source = b->c->source;
	const struct conf_yaml *bracket = open_bracket(b);
	void *iterator = NULL;
	struct fy_diag_error *error;
	bool any = false;
	while ((error = fy_diag_errors_iterate(diag, &iterator))) {
		const char *message = error->msg ? error->msg : "syntax error";
		uint32_t offset =
			conf_source_offset(source, error->line > 0 ? (uint32_t)error->line : 1,
				error->column > 0 ? (uint32_t)error->column : 1);
		if (bracket && offset >= source->length)
			conf_error(b->c, bracket, "not YAML: '%c' without its closing bracket",
				source->text[bracket->offset]);
		else if (bracket &&
			conf_source_line(source, bracket->offset) <
				conf_source_line(source, offset))
			conf_error_at(b->c, offset, "not YAML: %s; '%c' on line %u is still open",
				message, source->text[bracket->offset],
				(unsigned)conf_source_line(source, bracket->offset));
		else
			conf_error_at(b->c, offset, "not YAML: %s", message);
		any = true;
	}
	if (!any && fy_parser_get_stream_error(b->parser)) {
		conf_error_at(b->c, b->offset, "not YAML");
		any = true;
	}
	b->stop = any;
}

static void discard(struct fy_diag *diag, void *user, const char *text, size_t length)
{
	(void)diag;
	(void)user;
	(void)text;
	(void)length;
}

static void build(struct builder *b, struct fy_diag *diag)
{
	struct fy_event *event;
	while (!b->stop && !b->c->failure && (event = fy_parser_parse(b->parser))) {
		take_event(b, event);
		fy_parser_event_free(b->parser, event);
	}
	if (!b->stop && !b->c->failure)
		report_syntax(b, diag);
}

struct conf_yaml *conf_yaml_build(struct conf_ctx *c)
{
	struct builder *b = conf_scratch(c, sizeof(*b));
	if (!b)
		return NULL;
	b->c = c;
	struct fy_diag_cfg diag_cfg;
	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	diag_cfg.output_fn = discard;
	struct fy_diag *diag = fy_diag_create(&diag_cfg);
	if (!diag)
		goto no_memory;
	fy_diag_set_collect_errors(diag, true);
	struct fy_parse_cfg cfg = {
		.flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
		.diag = diag,
	};
	b->parser = fy_parser_create(&cfg);
	if (!b->parser || fy_parser_set_string(b->parser, c->source->text, c->source->length) != 0)
		goto no_memory;
	build(b, diag);
	goto out;
no_memory:
	c->failure = -ENOMEM;
out:
	if (b->parser)
		fy_parser_destroy(b->parser);
	if (diag)
		fy_diag_destroy(diag);
	return c->failure || b->stop ? NULL : b->root;
}
