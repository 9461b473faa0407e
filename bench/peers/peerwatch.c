/* SPDX-License-Identifier: ISC */
/* Who calls a service of heir on and on, and sees who answers. */
#include "bench/peers/peerotp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The node that answered, which is the first word of the reply. 0 or an error. */
static int ask_where(heir_t *h, const char *name, char node[64])
{
	char reply[96];
	size_t size = sizeof(reply) - 1;
	int rc = heir_call(h, name, "where", 5, reply, &size, TIMEOUT);

	if (rc)
		return rc;
	reply[size] = '\0';
	reply[strcspn(reply, " ")] = '\0';
	if (strlen(reply) >= 64)
		return HEIR_EINVAL;
	memcpy(node, reply, strlen(reply) + 1);
	return 0;
}

/* Tells 0 for the first answer of this node, then the time of the first one of another. */
static _Noreturn void watch(const char *domain, const char *name, const char *node, int to, pid_t parent)
{
	char answered[64] = "";
	int64_t now = 0;
	heir_t *h;
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	rc = heir_open(domain, 0, &h);
	if (!rc)
		rc = ask_where(h, name, answered);
	if (rc || strcmp(answered, node) != 0 || write(to, &now, sizeof(now)) != (ssize_t)sizeof(now)) {
		complain("the caller: %s", rc ? heir_strerror(rc) : answered);
		_exit(1);
	}
	while (!rc && !strcmp(answered, node)) {
		rc = ask_where(h, name, answered);
		now = measure_now();
	}
	if (rc)
		complain("the caller: %s", heir_strerror(rc));
	heir_close(h);
	_exit(rc || write(to, &now, sizeof(now)) != (ssize_t)sizeof(now));
}

static bool tell(struct heir_watcher *watcher, int64_t *ret)
{
	struct pollfd told = {.fd = watcher->from, .events = POLLIN};

	return poll(&told, 1, (int)(2 * TIMEOUT / MILLISECOND)) == 1 &&
	       read(watcher->from, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
}

static void end(struct heir_watcher *watcher)
{
	kill(watcher->pid, SIGKILL);
	while (waitpid(watcher->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(watcher->from);
}

bool watcher_start(struct heir_watcher *watcher, const char *domain, const char *name, const char *node)
{
	pid_t self = getpid();
	int64_t none;
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return complain("pipe: %s", strerror(errno));
	watcher->from = fd[0];
	watcher->pid = fork();
	if (watcher->pid == 0)
		watch(domain, name, node, fd[1], self);
	close(fd[1]);
	if (watcher->pid > 0 && tell(watcher, &none))
		return true;
	if (watcher->pid > 0)
		end(watcher);
	return complain("the caller of %s had no answer", name);
}

bool watcher_first(struct heir_watcher *watcher, int64_t *ret)
{
	bool is_well = tell(watcher, ret);

	end(watcher);
	return is_well || complain("nobody else answered the caller");
}
