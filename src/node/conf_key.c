/* SPDX-License-Identifier: ISC */
/* Mappings decoded by tables of keys, and the kinds of value that many keys share. */
#include "conf_impl.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf_unit.h"

#define RANGE_TEXT_MAX (3 * CONF_UNIT_TEXT_MAX)

static_assert(sizeof(enum conf_standby) == sizeof(unsigned), "words are stored as unsigned");

uint64_t conf_key_load(const struct conf_key *key, const void *object)
{
	const unsigned char *field = (const unsigned char *)object + key->offset;
	if (key->kind == CONF_KEY_SIZE || key->kind == CONF_KEY_DURATION) {
		uint64_t wide;
		memcpy(&wide, field, sizeof(wide));
		return wide;
	}
	uint32_t narrow;
	memcpy(&narrow, field, sizeof(narrow));
	return narrow;
}

void conf_key_store(const struct conf_key *key, void *object, uint64_t value)
{
	unsigned char *field = (unsigned char *)object + key->offset;
	uint32_t narrow = (uint32_t)value;
	if (key->kind == CONF_KEY_SIZE || key->kind == CONF_KEY_DURATION)
		memcpy(field, &value, sizeof(value));
	else
		memcpy(field, &narrow, sizeof(narrow));
}

void conf_defaults(const struct conf_key *keys, void *object)
{
	for (const struct conf_key *key = keys; key->name; key++)
		if (key->kind != CONF_KEY_OTHER)
			conf_key_store(key, object,
				key->flags & CONF_KEY_UNSET ? CONF_WORD_UNSET : key->initial);
}

static const char *example(enum conf_key_kind kind)
{
	return kind == CONF_KEY_DURATION ? "5s" : kind == CONF_KEY_SIZE ? "64MiB" : "3";
}

static const char *noun(enum conf_key_kind kind)
{
	return kind == CONF_KEY_DURATION ? "a duration"
		: kind == CONF_KEY_SIZE  ? "a size"
					 : "a whole number";
}

static const char *format_value(
	enum conf_key_kind kind, uint64_t value, char text[static CONF_UNIT_TEXT_MAX])
{
	if (kind == CONF_KEY_DURATION)
		return conf_format_duration(value, text);
	if (kind == CONF_KEY_SIZE)
		return conf_format_size(value, text);
	(void)snprintf(text, CONF_UNIT_TEXT_MAX, "%" PRIu64, value);
	return text;
}

static void range_error(
	struct conf_ctx *c, const struct conf_yaml *value, const struct conf_key *key)
{
	char low[CONF_UNIT_TEXT_MAX], high[CONF_UNIT_TEXT_MAX];
	conf_error(c, value, "'%s' is %.64s; it must be from %s to %s", key->name, value->text,
		format_value(key->kind, key->low, low), format_value(key->kind, key->high, high));
}

static void special_words(const struct conf_key *key, char text[static 64])
{
	(void)snprintf(text, 64, "%s%s", key->flags & CONF_KEY_BRUTAL ? ", or brutal_kill" : "",
		key->flags & CONF_KEY_INFINITY ? ", or infinity" : "");
}

static bool parse_special(const struct conf_key *key, const char *text, uint64_t *ret)
{
	if ((key->flags & CONF_KEY_INFINITY) && !strcmp(text, "infinity"))
		*ret = CONF_INFINITY;
	else if ((key->flags & CONF_KEY_BRUTAL) && !strcmp(text, "brutal_kill"))
		*ret = CONF_BRUTAL_KILL;
	else
		return false;
	return true;
}

static void number_error(struct conf_ctx *c, const struct conf_yaml *value,
	const struct conf_key *key, enum conf_unit_error error, const char *unit)
{
	bool duration = key->kind == CONF_KEY_DURATION;
	char special[64];
	special_words(key, special);
	switch (error) {
	case CONF_UNIT_MISSING:
		if (duration)
			conf_error(c, value, "'%.64s' needs a unit, such as %.32ss", value->text,
				value->text);
		else
			conf_error(
				c, value, "'%.64s' needs a unit: B, KiB, MiB or GiB", value->text);
		break;
	case CONF_UNIT_UNKNOWN:
		conf_error(c, value, "'%.32s' is no unit; use %s", unit,
			duration ? "us, ms, s, min, h or d"
				 : "B, KiB, MiB or GiB, or kB, MB or GB");
		break;
	case CONF_UNIT_TOO_FINE:
		conf_error(c, value, "'%.64s' is not a whole number of %s", value->text,
			duration ? "nanoseconds" : "bytes");
		break;
	case CONF_UNIT_TOO_LARGE:
		range_error(c, value, key);
		break;
	default:
		conf_error(c, value, "'%s' must be %s, such as %s%s; this is '%.64s'", key->name,
			noun(key->kind), example(key->kind), special, value->text);
		break;
	}
}

static void decode_number(
	struct conf_ctx *c, const struct conf_yaml *value, const struct conf_key *key, void *object)
{
	uint64_t number = 0;
	const char *unit = "";
	char special[64];
	if (value->kind != CONF_YAML_TEXT) {
		special_words(key, special);
		conf_error(c, value, "'%s' must be %s, such as %s%s; this is %s", key->name,
			noun(key->kind), example(key->kind), special, conf_yaml_kind_text(value));
		return;
	}
	if (parse_special(key, value->text, &number)) {
		conf_key_store(key, object, number);
		return;
	}
	enum conf_unit_error error = key->kind == CONF_KEY_DURATION
		? conf_parse_duration(value->text, &number, &unit)
		: key->kind == CONF_KEY_SIZE ? conf_parse_size(value->text, &number, &unit)
					     : conf_parse_count(value->text, &number);
	if (error != CONF_UNIT_OK)
		number_error(c, value, key, error, unit);
	else if (number < key->low || number > key->high)
		range_error(c, value, key);
	else
		conf_key_store(key, object, number);
}

bool conf_expect(struct conf_ctx *c, const struct conf_yaml *value, enum conf_yaml_kind kind,
	const char *what)
{
	if (value->kind == kind)
		return true;
	struct conf_yaml wanted = {.kind = kind};
	const char *hint =
		kind == CONF_YAML_LIST && value->kind == CONF_YAML_TEXT ? "; write it in [ ]" : "";
	conf_error(c, value, "%s must be %s; this is %s%s", what, conf_yaml_kind_text(&wanted),
		conf_yaml_kind_text(value), hint);
	return false;
}

bool conf_decode_word(struct conf_ctx *c, const struct conf_yaml *value, const char *key,
	const char *const *words, unsigned *ret)
{
	char list[CONF_HINT_MAX] = "", hint[CONF_HINT_MAX];
	struct conf_nearest nearest = {.word = value->text};
	for (unsigned i = 0; words[i]; i++) {
		if (value->kind == CONF_YAML_TEXT && !strcmp(words[i], value->text)) {
			*ret = i;
			return true;
		}
		conf_nearest_offer(&nearest, words[i]);
		conf_list_add(list, words[i]);
	}
	if (value->kind == CONF_YAML_TEXT)
		conf_error(c, value, "'%s' cannot be '%.64s'%s", key, value->text,
			conf_nearest_hint(&nearest, "it is one of", list, hint));
	else
		conf_error(c, value, "'%s' must be one of %s; this is %s", key, list,
			conf_yaml_kind_text(value));
	return false;
}

/* In a template, %i is the instance and %% a percent sign. */
static const char *expand(struct conf_ctx *c, const struct conf_yaml *value)
{
	size_t size = 1;
	for (const char *p = value->text; *p; p++, size++)
		if (*p == '%') {
			if (p[1] != 'i' && p[1] != '%') {
				conf_error(c, value,
					"'%%%.1s' in a template: write %%i for the instance, %%%% "
					"for a "
					"percent sign",
					p + 1);
				return NULL;
			}
			if (*++p == 'i')
				size += strlen(c->instance);
		}
	char *text = conf_alloc(c, size);
	if (!text)
		return NULL;
	char *to = text;
	for (const char *p = value->text; *p; p++) {
		if (*p != '%')
			*to++ = *p;
		else if (*++p == '%')
			*to++ = '%';
		else
			to = stpcpy(to, c->instance);
	}
	*to = '\0';
	return text;
}

const char *conf_decode_text(struct conf_ctx *c, const struct conf_yaml *value, const char *what)
{
	if (value->kind == CONF_YAML_EMPTY) {
		conf_error(c, value,
			"%s must be text; this is empty; put quotes around an empty text, or "
			"around null",
			what);
		return NULL;
	}
	if (!conf_expect(c, value, CONF_YAML_TEXT, what))
		return NULL;
	return c->instance ? expand(c, value) : conf_copy(c, value->text);
}

bool conf_check_identifier(struct conf_ctx *c, const struct conf_yaml *at, const char *text,
	const char *what, size_t length_max)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t length = strlen(text);
	if (length > length_max) {
		conf_error(c, at, "%s of %zu bytes; the limit is %zu", what, length, length_max);
		return false;
	}
	if (length == 0 || !strchr(first, text[0]) || text[strspn(text, allowed)]) {
		conf_error(c, at,
			"'%.64s' is no %s: letters, digits, '_', '-' and '.', the first a letter, "
			"digit or '_'",
			text, what);
		return false;
	}
	return true;
}

static const struct conf_key *find_key(const struct conf_key *keys, const char *name)
{
	for (const struct conf_key *key = keys; key && key->name; key++)
		if (!strcmp(key->name, name))
			return key;
	return NULL;
}

static void unknown_key(struct conf_ctx *c, const struct conf_yaml *at, const char *what,
	const struct conf_key *keys, const char *other_what, const struct conf_key *other)
{
	char list[CONF_HINT_MAX] = "", hint[CONF_HINT_MAX];
	struct conf_nearest nearest = {.word = at->text};
	if (find_key(other, at->text)) {
		conf_error(c, at, "'%s' is a key of %s, not of %s", at->text, other_what, what);
		return;
	}
	for (const struct conf_key *key = keys; key->name; key++) {
		conf_nearest_offer(&nearest, key->name);
		conf_list_add(list, key->name);
	}
	if (!strcmp(at->text, "<<"))
		conf_error(c, at,
			"merge keys are not supported; an alias can stand for a whole value");
	else
		conf_error(c, at, "unknown key '%.64s' of %s%s", at->text, what,
			conf_nearest_hint(&nearest, "the keys are", list, hint));
}

static void decode_other(
	struct conf_ctx *c, const struct conf_yaml *value, const struct conf_key *key, void *object)
{
	if (key->decode)
		key->decode(c, value, object);
}

void conf_decode_map(struct conf_ctx *c, const struct conf_yaml *map, const char *what,
	const struct conf_key *keys, void *object, const char *other_what,
	const struct conf_key *other)
{
	for (const struct conf_pair *pair = map->first; pair && !c->failure; pair = pair->next) {
		const struct conf_key *key = find_key(keys, pair->key->text);
		unsigned word;
		if (!key)
			unknown_key(c, pair->key, what, keys, other_what, other);
		else if (key->kind == CONF_KEY_OTHER)
			decode_other(c, pair->value, key, object);
		else if (key->kind != CONF_KEY_WORD)
			decode_number(c, pair->value, key, object);
		else if (conf_decode_word(c, pair->value, key->name, key->words, &word))
			conf_key_store(key, object, word);
	}
}
