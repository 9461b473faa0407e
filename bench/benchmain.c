/* SPDX-License-Identifier: ISC */
/* heir-bench: the command line and the table of families. */
#include "bench/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct family families[] = {
	{"limits", "bare programs: wakes, notices of a death, spawn, and what else nothing can do without",
	 limits_run},
	{"planned", "takeover: command to done, each step, the longest silence of a caller", moves_run},
	{"failover", "kill -9 of the owner to the first reply of the next one", moves_run},
	{"names", "whereis, register, re_register, unregister", names_run},
	{"mail", "call and send, of 8 bytes and more, of one and of many", mail_run},
	{"state", "begin and commit", state_run},
	{"restart", "kill -9 of a child to main() of its successor", restart_run},
	{"path", "where the time of a takeover and a failover goes: the kernel's part and heir's; as root", path_run},
	{"footprint", "memory, and what runs while nothing is to be done", footprint_run},
	{"peers", "Erlang/OTP, s6, runit, supervisord, nginx, haproxy at the same work; only if it is named",
	 peers_run},
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static int usage(FILE *to, int status)
{
	fputs("usage: heir-bench [--quick] [--pin] [--hold-idle] [--json | --percentiles] [--out FILE]\n"
	      "                  [--heir FILE] [FAMILY ...]\n"
	      "       heir-bench report DIR [FILE]\n"
	      "  --quick        few samples, within a minute\n"
	      "  --pin          each part of a chain on a processor of its own\n"
	      "  --hold-idle    no idle states: needs /dev/cpu_dma_latency\n"
	      "  --json         one JSON document instead of the table\n"
	      "  --percentiles  the distribution of each row as well\n"
	      "  --out FILE     the JSON document to this file as well\n"
	      "  --heir FILE    the program heir; else beside this one, or from PATH\n"
	      "families; all of heir's own if none is given, all is a word for all:\n",
	      to);
	for (size_t i = 0; i < FAMILIES; i++)
		fprintf(to, "  %-10s %s\n", families[i].name, families[i].is);
	return status;
}

/* A program of this name in one of these places beside this program, else from PATH; NULL: nowhere. */
static char *find_program(const char *self, const char *name, const char *const *places)
{
	const char *path = getenv("PATH");
	char *found = malloc(PATH_MAX);
	int folder = (int)(strrchr(self, '/') - self);

	if (!found)
		return NULL;
	for (; *places; places++) {
		snprintf(found, PATH_MAX, "%.*s/%s%s", folder, self, *places, name);
		if (access(found, X_OK) == 0)
			return found;
	}
	for (; path && *path; path += strcspn(path, ":") + (path[strcspn(path, ":")] == ':')) {
		snprintf(found, PATH_MAX, "%.*s/%s", (int)strcspn(path, ":"), path, name);
		if (access(found, X_OK) == 0)
			return found;
	}
	free(found);
	return NULL;
}

static bool find_programs(struct bench *bench, const char *heir)
{
	static const char *const beside[] = {"", "../", NULL};
	static const char *const inside[] = {"", "../libexec/heir/", NULL};
	static char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return bench_complain("/proc/self/exe", -errno);
	bench->self = self;
	bench->heir = heir ? heir : find_program(self, "heir", beside);
	bench->child = find_program(self, "heir-bench-child", inside);
	bench->peers = find_program(self, "peers/run", inside);
	if (!bench->heir)
		return bench_say("no program heir beside this one or in PATH; say where with --heir");
	return true;
}

/* The kernel keeps to it as long as this descriptor is open. */
static bool hold_idle(struct bench *bench)
{
	int32_t none = 0;

	bench->idle_fd = open("/dev/cpu_dma_latency", O_RDWR | O_CLOEXEC);
	if (bench->idle_fd < 0 || write(bench->idle_fd, &none, sizeof(none)) != sizeof(none))
		return bench_complain("/dev/cpu_dma_latency", -errno);
	bench->is_idle_held = true;
	return true;
}

static int64_t wall_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * BENCH_SECOND + ts.tv_nsec;
}

static bool is_asked(int count, char **words, const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(words[i], name) || !strcmp(words[i], "all"))
			return true;
	return count == 0 && strcmp(name, "peers") != 0;
}

static bool are_families(int count, char **words)
{
	for (int i = 0; i < count; i++) {
		size_t f = 0;

		while (f < FAMILIES && strcmp(words[i], families[f].name) != 0)
			f++;
		if (f == FAMILIES && strcmp(words[i], "all") != 0)
			return bench_say("no family %s", words[i]);
	}
	return true;
}

static bool write_out(struct bench *bench)
{
	FILE *file = fopen(bench->out, "we");
	int error;

	if (!file)
		return bench_complain(bench->out, -errno);
	error = bench_json(bench, file);
	if (fclose(file) || error)
		return bench_say("%s: cannot be written", bench->out);
	return true;
}

static int run(struct bench *bench, int count, char **words)
{
	int64_t from = measure_now();
	bool is_told = true;

	machine_read(&bench->machine);
	bench->began_ns = wall_clock();
	bench->is_planned = is_asked(count, words, "planned");
	bench->is_failover = is_asked(count, words, "failover");
	bench_print_head(bench);
	for (size_t i = 0; i < FAMILIES; i++) {
		if (!is_asked(count, words, families[i].name))
			continue;
		bench->has_failed |= !families[i].run(bench);
		bench_print_new(bench);
	}
	bench->took_ns = measure_now() - from;
	if (bench->is_percentiles)
		bench_print_percentiles(bench);
	bench_print_tail(bench);
	if (bench->is_json && bench_json(bench, stdout))
		is_told = bench_say("standard output cannot be written");
	if (bench->out)
		is_told &= write_out(bench);
	return bench->has_failed || !is_told;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"quick", no_argument, NULL, 'q'},	 {"pin", no_argument, NULL, 'p'},
		{"hold-idle", no_argument, NULL, 'i'},	 {"json", no_argument, NULL, 'j'},
		{"percentiles", no_argument, NULL, 'c'}, {"out", required_argument, NULL, 'o'},
		{"heir", required_argument, NULL, 'e'},	 {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},	 {0},
	};
	static struct bench bench = {.idle_fd = -1};
	const char *heir = NULL;
	int option;

	if (argc > 1 && !strcmp(argv[1], "worker"))
		return worker_main(argc - 2, argv + 2);
	if (argc > 1 && !strcmp(argv[1], "report"))
		return report_main(argc - 1, argv + 1);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'q':
			bench.is_quick = true;
			break;
		case 'p':
			bench.is_pinned = true;
			break;
		case 'i':
			if (!hold_idle(&bench))
				return 1;
			break;
		case 'j':
			bench.is_json = true;
			break;
		case 'c':
			bench.is_percentiles = true;
			break;
		case 'o':
			bench.out = optarg;
			break;
		case 'e':
			heir = optarg;
			break;
		case 'v':
			return printf("heir-bench " HEIR_VERSION "\n") < 0;
		default:
			return usage(option == 'h' ? stdout : stderr, option == 'h' ? 0 : 2);
		}
	}
	if ((bench.is_json && bench.is_percentiles) || !are_families(argc - optind, argv + optind))
		return usage(stderr, 2);
	if (!find_programs(&bench, heir))
		return 1;
	return run(&bench, argc - optind, argv + optind);
}
