/* What a program asks of the device: MUSTER_EMULATE_COUNT=file gets a line at its end, {"calls": n, "waits": n}. */
#include "emulate_stream.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_llong count[EMULATE_COUNTS];

static void write_counts(void)
{
    FILE *file = fopen(getenv("MUSTER_EMULATE_COUNT"), "a");
    if (file == NULL)
        return;
    fprintf(file, "{\"calls\": %lld, \"waits\": %lld}\n", atomic_load(&count[EMULATE_CALL]), atomic_load(&count[EMULATE_WAIT]));
    fclose(file);
}

void emulate_count(emulate_counted what)
{
    if (atomic_fetch_add(&count[what], 1) == 0 && what == EMULATE_CALL && getenv("MUSTER_EMULATE_COUNT") != NULL)
        atexit(write_counts);
}
