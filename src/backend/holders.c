#include "backend/holders.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { N_LARGEST = 5 };

typedef struct {
    size_t bytes;
    char name[160];
} buffer;

struct mu_holdings {
    buffer largest[N_LARGEST]; /* the largest first */
    int n;
    size_t sum[MU_N_HELD];
};

void mu_holder_add(mu_backend *backend, mu_holder *holder)
{
    holder->next = backend->holders;
    backend->holders = holder;
}

void mu_holder_remove(mu_backend *backend, mu_holder *holder)
{
    for (mu_holder **at = &backend->holders; *at; at = &(*at)->next)
        if (*at == holder) {
            *at = holder->next;
            return;
        }
}

void mu_holdings_note(mu_holdings *h, mu_held held, size_t bytes, const char *format, ...)
{
    int at = h->n;
    va_list args;
    h->sum[held] += bytes;
    while (at > 0 && h->largest[at - 1].bytes < bytes)
        at--;
    if (at == N_LARGEST || bytes == 0)
        return;
    h->n += h->n < N_LARGEST;
    for (int i = h->n - 1; i > at; i--)
        h->largest[i] = h->largest[i - 1];
    h->largest[at].bytes = bytes;
    va_start(args, format);
    vsnprintf(h->largest[at].name, sizeof h->largest[at].name, format, args);
    va_end(args);
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void explain(const mu_backend *backend, size_t bytes, const char *what)
{
    mu_holdings h = {.n = 0};
    char text[1024] = "none is known";
    size_t length = 0;
    mu_error kept = *mu_error_last();
    for (const mu_holder *holder = backend->holders; holder; holder = holder->next)
        holder->tell(holder->user, &h);
    for (int i = 0; i < h.n && length < sizeof text; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s %.1f MiB", i ? ", " : "",
                                   h.largest[i].name, mib(h.largest[i].bytes));
    kept.hint[0] = '\0';
    mu_error_restore(&kept);
    mu_error_context("%.1f MiB for %s (largest: %s)", mib(bytes), what, text);
    if (h.sum[MU_HELD_BY_STORE] > h.sum[MU_HELD_BY_PLAN])
        mu_error_hint("parameters, gradients and optimizer states take most of it: share them among ranks "
                      "(model_wrapper_cfg: MMFullyShardedDataParallel), or take an optimizer with fewer states");
    else
        mu_error_hint("use a smaller batch (with accumulative_counts the optimizer sees as many samples), "
                      "smaller images, or a half type (optim_wrapper: AmpOptimWrapper)");
}

mu_err mu_backend_alloc(mu_backend *backend, size_t bytes, const char *what, void **out)
{
    mu_err err = backend->ops->alloc(backend, bytes, out);
    if (err == MU_ERR_MEMORY)
        explain(backend, bytes, what);
    return err;
}
