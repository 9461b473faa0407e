/* SPDX-License-Identifier: ISC */
#include "demodomain.h"

#include "bench/measure.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define START_TIMEOUT (15 * SECOND)
#define STOP_TIMEOUT_MS 15000
#define LOOK_MS 2
#define LOOK_NS (2 * INT64_C(1000000))
#define SHOWN 4096
#define SEGMENTS "/dev/shm"

static unsigned running; /* domains of this process */

static bool __attribute__((format(printf, 2, 3))) fail(
	struct demo_domain *domain, const char *format, ...)
{
	va_list arguments;

	if (domain->error[0])
		return false;
	va_start(arguments, format);
	vsnprintf(domain->error, sizeof(domain->error), format, arguments);
	va_end(arguments);
	return false;
}

bool domain_quote(const char *text, char *buffer, size_t size)
{
	size_t used = 0;

	if (size < 3)
		return false;
	buffer[used++] = '"';
	for (; *text; text++) {
		if (used + 4 > size)
			return false;
		if (*text == '"' || *text == '\\')
			buffer[used++] = '\\';
		buffer[used++] = *text;
	}
	buffer[used++] = '"';
	buffer[used] = '\0';
	return true;
}

uint16_t domain_free_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t port = 0;

	if (fd < 0)
		return 0;
	if (!bind(fd, (struct sockaddr *)&address, size) &&
		!getsockname(fd, (struct sockaddr *)&address, &size))
		port = ntohs(address.sin_port);
	close(fd);
	return port;
}

/* A file in memory, for the configuration and for the log. */
static int memory_file(const char *name, const char *text)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	size_t size = strlen(text);

	if (fd >= 0 && write(fd, text, size) != (ssize_t)size) {
		close(fd);
		return -1;
	}
	return fd;
}

static _Noreturn void run_up(const struct demo_domain *domain, const char *heir, pid_t parent)
{
	char file[64], name[sizeof(domain->name)];
	char *argv[] = {"heir", "up", "-f", file, "-d", name, NULL};
	sigset_t none;

	sigemptyset(&none);
	snprintf(file, sizeof(file), "/proc/%d/fd/%d", parent, domain->configuration);
	memcpy(name, domain->name, sizeof(name));
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0);
	if (getppid() != parent || dup2(domain->log, STDOUT_FILENO) < 0 ||
		dup2(domain->log, STDERR_FILENO) < 0)
		_exit(127);
	for (int number = 1; number < NSIG; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(heir, argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", heir, strerror(errno));
	_exit(127);
}

static bool has_ended(const struct demo_domain *domain, int timeout_ms)
{
	struct pollfd ended = {.fd = domain->up_fd, .events = POLLIN};

	return poll(&ended, 1, timeout_ms) > 0;
}

static bool open_domain(struct demo_domain *domain, int64_t deadline)
{
	int error;

	while ((error = heir_open(domain->name, 0, &domain->h)) == HEIR_ENODOMAIN) {
		if (has_ended(domain, LOOK_MS))
			return fail(domain, "`heir up` ended before its domain was there");
		if (measure_now() > deadline)
			break;
	}
	return !error || fail(domain, "cannot open the domain: %s", heir_strerror(error));
}

static bool wait_app(struct demo_domain *domain, const char *application, bool alone, int64_t timeout,
	struct heir_app_status *ret)
{
	int64_t deadline = measure_now() + timeout;
	struct heir_app_status status;
	int error;

	for (;;) {
		error = heir_app_status(domain->h, application, &status);
		if (error)
			return fail(domain, "%s: %s", application, heir_strerror(error));
		if (status.state == HEIR_APP_RUNNING && (alone || status.is_protected))
			break;
		if (has_ended(domain, 0))
			return fail(domain, "`heir up` ended");
		if (measure_now() > deadline)
			return fail(domain, "%s is %s after %.1f s", application,
				status.state == HEIR_APP_RUNNING ? "without a standby" : "not served",
				(double)timeout / (double)SECOND);
		heir_wait_change(domain->h, application, status.generation, LOOK_NS);
	}
	*ret = status;
	return true;
}

bool domain_served(struct demo_domain *domain, const char *application, int64_t timeout,
	struct heir_app_status *ret)
{
	return wait_app(domain, application, true, timeout, ret);
}

bool domain_protected(struct demo_domain *domain, const char *application, int64_t timeout,
	struct heir_app_status *ret)
{
	return wait_app(domain, application, false, timeout, ret);
}

static bool start(struct demo_domain *domain, const char *heir, const char *name, const char *configuration)
{
	pid_t self = getpid();

	*domain = (struct demo_domain){.up_fd = -1, .log = -1};
	snprintf(domain->name, sizeof(domain->name), "%s", name);
	domain->configuration = memory_file("heir.yaml", configuration);
	domain->log = memory_file("heir.log", "");
	if (domain->configuration < 0 || domain->log < 0 ||
		fcntl(domain->log, F_SETFL, O_APPEND) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return fail(domain, "cannot prepare: %s", strerror(errno));
	domain->up = fork();
	if (domain->up == 0)
		run_up(domain, heir, self);
	if (domain->up < 0)
		return fail(domain, "cannot fork: %s", strerror(errno));
	running++;
	domain->up_fd = (int)syscall(SYS_pidfd_open, domain->up, 0);
	if (domain->up_fd < 0)
		return fail(domain, "pidfd_open: %s", strerror(errno));
	return open_domain(domain, measure_now() + START_TIMEOUT);
}

bool domain_start(struct demo_domain *domain, const char *heir, const char *name,
	const char *configuration, const char *application)
{
	struct heir_app_status status;

	return start(domain, heir, name, configuration) &&
	       domain_protected(domain, application, START_TIMEOUT, &status);
}

bool domain_start_alone(struct demo_domain *domain, const char *heir, const char *name,
	const char *configuration, const char *application)
{
	struct heir_app_status status;

	return start(domain, heir, name, configuration) &&
	       domain_served(domain, application, START_TIMEOUT, &status);
}

static int end_up(struct demo_domain *domain)
{
	int status = -1;

	if (domain->up <= 0)
		return 0;
	kill(domain->up, SIGTERM);
	if (domain->up_fd < 0 || !has_ended(domain, STOP_TIMEOUT_MS)) {
		fail(domain, "`heir up` did not end within %d s", STOP_TIMEOUT_MS / 1000);
		kill(domain->up, SIGKILL);
	}
	while (waitpid(domain->up, &status, 0) < 0 && errno == EINTR)
		continue;
	domain->up = 0;
	return status;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool domain_stop(struct demo_domain *domain)
{
	bool was_started = domain->up > 0, was_well = !domain->error[0];
	int status, left;

	heir_close(domain->h);
	domain->h = NULL;
	status = end_up(domain);
	if (was_well && WIFSIGNALED(status))
		fail(domain, "`heir up` was ended by signal %d", WTERMSIG(status));
	else if (was_well && status)
		fail(domain, "`heir up` ended with status %d", WEXITSTATUS(status));
	if (was_started)
		running--;
	left = running ? 0 : domain_kill_children(); /* whose they are shows with the last one */
	if (was_well && left > 0)
		fail(domain, "%d processes were left after `heir up` had ended", left);
	left = was_started ? domain_segments(domain->name, true) : 0;
	if (was_well && left > 0)
		fail(domain, "%d files were left in " SEGMENTS, left);
	close_fd(&domain->up_fd);
	close_fd(&domain->configuration);
	return !domain->error[0];
}

void domain_show_log(const struct demo_domain *domain, int fd)
{
	char buffer[SHOWN], *from = buffer;
	off_t size = domain->log < 0 ? 0 : lseek(domain->log, 0, SEEK_END), at = 0;
	ssize_t n;

	if (size > SHOWN)
		at = size - SHOWN;
	n = size > 0 ? pread(domain->log, buffer, sizeof(buffer), at) : 0;
	if (n > 0 && at > 0 && (from = memchr(buffer, '\n', (size_t)n)))
		from++;
	if (n > 0 && from)
		dprintf(fd, "The last lines of its `heir up`:\n%.*s", (int)(buffer + n - from), from);
}

int domain_segments(const char *name, bool remove)
{
	char prefix[128], path[512];
	struct dirent *entry;
	DIR *dir = opendir(SEGMENTS);
	size_t length;
	int count = 0;

	if (!dir)
		return 0;
	snprintf(prefix, sizeof(prefix), "heir.%u.%s", geteuid(), name);
	length = strlen(prefix);
	while ((entry = readdir(dir))) {
		const char *rest = entry->d_name + length;

		if (strncmp(entry->d_name, prefix, length) != 0 || !strchr(".:", *rest))
			continue;
		count++;
		snprintf(path, sizeof(path), SEGMENTS "/%s", entry->d_name);
		if (remove)
			unlink(path);
	}
	closedir(dir);
	return count;
}

/* One child of this thread; 0: none. */
static pid_t a_child(void)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)syscall(SYS_gettid));
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	return pid;
}

int domain_kill_children(void)
{
	pid_t pid;
	int count = 0;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	while ((pid = a_child()) > 0) {
		kill(pid, SIGKILL);
		if (waitpid(pid, NULL, 0) < 0 && errno != EINTR)
			break;
		count++;
	}
	return count;
}
