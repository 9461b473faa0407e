/* SPDX-License-Identifier: ISC */
/* Opening and closing a domain; what a handle is asked about itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/handle.h"
#include "lib/worker.h"
#include "mail/doorbell.h"
#include "name/names.h"
#include "proc/bury.h"
#include "state/control.h"

static const char *domain_name(const char *domain)
{
	const char *e;

	if (domain)
		return domain;
	e = getenv("HEIR_DOMAIN");
	return e && *e ? e : "default";
}

#define MARK_SIZE 4096 /* of one page at least */
#define SPIN_MOST INT64_C(10000000) /* whatever the segment says */

/* No system call to ask whether this is a forked child: the kernel hands that one the page with zeroes. */
static atom32 *mark_process(void)
{
	atom32 *mark = mmap(NULL, MARK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mark == MAP_FAILED)
		return NULL;
	if (madvise(mark, MARK_SIZE, MADV_WIPEONFORK) < 0) {
		munmap(mark, MARK_SIZE);
		return NULL;
	}
	atom_store_relaxed(mark, 1);
	return mark;
}

static void unmark_process(atom32 *mark)
{
	munmap(mark, MARK_SIZE);
}

static int open_handle(const char *domain, unsigned observe, struct slot_place place, heir_t **ret)
{
	heir_t *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->epoll = -1;
	h->place = place;
	h->here = mark_process();
	if (!h->here) {
		rc = -ENOMEM;
		goto fail_mark;
	}
	rc = shm_attach(&h->shm, domain_name(domain), !observe);
	if (rc)
		goto fail_attach;
	/* It was found in the segment as another attach saw it. */
	if (place.node >= (int)h->shm.limits.nodes || place.app >= (int)h->shm.limits.apps ||
	    place.role >= (int)h->shm.limits.roles) {
		rc = HEIR_ENOENT;
		goto fail_join;
	}
	h->in.bytes = malloc(SHM_NAME_MAX + 2 + (size_t)h->shm.limits.message);
	if (!h->in.bytes) {
		rc = -ENOMEM;
		goto fail_join;
	}
	rc = waitset_init(&h->waits, 0);
	if (rc)
		goto fail_join;
	if (!observe) {
		rc = slot_join(&h->shm, place, &h->self);
		if (rc)
			goto fail_waits;
		h->slot = handle_slot(h->self);
		h->cell_hint = h->slot * 2; /* near the start, which standbys have mapped (warm.c) */
		h->spin = h->shm.head->spin < SPIN_MOST ? (int64_t)h->shm.head->spin : SPIN_MOST;
		h->replies_seen = doorbell_seen(&h->shm, h->slot);
	}
	*ret = h;
	return 0;
fail_waits:
	waitset_finish(&h->waits);
fail_join:
	free(h->in.bytes);
	shm_detach(&h->shm);
fail_attach:
	unmark_process(h->here);
fail_mark:
	free(h);
	return rc;
}

int heir_open(const char *domain, unsigned flags, heir_t **ret)
{
	if (flags & ~HEIR_OBSERVE)
		return HEIR_EINVAL;
	return open_handle(domain, flags & HEIR_OBSERVE, (struct slot_place){KIND_CLIENT, -1, -1, -1}, ret);
}

int heir_refusal(const char *domain, char *text, size_t size)
{
	struct shm shm = {0};
	struct shm_refusal why;
	int rc = shm_attach_why(&shm, domain_name(domain), 0, &why);

	if (rc == 0)
		shm_detach(&shm);
	snprintf(text, size, "%s", rc == 0 ? "" : why.text[0] ? why.text : heir_strerror(rc));
	return rc;
}

int lib_open(const char *domain, struct slot_place place, heir_t **ret)
{
	return open_handle(domain, 0, place, ret);
}

void heir_close(heir_t *h)
{
	if (!h)
		return;
	if (!atom_load_relaxed(h->here)) {
		unmark_process(h->here);
		free(h->in.bytes);
		free(h);
		return;
	}
	worker_finish(h);
	waitset_finish(&h->waits);
	if (h->epoll >= 0)
		close(h->epoll);
	state_unmap(&h->state);
	if (h->self) {
		if (atom_load_relaxed(&shm_slot(&h->shm, h->slot)->names))
			names_drop_binding(&h->shm, h->slot, h->self);
		slot_leave(&h->shm, h->self);
	}
	shm_detach(&h->shm);
	unmark_process(h->here);
	free(h->in.bytes);
	free(h);
}

uint64_t heir_handle(const heir_t *h)
{
	return h->self;
}

size_t heir_message_max(const heir_t *h)
{
	return h->shm.limits.message;
}

const char *heir_domain(const heir_t *h)
{
	return h->shm.head->domain;
}

const char *heir_node(const heir_t *h)
{
	return h->place.node >= 0 ? shm_node(&h->shm, (uint32_t)h->place.node)->name : "";
}

const char *heir_application(const heir_t *h)
{
	return h->place.app >= 0 ? shm_app(&h->shm, (uint32_t)h->place.app)->name : "";
}

uint32_t heir_generation(const heir_t *h)
{
	struct shm_app *a = h->place.app >= 0 ? shm_app(&h->shm, (uint32_t)h->place.app) : NULL;

	return a ? control_unpack(atom_load_acquire(&a->control)).generation : 0;
}

int heir_is_owner(const heir_t *h)
{
	struct shm_app *a = h->place.app >= 0 ? shm_app(&h->shm, (uint32_t)h->place.app) : NULL;
	struct control c = control_unpack(a ? atom_load_acquire(&a->control) : 0);

	return a && c.phase != PHASE_DOWN && c.owner == h->slot;
}

int lib_find_app(const heir_t *h, const char *name)
{
	for (uint32_t i = 0; i < h->shm.limits.apps; i++)
		if (strncmp(shm_app(&h->shm, i)->name, name, SHM_NAME_MAX + 1) == 0)
			return (int)i;
	return -1;
}

int lib_find_node(const heir_t *h, const char *name)
{
	for (uint32_t i = 0; i < h->shm.limits.nodes; i++)
		if (strncmp(shm_node(&h->shm, i)->name, name, sizeof(shm_node(&h->shm, i)->name)) == 0)
			return (int)i;
	return -1;
}
