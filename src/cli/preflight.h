/* `muster env --preflight`: what every rank finds out about itself, and what rank 0 makes of it. */
#ifndef MU_CLI_PREFLIGHT_H
#define MU_CLI_PREFLIGHT_H

#include "cli/run.h"
#include "core/text.h"
#include "dist/binding.h"
#include "dist/probe.h"

/* Of one rank; travels as bytes. */
typedef struct {
    int32_t local_size, nodes;
    char launcher[16];                               /* "" : nobody */
    int32_t slurm_tasks, slurm_nodes;                /* as the environment says; 0: it does not */
    uint64_t binary, versions_hash, config;          /* hashes; 0: could not be read */
    char versions[192];                              /* of the libraries */
    char config_error[384];                          /* why the config cannot be used here; "" */
    char data_error[384];                            /* a dataset that is not here */
    int64_t batch, base_batch;                       /* samples of a rank; that the learning rate is meant for, 0: not told */
    int64_t samples;                                 /* of the training set; 0: not known */
    int64_t needs, checkpoint;                       /* bytes of memory and of a checkpoint; 0: not known */
    int64_t memory, memory_limit;                    /* bytes free on the node; of the control group, 0: none */
    double quota;                                    /* cores' worth of time; 0: all */
    int64_t limit_files, limit_core, limit_memlock;  /* -1: unlimited */
    char file_error[384];
    double write, read, seen;                        /* bytes a second; s until a file of rank 0 was there, < 0: never */
    char file_system[24];
    bool network_files;
    int64_t disk_free;
    double clock_offset, clock_error;                /* s against rank 0 */
    mu_comm_speed inside;                            /* of the ranks of a node */
} preflight_facts;

typedef struct {
    mu_text text;
    bool json, failed;
    int lines;
} preflight_report;

typedef enum { PREFLIGHT_OK, PREFLIGHT_WARN, PREFLIGHT_FAIL } preflight_status;

void MU_PRINTF(4, 5) preflight_line(preflight_report *report, preflight_status status, const char *name, const char *format, ...);

/* The last error in one line, cut. */
void preflight_keep_error(char *text, size_t size);

/* What needs no other rank: all but files, clocks and network. `config` may be NULL. */
void preflight_find_out(const cli_run *run, const mu_comm *comm, preflight_facts *facts);
/* Collective. The rest; `folder` is where checkpoints will lie. world and between (nodes) are set on rank 0. */
MU_CHECKED mu_err preflight_probe(mu_comm *comm, const char *folder, preflight_facts *facts, mu_comm_speed *world, mu_comm_speed *between);

/* One line for each check. */
void preflight_judge(const preflight_facts *facts, const mu_seat *seats, int n, bool has_config, const mu_comm_speed *world,
                     const mu_comm_speed *between, const char *folder, preflight_report *report);

/* Collective. The exit status. */
int cli_preflight(const cli_run *run, bool json);

#endif
