/* SPDX-License-Identifier: ISC */
/*
 * Clients of the stories. caller NAME: "add 1" until SIGTERM, then a line that says how often that was
 * answered, how often the outcome is unknown, how often it failed, and the longest silence. fill NAME: sends
 * until the mailbox is full and prints how many went in. drop_call NAME TEXT: calls and dies before the reply.
 * free_port: a TCP port that nobody listens on.
 */
#include "story_worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SECOND	   INT64_C(1000000000)
#define PORT_FIRST 10000 /* below what the kernel gives to those that connect */
#define PORT_COUNT 20000

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static int open_domain(heir_t **ret)
{
	int rc = heir_open(NULL, 0, ret);

	if (rc)
		fprintf(stderr, "story_worker: %s\n", heir_strerror(rc));
	return rc;
}

static int caller(const char *name)
{
	long answered = 0, unknown = 0, failed = 0, last = 0, doubled = 0;
	int64_t silence = 0, at, took;
	int rc = 0, error = 0;
	heir_t *h;

	if (open_domain(&h))
		return 1;
	(void)signal(SIGTERM, end);
	while (!ended) {
		char reply[64];
		size_t size = sizeof(reply) - 1;

		at = now();
		rc = heir_call(h, name, "add 1", 5, reply, &size, 10 * SECOND);
		took = now() - at;
		silence = took > silence ? took : silence;
		if (rc == 0) {
			reply[size] = 0;
			doubled += last && atol(reply) != last + 1; /* where there is but one caller */
			last = atol(reply);
			answered++;
		} else if (rc == HEIR_EUNKNOWN) {
			unknown++;
		} else {
			failed++;
			error = rc;
		}
	}
	printf("answered=%ld unknown=%ld failed=%ld odd=%ld last=%ld silence_us=%lld error=%s\n", answered,
	       unknown, failed, doubled, last, (long long)silence / 1000,
	       error ? heir_strerror(error) : "none");
	heir_close(h);
	return failed ? 1 : 0;
}

static int fill(const char *name)
{
	long sent = 0;
	heir_t *h;
	int rc;

	if (open_domain(&h))
		return 1;
	do {
		rc = heir_send(h, name, "add 1", 5);
		sent += rc == 0;
	} while (rc == 0 && sent < 1000000);
	printf("%ld %s\n", sent, heir_strerror(rc));
	heir_close(h);
	return 0;
}

static int drop_call(const char *name, const char *text)
{
	struct heir_ticket ticket;
	heir_t *h;
	int rc;

	if (open_domain(&h))
		return 1;
	rc = heir_call_start(h, name, text, strlen(text), &ticket);
	if (rc) {
		fprintf(stderr, "story_worker: %s\n", heir_strerror(rc));
		return 1;
	}
	return raise(SIGKILL);
}

static int free_port(void)
{
	unsigned at = ((unsigned)getpid() * 2654435761u + (unsigned)now()) % PORT_COUNT;

	for (unsigned k = 0; k < PORT_COUNT; k++, at = (at + 1) % PORT_COUNT) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

		a.sin_port = htons((uint16_t)(PORT_FIRST + at));
		rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)(void *)&a, sizeof(a));
		if (fd >= 0)
			close(fd);
		if (rc == 0) {
			printf("%u\n", PORT_FIRST + at);
			return 0;
		}
	}
	return 1;
}

/* What sd_notify(3) says, when a service is ready for one. */
static int notify(const char *text)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t n = path ? strlen(path) : 0;
	ssize_t sent;

	if (fd < 0 || n < 2 || n >= sizeof(a.sun_path))
		return 1;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = 0;
	sent = sendto(fd, text, strlen(text), 0, (struct sockaddr *)(void *)&a,
	              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
	return sent != (ssize_t)strlen(text);
}

int story_client(int argc, char **argv, int (*usage)(void))
{
	if (argc == 1 && strcmp(argv[0], "free_port") == 0)
		return free_port();
	if (argc <= 2 && strcmp(argv[0], "notify") == 0)
		return notify(argc == 2 ? argv[1] : "READY=1");
	if (argc == 2 && strcmp(argv[0], "caller") == 0)
		return caller(argv[1]);
	if (argc == 2 && strcmp(argv[0], "fill") == 0)
		return fill(argv[1]);
	if (argc == 3 && strcmp(argv[0], "drop_call") == 0)
		return drop_call(argv[1], argv[2]);
	return usage();
}
