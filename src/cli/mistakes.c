#include "cli/mistakes.h"

#include "core/mem.h"

#include <stdio.h>

mu_err cli_tell_mistakes(const char *config, mu_diagnostics *list)
{
    mu_diagnostics_sort(list);
    for (size_t i = 0; i < list->n; i++) {
        char *line;
        size_t n = mu_diagnostic_format(&list->item[i], NULL, 0) + 1;
        MU_TRY(mu_alloc(&line, n));
        mu_diagnostic_format(&list->item[i], line, n);
        fprintf(stderr, "%s\n", line);
        mu_free(line);
    }
    fprintf(stderr, "muster: %zu %s in %s\n", list->n, list->n == 1 ? "mistake" : "mistakes", config);
    return MU_OK;
}
