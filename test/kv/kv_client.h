/* SPDX-License-Identifier: ISC */
/*
 * heir-kv as a whole over the fake of heir.h, and TCP clients of it in the same process. A test
 * calls client_set_up(), changes what it wants to in `fake`, and gives with_service() a scenario.
 */
#ifndef HEIR_TEST_KV_KV_CLIENT_H
#define HEIR_TEST_KV_KV_CLIENT_H

#include "fake_heir.h"

#include <stddef.h>

#define CLIENT_STATE_SIZE ((size_t)256 * 1024)
#define MILLISECOND INT64_C(1000000)

/* A fresh state, a listening socket, a time limit. */
void client_set_up(void);
/* Run heir-kv's main() until its loop, which is the scenario. Its exit status. */
int with_service(void (*scenario)(heir_t *h));
void stop_service(heir_t *h);

int client(void);
void say(int fd, const char *text);
void say_bytes(int fd, const char *data, size_t size);
/* Let the service run until the client has got this. */
void hear(heir_t *h, int fd, const char *expected);
void hear_nothing(heir_t *h, int fd);
/* Let the service run until it closes the connection, with nothing more on it. */
void hear_end(heir_t *h, int fd);
/* Let the service do what there is to do. */
void settle(heir_t *h);

#endif
