/* SPDX-License-Identifier: ISC */
/*
 * The peers are another program's work (bench/peers): it prints a line of JSON for the peer and one for
 * heir of the same run. Here they become rows.
 */
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct peer_goal {
	const char *peer, *what;
	uint64_t names, state;
	double goal; /* at least so many times as quick */
};

static const struct peer_goal goals[] = {
	{"otp", "takeover", 1, 0, 30},	       {"otp", "takeover", 1000, 0, 5000},
	{"otp", "takeover", 1, 64 * MIB, 500}, {"otp", "failover", 1, 0, 50},
	{"otp", "failover", 1000, 0, 300},     {"otp", "failover", 1, 64 * MIB, 800}};

static const char *text(struct fy_node *node, const char *key)
{
	struct fy_node *value =
		node && fy_node_is_mapping(node) ? fy_node_mapping_lookup_by_string(node, key, FY_NT) : NULL;
	const char *found = value && fy_node_is_scalar(value) ? fy_node_get_scalar0(value) : NULL;

	return found ? found : "";
}

static struct spread spread_of(struct fy_node *node)
{
	static const char *const keys[] = {"p50", "p90", "p99", "p999", "max"};
	int64_t ns[5];

	for (size_t i = 0; i < 5; i++)
		ns[i] = (int64_t)(strtod(text(node, keys[i]), NULL) * 1000 + 0.5);
	return (struct spread){.count = strtoull(text(node, "count"), NULL, 10),
			       .p50 = ns[0],
			       .p90 = ns[1],
			       .p99 = ns[2],
			       .p999 = ns[3],
			       .max = ns[4]};
}

static uint64_t parameter(struct fy_node *node, const char *key)
{
	struct fy_node *map = fy_node_mapping_lookup_by_string(node, "parameters", FY_NT);

	return map ? strtoull(text(map, key), NULL, 10) : 0;
}

static void set_goal(struct row *row, const char *peer, const char *what)
{
	for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		const struct peer_goal *g = &goals[i];
		bool is_alike = row->with.names == g->names || (row->with.names <= 1 && g->names == 1);

		if (!strcmp(peer, g->peer) && !strcmp(what, g->what) && is_alike && row->with.state == g->state)
			row->goal = g->goal;
	}
}

/* Parameters that are no number of ours, as words. */
static void add_words(char *what, size_t size, struct fy_node *node)
{
	struct fy_node *map = fy_node_mapping_lookup_by_string(node, "parameters", FY_NT);
	struct fy_node_pair *pair;
	void *iterator = NULL;

	while (map && fy_node_is_mapping(map) && (pair = fy_node_mapping_iterate(map, &iterator))) {
		const char *key = fy_node_get_scalar0(fy_node_pair_key(pair));
		const char *value = fy_node_get_scalar0(fy_node_pair_value(pair));
		size_t used = strlen(what);

		if (key && value && strcmp(key, "names") && strcmp(key, "state") && used < size)
			snprintf(what + used, size - used, ", %s %s", key, value);
	}
}

static void add_failed(char *what, size_t size, struct fy_node *node)
{
	size_t used = strlen(what);

	if (text(node, "failed")[0] && used < size)
		snprintf(what + used, size - used, "; %s failed %s", text(node, "peer"), text(node, "failed"));
}

/* A peer's line begins a row, heir's line that follows it fills the other side. */
static struct row *take_line(struct bench *b, struct row *open, struct fy_node *node)
{
	const char *peer = text(node, "peer");
	struct row *row;

	if (strcmp(text(node, "family"), "peers") != 0)
		return open;
	if (!strcmp(peer, "heir")) {
		if (open) {
			open->heir_given = spread_of(node);
			add_failed(open->what, sizeof(open->what), node);
		}
		return NULL;
	}
	row = bench_row(b, "peers", UNIT_US, "");
	row->with = (struct parameters){.names = parameter(node, "names"), .state = parameter(node, "state")};
	row->is_at_least = strcmp(peer, "bare") != 0;
	snprintf(row->limit_is, sizeof(row->limit_is), "%s%s", peer, row->is_at_least ? "" : " processes");
	snprintf(row->left_out, sizeof(row->left_out), "%s", text(node, "skipped"));
	snprintf(row->what, sizeof(row->what), "%s%s%s", peer, row->left_out[0] ? "" : ": ",
		 text(node, "what"));
	add_words(row->what, sizeof(row->what), node);
	row->limit_given = spread_of(node);
	set_goal(row, peer, text(node, "what"));
	add_failed(row->what, sizeof(row->what), node);
	return row->left_out[0] ? NULL : row;
}

static bool take_lines(struct bench *b, FILE *file)
{
	const struct fy_parse_cfg quiet = {.flags = FYPCF_QUIET | FYPCF_JSON_FORCE};
	struct row *open = NULL;
	char *line = NULL;
	size_t size = 0;
	bool is_well = true;
	ssize_t n;

	while ((n = getline(&line, &size, file)) > 0 && is_well) {
		struct fy_document *document = fy_document_build_from_string(&quiet, line, (size_t)n);
		struct fy_node *root = document ? fy_document_root(document) : NULL;

		if (root && fy_node_is_mapping(root))
			open = take_line(b, open, root);
		else
			is_well = bench_say("the peers' program says what is no JSON");
		fy_document_destroy(document);
		if (!open)
			bench_print_new(b);
	}
	free(line);
	return is_well;
}

static int start(struct bench *b, int out, pid_t *ret)
{
	char *argv[] = {
		(char *)b->peers, "--json", "--heir", (char *)b->heir, b->is_quick ? "--quick" : NULL, NULL};
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error)
		return -error;
	error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!error)
		error = posix_spawn(ret, b->peers, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

bool peers_run(struct bench *b)
{
	int fd[2], status = -1, error;
	bool is_well;
	FILE *file;
	pid_t pid;

	if (!b->peers) {
		struct row *row = bench_row(b, "peers", UNIT_US, "");

		snprintf(row->what, sizeof(row->what), "peers");
		snprintf(row->left_out, sizeof(row->left_out), "peers/run was not found");
		return true;
	}
	if (pipe2(fd, O_CLOEXEC))
		return bench_complain("pipe", -errno);
	error = start(b, fd[1], &pid);
	close(fd[1]);
	file = error ? NULL : fdopen(fd[0], "r");
	if (!file) {
		close(fd[0]);
		return bench_complain("the peers' program", error ? error : -errno);
	}
	is_well = take_lines(b, file);
	fclose(file);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return is_well && (status == 0 || bench_say("the peers' program failed"));
}
