/* SPDX-License-Identifier: ISC */
/* Files that are mapped by all who know their name, and the ledger, which is one of them. */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const bank_names[BANKS] = {"east", "west"};

void *file_map(const char *name, size_t size)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		fprintf(stderr, "money: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	close(fd);
	return p;
}

struct page *page_map(void)
{
	return file_map("page", sizeof(struct page));
}

struct ledger *ledger_map(unsigned payer)
{
	char name[32];

	snprintf(name, sizeof(name), "ledger.%u", payer);
	return file_map(name, sizeof(struct ledger));
}

const struct book *ledger_book(const struct ledger *l)
{
	return &l->book[atom_load_acquire((atom32 *)(uintptr_t)&l->which) & 1];
}

struct book *ledger_edit(struct ledger *l)
{
	const struct book *now = ledger_book(l);
	struct book *next = &l->book[now == &l->book[0]];

	memcpy(next, now, sizeof(*next));
	return next;
}

void ledger_commit(struct ledger *l)
{
	atom_store_release(&l->which, !(atom_load_relaxed(&l->which) & 1));
}

void book_enter(struct book *b, const struct order *o, unsigned bank)
{
	b->delta[bank][o->from] -= o->amount;
	b->delta[o->to_bank][o->to] += o->amount;
	b->paid[bank]++;
	b->credited[o->to_bank]++;
}

bool book_in_hand(const struct book *b)
{
	for (unsigned i = 0; i < IN_HAND; i++)
		if (b->entry[i].state != ENTRY_NONE)
			return true;
	return false;
}
