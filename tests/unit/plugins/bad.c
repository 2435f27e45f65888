/* Plug-ins that cannot be used; BAD says why. */
#include "registry/registry.h"

#if BAD == 1 /* another version */
const int muster_plugin_version = MU_PLUGIN_VERSION + 41;
#elif BAD != 2 /* 2: no version at all */
const int muster_plugin_version = MU_PLUGIN_VERSION;
#endif

mu_err muster_plugin_register(mu_registry *root);

#if BAD == 3 /* a function that nobody has */
mu_err muster_function_of_tomorrow(mu_registry *root);

mu_err muster_plugin_register(mu_registry *root)
{
    return muster_function_of_tomorrow(root);
}
#elif BAD == 4 /* fails after it has added one component and replaced another */
mu_err muster_plugin_register(mu_registry *root)
{
    static const mu_component fresh = {.kind = "hook", .name = "BadHook"};
    static const mu_component taken = {.kind = "hook", .name = "TestHook"};
    static const mu_component broken = {.kind = "hok", .name = "BrokenHook"};
    MU_TRY(mu_registry_add(root, &fresh, false));
    MU_TRY(mu_registry_add(root, &taken, true));
    MU_TRY(mu_registry_add(root, &broken, false));
    return MU_OK;
}
#elif BAD == 5 /* fails and does not say why */
mu_err muster_plugin_register(mu_registry *root)
{
    (void)root;
    return MU_ERR_IO;
}
#else
mu_err muster_plugin_register(mu_registry *root)
{
    (void)root;
    return MU_OK;
}
#endif
