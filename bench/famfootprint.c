/* SPDX-License-Identifier: ISC */
/* Memory of the segment and of each process, and what runs in a domain that has nothing to do: nothing. */
#include "bench/setup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IDLE_NS		  (10 * BENCH_SECOND)
#define IDLE_QUICK_NS	  (2 * BENCH_SECOND)
#define SETTLE_NS	  (BENCH_SECOND / 2)
#define MANY_NAMES	  65536u
#define MANY_PROCESSES	  1024u
#define DEFAULT_NAMES	  16384u
#define DEFAULT_PROCESSES 256u
#define PROCESSES_MAX	  64

static struct row *number_row(struct bench *b, const char *what, enum unit unit, int64_t value)
{
	struct row *row = bench_row(b, "footprint", unit, "");

	snprintf(row->what, sizeof(row->what), "%s", what);
	samples_add(&row->heir, value);
	return row;
}

static int64_t segment_size(const struct stage *stage)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "/dev/shm/heir.%u.%s", geteuid(), stage->domain.name);
	return stat(path, &st) < 0 ? -1 : (int64_t)st.st_size;
}

/* Of a domain with these limits; -1: said why. */
static int64_t size_with(struct bench *b, uint32_t names, uint32_t processes)
{
	struct setup setup = {.with = {.names = names}, .processes = processes, .is_cold = true};
	struct stage stage;
	int64_t size = stage_start(&stage, b, &setup) ? segment_size(&stage) : -1;

	if (!stage_stop(&stage))
		return -1;
	if (size < 0)
		bench_say("the size of a segment cannot be seen");
	return size;
}

static bool segments(struct bench *b)
{
	int64_t usual = size_with(b, DEFAULT_NAMES, DEFAULT_PROCESSES);
	int64_t named = usual < 0 ? -1 : size_with(b, MANY_NAMES, DEFAULT_PROCESSES);
	int64_t manned = named < 0 ? -1 : size_with(b, DEFAULT_NAMES, MANY_PROCESSES);

	if (manned < 0)
		return false;
	number_row(b, "segment, 16384 names and 256 processes", UNIT_BYTES, usual);
	number_row(b, "segment, for each name", UNIT_BYTES, (named - usual) / (MANY_NAMES - DEFAULT_NAMES));
	number_row(b, "segment, for each process", UNIT_BYTES,
		   (manned - usual) / (MANY_PROCESSES - DEFAULT_PROCESSES));
	return true;
}

/* pid and all below it, the nearest first. */
static size_t family_of(pid_t pid, pid_t *ret, size_t max)
{
	size_t count = 1;

	ret[0] = pid;
	for (size_t i = 0; i < count; i++) {
		char path[64];
		FILE *file;
		int child;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", ret[i], ret[i]);
		file = fopen(path, "re");
		while (file && count < max && fscanf(file, "%d", &child) == 1)
			ret[count++] = child;
		if (file)
			fclose(file);
	}
	return count;
}

/* The sum of what the lines of /proc/PID/FILE say behind these keys; -1: it cannot be read. */
static int64_t proc_sum(pid_t pid, const char *name, const char *const *keys)
{
	char path[64], line[256];
	int64_t sum = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		for (size_t i = 0; keys[i]; i++)
			if (!strncmp(line, keys[i], strlen(keys[i])))
				sum += strtoll(line + strlen(keys[i]), NULL, 10);
	fclose(file);
	return sum;
}

static int64_t private_memory(pid_t pid)
{
	static const char *const keys[] = {"Private_Clean:", "Private_Dirty:", NULL};
	int64_t kib = proc_sum(pid, "smaps_rollup", keys);

	return kib < 0 ? -1 : kib * 1024;
}

struct activity {
	int64_t wakes, cpu_ns;
};

static struct activity activity_of(const pid_t *pid, size_t count)
{
	static const char *const keys[] = {"voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:", NULL};
	struct activity sum = {0};

	for (size_t i = 0; i < count; i++) {
		char path[64];
		int64_t ns = 0;
		FILE *file;

		sum.wakes += proc_sum(pid[i], "status", keys);
		snprintf(path, sizeof(path), "/proc/%d/schedstat", pid[i]);
		file = fopen(path, "re");
		if (file && fscanf(file, "%" SCNd64, &ns) != 1)
			ns = 0;
		if (file)
			fclose(file);
		sum.cpu_ns += ns;
	}
	return sum;
}

static void sleep_for(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / BENCH_SECOND, .tv_nsec = ns % BENCH_SECOND};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		continue;
}

static void at_rest(struct bench *b, const struct stage *stage)
{
	pid_t pid[PROCESSES_MAX];
	size_t count = family_of(stage->domain.up, pid, PROCESSES_MAX);
	int64_t for_ns = b->is_quick ? IDLE_QUICK_NS : IDLE_NS;
	struct activity before, after;
	char what[96];

	sleep_for(SETTLE_NS);
	before = activity_of(pid, count);
	sleep_for(for_ns);
	after = activity_of(pid, count);
	snprintf(what, sizeof(what), "wake-ups of all %zu processes in %d s of rest", count,
		 (int)(for_ns / BENCH_SECOND));
	number_row(b, what, UNIT_COUNT, after.wakes - before.wakes);
	snprintf(what, sizeof(what), "processor time of all of them meanwhile");
	number_row(b, what, UNIT_US, after.cpu_ns - before.cpu_ns);
}

static bool processes(struct bench *b)
{
	struct setup setup = {.with = {.names = 1, .children = 1}};
	struct heir_app_status app;
	struct heir_status *status = NULL;
	struct stage stage;
	bool is_well = stage_start(&stage, b, &setup) && stage_protected(&stage, &app);
	int error = is_well ? heir_status(stage.domain.h, &status) : 0;

	if (is_well && !error) {
		number_row(b, "private memory of heir up", UNIT_BYTES, private_memory(stage.domain.up));
		number_row(b, "private memory of a leader", UNIT_BYTES, private_memory(status->node[0].pid));
		number_row(b, "private memory of a worker that keeps nothing", UNIT_BYTES,
			   private_memory(app.child[0].pid));
		at_rest(b, &stage);
		heir_status_free(status);
	}
	is_well &= !error || bench_complain("status", error);
	return stage_stop(&stage) && is_well;
}

bool footprint_run(struct bench *b)
{
	bool is_well = segments(b);

	return processes(b) && is_well;
}
