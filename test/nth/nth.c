/* SPDX-License-Identifier: ISC */
/*
 * The n-th call fails. A story (nth_story.sh; moves: up, a call, takeover, failover, down; nodes: up, a node stopped
 * and started, the application stopped and started, a leader killed, down; reload: two files
 * reloaded by the command, one refused, one by HUP) runs undisturbed, and every system call of every heir process in it
 * is counted; then it runs again and again, each time with one of these calls ended by one of the errors that its page
 * lists (nth_calls.c).
 *
 * After each: a command succeeded, or failed with a status that the page names and a message; no process was killed by
 * a fault; either `heir up` failed, or the service answers a call in the end; no leader has more descriptors open than
 * undisturbed; what was to be refused was, and a reload goes through; `heir down` works; no process, no segment and no
 * state file is left; nothing hangs.
 *
 * Does not prove: what two failing calls together do; memory leaks; calls that only other stories make.
 *
 *	nth [--story moves|nodes|reload] [--seconds S] [--seed N]   as many as fit, drawn by the seed
 *	nth [--story …] --all [--first N] [--role ROLE] [--call NAME]   from the N-th on, where it was left
 *	nth [--story …] --one ROLE CALL ORDINAL ERROR
 *	nth [--story …] --census
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nth/nth_watch.h"

#define POINTS_MAX 65536
#define ORDINALS_MAX 400u /* of one call in one process; beyond are loops that wait */
#define SERVED_MS 5000
#define GONE_MS 3000
#define SETTLED_MS 2000
#define UNDISTURBED 3

static const char *heir, *here, *story = "moves"; /* the program; the directory of the stories; which one */
static char dir[300], domain[64], config_file[400];
static struct nth_point points[POINTS_MAX];
static unsigned point_count, run_number, failures;
static bool is_up_failed, is_start_failed; /* the steps of these names */

static const char *const leaders[] = {"up+", "node a", "node b", "node a.2", "node b.2"};
#define LEADERS (sizeof(leaders) / sizeof(leaders[0]))
static int usual_fds[LEADERS]; /* undisturbed; few: it has ended by then */
#define FDS_FEW 4

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static char wrong[8192]; /* what is not as it must be in this run */

__attribute__((format(printf, 1, 2))) static void blame(const char *format, ...)
{
	size_t n = strlen(wrong);
	va_list args;

	va_start(args, format);
	vsnprintf(wrong + n, sizeof(wrong) - n, format, args);
	va_end(args);
	n = strlen(wrong);
	if (n + 1 < sizeof(wrong))
		strcpy(wrong + n, "\n");
}

static char *slurp(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) < 0 || getsockname(fd, (struct sockaddr *)&at, &size) < 0)
		return 17379;
	port = ntohs(at.sin_port);
	close(fd);
	return port;
}

static void prepare(void)
{
	const char *base = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	char port[16];
	FILE *f;

	snprintf(port, sizeof(port), "%d", free_port());
	snprintf(domain, sizeof(domain), "nth-%d-%u", (int)getppid(), run_number++);
	snprintf(dir, sizeof(dir), "%.150s/heir-%s", base, domain);
	snprintf(config_file, sizeof(config_file), "%s/heir.yaml", dir);
	mkdir(dir, 0700);
	f = fopen(config_file, "we");
	if (!f) {
		perror(config_file);
		exit(99);
	}
	fprintf(f,
		"domain: %s\nnodes: [a, b]\nlimits: {names: 64, processes: 32, messages: 32, message: 4KiB}\n"
		"applications:\n  kv:\n    standby: hot\n    listen: {resp: \"127.0.0.1:%s\"}\n"
		"    supervisor:\n      intensity: 20\n      children:\n"
		"        - {id: server, exec: [%s], names: [kv], state: 128KiB, on_death: failover}\n",
		domain, port, getenv("HEIR_KV"));
	fclose(f);
	setenv("DIR", dir, 1);
	setenv("DOMAIN", domain, 1);
	setenv("PORT", port, 1);
	setenv("XDG_RUNTIME_DIR", dir, 1);
}

static void remove_dir(void)
{
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	(void)rmdir(dir);
}

/* Not under the filter; the calls of those who are go on meanwhile. Its status, or -1 if it takes too long. */
static int command(struct nth_watch *w, int ms, char *const argv[])
{
	char path[400];
	int fd, status = 0, pidfd;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/command", dir);
	pid = fork();
	if (pid == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 1);
		dup2(fd, 2);
		execv(argv[0], argv);
		_exit(98);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (watch_serve(w, pidfd, ms) == 0)
		kill(pid, SIGKILL);
	close(pidfd);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int heir_says(struct nth_watch *w, const char *verb, const char *a, const char *b)
{
	char *argv[] = {(char *)(uintptr_t)heir, (char *)(uintptr_t)verb, "-d", domain, (char *)(uintptr_t)a,
			(char *)(uintptr_t)b, NULL};

	return command(w, 20000, argv);
}

static void remove_segments(bool tell)
{
	DIR *d = opendir("/dev/shm");
	char start[128];

	snprintf(start, sizeof(start), "heir.%u.%s", (unsigned)geteuid(), domain);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (strncmp(e->d_name, start, strlen(start)) != 0)
			continue;
		if (tell)
			blame("left in /dev/shm: %s", e->d_name);
		(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
}

/* Children of this process, those that their parents left included (it is their reaper). */
static unsigned each_child(pid_t pid, int signal_number)
{
	char path[64], *text, *copy, *rest = NULL;
	unsigned n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	text = copy = strdup(slurp(path));
	for (char *p; copy && (p = strtok_r(text, " ", &rest)); text = NULL) {
		pid_t child = atoi(p);

		n += 1 + each_child(child, signal_number);
		if (signal_number)
			kill(child, signal_number);
	}
	free(copy);
	return n;
}

static void reap(void)
{
	int status;

	while (waitpid(-1, &status, WNOHANG) > 0)
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM)
			blame("a process was killed by signal %d", WTERMSIG(status));
}

static int count_fds(pid_t pid)
{
	char path[64];
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* One that is settled has as many as undisturbed, soon. */
static void check_fds(struct nth_watch *w, const struct nth_point *point)
{
	for (unsigned i = 0; i < LEADERS; i++) {
		pid_t pid = watch_pid(w, leaders[i]);
		int64_t end = now_ms() + SETTLED_MS;
		int n = pid ? count_fds(pid) : 0;

		if (!point && n > usual_fds[i])
			usual_fds[i] = n;
		if (!point || usual_fds[i] < FDS_FEW)
			continue;
		while (n > usual_fds[i] && now_ms() < end) {
			(void)watch_serve(w, -1, 20);
			n = count_fds(pid);
		}
		if (n > usual_fds[i])
			blame("%s has %d descriptors open, not %d", leaders[i], n, usual_fds[i]);
	}
}

/* Soon. */
static bool works(struct nth_watch *w, const char *verb, const char *a, const char *b)
{
	int64_t end = now_ms() + SERVED_MS;

	do {
		if (heir_says(w, verb, a, b) == 0)
			return true;
		(void)watch_serve(w, -1, 50);
	} while (now_ms() < end);
	return false;
}

/* Exit statuses that the page names, and a message with each that says no. */
static void check_steps(void)
{
	char path[400], *text, *rest = NULL;

	snprintf(path, sizeof(path), "%s/steps", dir);
	text = strdup(slurp(path));
	is_up_failed = is_start_failed = false;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char name[64];
		int status = -1;

		if (sscanf(line, "%63s %d", name, &status) != 2)
			continue;
		is_up_failed |= status && strcmp(name, "up") == 0;
		is_start_failed |= status && strcmp(name, "start") == 0;
		if (status == 0 && strcmp(name, "refused") == 0)
			blame("%s was not", name);
		if (status == 137)
			blame("%s hangs, or was killed", name);
		else if (status > 7 && status != 124 && status != 127)
			blame("%s ended with %d", name, status);
		snprintf(path, sizeof(path), "%s/step.%s", dir, name);
		if (status && status != 137 && !*slurp(path))
			blame("%s ended with %d and says nothing", name, status);
	}
	free(text);
}

static void check_logs(void)
{
	static const char *const faults[] = {"signal 4", "signal 5", "signal 6", "signal 7", "signal 8", "signal 11",
					     "signal 31", "AddressSanitizer", "runtime error", "assert"};
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));) {
		char path[600];
		const char *text;

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		text = slurp(path);
		for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
			const char *at = strstr(text, faults[i]);
			size_t n = strlen(faults[i]);

			if (at && (at[n] < '0' || at[n] > '9'))
				blame("%s says: %.200s", e->d_name, at);
		}
	}
	if (d)
		closedir(d);
}

static void kill_all(struct nth_watch *w)
{
	for (unsigned i = 0; i < 100 && each_child(getpid(), SIGKILL); i++) {
		if (w)
			(void)watch_serve(w, -1, 10);
		else
			usleep(10000);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

/* All that is left of the run is gone within its time, or is made to go and told of. */
static void check_gone(struct nth_watch *w)
{
	int64_t end = now_ms() + GONE_MS;

	for (;;) {
		reap();
		if (each_child(getpid(), 0) == 0)
			break;
		if (now_ms() < end) {
			(void)watch_serve(w, -1, 5);
			continue;
		}
		blame("%u processes are left", each_child(getpid(), 0));
		kill_all(w);
		break;
	}
	remove_segments(true);
}

/* The undisturbed count is of a settled domain: of several, the largest. */
static void first_part(struct nth_watch *w, int from, const struct nth_point *point)
{
	char text[64];
	int status;

	if (watch_serve(w, from, 90000) == 0)
		blame("the story hangs");
	else if (read(from, text, sizeof(text)) <= 0)
		blame("the story ended early");
	check_steps();
	status = heir_says(w, "status", NULL, NULL);
	if (status == 7 || status == 4) {
		if (!is_up_failed)
			blame("the domain is gone");
		return;
	}
	if (is_start_failed && heir_says(w, "start", "kv", NULL) != 0)
		blame("it does not start");
	if (!works(w, "call", "kv", "INCR probe"))
		blame("it is not served");
	if (strcmp(story, "reload") == 0 && !works(w, "reload", "-f", config_file))
		blame("it cannot be reloaded: %s", slurp("command"));
	check_fds(w, point);
}

static void second_part(struct nth_watch *w, int from, int to)
{
	char text[64];
	int status;

	(void)!write(to, "down\n", 5);
	if (watch_serve(w, from, 30000) == 0)
		blame("the end of the story hangs");
	else
		(void)!read(from, text, sizeof(text));
	check_steps();
	status = heir_says(w, "down", NULL, NULL);
	if (status != 0 && status != 7)
		blame("heir down ends with %d: %s", status, slurp("command"));
}

static void count_point(const char *role, const struct nth_call *call, unsigned n, void *arg)
{
	const char *only_role = ((const char **)arg)[0], *only_call = ((const char **)arg)[1];

	if ((only_role && strcmp(role, only_role) != 0) || (only_call && strcmp(call->name, only_call) != 0))
		return;
	for (unsigned i = 1; i <= n && i <= ORDINALS_MAX; i++)
		for (unsigned e = 0; e < NTH_ERRORS_MAX && call->error[e]; e++) {
			struct nth_point *p = &points[point_count];

			if (point_count + 1 < POINTS_MAX)
				point_count++;
			*p = (struct nth_point){.call = call, .ordinal = i, .error = call->error[e]};
			strcpy(p->role, role);
		}
}

static void print_count(const char *role, const struct nth_call *call, unsigned n, void *arg)
{
	(void)arg;
	printf("%-16s %-18s %u\n", role, call->name, n);
}

/* Once. Whether it was as it must be; point NULL: undisturbed, and counted into points. */
static bool run(const struct nth_point *point, const char *only[2], bool census, bool *ret_fired)
{
	char script[4096], *argv[] = {"/bin/bash", script, (char *)(uintptr_t)story, NULL};
	struct nth_watch *w;
	int to[2], from[2];

	wrong[0] = 0;
	prepare();
	snprintf(script, sizeof(script), "%s/nth_story.sh", here);
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) {
		perror("pipe");
		exit(99);
	}
	w = watch_start(argv, point, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	if (chdir(dir) < 0)
		exit(99);
	first_part(w, from[0], point);
	second_part(w, from[0], to[1]);
	check_logs();
	check_gone(w);
	if (!point)
		watch_counts(w, census ? print_count : count_point, only);
	*ret_fired = watch_fired(w);
	watch_finish(w);
	close(to[1]);
	close(from[0]);
	if (chdir("/") < 0)
		exit(99);
	if (!wrong[0] && !getenv("NTH_KEEP"))
		remove_dir();
	return !wrong[0];
}

static bool run_point(const struct nth_point *p, bool *ret_fired)
{
	const char *none[2] = {NULL, NULL};

	if (run(p, none, false, ret_fired))
		return true;
	failures++;
	printf("not ok: nth --story %s --one '%s' %s %u %s\n", story, p->role, p->call->name, p->ordinal,
	       nth_error_name(p->error));
	for (char *line = strtok(wrong, "\n"); line; line = strtok(NULL, "\n"))
		printf("#   %s\n", line);
	printf("#   in %s\n", dir);
	fflush(stdout);
	return false;
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void shuffle(uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (unsigned i = point_count; i > 1; i--) {
		unsigned j = (unsigned)(random_next(&state) % i);
		struct nth_point p = points[i - 1];

		points[i - 1] = points[j];
		points[j] = p;
	}
}

static int sweep(const char *only[2], int64_t seconds, uint64_t seed, unsigned first)
{
	int64_t end = seconds ? now_ms() + seconds * 1000 : INT64_MAX;
	unsigned done, fired = 0;
	bool hit;

	for (unsigned i = 0; i < UNDISTURBED; i++) {
		point_count = 0;
		if (!run(NULL, only, false, &hit)) {
			printf("not ok: undisturbed: %s# in %s\n", wrong, dir);
			return 1;
		}
	}
	printf("# %u points (call of a process, ordinal, error), seed %llu\n", point_count, (unsigned long long)seed);
	fflush(stdout);
	if (seconds)
		shuffle(seed);
	for (done = first; done < point_count && now_ms() < end; done++) {
		run_point(&points[done], &hit);
		fired += hit;
	}
	printf("# %u to %u of %u points run, %u calls made to fail, %u runs not as they must be\n", first, done,
	       point_count, fired, failures);
	return failures || (point_count && fired == 0);
}

static int one(char **argv)
{
	struct nth_point p = {.call = nth_call_by_name(argv[1]), .ordinal = (unsigned)atoi(argv[2]),
			      .error = nth_error_by_name(argv[3])};
	const char *none[2] = {NULL, NULL};
	bool fired;

	if (!p.call || !p.ordinal || !p.error) {
		fprintf(stderr, "nth: no such call or error\n");
		return 2;
	}
	snprintf(p.role, sizeof(p.role), "%s", argv[0]);
	for (unsigned i = 0; i < UNDISTURBED; i++)
		if (!run(NULL, none, false, &fired))
			printf("not ok: undisturbed: %s", wrong);
	if (run_point(&p, &fired))
		printf("%s\n", fired ? "ok" : "that call was not made");
	return failures > 0;
}

static int work(int argc, char **argv)
{
	const char *only[2] = {NULL, NULL};
	int64_t seconds = 60;
	uint64_t seed = (uint64_t)time(NULL);
	unsigned first = 0;
	bool fired;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--census") == 0)
			return !run(NULL, only, true, &fired);
		if (strcmp(argv[i], "--one") == 0 && i + 4 < argc)
			return one(argv + i + 1);
		if (strcmp(argv[i], "--all") == 0)
			seconds = 0;
		else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = atoi(argv[++i]);
		else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc)
			first = (unsigned)atoi(argv[++i]);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--story") == 0 && i + 1 < argc)
			story = argv[++i];
		else if (strcmp(argv[i], "--role") == 0 && i + 1 < argc)
			only[0] = argv[++i];
		else if (strcmp(argv[i], "--call") == 0 && i + 1 < argc)
			only[1] = argv[++i];
		else
			return 2;
	}
	return sweep(only, seconds, seed, first);
}

/* A process of its own does the work, so that nothing of it is left even where it is killed. */
int main(int argc, char **argv)
{
	sigset_t set;
	pid_t pid;
	int got = 0, status = 0;

	heir = getenv("HEIR");
	here = getenv("NTH_DIR");
	if (!heir || !getenv("HEIR_KV") || !here) {
		fprintf(stderr, "nth: HEIR, HEIR_KV and NTH_DIR have to be set\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		signal(SIGPIPE, SIG_IGN);
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		exit(work(argc, argv));
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		sigwait(&set, &got);
		if (got != SIGCHLD)
			kill(pid, SIGKILL);
	}
	kill_all(NULL);
	snprintf(domain, sizeof(domain), "nth-%d-", (int)getpid());
	remove_segments(false);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
