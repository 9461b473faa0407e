/* SPDX-License-Identifier: ISC */
/* What the files of the check share (verify.h). */
#ifndef HEIR_PROC_VERIFY_IMPL_H
#define HEIR_PROC_VERIFY_IMPL_H

#include "proc/verify.h"

struct verify {
	const struct shm *shm;
	verify_found *found;
	void *arg;
	struct heir_check sum;
	int end;            /* what found() returned, or 1: too many findings */
	uint64_t joins;     /* the join hint when it began */
	unsigned yields;    /* that are left */
	uint32_t mailbox;   /* whose ring is looked at */
	/* by cell: the entry in which it was seen + 1 */
	uint64_t *stands;
	/* of the bucket that was looked at last: names of the dead, cells of all its names, and a wrong binding */
	uint64_t dead_names, name_cells;
	const char *wrong_binding;
};

/* NULL, or what is wrong; verify_changing: it changed under the look. */
typedef const char *verify_look(struct verify *v, uint32_t index);
extern const char verify_changing[];

void verify_judge(struct verify *v, const char *part, uint32_t index, verify_look *look, uint32_t which);
void verify_leftover(struct verify *v, const char *part, uint32_t index, uint64_t count, const char *what);
/* Nobody was there when it began, and nobody has come. */
bool verify_still(const struct verify *v);

void verify_mail(struct verify *v);
/* When verify_still(): what of the mail nobody will ever answer or free. */
void verify_lost_mail(struct verify *v);
void verify_names(struct verify *v);

#endif
