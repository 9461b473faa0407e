/* SPDX-License-Identifier: ISC */
/* Error codes and their sentences: the one table. */
#include <stddef.h>
#include <string.h>

#include "heir.h"

static const struct { int code; const char *text; } table[] = {
	{HEIR_OK, "success"},
	{HEIR_EINVAL, "an argument is out of its range"},
	{HEIR_ENODOMAIN, "no such domain is running"},
	{HEIR_EFOREIGN, "not a heir segment, or another user's, or of another pid namespace"},
	{HEIR_ELAYOUT, "the segment was made by another version of heir"},
	{HEIR_ECORRUPT, "the segment is damaged: its bytes contradict themselves"},
	{HEIR_EPERM, "not allowed"},
	{HEIR_EFULL, "a limit of the domain is reached"},
	{HEIR_EEXIST, "the name is taken"},
	{HEIR_ENOENT, "no such name, application, node or role"},
	{HEIR_EAGAIN, "the mailbox is full"},
	{HEIR_ETIMEDOUT, "the deadline passed; the request was never taken"},
	{HEIR_EUNKNOWN, "outcome unknown: the request was taken, but no answer came"},
	{HEIR_ETOOBIG, "over the limit of a message, a reply or a transaction"},
	{HEIR_ESTALE, "not the owner any more"},
	{HEIR_EWANTED, "a takeover waits: no new transaction may begin"},
	{HEIR_EOPEN, "not allowed with, or not without, an open transaction"},
	{HEIR_EBUSY, "another takeover of this application is under way"},
	{HEIR_EPOISON, "the message killed its handler too often and was set aside"},
	{HEIR_EVERSION, "the state has a version that this program does not understand"},
	{HEIR_EFAILED, "it failed"},
	{HEIR_EDEAD, "the process died before it took the request"},
	{HEIR_EALREADY, "it is so already"},
	{HEIR_ENOTREADY, "no candidate is ready there"},
	{HEIR_EKERNEL, "Linux 5.16 or newer is needed"},
	{HEIR_ENOTWORKER, "not started by a node (see heir(7))"},
	{HEIR_EGENERATION, "the application's generation is near its end: stop and start the domain"},
};

const char *heir_strerror(int error)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].code == error)
			return table[i].text;
	if (error < 0 && error > -1000)
		return strerrordesc_np(-error) ? strerrordesc_np(-error) : "unknown error";
	return "unknown error";
}
