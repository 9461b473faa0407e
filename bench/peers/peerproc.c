/* SPDX-License-Identifier: ISC */
/* What all families need: programs, processes that end with this one, files in a folder of their own. */
#include "bench/peers/peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
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

#define STOP_MS 5000
#define SHOWN	4096

bool find_program(const char *name, char path[PATH_MAX])
{
	const char *from = getenv("PATH");
	char all[8192];

	snprintf(all, sizeof(all), "%s:/usr/sbin:/sbin", from ? from : "/usr/bin:/bin");
	for (char *rest = all, *folder; (folder = strsep(&rest, ":"));) {
		if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
			continue;
		if (*folder && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

bool have_program(const struct peers *p, enum peer peer, const char *name, char path[PATH_MAX])
{
	char why[128];

	if (find_program(name, path))
		return true;
	snprintf(why, sizeof(why), "%s is not installed", name);
	out_skip(p, peer, why);
	return false;
}

static bool make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return complain("%s: %s", path, strerror(errno));
		*slash = '/';
	}
	return true;
}

bool write_file(const struct peers *p, const char *name, const char *format, ...)
{
	char path[PATH_ROOM];
	va_list arguments;
	bool is_well;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", p->work, name);
	if (!make_folders(path))
		return false;
	file = fopen(path, "we");
	if (!file)
		return complain("%s: %s", path, strerror(errno));
	va_start(arguments, format);
	is_well = vfprintf(file, format, arguments) >= 0;
	va_end(arguments);
	return (fclose(file) == 0 && is_well) || complain("%s: %s", path, strerror(errno));
}

static int open_log(const struct peers *p, const char *name, int flags)
{
	char path[PATH_ROOM];

	snprintf(path, sizeof(path), "%s/%s.log", p->work, name);
	return open(path, flags | O_CLOEXEC, 0644);
}

static _Noreturn void become(const struct peers *p, const char *name, const int pipes[2], int end, pid_t parent,
			     char *const argv[])
{
	int log = open_log(p, name, O_WRONLY | O_CREAT | O_APPEND);
	int in = pipes[0] >= 0 ? pipes[0] : open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	prctl(PR_SET_PDEATHSIG, end);
	if (getppid() != parent || log < 0 || chdir(p->work) < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(pipes[1] >= 0 ? pipes[1] : log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(127);
	for (int number = 1; number < NSIG; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool process_start(struct process *process, const struct peers *p, const char *name, bool is_piped, int end,
		   char *const argv[])
{
	int to[2] = {-1, -1}, from[2] = {-1, -1};
	pid_t self = getpid();

	*process = (struct process){.in = -1, .out = -1};
	if (is_piped && (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0))
		return complain("pipe: %s", strerror(errno));
	process->pid = fork();
	if (process->pid == 0)
		become(p, name, (int[]){to[0], from[1]}, end, self, argv);
	close_fd(&to[0]);
	close_fd(&from[1]);
	process->in = to[1];
	process->out = from[0];
	if (process->pid > 0)
		return true;
	process->pid = 0;
	return complain("fork: %s", strerror(errno));
}

static int reap(struct process *process)
{
	int status = -1;

	while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	process->pid = 0;
	close_fd(&process->in);
	close_fd(&process->out);
	return status;
}

bool process_finish(struct process *process)
{
	return process->pid > 0 && reap(process) == 0;
}

void process_kill(struct process *process)
{
	if (process->pid <= 0)
		return;
	kill(process->pid, SIGKILL);
	reap(process);
}

void process_stop(struct process *process)
{
	struct pollfd ended = {.events = POLLIN};

	if (process->pid <= 0)
		return;
	ended.fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	kill(process->pid, SIGTERM);
	if (ended.fd < 0 || poll(&ended, 1, STOP_MS) != 1)
		kill(process->pid, SIGKILL);
	close_fd(&ended.fd);
	reap(process);
}

static bool listens(uint16_t port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_there = fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;

	close_fd(&fd);
	return is_there;
}

bool await_port(uint16_t port)
{
	int64_t deadline = measure_now() + TIMEOUT;

	while (!listens(port)) {
		if (measure_now() > deadline)
			return false;
		rest();
	}
	return true;
}

void process_show_log(const struct peers *p, const char *name)
{
	int fd = open_log(p, name, O_RDONLY);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	char text[SHOWN];
	ssize_t n = size > 0 ? pread(fd, text, sizeof(text), size > SHOWN ? size - SHOWN : 0) : 0;

	if (n > 0)
		dprintf(STDERR_FILENO, "The last of what %s said:\n%.*s\n", name, (int)n, text);
	close_fd(&fd);
}

void sleep_until(int64_t when)
{
	struct timespec ts = {.tv_sec = when / SECOND, .tv_nsec = when % SECOND};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		continue;
}

void rest(void)
{
	sleep_until(measure_now() + 5 * MILLISECOND);
}

void domain_name(char name[64], pid_t family)
{
	snprintf(name, 64, "peers-%d", family);
}

bool start_domain(const struct peers *p, struct demo_domain *domain, const char *configuration)
{
	char name[64];

	domain_name(name, getpid());
	if (domain_start(domain, p->heir, name, configuration, "svc"))
		return true;
	complain("%s", domain->error);
	domain_show_log(domain, STDERR_FILENO);
	return false;
}

/* A child of this process that is not `but`; one that has ended is reaped on the way. */
static bool has_another_child(pid_t but)
{
	char path[64];
	bool is_found = false;
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		if (pid != but && waitpid(pid, NULL, WNOHANG) == 0)
			is_found = true;
	if (file)
		fclose(file);
	return is_found;
}

/* What the peers' processes have left behind ends by itself; else the domain's stop would complain of it. */
static void await_orphans(pid_t but)
{
	int64_t deadline = measure_now() + STOP_MS * MILLISECOND;

	while (has_another_child(but) && measure_now() < deadline)
		rest();
}

bool stop_domain(struct demo_domain *domain, bool was_well)
{
	bool had_error = domain->error[0];

	if (!domain->name[0])
		return was_well; /* never started */
	await_orphans(domain->up);
	if (!was_well)
		domain_show_log(domain, STDERR_FILENO);
	if (domain_stop(domain))
		return was_well;
	if (!had_error)
		complain("%s", domain->error);
	return false;
}

bool quote_companion(const struct peers *p, const char *name, char *buffer, size_t size)
{
	char path[PATH_ROOM];

	snprintf(path, sizeof(path), "%s/%s", p->home, name);
	return domain_quote(path, buffer, size) || complain("%s: the path is too long", path);
}
