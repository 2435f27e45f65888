#include "backend/onednn/tune.h"
#include "backend/trial.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/text.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

/* The number changes with the candidates. */
static const char header[] = "muster oneDNN choices 2";

/* Letters and digits of the processor's name, family and model: "amd-epyc-26-2". */
static void processor_name(mu_text *out)
{
    static const char *const wanted[] = {"model name", "cpu family", "model", "CPU implementer", "CPU part"};
    bool seen[sizeof wanted / sizeof *wanted] = {false};
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file) && line[0] != '\n') {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        size_t length = (size_t)(colon - line);
        while (length && isspace((unsigned char)line[length - 1]))
            length--;
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            if (seen[i] || strlen(wanted[i]) != length || strncmp(line, wanted[i], length) != 0)
                continue;
            seen[i] = true;
            bool dash = true;
            for (const char *c = colon + 1; *c; c++) {
                if (isalnum((unsigned char)*c)) {
                    if (dash)
                        mu_text_append_n(out, "-", 1);
                    mu_text_append_n(out, &(char){(char)tolower((unsigned char)*c)}, 1);
                }
                dash = !isalnum((unsigned char)*c);
            }
        }
    }
    if (file)
        fclose(file);
}

mu_err mu_onednn_tune_open(const char *cache_dir, int n_threads, mu_onednn_tune **out)
{
    const dnnl_version_t *v = dnnl_version();
    mu_text name = {0};
    mu_text_printf(&name, "onednn-%d.%d.%d", v->major, v->minor, v->patch);
    processor_name(&name);
    mu_text_printf(&name, "-t%d.txt", n_threads);
    mu_err err = mu_text_status(&name);
    if (!err)
        err = mu_choices_open(cache_dir, name.data, header, out);
    mu_text_release(&name);
    MU_TRY(err);
    return MU_OK;
}

static mu_err fill(mu_backend *backend, void *block, size_t bytes)
{
    uint32_t *word = block;
    (void)backend;
    for (size_t i = 0; i < bytes / sizeof *word; i++)
        word[i] = 0x3f003f00u ^ (uint32_t)(i * 2654435761u & 0x807f007fu);
    memset((char *)block + bytes / sizeof *word * sizeof *word, 0, bytes % sizeof *word);
    return MU_OK;
}

/* One thread is timed by its own processor time: other processes on the core do not count. */
static double now(const mu_backend *backend)
{
    struct timespec t;
    if (backend->n_threads != 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return mu_clock();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static mu_err time_bound(mu_backend *backend, mu_kernel *kernel, double *seconds)
{
    enum { MAX_RUNS = 8, MIN_RUNS = 3 };
    const double enough = 0.04;
    const mu_run run = {0};
    double best = 1e30, total = 0;
    MU_TRY(mu_kernel_run(kernel, &run));
    for (int i = 0; i < MAX_RUNS && (i < MIN_RUNS || total < enough); i++) {
        double begin = now(backend);
        MU_TRY(mu_kernel_run(kernel, &run));
        double took = now(backend) - begin;
        total += took;
        best = took < best ? took : best;
    }
    *seconds = best;
    return MU_OK;
}

mu_err mu_onednn_time(mu_onednn *self, mu_kernel *kernel, double *seconds)
{
    static const mu_trial trial = {.fill = fill, .time = time_bound};
    MU_TRY(mu_trial_run(&trial, &self->base, kernel, seconds));
    return MU_OK;
}

mu_err mu_onednn_time_reorder(mu_onednn *self, const mu_type *type, const mu_layout *from, const mu_layout *to,
                              double *seconds)
{
    *seconds = 0;
    if (from == to)
        return MU_OK;
    mu_kernel *kernel;
    MU_TRY(self->base.ops->reorder(&self->base, type, from, to, &kernel));
    mu_err err = mu_onednn_time(self, kernel, seconds);
    mu_kernel_release(kernel);
    MU_TRY(err);
    return MU_OK;
}
