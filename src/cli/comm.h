/* The communicator of the process. */
#ifndef MU_CLI_COMM_H
#define MU_CLI_COMM_H

/* Collective where cli_comm was called; else nothing. For the end of main. */
void cli_comm_release(void);

#endif
