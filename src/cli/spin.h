/* How long OpenMP's threads wait for each other without sleeping. */
#ifndef MU_CLI_SPIN_H
#define MU_CLI_SPIN_H

/* libgomp's threads turn for milliseconds in a loop before they sleep. With other programs on the same cores that takes
 * the time away from the very thread that is waited for. Starts this program anew with GOMP_SPINCOUNT=1000, some 15 us,
 * unless the environment says something else. */
void cli_limit_spinning(char **argv);

#endif
