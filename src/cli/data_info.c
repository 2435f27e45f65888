#include "cli/data.h"

#include "core/text.h"
#include "data/h5_dataset.h"

#include <stdio.h>
#include <string.h>

static void field_text(const mu_h5_field *f, char *buf, size_t size)
{
    char type[MU_TYPE_TEXT];
    snprintf(buf, size, "%s%s", f->variable ? "variable " : "", mu_type_format(&f->sample, type));
}

static void json_text(mu_text *t, const char *key, const char *value)
{
    mu_text_printf(t, "\"%s\": ", key);
    mu_text_append_json(t, value, strlen(value));
}

static void write_json(const mu_h5_dataset *d, mu_text *t)
{
    mu_text_append(t, "{");
    json_text(t, "path", mu_h5_dataset_path(d));
    mu_text_append(t, ", ");
    json_text(t, "uuid", mu_h5_dataset_uuid(d));
    mu_text_printf(t, ", \"samples\": %lld, \"fields\": [", (long long)mu_h5_dataset_count(d));
    for (int i = 0; i < mu_h5_dataset_n_fields(d); i++) {
        const mu_h5_field *f = mu_h5_dataset_field(d, i);
        mu_text_append(t, i ? ", {" : "{");
        json_text(t, "name", f->name);
        mu_text_printf(t, ", \"dtype\": \"%s\", \"shape\": [", mu_dtype_name(f->sample.dtype));
        for (int k = 0; k < f->sample.ndim; k++)
            mu_text_printf(t, "%s%lld", k ? ", " : "", (long long)f->sample.dim[k]);
        mu_text_printf(t, "], \"variable\": %s, \"bytes\": %lld}", f->variable ? "true" : "false", (long long)f->bytes);
    }
    mu_text_printf(t, "], \"meta\": %s}\n", mu_h5_dataset_meta(d));
}

static void write_text(const mu_h5_dataset *d, mu_text *t)
{
    int64_t n = mu_h5_dataset_n_classes(d);
    mu_text_printf(t, "%s\n  uuid     %s\n  samples  %lld\n", mu_h5_dataset_path(d), mu_h5_dataset_uuid(d),
                   (long long)mu_h5_dataset_count(d));
    for (int i = 0; i < mu_h5_dataset_n_fields(d); i++) {
        const mu_h5_field *f = mu_h5_dataset_field(d, i);
        char type[MU_TYPE_TEXT + 16];
        field_text(f, type, sizeof type);
        mu_text_printf(t, "  %s%-16s %-20s %lld bytes\n", i ? "         " : "fields   ", f->name, type, (long long)f->bytes);
    }
    if (n == 0)
        return;
    mu_text_printf(t, "  classes  %lld:", (long long)n);
    for (int64_t i = 0; i < n && i < 20; i++)
        mu_text_printf(t, "%s %s", i ? "," : "", mu_h5_dataset_class(d, i));
    mu_text_append(t, n > 20 ? ", ...\n" : "\n");
}

static int run(const cli_command *command, int argc, char **argv)
{
    bool json = false;
    const cli_option options[] = {
        {.name = "json", .flag = &json, .help = "print a JSON object, with the whole metainfo"},
        {.name = NULL},
    };
    const char *path;
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &path, &n);
    if (status != CLI_GO)
        return status;
    mu_h5_dataset *d;
    mu_err err = mu_h5_dataset_open(path, &d);
    if (err)
        return cli_fail(err);
    mu_text text = {0};
    if (json)
        write_json(d, &text);
    else
        write_text(d, &text);
    err = mu_text_status(&text);
    if (!err)
        fputs(text.data, stdout);
    mu_text_release(&text);
    mu_h5_dataset_release(d);
    return err ? cli_fail(err) : 0;
}

const cli_command cli_data_info = {
    .name = "data info",
    .operands = "FILE",
    .summary = "Show the fields, shapes, counts, classes, sizes and UUID of a dataset file",
    .run = run,
};
