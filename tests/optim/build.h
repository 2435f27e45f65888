/* Components from YAML, for the tests of this room. */
#ifndef MU_TESTS_OPTIM_BUILD_H
#define MU_TESTS_OPTIM_BUILD_H

#include "config/config.h"
#include "registry/registry.h"

#include "test.h"

/* `text` is a dict; the object borrows from *config, which outlives it. */
static inline mu_err build_yaml(const char *kind, const char *text, mu_config **config, void **out)
{
    void *object;
    MU_TRY(mu_config_parse(text, strlen(text), "yaml", config));
    mu_err err = mu_build(kind, mu_config_root(*config), NULL, "", &object);
    if (err)
        mu_config_release(*config);
    else
        *out = object;
    return err;
}

/* Building fails with MU_ERR_CONFIG and a text that contains `part`. */
static inline void refuses_yaml(const char *kind, const char *text, const char *part)
{
    mu_config *config;
    void *object;
    ck_fails(build_yaml(kind, text, &config, &object), MU_ERR_CONFIG, part);
}

#endif
