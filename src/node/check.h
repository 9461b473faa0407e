/* SPDX-License-Identifier: ISC */
#ifndef HEIR_NODE_CHECK_H
#define HEIR_NODE_CHECK_H

#include "node/conf.h"

/* The file, or the embedded default, and its programs: 0, or a negative code and what is wrong in the report. */
int check_load(const char *file, struct conf **ret, struct conf_report *report);
/* One JSON document, or lines: what is wrong with it, or that nothing is. */
void check_print(const char *file, bool json, const struct conf *conf, const struct conf_report *report, int rc);
/* A JSON string on standard output. */
void check_print_string(const char *text, size_t size);

#endif
