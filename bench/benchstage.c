/* SPDX-License-Identifier: ISC */
/* A private domain for the measurements: its configuration, its start, its names and its state. */
#include "bench/setup.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILL_AT_ONCE (16u << 10)
#define NAMES_BESIDE 64

struct text {
	char *data;
	size_t size;
	FILE *file;
};

static const char *on_death(const struct setup *s)
{
	return s->is_restarted ? ", on_death: restart" : ", on_death: failover";
}

static void put_plain_child(FILE *file, const struct stage *stage, const char *program)
{
	fprintf(file, "        - {id: worker0, exec: [%s, /proc/%d/fd/%d], ready: exec, on_death: restart}\n",
		program, getpid(), stage->share_fd);
}

static void put_child(FILE *file, const struct stage *stage, const char *program, unsigned i)
{
	const struct setup *s = &stage->setup;

	fprintf(file, "        - {id: worker%u, exec: [%s, worker, share=/proc/%d/fd/%d, cpu=%d", i, program,
		getpid(), stage->share_fd, bench_cpu(stage->bench, PART_WORKER));
	if (i == 0)
		fprintf(file, ", resident=%" PRIu64 "%s], names: [bench]", s->with.resident,
			s->is_dumping	 ? ", core=1"
			: s->is_spinning ? ", spin=1"
					 : "");
	else
		fputs("]", file);
	if (i == 0 && s->with.state)
		fprintf(file, ", state: %" PRIu64 "B", s->with.state);
	fprintf(file, "%s}\n", on_death(s));
}

static bool configure(struct stage *stage, const char *name, struct text *ret)
{
	const struct setup *s = &stage->setup;
	char program[2 * PATH_MAX];
	struct text t = {0};

	if (!domain_quote(s->is_plain ? stage->bench->child : stage->bench->self, program, sizeof(program)))
		return bench_complain(stage->bench->self, -ENAMETOOLONG);
	t.file = open_memstream(&t.data, &t.size);
	if (!t.file)
		return bench_complain("configuration", -errno);
	fprintf(t.file, "domain: %s\nnodes: [a, b]\n", name);
	fprintf(t.file, "limits: {names: %" PRIu64, s->with.names + s->room + NAMES_BESIDE);
	if (s->message)
		fprintf(t.file, ", message: %zuB", s->message);
	if (s->processes)
		fprintf(t.file, ", processes: %u", s->processes);
	fputs("}\n", t.file);
	if (s->low_latency)
		fprintf(t.file, "low_latency: %s\n", s->low_latency);
	fprintf(t.file,
		"applications:\n"
		"  bench:\n"
		"    standby: %s\n"
		"    takeover: %s\n"
		"    step_timeout: 20s\n"
		"    failovers: {intensity: 1000, period: 1s}\n"
		"    supervisor:\n"
		"      intensity: 1000\n"
		"      period: %s\n" /* one that was well for longer is started again at once */
		"      children:\n",
		s->is_cold ? "cold" : "hot", s->is_exclusive ? "exclusive" : "overlap",
		s->is_restarted ? "1ms" : "1s");
	if (s->is_plain)
		put_plain_child(t.file, stage, program);
	for (unsigned i = 0; !s->is_plain && i < (s->with.children ? s->with.children : 1); i++)
		put_child(t.file, stage, program, i);
	fclose(t.file);
	*ret = t;
	return true;
}

struct share *share_create(int *ret_fd, char *path, size_t size)
{
	int fd = memfd_create("heir-bench", MFD_CLOEXEC);
	struct share *share;

	if (fd < 0 || ftruncate(fd, sizeof(*share)) < 0)
		share = MAP_FAILED;
	else
		share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (share == MAP_FAILED) {
		bench_complain("shared memory", -errno);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	snprintf(path, size, "/proc/%d/fd/%d", getpid(), fd);
	*ret_fd = fd;
	return share;
}

void share_destroy(struct share *share, int fd)
{
	if (!share)
		return;
	munmap(share, sizeof(*share));
	close(fd);
}

bool stage_start(struct stage *stage, struct bench *bench, const struct setup *setup)
{
	static unsigned number;
	struct text configuration;
	char name[64], path[64];
	bool is_well;

	*stage = (struct stage){.bench = bench,
				.setup = *setup,
				.share_fd = -1,
				.domain = {.up_fd = -1, .log = -1, .configuration = -1}};
	snprintf(name, sizeof(name), "bench-%d-%u", getpid(), number++);
	stage->share = share_create(&stage->share_fd, path, sizeof(path));
	if (!stage->share || !configure(stage, name, &configuration))
		return false;
	is_well = (setup->is_cold ? domain_start_alone : domain_start)(&stage->domain, bench->heir, name,
								       configuration.data, "bench");
	free(configuration.data);
	return is_well;
}

bool stage_stop(struct stage *stage)
{
	bool is_well = domain_stop(&stage->domain);

	if (!is_well) {
		fprintf(stderr, "heir-bench: %s\n", stage->domain.error);
		domain_show_log(&stage->domain, STDERR_FILENO);
	}
	if (stage->domain.log >= 0)
		close(stage->domain.log);
	share_destroy(stage->share, stage->share_fd);
	*stage = (struct stage){.share_fd = -1, .domain = {.up_fd = -1, .log = -1, .configuration = -1}};
	return is_well;
}

/* Where the standby is cold: the former owner's instance is gone, or it could not be started again. */
static bool all_settled(struct stage *stage, struct heir_app_status *ret)
{
	int64_t deadline = measure_now() + BENCH_TIMEOUT;

	while (domain_served(&stage->domain, "bench", BENCH_TIMEOUT, ret)) {
		unsigned others = 0;

		for (size_t i = 0; i < ret->instances; i++)
			others +=
				ret->instance[i].state != HEIR_ABSENT && ret->instance[i].state != HEIR_RUNNING;
		if (others == 0)
			return true;
		if (measure_now() > deadline)
			return bench_complain("the former instance", HEIR_ETIMEDOUT);
		pause_a_little();
	}
	return false;
}

bool stage_protected(struct stage *stage, struct heir_app_status *ret)
{
	if (!stage->setup.is_cold)
		return domain_protected(&stage->domain, "bench", BENCH_TIMEOUT, ret);
	return all_settled(stage, ret);
}

static bool fill(struct stage *stage, enum ask_op op, uint64_t whole, uint32_t at_once, const char *what)
{
	for (uint64_t at = 0; at < whole; at += at_once) {
		struct ask a = {
			.op = op, .at = at, .count = whole - at < at_once ? (uint32_t)(whole - at) : at_once};
		pid_t pid;
		int error = ask(stage->domain.h, "bench", a, &pid, sizeof(pid));

		if (error)
			return bench_complain(what, error);
	}
	return true;
}

bool stage_fill(struct stage *stage)
{
	const struct parameters *with = &stage->setup.with;

	return fill(stage, ASK_REGISTER, with->names > 1 ? with->names : 0, NAMES_AT_ONCE,
		    "registering names") &&
	       fill(stage, ASK_FILL, with->state, FILL_AT_ONCE, "filling the state");
}
