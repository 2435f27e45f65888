#include "config.h"

#include "backend/check/check.h"
#include "backend/host.h"

#include "core/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Those for the processor in the order of preference of "cpu" and "auto". */
static const struct {
    const char *name, *device, *why_off;
    const mu_backend_ops *ops;
} backends[] = {
#ifdef HAVE_ONEDNN
    {"onednn", "cpu:onednn", NULL, &mu_backend_onednn},
#else
    {"onednn", "cpu:onednn", "not built; install libdnnl-dev and configure --with-onednn", NULL},
#endif
    {"simd", "cpu:simd", NULL, &mu_backend_simd},
    {"ref", "cpu:ref", NULL, &mu_backend_ref},
#ifdef HAVE_CUDA
    {"cuda", "cuda", NULL, &mu_backend_cuda},
#endif
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

#ifdef HAVE_CUDA
/* "cuda", or "cuda:1": then the number is that of the device, whatever the options say. */
static mu_err open_cuda(const char *device, const mu_backend_options *options, mu_backend **out)
{
    mu_backend_options its = options ? *options : (mu_backend_options){0};
    char *end = NULL;
    if (device[4] == ':') {
        long n = strtol(device + 5, &end, 10);
        if (device[5] < '0' || device[5] > '9' || *end || n > INT_MAX)
            return unknown(device);
        its.device = (int)n;
    }
    MU_TRY(mu_backend_open_ops(&mu_backend_cuda, &its, out));
    return MU_OK;
}
#endif

mu_err mu_backend_open(const char *device, const mu_backend_options *options, mu_backend **out)
{
    if (strncmp(device, "check:", 6) == 0)
        return open_checked(device + 6, options, out);
#ifdef HAVE_CUDA
    if (strcmp(device, "cuda") == 0 || strncmp(device, "cuda:", 5) == 0)
        return open_cuda(device, options, out);
#endif
    bool any = strcmp(device, "cpu") == 0 || strcmp(device, "auto") == 0;
    for (int i = 0; i < N_BACKENDS; i++) {
        if (any ? !backends[i].ops : strcmp(device, backends[i].device) != 0)
            continue;
        if (!backends[i].ops)
            return MU_FAIL(MU_ERR_UNSUPPORTED, "backend \"%s\" is %s", backends[i].name, backends[i].why_off);
        MU_TRY(mu_backend_open_ops(backends[i].ops, options, out));
        return MU_OK;
    }
    return unknown(device);
}

void mu_backend_close(mu_backend *backend)
{
    if (!backend)
        return;
    if (backend->ops->close)
        backend->ops->close(backend);
    mu_free(backend);
}
