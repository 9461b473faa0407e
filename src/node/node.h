/* SPDX-License-Identifier: ISC */
/* The verbs that are programs of their own: argv[0] is the verb; the exit status is returned. */
#ifndef HEIR_NODE_NODE_H
#define HEIR_NODE_NODE_H

int up_main(int argc, char **argv);    /* [-f FILE] [-d DOMAIN] [--detach] */
int node_main(int argc, char **argv);  /* [-f FILE] [-d DOMAIN] NAME */
int check_main(int argc, char **argv); /* [--default] [--json] [FILE] */
int reload_main(int argc, char **argv); /* [-f FILE] [-d DOMAIN] [--json] */

#endif
