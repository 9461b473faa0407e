/* SPDX-License-Identifier: ISC */
/*
 * What the files of conf share: arena and source (conf_store.c), diagnostics (conf_report.c), the
 * tree of the text (conf_yaml.c), tables of keys (conf_key.c, conf_table.c), and who decodes,
 * checks and prints what.
 *
 * Nothing fails by return value while a configuration is decoded: what is wrong is said by
 * conf_error() and decoding goes on, so that all is reported at once. Running out of memory sets
 * conf_ctx.failure, after which nothing more is decoded.
 */
#ifndef HEIR_NODE_CONF_IMPL_H
#define HEIR_NODE_CONF_IMPL_H

#include "conf.h"

#define CONF_ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct conf_arena {
	struct conf_chunk *chunks;
	size_t total;
};

/* Zeroed; NULL with errno ENOMEM or EFBIG. */
void *conf_arena_alloc(struct conf_arena *arena, size_t size);
void conf_arena_finish(struct conf_arena *arena);

struct conf_source {
	const char *name;
	const char *text;
	size_t length;
	uint32_t *lines; /* where each begins */
	uint32_t line_count;
};

/* The bytes of the character at P, 0 if it is not UTF-8. LEFT is at least 1. */
size_t conf_utf8_length(const unsigned char *p, size_t left, uint32_t *ret_point);
bool conf_text_is_utf8(const char *text, size_t length);
/* Besides, without control characters; else *ret_offset is where. */
bool conf_text_valid(const char *text, size_t length, size_t *ret_offset);

struct conf_store {
	struct conf_arena arena;
	struct conf_source source;
};

/* 1-based; a column is a character, not a byte. */
uint32_t conf_source_line(const struct conf_source *source, uint32_t offset);
uint32_t conf_source_column(const struct conf_source *source, uint32_t offset);
uint32_t conf_source_offset(const struct conf_source *source, uint32_t line, uint32_t column);

enum conf_yaml_kind { CONF_YAML_EMPTY, CONF_YAML_TEXT, CONF_YAML_LIST, CONF_YAML_MAP };

struct conf_pair {
	struct conf_yaml *key; /* a CONF_YAML_TEXT; NULL in a list */
	struct conf_yaml *value;
	struct conf_pair *next;
};

/* A node is shared by all its aliases. */
struct conf_yaml {
	enum conf_yaml_kind kind;
	bool open; /* while its end has not been read */
	uint32_t offset;
	uint32_t count;
	struct conf_pair *first;
	struct conf_pair *last;
	const char *text; /* without NUL bytes, ends with NUL; "" unless a CONF_YAML_TEXT */
};

struct conf_diagnostic {
	uint32_t offset;
	unsigned order;
	char *message;
};

/* A child, name, address or dependency with its place in the text, for the checks at the end. */
struct conf_place {
	const struct conf_yaml *node;
	uint32_t application;
	struct conf_child *child;
	const struct conf_listen *listen;
	const char *name;
	struct conf_place *next;
};

struct conf_places {
	struct conf_place *first;
	struct conf_place *last;
	uint32_t count;
};

struct conf_ctx {
	struct conf *conf;
	struct conf_source *source;
	struct conf_arena scratch; /* until conf_load() ends */
	int failure;               /* 0, -ENOMEM or -EFBIG */

	struct conf_diagnostic diagnostics[CONF_ERRORS_MAX];
	unsigned shown;
	unsigned count;
	unsigned
		said; /* with what is the same at the same place, which is shown and counted once */

	const struct conf_yaml *root;
	const struct conf_yaml *templates[CONF_KEYS_MAX]; /* keys of applications with instances */
	uint32_t template_count;
	struct conf_places children;
	struct conf_places names;
	struct conf_places listens;
	struct conf_places dependencies;

	/* Of the application that is being decoded. */
	uint32_t application;
	const char *instance; /* NULL unless it comes from a template */
	uint32_t worker_count;
	uint32_t supervisor_count;
	uint32_t depth;
	bool full; /* too many children, said */
};

void *conf_alloc(struct conf_ctx *c, size_t size);
void *conf_scratch(struct conf_ctx *c, size_t size);
const char *conf_copy(struct conf_ctx *c, const char *text);

void conf_error(struct conf_ctx *c, const struct conf_yaml *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void conf_error_at(struct conf_ctx *c, uint32_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Hands them over in the order of the text. */
void conf_flush(struct conf_ctx *c, struct conf_report *report);
void conf_report_at(struct conf_report *report, const struct conf_source *source, uint32_t offset,
	const char *message);
/* Of a file as a whole. */
void conf_report_plain(struct conf_report *report, const char *name, const char *message);

/* The nearest of the words offered, if it is near enough to be meant. */
struct conf_nearest {
	const char *word;
	const char *best;
	size_t distance;
};

void conf_nearest_offer(struct conf_nearest *nearest, const char *candidate);
/* "; did you mean 'BEST'?", or "; HEAD: LIST", or "". */
#define CONF_HINT_MAX 512
const char *conf_nearest_hint(const struct conf_nearest *nearest, const char *head,
	const char *list, char hint[static CONF_HINT_MAX]);
void conf_list_add(char list[static CONF_HINT_MAX], const char *word);

/* RAW is behind the opening QUOTE, in a text that ends with NUL. */
size_t conf_quoted_length(const char *raw, char quote);
/* TEXT has room for twice that length. False if an escape is wrong. */
bool conf_unquote(const char *raw, char quote, char *text, size_t *ret_length);
/* NULL if it is not YAML, which has been said, or if nothing is in it. */
struct conf_yaml *conf_yaml_build(struct conf_ctx *c);
const struct conf_yaml *conf_yaml_get(const struct conf_yaml *map, const char *key);
const char *conf_yaml_kind_text(const struct conf_yaml *node);

enum conf_key_kind {
	CONF_KEY_COUNT,    /* uint32_t */
	CONF_KEY_SIZE,     /* uint64_t */
	CONF_KEY_DURATION, /* uint64_t */
	CONF_KEY_WORD,     /* enum: the index in words */
	CONF_KEY_OTHER,
};

enum {
	CONF_KEY_INFINITY = 1, /* `infinity` is CONF_INFINITY */
	CONF_KEY_BRUTAL = 2,   /* `brutal_kill` is CONF_BRUTAL_KILL */
	CONF_KEY_OPTIONAL = 4, /* 0 stands for absent */
	CONF_KEY_UNSET = 8, /* a word whose default is resolved later; CONF_WORD_UNSET until then */
	CONF_KEY_RELOADS = 16, /* can change while the domain runs */
};

#define CONF_WORD_UNSET ((unsigned)-1)

struct conf_out;

struct conf_key {
	const char *name;
	enum conf_key_kind kind;
	unsigned flags;
	size_t offset;
	uint64_t low;
	uint64_t high;
	uint64_t initial;
	const char *const *words; /* ends with NULL */
	void (*decode)(struct conf_ctx *c, const struct conf_yaml *value,
		void *object);                                   /* NULL: decoded elsewhere */
	void (*print)(struct conf_out *out, const void *object); /* NULL: not printed */
};

/* Each ends with an entry whose name is NULL. */
extern const struct conf_key conf_domain_keys[];
extern const char *const conf_switch_words[]; /* printed bare */
extern const struct conf_key conf_limits_keys[];
extern const struct conf_key conf_low_latency_keys[];
extern const struct conf_key conf_application_keys[];
extern const struct conf_key conf_failovers_keys[];
extern const struct conf_key conf_supervisor_keys[];
extern const struct conf_key conf_worker_keys[];
extern const struct conf_key conf_nested_keys[]; /* of a child that is a supervisor */
extern const struct conf_key conf_ready_keys[];

uint64_t conf_key_load(const struct conf_key *key, const void *object);
void conf_key_store(const struct conf_key *key, void *object, uint64_t value);
void conf_defaults(const struct conf_key *keys, void *object);
/* WHAT names the object in diagnostics. OTHER may be NULL: its keys are known, but not here;
 * OTHER_WHAT says where. */
void conf_decode_map(struct conf_ctx *c, const struct conf_yaml *map, const char *what,
	const struct conf_key *keys, void *object, const char *other_what,
	const struct conf_key *other);

/* Each says what is wrong and returns false (or NULL). WHAT, or KEY, names the value in
 * diagnostics. */
bool conf_expect(struct conf_ctx *c, const struct conf_yaml *value, enum conf_yaml_kind kind,
	const char *what);
const char *conf_decode_text(struct conf_ctx *c, const struct conf_yaml *value, const char *what);
bool conf_decode_word(struct conf_ctx *c, const struct conf_yaml *value, const char *key,
	const char *const *words, unsigned *ret);
bool conf_check_identifier(struct conf_ctx *c, const struct conf_yaml *at, const char *text,
	const char *what, size_t length_max);

void conf_decode_domain(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_limits(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_low_latency(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_applications(struct conf_ctx *c, const struct conf_yaml *value);

void conf_decode_candidates(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_takeover(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_start_phases(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_failovers(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_dependencies(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_listen(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_env(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_supervisor(struct conf_ctx *c, const struct conf_yaml *value, void *object);

void conf_decode_children(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_nested_children(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_id(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_exec(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_names(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_ready(struct conf_ctx *c, const struct conf_yaml *value, void *object);
void conf_decode_log(struct conf_ctx *c, const struct conf_yaml *value, void *object);

/* -EINVAL with a sentence on how it should look, else 0. */
int conf_parse_address(const char *text, struct conf_listen *listen, const char **ret_reason);

extern const char *const conf_ready_words[];
bool conf_steps_equal(const struct conf_application *application, const char *const *steps);
extern const char *const conf_overlap_steps[];
extern const char *const conf_exclusive_steps[];
void conf_fill_steps(
	struct conf_ctx *c, struct conf_application *application, const char *const *steps);

struct conf_place *conf_place_add(
	struct conf_ctx *c, struct conf_places *places, const struct conf_yaml *node);
/* When an application, and when everything, has been decoded. */
void conf_resolve_application(struct conf_ctx *c, struct conf_application *application);
void conf_check(struct conf_ctx *c);

void conf_print_domain(struct conf_out *out, const void *object);
void conf_print_nodes(struct conf_out *out, const void *object);
void conf_print_limits(struct conf_out *out, const void *object);
void conf_print_low_latency(struct conf_out *out, const void *object);
void conf_print_applications(struct conf_out *out, const void *object);
void conf_print_candidates(struct conf_out *out, const void *object);
void conf_print_takeover(struct conf_out *out, const void *object);
void conf_print_failovers(struct conf_out *out, const void *object);
void conf_print_dependencies(struct conf_out *out, const void *object);
void conf_print_listen(struct conf_out *out, const void *object);
void conf_print_env(struct conf_out *out, const void *object);
void conf_print_supervisor(struct conf_out *out, const void *object);
void conf_print_children(struct conf_out *out, const void *object);
void conf_print_nested_children(struct conf_out *out, const void *object);
void conf_print_id(struct conf_out *out, const void *object);
void conf_print_exec(struct conf_out *out, const void *object);
void conf_print_names(struct conf_out *out, const void *object);
void conf_print_ready(struct conf_out *out, const void *object);
void conf_print_log(struct conf_out *out, const void *object);

size_t conf_printed_length(const struct conf *conf);
/* The value of one key of an object, as conf_print() has it; "" if it is absent. For free(); NULL: no memory. */
char *conf_print_value(const struct conf *conf, const struct conf_key *key, const void *object);

#endif
