/* SPDX-License-Identifier: ISC */
#include "node/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/loop.h"

#define TAKEN_FOR                                                                                  \
	INT64_C(1000000000) /* a dead leader's children may hold a port for a moment longer than   \
	                       it */
#define RETRY INT64_C(20000000)

struct bundle {
	uint32_t app, count;
};

struct listens {
	struct source door;               /* where others ask */
	struct source ask[SHM_NODES_MAX]; /* what they were asked on */
	int fds[SHM_APPS_MAX][CONF_LISTEN_MAX];
	bool got[SHM_APPS_MAX];
	bool all, asked;
	int64_t retry_at, give_up_at;
};

/* Of that leader, and of no other of its node: a dead one's stays taken until the kernel has closed its socket. */
static socklen_t door_address(const struct leader *l, uint32_t node, uint64_t leader, struct sockaddr_un *ret)
{
	int n;

	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "heir/%u/%s/%s/%llx",
	             (unsigned)geteuid(), l->domain, l->conf->nodes[node], (unsigned long long)leader);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int send_bundle(int to, const struct listens *s, uint32_t app, uint32_t count)
{
	struct bundle b = {app, count};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * CONF_LISTEN_MAX)];
	} control;
	struct iovec v = {.iov_base = &b, .iov_len = sizeof(b)};
	struct msghdr m = {.msg_iov = &v,
	                   .msg_iovlen = 1,
	                   .msg_control = &control,
	                   .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	struct cmsghdr *c;

	memset(&control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(c), s->fds[app], sizeof(int) * count);
	return sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static bool is_of_this_user(int fd)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
	       (who.uid == geteuid() || who.uid == 0);
}

static void door_ready(struct leader *l, struct source *source, uint32_t events)
{
	struct listens *s = l->listens;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (is_of_this_user(fd) && s->all)
		for (uint32_t i = 0; i < l->conf->application_count; i++)
			if (l->conf->applications[i].listen_count &&
			    send_bundle(fd, s, i, l->conf->applications[i].listen_count))
				break;
	close(fd);
}

static bool have_all(const struct leader *l)
{
	for (uint32_t i = 0; i < l->conf->application_count; i++)
		if (l->conf->applications[i].listen_count && !l->listens->got[i])
			return false;
	return true;
}

static void keep_bundle(struct leader *l, const struct bundle *b, const int *fds, uint32_t count)
{
	struct listens *s = l->listens;
	bool wanted = b->app < l->conf->application_count &&
	              count == l->conf->applications[b->app].listen_count && count > 0 &&
	              !s->got[b->app];

	for (uint32_t i = 0; i < count; i++) {
		if (wanted)
			s->fds[b->app][i] = fds[i];
		else
			close(fds[i]);
	}
	if (wanted)
		s->got[b->app] = true;
}

/* One message; 0 when there is no more. */
static int receive_bundle(struct leader *l, int from)
{
	struct bundle b;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * CONF_LISTEN_MAX)];
	} control;
	struct iovec v = {.iov_base = &b, .iov_len = sizeof(b)};
	struct msghdr m = {.msg_iov = &v,
	                   .msg_iovlen = 1,
	                   .msg_control = &control,
	                   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[CONF_LISTEN_MAX];
	uint32_t count = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0)
		return 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	}
	if (n != (ssize_t)sizeof(b))
		b.app = UINT32_MAX;
	keep_bundle(l, &b, fds, count);
	return 1;
}

static void answer_ready(struct leader *l, struct source *source, uint32_t events)
{
	int rc;

	(void)events;
	while ((rc = receive_bundle(l, source->fd)) > 0)
		;
	if (rc == 0)
		source_close(l, source);
}

static void ask_others(struct leader *l)
{
	struct listens *s = l->listens;

	for (uint32_t n = 0; n < l->conf->node_count; n++) {
		struct sockaddr_un at;
		uint64_t leader = atom_load_acquire(&shm_node(l->shm, n)->leader);
		socklen_t size = door_address(l, n, leader, &at);
		int fd;

		if (n == l->node || !leader || s->ask[n].fd >= 0)
			continue;
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			return;
		if (connect(fd, (const struct sockaddr *)&at, size) < 0 || !is_of_this_user(fd))
			close(fd);
		else
			(void)source_open(l, &s->ask[n], fd, answer_ready);
	}
}

static bool asking(const struct leader *l)
{
	for (uint32_t n = 0; n < l->conf->node_count; n++)
		if (l->listens->ask[n].fd >= 0)
			return true;
	return false;
}

static void remove_dead_socket(const struct conf_listen *at)
{
	const struct sockaddr_un *path = (const struct sockaddr_un *)(const void *)&at->socket;
	int fd;

	if (at->socket.ss_family != AF_UNIX || path->sun_path[0] == 0)
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)path, at->socket_length) < 0 &&
	    errno == ECONNREFUSED)
		(void)unlink(path->sun_path);
	close(fd);
}

static int open_socket(const struct conf_listen *at)
{
	int fd = socket(at->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	    on = 1, rc;

	if (fd < 0)
		return -errno;
	remove_dead_socket(at);
	if (at->socket.ss_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at->socket, at->socket_length) < 0 ||
	    listen(fd, SOMAXCONN) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static int open_sockets(struct leader *l, uint32_t app, const char **ret_address)
{
	const struct conf_application *a = &l->conf->applications[app];
	struct listens *s = l->listens;

	for (uint32_t i = 0; i < a->listen_count; i++) {
		int fd = open_socket(&a->listen[i]);

		if (fd < 0) {
			*ret_address = a->listen[i].address;
			while (i-- > 0)
				close(s->fds[app][i]);
			return fd;
		}
		s->fds[app][i] = fd;
	}
	s->got[app] = true;
	return 0;
}

static void refuse(struct leader *l, uint32_t app, const char *address, int rc)
{
	const char *name = l->conf->applications[app].name;

	if (rc == -EADDRINUSE)
		log_error("%s is taken by another program: stop that one (`ss -lptn`), or change "
		          "`listen` of %s",
		          address, name);
	else
		log_error("cannot listen on %s, `listen` of %s: %s", address, name, strerror(-rc));
	l->fatal = true;
}

static void open_all(struct leader *l)
{
	struct listens *s = l->listens;

	for (uint32_t i = 0; i < l->conf->application_count; i++) {
		const char *address = "";
		int rc = l->conf->applications[i].listen_count && !s->got[i]
		                 ? open_sockets(l, i, &address)
		                 : 0;

		if (rc == -EADDRINUSE && s->give_up_at < 0)
			s->give_up_at = l->now + TAKEN_FOR;
		if (rc == -EADDRINUSE && l->now < s->give_up_at) {
			s->retry_at = l->now + RETRY;
			return;
		}
		if (rc) {
			refuse(l, i, address, rc);
			return;
		}
	}
}

/* The one that opens: nobody, or a dead leader, was it before. */
static bool is_opener(struct leader *l)
{
	atom64 *opener = &l->shm->head->opener;
	uint64_t now = atom_load_acquire(opener);

	while (now != l->h->self && (now == 0 || handle_gone(l->shm, now)))
		if (atom_cas(opener, &now, l->h->self))
			return true;
	return now == l->h->self;
}

void listen_advance(struct leader *l)
{
	struct listens *s = l->listens;

	if (s->all)
		return;
	if (!have_all(l)) {
		if (!s->asked || (l->now >= s->retry_at && !asking(l))) {
			s->asked = true;
			s->retry_at = l->now + RETRY;
			ask_others(l);
		}
		if (!asking(l) && is_opener(l))
			open_all(l);
	}
	if (have_all(l)) {
		s->all = true;
		for (uint32_t n = 0; n < l->conf->node_count; n++)
			source_close(l, &s->ask[n]);
		return;
	}
	loop_again(l, s->retry_at > l->now ? s->retry_at : l->now + RETRY);
}

int listen_create(struct leader *l)
{
	struct listens *s = calloc(1, sizeof(*s));
	struct sockaddr_un at;
	socklen_t size = door_address(l, l->node, l->h->self, &at);
	int fd;

	if (!s)
		return -ENOMEM;
	s->door.fd = -1;
	s->give_up_at = -1;
	for (uint32_t n = 0; n < SHM_NODES_MAX; n++)
		s->ask[n].fd = -1;
	l->listens = s;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&at, size) < 0 || listen(fd, SHM_NODES_MAX) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return source_open(l, &s->door, fd, door_ready);
}

void listen_destroy(struct leader *l)
{
	struct listens *s = l->listens;

	if (!s)
		return;
	source_close(l, &s->door);
	for (uint32_t n = 0; n < SHM_NODES_MAX; n++)
		source_close(l, &s->ask[n]);
	for (uint32_t i = 0; i < l->conf->application_count; i++)
		for (uint32_t k = 0; s->got[i] && k < l->conf->applications[i].listen_count; k++)
			close(s->fds[i][k]);
	free(s);
	l->listens = NULL;
}

bool listen_ready(const struct leader *l, uint32_t app)
{
	return l->conf->applications[app].listen_count == 0 || l->listens->got[app];
}

const int *listen_sockets(const struct leader *l, uint32_t app)
{
	return l->listens->fds[app];
}
