#include "config.h"

#include "backend/check/check.h"
#include "backend/host.h"

#include "core/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of preference of "auto", and those for the processor of "cpu". */
static const struct {
    const char *name, *device, *why_off;
    const mu_backend_ops *ops;
} backends[] = {
#ifdef HAVE_CUDA
    {"cuda", "cuda", NULL, &mu_backend_cuda},
#else
    {"cuda", "cuda", "not built; configure --with-cuda", NULL},
#endif
#ifdef HAVE_ONEDNN
    {"onednn", "cpu:onednn", NULL, &mu_backend_onednn},
#else
    {"onednn", "cpu:onednn", "not built; install libdnnl-dev and configure --with-onednn", NULL},
#endif
    {"simd", "cpu:simd", NULL, &mu_backend_simd},
    {"ref", "cpu:ref", NULL, &mu_backend_ref},
};

enum { N_BACKENDS = sizeof backends / sizeof *backends };

/* NULL when there is a device. */
static const char *why_no_device(const mu_backend_ops *ops)
{
    static _Thread_local char why[512];
    int n;
    if (!ops->devices || ops->devices(NULL, 0, &n) == MU_OK)
        return NULL;
    snprintf(why, sizeof why, "%.500s", mu_error_last()->message);
    mu_error_clear();
    return why;
}

bool mu_backend_at(int i, mu_backend_info *out)
{
    if (i < 0 || i >= N_BACKENDS)
        return false;
    *out = (mu_backend_info){.name = backends[i].name, .device = backends[i].device, .ops = backends[i].ops,
                             .why_off = backends[i].ops ? why_no_device(backends[i].ops) : backends[i].why_off};
    return true;
}

mu_err mu_backend_open_ops(const mu_backend_ops *ops, const mu_backend_options *options, mu_backend **out)
{
    static const mu_backend_options defaults;
    mu_backend *backend;
    MU_TRY(mu_calloc(&backend, 1, ops->size));
    backend->ops = ops;
    mu_err err = ops->open(backend, options ? options : &defaults);
    if (err != MU_OK) {
        mu_error_context("backend %s", ops->name);
        mu_free(backend);
        return err;
    }
    *out = backend;
    return MU_OK;
}

static mu_err unknown(const char *device)
{
    MU_FAIL(MU_ERR_NOT_FOUND, "there is no device \"%s\"", device);
#ifdef HAVE_CUDA
    return mu_error_hint("use cuda, cuda:1, cpu, cpu:onednn, cpu:simd, cpu:ref or auto, or check: before one of the processor's; "
                         "`muster list backend` shows what is built");
#else
    return mu_error_hint("use cpu, cpu:onednn, cpu:simd, cpu:ref or auto, or check: before one of these; "
                         "`muster list backend` shows what is built");
#endif
}

/* An emulated device is never the best. */
static bool is_preferred(const mu_backend_ops *ops)
{
#ifdef HAVE_CUDA_EMULATED
    return !ops->devices || getenv("MUSTER_EMULATE_DEVICES");
#else
    (void)ops;
    return true;
#endif
}

/* processor: of "cpu". */
static mu_err find_best(bool processor, mu_backend_choice *out)
{
    for (int i = 0; i < N_BACKENDS; i++) {
        const mu_backend_ops *ops = backends[i].ops;
        if (!ops || (processor && ops->devices) || !is_preferred(ops) || why_no_device(ops))
            continue;
        out->ops = ops;
        return MU_OK;
    }
    return MU_FAIL(MU_ERR_UNSUPPORTED, "no backend was built");
}

/* "1" of "cuda:1". */
static bool parse_number(const char *text, int *out)
{
    char *end;
    long n = strtol(text, &end, 10);
    *out = (int)n;
    return *text >= '0' && *text <= '9' && !*end && n <= INT_MAX;
}

static mu_err find_device(const char *device, mu_backend_choice *out)
{
    const char *colon = strchr(device, ':');
    for (int i = 0; i < N_BACKENDS; i++) {
        size_t length = strlen(backends[i].device);
        bool numbered = colon && backends[i].ops && backends[i].ops->devices && (size_t)(colon - device) == length &&
                        strncmp(device, backends[i].device, length) == 0 && parse_number(colon + 1, &out->device);
        if (!numbered && strcmp(device, backends[i].device) != 0)
            continue;
        if (!backends[i].ops)
            return MU_FAIL(MU_ERR_UNSUPPORTED, "backend \"%s\" is %s", backends[i].name, backends[i].why_off);
        out->ops = backends[i].ops;
        out->numbered = numbered;
        return MU_OK;
    }
    return unknown(device);
}

/* Is it there? */
static mu_err check_device(const mu_backend_choice *choice)
{
    int n;
    if (!choice->ops->devices)
        return MU_OK;
    MU_TRY(choice->ops->devices(NULL, 0, &n));
    if (choice->device >= 0 && choice->device < n)
        return MU_OK;
    (void)MU_FAIL(MU_ERR_UNSUPPORTED, "there is no device %s:%d: this process sees %d, from 0 on", choice->ops->name, choice->device, n);
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    return mu_error_hint("CUDA_VISIBLE_DEVICES is %s%s%s; `muster env` shows the devices", visible ? "\"" : "", visible ? visible : "not set",
                         visible ? "\"" : "");
}

static const char *meaning(const char *device)
{
    const char *wish = getenv("MUSTER_DEVICE");
    return strcmp(device, "auto") == 0 && wish && *wish && !strstr(wish, "auto") ? wish : device;
}

static mu_err find(const char *device, const mu_backend_options *options, mu_backend_choice *out)
{
    mu_backend_choice choice = {.device = options ? options->device : 0};
    if (strncmp(device, "check:", 6) == 0)
        return mu_backend_find(device + 6, options, out);
    bool any = strcmp(device, "auto") == 0;
    MU_TRY(any || strcmp(device, "cpu") == 0 ? find_best(!any, &choice) : find_device(device, &choice));
    MU_TRY(check_device(&choice));
    *out = choice;
    return MU_OK;
}

mu_err mu_backend_find(const char *device, const mu_backend_options *options, mu_backend_choice *out)
{
    const char *meant = meaning(device);
    mu_err err = find(meant, options, out);
    if (err && meant != device)
        mu_error_context("MUSTER_DEVICE");
    return err;
}

/* "check:cpu:onednn" */
static mu_err open_checked(const char *device, const mu_backend_options *options, mu_backend **out)
{
    mu_backend *inner;
    MU_TRY(mu_backend_open(device, options, &inner));
    mu_err err = mu_check_wrap(inner, out);
    if (err != MU_OK)
        mu_backend_close(inner);
    return err;
}

mu_err mu_backend_open(const char *device, const mu_backend_options *options, mu_backend **out)
{
    mu_backend_choice choice;
    const char *meant = meaning(device);
    if (strncmp(meant, "check:", 6) == 0)
        return open_checked(meant + 6, options, out);
    MU_TRY(mu_backend_find(device, options, &choice));
    mu_backend_options its = options ? *options : (mu_backend_options){0};
    its.device = choice.device;
    MU_TRY(mu_backend_open_ops(choice.ops, &its, out));
    return MU_OK;
}

void mu_backend_close(mu_backend *backend)
{
    if (!backend)
        return;
    if (backend->ops->close)
        backend->ops->close(backend);
    mu_free(backend);
}

mu_err mu_backend_set_run(mu_backend *backend, const mu_run *run)
{
    mu_run sent = *run;
    if (!sent.sample_stride)
        sent.sample_stride = 1;
    if (backend->run)
        MU_TRY(backend->ops->upload(backend, backend->run, &sent, sizeof sent));
    return MU_OK;
}
