/* SPDX-License-Identifier: ISC */
/* send and call. */
#include "cmd/cmdclient.h"
#include "cmd/cmdtext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct data {
	const char *bytes;
	size_t size;
	char *owned;
};

/* The operand, or standard input for -. EXIT_DONE, or the exit status after a message. */
static int data_init(struct data *data, struct cmd *cmd, size_t most)
{
	const char *operand = cmd->operand[1];

	*data = (struct data){.bytes = operand, .size = strlen(operand)};
	if (strcmp(operand, "-") == 0) {
		data->bytes = data->owned = malloc(most + 1);
		if (!data->owned)
			return client_fail(cmd, -ENOMEM, "standard input");
		data->size = fread(data->owned, 1, most + 1, cmd->out->in);
		if (ferror(cmd->out->in)) {
			int error = errno;

			free(data->owned);
			return client_fail(cmd, -error, "standard input");
		}
	}
	if (data->size <= most)
		return EXIT_DONE;
	free(data->owned);
	return client_fail(cmd, HEIR_ETOOBIG, "%s to `%s`: the limit is %zu bytes",
		cmd->command->name, cmd->operand[0], most);
}

static int begin(struct cmd *cmd, heir_t **ret, struct data *ret_data)
{
	int status = client_open(cmd, 0, ret);

	if (status != EXIT_DONE)
		return status;
	status = data_init(ret_data, cmd, heir_message_max(*ret));
	if (status != EXIT_DONE)
		heir_close(*ret);
	return status;
}

/* A handler may answer HEIR_ENOENT as well: only a name that is not there is unknown. */
static bool name_is_there(heir_t *h, const char *name)
{
	struct heir_where where;

	return heir_whereis(h, name, &where) == HEIR_OK;
}

static int mail_failed(struct cmd *cmd, heir_t *h, int error)
{
	const char *name = cmd->operand[0];

	if (error == HEIR_ENOENT && !name_is_there(h, name))
		return client_no_name(cmd, h, name);
	return client_fail(cmd, error, "%s to `%s`", cmd->command->name, name);
}

int cmd_send(struct cmd *cmd)
{
	struct data data;
	heir_t *h;
	int error, status = begin(cmd, &h, &data);

	if (status != EXIT_DONE)
		return status;
	error = heir_send(h, cmd->operand[0], data.bytes, data.size);
	if (error)
		status = mail_failed(cmd, h, error);
	free(data.owned);
	heir_close(h);
	return status;
}

int cmd_call(struct cmd *cmd)
{
	struct data data;
	size_t size;
	char *reply;
	heir_t *h;
	int error, status = begin(cmd, &h, &data);

	if (status != EXIT_DONE)
		return status;
	size = heir_message_max(h);
	reply = malloc(size + 1);
	error = -ENOMEM;
	if (reply)
		error = heir_call(
			h, cmd->operand[0], data.bytes, data.size, reply, &size, cmd->timeout);
	if (error) {
		status = mail_failed(cmd, h, error);
	} else {
		fwrite(reply, 1, size, cmd->out->file);
		if (size == 0 || reply[size - 1] != '\n')
			fputc('\n', cmd->out->file);
	}
	free(reply);
	free(data.owned);
	heir_close(h);
	return status;
}
