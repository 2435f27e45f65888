#include "data/h5_format.h"

#include "config/config.h"

static mu_err find_classes(const mu_cfg *meta, const char *where, const mu_cfg **out)
{
    const mu_cfg *classes = mu_cfg_get(meta, "classes");
    if (mu_cfg_kind_of(meta) != MU_CFG_DICT)
        return MU_FAIL(MU_ERR_FORMAT, "%s: the metainfo must be a JSON object", where);
    if (classes && mu_cfg_kind_of(classes) != MU_CFG_LIST)
        return MU_FAIL(MU_ERR_FORMAT, "%s: 'classes' in the metainfo must be a list of names", where);
    for (size_t i = 0; classes && i < mu_cfg_size(classes); i++)
        if (mu_cfg_kind_of(mu_cfg_at(classes, i)) != MU_CFG_STRING)
            return MU_FAIL(MU_ERR_FORMAT, "%s: class %zu in the metainfo is not a name", where, i);
    *out = classes;
    return MU_OK;
}

mu_err h5_meta_parse(const char *text, size_t length, const char *where, mu_cfg **meta, const mu_cfg **classes)
{
    mu_cfg *tree;
    mu_err err = mu_cfg_parse_json(text, length, "metainfo", &tree);
    if (err == MU_ERR_CONFIG) {
        mu_error_context("%s", where);
        return mu_error_recode(MU_ERR_FORMAT);
    }
    MU_TRY(err);
    err = find_classes(tree, where, classes);
    if (err) {
        mu_cfg_release(tree);
        return err;
    }
    *meta = tree;
    return MU_OK;
}

mu_err h5_check_labels(const int64_t *label, int64_t n, int64_t first, int64_t n_classes, const char *where)
{
    for (int64_t i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= n_classes) {
            MU_FAIL(MU_ERR_FORMAT, "%s: sample %lld has label %lld, outside of its %lld classes", where,
                    (long long)(first + i), (long long)label[i], (long long)n_classes);
            return mu_error_hint("labels count from 0 to %lld; pack the data again with the right labels or classes",
                                 (long long)n_classes - 1);
        }
    return MU_OK;
}
