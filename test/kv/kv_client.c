/* SPDX-License-Identifier: ISC */
#include "kv_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

int kv_main(int argc, char **argv);

static int listener = -1;

void client_set_up(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	alarm(60);
	if (listener >= 0)
		close(listener);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_return_code(bind(listener, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(listener, 128), errno);
	fake_reset(CLIENT_STATE_SIZE, listener);
}

/* Run heir-kv's main() until its loop, which is the scenario. */
int with_service(void (*scenario)(heir_t *h))
{
	char *argv[] = { "heir-kv", "--name", "shop", NULL };
	fake.scenario = scenario;
	optind = 1;
	return kv_main(3, argv);
}

void stop_service(heir_t *h)
{
	fake.worker->prep_stop(h, fake.arg);
	fake.worker->stop(h, fake.arg);
}

int client(void)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_return_code(getsockname(listener, (struct sockaddr *)&address, &size), errno);
	assert_return_code(connect(fd, (struct sockaddr *)&address, size), errno);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return fd;
}

void say_bytes(int fd, const char *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

/* Let the service run until the client has got this. */
void hear(heir_t *h, int fd, const char *expected)
{
	char got[65536];
	size_t size = strlen(expected), used = 0;
	while (used < size) {
		heir_poll(h, MILLISECOND);
		ssize_t n = recv(fd, got + used, size - used, MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n > 0)
			used += (size_t)n;
	}
	got[used] = '\0';
	assert_string_equal(got, expected);
}

void settle(heir_t *h)
{
	for (int i = 0; i < 5; i++)
		heir_poll(h, MILLISECOND);
}

void hear_nothing(heir_t *h, int fd)
{
	char c;
	settle(h);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

void hear_end(heir_t *h, int fd)
{
	char c;
	ssize_t n;
	while ((n = recv(fd, &c, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		heir_poll(h, MILLISECOND);
	assert_int_equal(n, 0);
	close(fd);
}
