#include "backend/onednn/tune.h"
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

/* Values that are neither zero nor denormal in any float type. */
static void fill(void *block, size_t bytes)
{
    uint32_t *word = block;
    for (size_t i = 0; i < bytes / sizeof *word; i++)
        word[i] = 0x3f003f00u ^ (uint32_t)(i * 2654435761u & 0x807f007fu);
    memset((char *)block + bytes / sizeof *word * sizeof *word, 0, bytes % sizeof *word);
}

static mu_err buffer(mu_onednn *self, const mu_layout *layout, const mu_type *type, void **out)
{
    size_t bytes = mu_layout_bytes(layout, type);
    MU_TRY(self->base.ops->alloc(&self->base, bytes, out));
    fill(*out, bytes);
    return MU_OK;
}

/* One thread is timed by its own processor time: other processes on the core do not count. */
static double now(const mu_onednn *self)
{
    struct timespec t;
    if (self->base.n_threads != 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return mu_clock();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static mu_err time_bound(const mu_onednn *self, mu_kernel *kernel, double *seconds)
{
    enum { MAX_RUNS = 8, MIN_RUNS = 3 };
    const double enough = 0.04;
    const mu_run run = {0};
    double best = 1e30, total = 0;
    MU_TRY(mu_kernel_run(kernel, &run));
    for (int i = 0; i < MAX_RUNS && (i < MIN_RUNS || total < enough); i++) {
        double begin = now(self);
        MU_TRY(mu_kernel_run(kernel, &run));
        double took = now(self) - begin;
        total += took;
        best = took < best ? took : best;
    }
    *seconds = best;
    return MU_OK;
}

mu_err mu_onednn_time(mu_onednn *self, mu_kernel *kernel, double *seconds)
{
    const mu_call *call = &kernel->call;
    int n = call->n_in + call->n_out;
    void **block;
    MU_TRY(mu_calloc(&block, (size_t)n + 1, sizeof *block));
    mu_err err = MU_OK;
    for (int i = 0; i < call->n_in && err == MU_OK; i++)
        if (call->in[i].dtype != MU_NONE)
            err = buffer(self, kernel->in_layout[i], &call->in[i], &block[i]);
    for (int o = 0; o < call->n_out && err == MU_OK; o++)
        if (call->out[o].dtype != MU_NONE)
            err = buffer(self, kernel->out_layout[o], &call->out[o], &block[call->n_in + o]);
    if (err == MU_OK && kernel->scratch_bytes)
        err = self->base.ops->alloc(&self->base, kernel->scratch_bytes, &block[n]);
    if (err == MU_OK)
        err = mu_kernel_bind(kernel, block, block + call->n_in, block[n]);
    if (err == MU_OK)
        err = time_bound(self, kernel, seconds);
    for (int i = 0; i <= n; i++)
        if (block[i])
            self->base.ops->dealloc(&self->base, block[i]);
    mu_free(block);
    MU_TRY(err);
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
