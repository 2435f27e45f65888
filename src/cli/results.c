#include "cli/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHOWN = 20 }; /* columns of a table */

static void append_number(mu_text *text, double x)
{
    char buf[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (strtod(buf, NULL) == x)
            break;
    }
    mu_text_append(text, isfinite(x) ? buf : "null");
}

static bool is_whole(const mu_result *r)
{
    for (int64_t i = 0; i < r->dim[0] * r->dim[1]; i++)
        if (r->value[i] != floor(r->value[i]) || fabs(r->value[i]) > 1e15)
            return false;
    return true;
}

static void append_table(const mu_result *r, mu_text *text)
{
    int width = 0, digits = is_whole(r) ? 0 : 4;
    for (int64_t i = 0; i < r->dim[0] * r->dim[1]; i++) {
        int n = snprintf(NULL, 0, "%.*f", digits, r->value[i]);
        width = n > width ? n : width;
    }
    mu_text_printf(text, "table %lld x %lld", (long long)r->dim[0], (long long)r->dim[1]);
    for (int64_t i = 0; r->dim[1] <= MAX_SHOWN && i < r->dim[0]; i++) {
        mu_text_append(text, "\n ");
        for (int64_t j = 0; j < r->dim[1]; j++)
            mu_text_printf(text, " %*.*f", width, digits, r->value[i * r->dim[1] + j]);
    }
}

void cli_results_text(const mu_results *results, mu_text *text)
{
    int width = 0;
    for (size_t i = 0; i < results->n; i++)
        width = (int)strlen(results->item[i].name) > width ? (int)strlen(results->item[i].name) : width;
    for (size_t i = 0; i < results->n; i++) {
        const mu_result *r = &results->item[i];
        mu_text_printf(text, "%-*s  ", width, r->name);
        if (r->ndim == 0)
            mu_text_printf(text, "%10.4f", r->value[0]);
        else
            append_table(r, text);
        mu_text_append(text, "\n");
    }
}

static void append_row(const double *value, int64_t n, mu_text *text)
{
    mu_text_append(text, "[");
    for (int64_t j = 0; j < n; j++) {
        mu_text_append(text, j ? ", " : "");
        append_number(text, value[j]);
    }
    mu_text_append(text, "]");
}

void cli_results_json(const mu_results *results, mu_text *text)
{
    mu_text_append(text, "{");
    for (size_t i = 0; i < results->n; i++) {
        const mu_result *r = &results->item[i];
        mu_text_append(text, i ? ", " : "");
        mu_text_append_json(text, r->name, strlen(r->name));
        mu_text_append(text, ": ");
        if (r->ndim == 0) {
            append_number(text, r->value[0]);
            continue;
        }
        mu_text_append(text, "[");
        for (int64_t k = 0; k < r->dim[0]; k++) {
            mu_text_append(text, k ? ", " : "");
            append_row(r->value + k * r->dim[1], r->dim[1], text);
        }
        mu_text_append(text, "]");
    }
    mu_text_append(text, "}");
}
