#include "config.h"

#include "backend/check/check.h"
#include "backend/host.h"

#include "core/mem.h"

/* In the order of preference of "auto". */
static const struct {
    const char *name, *why_off;
    const mu_backend_ops *ops;
} backends[] = {
#ifdef HAVE_ONEDNN
    {"onednn", NULL, &mu_backend_onednn},
#else
    {"onednn", "not built; install libdnnl-dev and configure --with-onednn", NULL},
#endif
    {"simd", NULL, &mu_backend_simd},
    {"ref", NULL, &mu_backend_ref},
};

enum { N_BACKENDS = sizeof backends / sizeof *backends };

bool mu_backend_at(int i, mu_backend_info *out)
{
    if (i < 0 || i >= N_BACKENDS)
        return false;
    *out = (mu_backend_info){.name = backends[i].name, .ops = backends[i].ops, .why_off = backends[i].why_off};
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
    return mu_error_hint("use cpu, cpu:onednn, cpu:simd, cpu:ref or auto, or check: before one of these; "
                         "`muster list backend` shows what is built");
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
    const char *name = NULL;
    if (strncmp(device, "check:", 6) == 0)
        return open_checked(device + 6, options, out);
    if (strncmp(device, "cpu:", 4) == 0)
        name = device + 4;
    else if (strcmp(device, "cpu") != 0 && strcmp(device, "auto") != 0)
        return unknown(device);
    for (int i = 0; i < N_BACKENDS; i++) {
        if (name && strcmp(name, backends[i].name) != 0)
            continue;
        if (backends[i].ops) {
            MU_TRY(mu_backend_open_ops(backends[i].ops, options, out));
            return MU_OK;
        }
        if (name)
            return MU_FAIL(MU_ERR_UNSUPPORTED, "backend \"%s\" is %s", name, backends[i].why_off);
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
