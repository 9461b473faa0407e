/* SPDX-License-Identifier: ISC */
#include "node/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_say(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t size = path ? strlen(path) : 0;
	int fd;

	if (size < 2 || size >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	memcpy(to.sun_path, path, size);
	if (path[0] == '@')
		to.sun_path[0] = 0;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
	close(fd);
}

int notify_listen(char *address, size_t size)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	socklen_t length = sizeof(at);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, rc;

	if (fd < 0)
		return -errno;
	/* With nothing but the family the kernel chooses an unused abstract address. */
	if (bind(fd, (const struct sockaddr *)&at, sizeof(sa_family_t)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &length) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	snprintf(address, size, "@%.*s", (int)(length - offsetof(struct sockaddr_un, sun_path) - 1),
	         at.sun_path + 1);
	return fd;
}

static unsigned read_lines(char *text, size_t size)
{
	char *rest = text, *line;
	unsigned said = 0;

	text[size] = 0;
	while ((line = strsep(&rest, "\n"))) {
		said |= !strcmp(line, "READY=1") ? NOTIFY_READY : 0;
		said |= !strcmp(line, "WATCHDOG=1") ? NOTIFY_ALIVE : 0;
		said |= !strcmp(line, "WATCHDOG=trigger") ? NOTIFY_FAILED : 0;
	}
	return said;
}

static bool is_mine(struct msghdr *m)
{
	struct ucred who;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		    c->cmsg_len < CMSG_LEN(sizeof(who)))
			continue;
		memcpy(&who, CMSG_DATA(c), sizeof(who));
		return who.uid == geteuid() || who.uid == 0;
	}
	return false;
}

unsigned notify_hear(int fd)
{
	unsigned said = 0;

	for (;;) {
		char text[4097];
		union {
			struct cmsghdr header;
			char room[CMSG_SPACE(sizeof(struct ucred))];
		} control;
		struct iovec v = {.iov_base = text, .iov_len = sizeof(text) - 1};
		struct msghdr m = {.msg_iov = &v,
		                   .msg_iovlen = 1,
		                   .msg_control = &control,
		                   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0)
			return said;
		if (is_mine(&m))
			said |= read_lines(text, (size_t)n);
	}
}
