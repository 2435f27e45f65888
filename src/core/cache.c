#include "core/cache.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

mu_err mu_cache_path(const char *dir, const char *name, char **out)
{
    const char *muster = getenv("MUSTER_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    mu_text path = {0};
    char *made = NULL;
    if (!dir && muster)
        dir = muster;
    if (dir)
        mu_text_append(&path, dir);
    else if (xdg && *xdg)
        mu_text_printf(&path, "%s/muster", xdg);
    else if (home && *home)
        mu_text_printf(&path, "%s/.cache/muster", home);
    mu_err err = mu_text_status(&path);
    if (!err && path.length > 0) {
        mu_text_printf(&path, "/%s", name);
        err = mu_text_take(&path, &made);
    }
    mu_text_release(&path);
    MU_TRY(err);
    *out = made;
    return MU_OK;
}

void mu_cache_make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777);
        *slash = '/';
    }
}
