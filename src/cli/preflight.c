#include "cli/preflight.h"

#include "config/config.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

/* Where checkpoints of the run go, as far as that is known beforehand. */
static mu_err folder_of(const cli_run *run, char **out)
{
    mu_config *config = NULL;
    mu_diagnostics list = {0};
    uint64_t fingerprint;
    const char *folder = run->work_dir;
    if (!folder && run->config && cli_run_read(run, &config, &list, &fingerprint) == MU_OK) { /* mistakes are told elsewhere */
        const mu_cfg *dir = mu_cfg_get(mu_config_root(config), "work_dir");
        folder = dir && mu_cfg_kind_of(dir) == MU_CFG_STRING ? mu_cfg_string(dir) : "work_dirs";
    }
    mu_err err = mu_strdup(out, folder && *folder ? folder : ".");
    mu_diagnostics_release(&list);
    mu_config_release(config);
    MU_TRY(err);
    return MU_OK;
}

typedef struct {
    preflight_facts mine, *all; /* all: on rank 0 */
    mu_seat *seats;
    double *offset, *error;
    mu_comm_speed world, between;
    char *folder;
} flight;

static mu_err make_room(const cli_run *run, const mu_comm *comm, flight *f)
{
    size_t n = (size_t)comm->size;
    MU_TRY(folder_of(run, &f->folder));
    if (!mu_comm_is_main(comm))
        return MU_OK;
    MU_TRY(mu_calloc(&f->all, n, sizeof *f->all));
    MU_TRY(mu_calloc(&f->offset, n, sizeof *f->offset));
    return mu_calloc(&f->error, n, sizeof *f->error);
}

/* Collective. */
static mu_err fly(const cli_run *run, mu_comm *comm, flight *f)
{
    MU_TRY(mu_comm_agree(comm, make_room(run, comm, f)));
    preflight_find_out(run, comm, &f->mine);
    MU_TRY(mu_binding_gather(comm, cli_threads(), &f->seats));
    MU_TRY(preflight_probe(comm, f->folder, &f->mine, &f->world, &f->between));
    MU_TRY(mu_comm_clock_offsets(comm, f->offset, f->error));
    MU_TRY(mu_comm_gather(comm, &f->mine, (int64_t)sizeof f->mine, MU_U8, f->all, 0));
    for (int r = 0; r < comm->size && f->all; r++) {
        f->all[r].clock_offset = f->offset[r];
        f->all[r].clock_error = f->error[r];
    }
    return MU_OK;
}

static mu_err print(const flight *f, int n, bool has_config, bool json, bool *failed)
{
    preflight_report report = {.json = json};
    if (json)
        mu_text_append(&report.text, "{\"preflight\": [");
    preflight_judge(f->all, f->seats, n, has_config, &f->world, &f->between, f->folder, &report);
    if (json)
        mu_text_printf(&report.text, "],\n \"failed\": %s}\n", report.failed ? "true" : "false");
    mu_err err = mu_text_status(&report.text);
    if (!err)
        fputs(report.text.data, stdout);
    mu_text_release(&report.text);
    *failed = report.failed;
    return err;
}

int cli_preflight(const cli_run *run, bool json)
{
    mu_comm *comm;
    flight f = {0};
    bool failed = false;
    mu_err err = cli_comm(&comm);
    if (err)
        return cli_end(NULL, err, true);
    err = fly(run, comm, &f);
    if (!err && f.all)
        err = print(&f, comm->size, run->config != NULL, json, &failed);
    err = mu_comm_agree(comm, err);
    if (!err) {
        int64_t status = failed;
        err = mu_comm_broadcast(comm, &status, 1, MU_I64, 0);
        failed = status != 0;
    }
    int status = cli_end(comm, err, true);
    mu_free(f.folder);
    mu_free(f.error);
    mu_free(f.offset);
    mu_free(f.seats);
    mu_free(f.all);
    return status ? status : failed;
}
