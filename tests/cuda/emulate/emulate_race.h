/* What the emulator tells race.c, which finds accesses of threads that nothing orders. Without --enable-racecheck: nothing. */
#ifndef EMULATE_RACE_H
#define EMULATE_RACE_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef EMULATE_RACES

/* ---- race.c ---- */

/* Of fiber.c: a kernel begins on this thread of the host, or has ended. */
void emulate_race_launch(void);
void emulate_race_end(void);
void emulate_race_block(void);
/* All threads of the block have come to a barrier, or the lanes of `mask` of the warp whose first thread this is to __syncwarp. */
void emulate_race_barrier(void);
void emulate_race_warp(int first, unsigned mask);
/* Thread t of the block goes on, on this stack. */
void emulate_race_enter(int t, const void *stack, size_t bytes);
/* Of memory.c: memory that blocks share comes, or goes. */
void emulate_race_memory(const void *address, size_t bytes, bool comes);

/* ---- fiber.c ---- */

void emulate_race_found(const char *what);

#else
#define emulate_race_launch() ((void)0)
#define emulate_race_end() ((void)0)
#define emulate_race_block() ((void)0)
#define emulate_race_barrier() ((void)0)
#define emulate_race_warp(first, mask) ((void)0)
#define emulate_race_enter(t, stack, bytes) ((void)0)
#define emulate_race_memory(address, bytes, comes) ((void)0)
#endif

#endif
