/* SPDX-License-Identifier: ISC */
#include "conf_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "conf_unit.h"

static int parse_unix(const char *path, struct conf_listen *listen, const char **ret_reason)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	if (*path != '/') {
		*ret_reason = "a path after 'unix:' begins with '/'";
		return -EINVAL;
	}
	if (strlen(path) >= sizeof(un.sun_path)) {
		*ret_reason = "the path of a Unix socket is at most 107 bytes";
		return -EINVAL;
	}
	(void)strcpy(un.sun_path, path);
	memcpy(&listen->socket, &un, sizeof(un));
	listen->socket_length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	return 0;
}

static int parse_host(const char *host, in_port_t port, struct conf_listen *listen)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
	size_t length = strlen(host);
	char inner[INET6_ADDRSTRLEN];
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		memcpy(&listen->socket, &in, sizeof(in));
		listen->socket_length = sizeof(in);
		return 0;
	}
	if (length < 2 || host[0] != '[' || host[length - 1] != ']' || length - 2 >= sizeof(inner))
		return -EINVAL;
	memcpy(inner, host + 1, length - 2);
	inner[length - 2] = '\0';
	if (inet_pton(AF_INET6, inner, &in6.sin6_addr) != 1)
		return -EINVAL;
	memcpy(&listen->socket, &in6, sizeof(in6));
	listen->socket_length = sizeof(in6);
	return 0;
}

int conf_parse_address(const char *text, struct conf_listen *listen, const char **ret_reason)
{
	char host[INET6_ADDRSTRLEN + 3];
	uint64_t port;
	if (!strncmp(text, "unix:", 5))
		return parse_unix(text + 5, listen, ret_reason);
	*ret_reason = "an address is IPV4:PORT, [IPV6]:PORT or unix:/PATH, in numbers";
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(host) || (*text == '[' && colon[-1] != ']'))
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	if (conf_parse_count(colon + 1, &port) != CONF_UNIT_OK || port < 1 || port > UINT16_MAX) {
		*ret_reason = "a port is a number from 1 to 65535";
		return -EINVAL;
	}
	return parse_host(host, htons((uint16_t)port), listen);
}
