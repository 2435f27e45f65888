#include "data/transform.h"

#include "core/mem.h"

struct mu_pipeline {
    char *path;
    bool single; /* given without a list around it */
    int n;
    void **transform;
};

static mu_err build_all(mu_pipeline *p, const mu_cfg *list)
{
    int n = p->single ? 1 : (int)mu_cfg_size(list);
    MU_TRY(mu_calloc(&p->transform, (size_t)n, sizeof *p->transform));
    for (; p->n < n; p->n++) {
        char *where;
        if (p->single) {
            MU_TRY(mu_build("transform", list, NULL, p->path, &p->transform[p->n]));
            continue;
        }
        MU_TRY(mu_asprintf(&where, "%s.%d", p->path, p->n));
        mu_err err = mu_build("transform", mu_cfg_at(list, (size_t)p->n), NULL, where, &p->transform[p->n]);
        mu_free(where);
        MU_TRY(err);
    }
    return MU_OK;
}

mu_err mu_pipeline_new(const mu_cfg *list, const char *path, mu_pipeline **out)
{
    mu_pipeline *p;
    MU_TRY(mu_calloc(&p, 1, sizeof *p));
    mu_err err = mu_strdup(&p->path, path);
    if (!err && list) {
        p->single = mu_cfg_kind_of(list) != MU_CFG_LIST;
        err = build_all(p, list);
    }
    if (err) {
        mu_pipeline_release(p);
        return err;
    }
    *out = p;
    return MU_OK;
}

void mu_pipeline_release(mu_pipeline *pipeline)
{
    if (!pipeline)
        return;
    for (int i = 0; i < pipeline->n; i++)
        mu_destroy(pipeline->transform[i]);
    mu_free(pipeline->transform);
    mu_free(pipeline->path);
    mu_free(pipeline);
}

static void say_where(const mu_pipeline *p, int i)
{
    const char *name = mu_component_of(p->transform[i])->name;
    if (p->single)
        mu_error_context("%s %s", p->path, name);
    else
        mu_error_context("%s.%d %s", p->path, i, name);
}

mu_err mu_pipeline_apply(const mu_pipeline *pipeline, mu_sample *sample)
{
    for (int i = 0; i < pipeline->n; i++) {
        const mu_transform_ops *ops = mu_component_of(pipeline->transform[i])->ops;
        mu_err err = ops->apply(pipeline->transform[i], sample);
        if (err) {
            say_where(pipeline, i);
            return mu_error_trace(err, __FILE__, __LINE__, __func__);
        }
    }
    return MU_OK;
}

int mu_pipeline_length(const mu_pipeline *pipeline)
{
    return pipeline->n;
}
