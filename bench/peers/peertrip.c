/* SPDX-License-Identifier: ISC */
/* Round trips between two processes: a call and its reply by heir, a Unix stream socket, and two pipes. */
#include "bench/peers/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 200 /* round trips of one kind before the next has its turn */

static const size_t sizes[] = {8, 256, 4096, 16384};

#define SIZES	      (sizeof(sizes) / sizeof(sizes[0]))
#define SIZE_MAX_SENT 16384

static const char configuration[] = "domain: peers\n"
				    "nodes: [a, b]\n"
				    "limits: {message: 16KiB}\n"
				    "applications:\n"
				    "  svc:\n"
				    "    standby: hot\n"
				    "    supervisor:\n"
				    "      children:\n"
				    "        - {id: server, exec: [%s], names: [svc]}\n";

struct pair {
	int to, from; /* of this process */
	pid_t echo;
};

struct trip {
	struct demo_domain domain;
	struct pair socket, pipe;
};

static bool send_all(int fd, const char *data, size_t size)
{
	for (ssize_t n; size > 0; data += n, size -= (size_t)n)
		if ((n = write(fd, data, size)) <= 0)
			return false;
	return true;
}

static bool receive_all(int fd, char *data, size_t size)
{
	for (ssize_t n; size > 0; data += n, size -= (size_t)n)
		if ((n = read(fd, data, size)) <= 0)
			return false;
	return true;
}

/* What comes goes back, until there is no more. */
static _Noreturn void echo(int from, int to, pid_t parent)
{
	static char data[SIZE_MAX_SENT];
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	while ((n = read(from, data, sizeof(data))) > 0)
		if (!send_all(to, data, (size_t)n))
			break;
	_exit(0);
}

static int listen_at(struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && !bind(fd, (struct sockaddr *)address, sizeof(*address)) && !listen(fd, 1))
		return fd;
	return -1;
}

static bool start_socket(const struct peers *p, struct pair *pair)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pid_t self = getpid();
	int listener, fd;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", p->work) >=
	    (int)sizeof(address.sun_path))
		return complain("%s: the path is too long for a socket", p->work);
	listener = listen_at(&address);
	if (listener < 0)
		return complain("%s: %s", address.sun_path, strerror(errno));
	pair->echo = fork();
	if (pair->echo == 0) {
		fd = accept(listener, NULL, NULL);
		echo(fd, fd, self);
	}
	close(listener);
	pair->to = pair->from = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pair->echo < 0 || connect(pair->to, (struct sockaddr *)&address, sizeof(address)) < 0)
		return complain("the socket: %s", strerror(errno));
	return true;
}

static bool start_pipe(struct pair *pair)
{
	pid_t self = getpid();
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return complain("pipe: %s", strerror(errno));
	pair->echo = fork();
	if (pair->echo == 0) {
		close(to[1]);
		close(from[0]);
		echo(to[0], from[1], self);
	}
	close(to[0]);
	close(from[1]);
	pair->to = to[1];
	pair->from = from[0];
	return pair->echo > 0 || complain("fork: %s", strerror(errno));
}

static void stop_pair(struct pair *pair)
{
	if (pair->echo <= 0)
		return;
	close(pair->to);
	if (pair->from != pair->to)
		close(pair->from);
	kill(pair->echo, SIGKILL);
	while (waitpid(pair->echo, NULL, 0) < 0 && errno == EINTR)
		continue;
	pair->echo = 0;
}

static bool trip_by_pair(const struct pair *pair, const char *data, size_t size, struct samples *samples)
{
	static char reply[SIZE_MAX_SENT];
	int64_t from;

	for (int i = 0; i < BLOCK; i++) {
		from = measure_now();
		if (!send_all(pair->to, data, size) || !receive_all(pair->from, reply, size))
			return complain("a round trip broke: %s", strerror(errno));
		if (samples && samples_add(samples, measure_now() - from))
			return complain("no memory");
	}
	return true;
}

static bool trip_by_heir(heir_t *h, const char *data, size_t size, struct samples *samples)
{
	static char reply[SIZE_MAX_SENT];
	size_t room;
	int64_t from;
	int rc;

	for (int i = 0; i < BLOCK; i++) {
		room = sizeof(reply);
		from = measure_now();
		rc = heir_call(h, "svc", data, size, reply, &room, TIMEOUT);
		if (rc || room != size)
			return complain("a call: %s", heir_strerror(rc));
		if (samples && samples_add(samples, measure_now() - from))
			return complain("no memory");
	}
	return true;
}

/* Where both ends may run. */
static const struct {
	const char *name;
	int near, far; /* which of the processors that this process may use; -1: any of them */
} places[] = {{"any", -1, -1}, {"one", 0, 0}, {"two", 0, 1}};

#define PLACES (sizeof(places) / sizeof(places[0]))

static void put(pid_t pid, const cpu_set_t *all, int which)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && which >= 0; i++)
		if (CPU_ISSET(i, all) && which-- == 0)
			CPU_SET(i, &one);
	sched_setaffinity(pid, sizeof(one), CPU_COUNT(&one) ? &one : all);
}

static bool place(struct trip *t, const cpu_set_t *all, size_t where)
{
	struct heir_app_status status;

	if (!domain_protected(&t->domain, "svc", TIMEOUT, &status))
		return complain("%s", t->domain.error);
	put(0, all, places[where].near);
	put(status.child[0].pid, all, places[where].far);
	if (t->socket.echo)
		put(t->socket.echo, all, places[where].far);
	if (t->pipe.echo)
		put(t->pipe.echo, all, places[where].far);
	return true;
}

static bool measure_size(const struct peers *p, struct trip *t, size_t size, const char *where)
{
	static char data[SIZE_MAX_SENT];
	const int rounds = p->is_quick ? 5 : 100;
	struct samples heir = {0};
	struct measured by_socket, by_pipe;
	char parameters[64];
	bool is_well = true;

	snprintf(parameters, sizeof(parameters), "\"bytes\":%zu,\"processors\":\"%s\"", size, where);
	measured_init(&by_socket, PEER_SOCKET, "round trip", parameters);
	measured_init(&by_pipe, PEER_PIPE, "round trip", parameters);
	for (int i = -1; i < rounds && is_well; i++) { /* the first one warms up */
		is_well = trip_by_heir(t->domain.h, data, size, i < 0 ? NULL : &heir);
		if (is_well && t->socket.echo)
			is_well = trip_by_pair(&t->socket, data, size, i < 0 ? NULL : &by_socket.theirs);
		if (is_well && t->pipe.echo)
			is_well = trip_by_pair(&t->pipe, data, size, i < 0 ? NULL : &by_pipe.theirs);
	}
	is_well = is_well && !samples_copy(&by_socket.ours, &heir) && !samples_copy(&by_pipe.ours, &heir);
	samples_finish(&heir);
	if (is_well && t->socket.echo)
		out_measured(p, &by_socket);
	if (is_well && t->pipe.echo)
		out_measured(p, &by_pipe);
	return is_well;
}

bool peers_trip(const struct peers *p)
{
	char text[sizeof(configuration) + PATH_ROOM], quoted[PATH_ROOM];
	struct trip t = {0};
	cpu_set_t all;
	bool is_well = quote_companion(p, "peer-worker", quoted, sizeof(quoted));

	snprintf(text, sizeof(text), configuration, quoted);
	is_well = is_well && start_domain(p, &t.domain, text);
	if (is_well && is_chosen(p, PEER_SOCKET))
		is_well = start_socket(p, &t.socket);
	if (is_well && is_chosen(p, PEER_PIPE))
		is_well = start_pipe(&t.pipe);
	sched_getaffinity(0, sizeof(all), &all);
	for (size_t where = 0; where < PLACES && is_well; where++) {
		if (places[where].far >= CPU_COUNT(&all))
			continue;
		is_well = place(&t, &all, where);
		for (size_t i = 0; i < SIZES && is_well; i++)
			is_well = measure_size(p, &t, sizes[i], places[where].name);
	}
	stop_pair(&t.socket);
	stop_pair(&t.pipe);
	return stop_domain(&t.domain, is_well);
}
