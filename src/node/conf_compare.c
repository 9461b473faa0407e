/* SPDX-License-Identifier: ISC */
/*
 * What differs between two configurations, key by key, and whether a running domain can follow: the shape of the
 * segment, what others have in their hands and what records refer to by number cannot change. A key that is not
 * marked as one that can (conf_table.c) cannot.
 */
#include "conf_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_LENGTH 1024

struct compare {
	const struct conf *old, *new;
	struct conf_changes *changes;
	int failure; /* 0 or -ENOMEM */
};

struct conf_path {
	const struct conf_path *above; /* NULL: at the top */
	const char *word;
};

static void path_text(const struct conf_path *path, char text[static PATH_MAX_LENGTH])
{
	size_t length;

	text[0] = '\0';
	if (path->above)
		path_text(path->above, text);
	length = strlen(text);
	(void)snprintf(text + length, PATH_MAX_LENGTH - length, "%s%s", length ? "." : "", path->word);
}

/* Takes from and to over; NULL: no memory. */
static void add(struct compare *c, const struct conf_path *path, char *from, char *to, bool reloads)
{
	struct conf_changes *all = c->changes;
	struct conf_change *grown = NULL;
	struct conf_change change = {NULL, from, to, reloads};
	char text[PATH_MAX_LENGTH];

	path_text(path, text);
	change.key = strdup(text);
	if (from && to && change.key)
		grown = realloc(all->list, (all->count + 1) * sizeof(*grown));
	if (!grown) {
		free(from);
		free(to);
		free(change.key);
		c->failure = -ENOMEM;
		return;
	}
	all->list = grown;
	all->list[all->count++] = change;
	all->refused += !reloads;
}

/* Identifiers: there is nothing to escape. */
static char *join_words(const char *const *words, size_t count)
{
	size_t size = 3;
	char *text;

	for (size_t i = 0; i < count; i++)
		size += strlen(words[i]) + strlen(",\"\"");
	text = malloc(size);
	if (!text)
		return NULL;
	strcpy(text, "[");
	for (size_t i = 0; i < count; i++) {
		strcat(text, i ? ",\"" : "\"");
		strcat(text, words[i]);
		strcat(text, "\"");
	}
	return strcat(text, "]");
}

static bool same_words(const char *const *a, size_t count_a, const char *const *b, size_t count_b)
{
	bool same = count_a == count_b;

	for (size_t i = 0; same && i < count_a; i++)
		same = strcmp(a[i], b[i]) == 0;
	return same;
}

static void compare_words(struct compare *c, const struct conf_path *path, const char *const *old, size_t old_count,
	const char *const *new, size_t new_count)
{
	if (!same_words(old, old_count, new, new_count))
		add(c, path, join_words(old, old_count), join_words(new, new_count), false);
}

static bool is_candidate(const struct conf *conf, const struct conf_application *a, const char *node)
{
	for (uint32_t i = 0; i < a->candidate_count; i++)
		if (strcmp(conf->nodes[a->candidates[i].node], node) == 0)
			return true;
	return false;
}

/* Their order is their priority, which is free to change. */
static bool same_candidates(
	const struct compare *c, const struct conf_application *old, const struct conf_application *new)
{
	bool same = old->candidate_count == new->candidate_count;

	for (uint32_t i = 0; same && i < old->candidate_count; i++)
		same = is_candidate(c->new, new, c->old->nodes[old->candidates[i].node]);
	return same;
}

static void compare_keys(struct compare *c, const struct conf_path *above, const struct conf_key *keys,
	const void *old, const void *new);

static void compare_children(struct compare *c, const struct conf_path *above, const struct conf_supervisor *old,
	const struct conf_supervisor *new)
{
	struct conf_path path = {above, "children"};
	const char **ids = calloc(old->child_count + new->child_count + 1, sizeof(*ids));

	if (!ids) {
		c->failure = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < old->child_count; i++)
		ids[i] = old->children[i].id;
	for (uint32_t i = 0; i < new->child_count; i++)
		ids[old->child_count + i] = new->children[i].id;
	compare_words(c, &path, ids, old->child_count, ids + old->child_count, new->child_count);
	free(ids);
	for (uint32_t i = 0; i < old->child_count; i++)
		for (uint32_t k = 0; k < new->child_count; k++) {
			const struct conf_child *a = &old->children[i], *b = &new->children[k];
			struct conf_path child = {&path, a->id};

			if (strcmp(a->id, b->id) != 0)
				continue;
			if (a->type != b->type)
				add(c, &child, strdup(a->type ? "\"supervisor\"" : "\"worker\""),
					strdup(b->type ? "\"supervisor\"" : "\"worker\""), false);
			else
				compare_keys(c, &child,
					a->type == CONF_SUPERVISOR ? conf_nested_keys : conf_worker_keys, a, b);
		}
}

static void compare_applications(struct compare *c, const struct conf *old, const struct conf *new)
{
	const char *was[CONF_APPLICATIONS_MAX], *is[CONF_APPLICATIONS_MAX];
	struct conf_path path = {NULL, "applications"};

	for (uint32_t i = 0; i < old->application_count; i++)
		was[i] = old->applications[i].name;
	for (uint32_t i = 0; i < new->application_count; i++)
		is[i] = new->applications[i].name;
	compare_words(c, &path, was, old->application_count, is, new->application_count);
	for (uint32_t i = 0; i < old->application_count; i++) {
		int k = conf_find_application(new, was[i]);
		struct conf_path application = {&path, was[i]};

		if (k >= 0)
			compare_keys(c, &application, conf_application_keys, &old->applications[i],
				&new->applications[k]);
	}
}

static void compare_value(struct compare *c, const struct conf_path *path, const struct conf_key *key, const void *old,
	const void *new)
{
	char *from = conf_print_value(c->old, key, old), *to = conf_print_value(c->new, key, new);
	bool reloads = key->flags & CONF_KEY_RELOADS;

	if (key->print == conf_print_candidates)
		reloads = same_candidates(c, old, new);
	if (from && to && strcmp(from, to) == 0) {
		free(from);
		free(to);
	} else {
		add(c, path, from, to, reloads);
	}
}

static void compare_keys(struct compare *c, const struct conf_path *above, const struct conf_key *keys,
	const void *old, const void *new)
{
	for (const struct conf_key *key = keys; key->name && !c->failure; key++) {
		struct conf_path path = {above, key->name};

		if (key->print == conf_print_limits)
			compare_keys(c, &path, conf_limits_keys, &((const struct conf *)old)->limits,
				&((const struct conf *)new)->limits);
		else if (key->print == conf_print_low_latency)
			compare_keys(c, &path, conf_low_latency_keys, &((const struct conf *)old)->low_latency,
				&((const struct conf *)new)->low_latency);
		else if (key->print == conf_print_applications)
			compare_applications(c, old, new);
		else if (key->print == conf_print_failovers)
			compare_keys(c, &path, conf_failovers_keys, old, new);
		else if (key->print == conf_print_supervisor)
			compare_keys(c, &path, conf_supervisor_keys,
				&((const struct conf_application *)old)->supervisor,
				&((const struct conf_application *)new)->supervisor);
		else if (key->print == conf_print_children)
			compare_children(c, above, old, new);
		else if (key->print == conf_print_nested_children)
			compare_children(c, above, &((const struct conf_child *)old)->supervisor,
				&((const struct conf_child *)new)->supervisor);
		else
			compare_value(c, &path, key, old, new);
	}
}

int conf_compare(const struct conf *old, const struct conf *new, struct conf_changes *ret)
{
	struct conf_changes changes = {0};
	struct compare c = {.old = old, .new = new, .changes = &changes};

	compare_keys(&c, NULL, conf_domain_keys, old, new);
	if (c.failure)
		conf_changes_finish(&changes);
	else
		*ret = changes;
	return c.failure;
}

void conf_changes_finish(struct conf_changes *changes)
{
	for (size_t i = 0; i < changes->count; i++) {
		free(changes->list[i].key);
		free(changes->list[i].from);
		free(changes->list[i].to);
	}
	free(changes->list);
	*changes = (struct conf_changes){0};
}
