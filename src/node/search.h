/* SPDX-License-Identifier: ISC */
#ifndef HEIR_NODE_SEARCH_H
#define HEIR_NODE_SEARCH_H

#include <stddef.h>

/* Where programs are looked for: PATH, then the directory that heir itself is in. For free(); NULL:
 * out of memory. */
char *search_path(void);
/* The file of this program, as it can be executed. */
void search_self(char *path, size_t size);

#endif
