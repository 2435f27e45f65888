#include "cli/ckpt.h"

#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const mu_tensor_file *a, *b;
    double tolerance;
    int n_identical, n_within, n_different, n_single;
} job;

/* The largest |a - b|; infinity where only one of two is NaN. */
static double largest_difference(const double *a, const double *b, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = isnan(a[i]) && isnan(b[i]) ? 0 : a[i] == b[i] ? 0 : fabs(a[i] - b[i]);
        if (isnan(d))
            return INFINITY;
        largest = d > largest ? d : largest;
    }
    return largest;
}

static mu_err difference(const mu_type *type, const void *a, const void *b, double *out)
{
    int64_t n = mu_type_count(type);
    double *x = NULL, *y = NULL;
    mu_err err;
    MU_TRY_GOTO(err, mu_calloc(&x, (size_t)n, sizeof *x), done);
    MU_TRY_GOTO(err, mu_calloc(&y, (size_t)n, sizeof *y), done);
    mu_convert(x, MU_F64, a, type->dtype, n);
    mu_convert(y, MU_F64, b, type->dtype, n);
    *out = largest_difference(x, y, n);
done:
    mu_free(y);
    mu_free(x);
    return err;
}

static mu_err compare_bytes(job *j, const mu_tensor_entry *e, const void *a, const void *b)
{
    double d = 0;
    if (memcmp(a, b, mu_type_bytes(&e->type)) == 0) {
        j->n_identical++;
        return MU_OK;
    }
    MU_TRY(difference(&e->type, a, b, &d));
    if (d <= j->tolerance) {
        j->n_within++;
        return MU_OK;
    }
    j->n_different++;
    printf("%s: they differ by up to %.6g\n", e->path, d);
    return MU_OK;
}

static mu_err compare(job *j, int i, int k)
{
    const mu_tensor_entry *a = mu_tensor_file_at(j->a, i), *b = mu_tensor_file_at(j->b, k);
    char ta[MU_TYPE_TEXT], tb[MU_TYPE_TEXT];
    void *x = NULL, *y = NULL;
    if (b->text || !mu_type_equal(&a->type, &b->type)) {
        j->n_different++;
        printf("%s: %s in one, %s in the other\n", a->path, mu_type_format(&a->type, ta),
               b->text ? "a text" : mu_type_format(&b->type, tb));
        return MU_OK;
    }
    mu_err err = cli_ckpt_read(j->a, i, &x);
    err = err ? err : cli_ckpt_read(j->b, k, &y);
    err = err ? err : compare_bytes(j, a, x, y);
    mu_free(x);
    mu_free(y);
    return err;
}

/* What the first lacks of the second is told by a second look, the other way round. */
static mu_err look(job *j)
{
    mu_err err = MU_OK;
    for (int i = 0; !err && i < mu_tensor_file_count(j->a); i++) {
        const mu_tensor_entry *e = mu_tensor_file_at(j->a, i);
        if (e->text)
            continue;
        int k = mu_tensor_file_find(j->b, e->path);
        if (k >= 0) {
            err = compare(j, i, k);
        } else {
            j->n_single++;
            printf("%s: only in %s\n", e->path, mu_tensor_file_path(j->a));
        }
    }
    return err;
}

static void look_back(job *j)
{
    for (int k = 0; k < mu_tensor_file_count(j->b); k++) {
        const mu_tensor_entry *e = mu_tensor_file_at(j->b, k);
        if (e->text || mu_tensor_file_find(j->a, e->path) >= 0)
            continue;
        j->n_single++;
        printf("%s: only in %s\n", e->path, mu_tensor_file_path(j->b));
    }
}

static mu_err diff(job *j, int *status)
{
    MU_TRY(look(j));
    look_back(j);
    *status = j->n_different + j->n_single > 0;
    if (*status)
        printf("%d datasets differ, %d are in one file only; %d are bit-identical, %d within %g\n", j->n_different, j->n_single,
               j->n_identical, j->n_within, j->tolerance);
    else if (j->n_within)
        printf("equal within %g: %d datasets are bit-identical, %d differ by less\n", j->tolerance, j->n_identical, j->n_within);
    else
        printf("bit-identical: %d datasets\n", j->n_identical);
    return MU_OK;
}

static int diff_files(const char *const path[2], double tolerance)
{
    mu_tensor_file *a = NULL, *b = NULL;
    int status = 1;
    mu_err err = cli_ckpt_open(path[0], &a);
    err = err ? err : cli_ckpt_open(path[1], &b);
    if (!err)
        err = diff(&(job){.a = a, .b = b, .tolerance = tolerance}, &status);
    mu_tensor_file_release(a);
    mu_tensor_file_release(b);
    return err ? cli_fail(err) : status;
}

static int run(const cli_command *command, int argc, char **argv)
{
    const char *text = "0", *path[2];
    const cli_option options[] = {
        {.name = "tolerance", .value = "X", .text = &text, .help = "differences of at most X do not count (default: 0)"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 2, 2, path, &n);
    if (status != CLI_GO)
        return status;
    char *end;
    double tolerance = strtod(text, &end);
    if (end == text || *end || !(tolerance >= 0))
        return cli_misuse(command->name, "--tolerance: '%s' is not a number from 0 on", text);
    return diff_files(path, tolerance);
}

const cli_command cli_ckpt_diff = {
    .name = "ckpt diff",
    .operands = "A B",
    .summary = "Compare the tensors and numbers of two checkpoints",
    .details = "Weights, optimizer, schedulers and the loader's place are compared; texts (config, time, message hub) are not.\n"
               "Exit status: 0 equal, 1 they differ.",
    .run = run,
};
