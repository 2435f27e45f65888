#include "cli/inspection.h"

#include "cli/amount.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_modules(const mu_inspection *in, int depth)
{
    int name = 6, type = 4, shape = 6;
    char text[MU_TYPE_TEXT], a[32], b[32];
    for (size_t i = 0; i < in->n_modules; i++) {
        const mu_inspect_module *m = &in->module[i];
        if (m->depth > depth)
            continue;
        int lengths[] = {(int)strlen(m->path), (int)strlen(m->type), (int)strlen(mu_type_format(&m->output, text))};
        name = lengths[0] > name ? lengths[0] : name;
        type = lengths[1] > type ? lengths[1] : type;
        shape = lengths[2] > shape ? lengths[2] : shape;
    }
    printf("\n%-*s  %-*s  %-*s  %10s  %12s\n", name, "module", type, "type", shape, "output", "parameters", "FLOPs/sample");
    for (size_t i = 0; i < in->n_modules; i++) {
        const mu_inspect_module *m = &in->module[i];
        if (m->depth <= depth)
            printf("%-*s  %-*s  %-*s  %10s  %12s\n", name, m->path[0] ? m->path : "model", type, m->type, shape,
                   mu_type_format(&m->output, text), cli_amount((double)m->params, "", 1000, a),
                   cli_amount((double)m->flops, "", 1000, b));
    }
}

static void print_data(const mu_inspect_data *d, int ranks)
{
    printf("%-5s  ", d->phase);
    if (d->missing) {
        printf("not here: %s\n", d->missing);
        return;
    }
    printf("%" PRId64 " samples, %d %s of batch %" PRId64 ": global batch %" PRId64 ", %" PRId64 " %s an epoch", d->samples, ranks,
           ranks == 1 ? "rank" : "ranks", d->batch, d->global_batch, d->batches, d->batches == 1 ? "batch" : "batches");
    if (d->repeated)
        printf("; %" PRId64 " %s twice in it", d->repeated, d->repeated == 1 ? "sample comes" : "samples come");
    printf("\n");
}

void cli_inspection_print(const mu_inspection *in, int ranks, int depth)
{
    char a[32], b[32], c[32], d[32], e[32], shape[MU_TYPE_TEXT];
    if (in->traced) {
        print_modules(in, depth);
        printf("\ninput %s on %s: %s parameters, %s of them trained; %s a %s of one rank\n", mu_type_format(&in->input, shape),
               in->device, cli_amount((double)in->params, "", 1000, a), cli_amount((double)in->trainable, "", 1000, b),
               cli_amount((double)in->flops, "FLOPs", 1000, c), in->training ? "training step" : "batch");
        size_t total = in->param_bytes + in->gradient_bytes + in->optimizer_bytes + in->activation_bytes;
        printf("memory of a rank: %s = parameters %s + gradients %s + optimizer %s + activations %s\n",
               cli_amount((double)total, "B", 1024, a), cli_amount((double)in->param_bytes, "B", 1024, b),
               cli_amount((double)in->gradient_bytes, "B", 1024, c), cli_amount((double)in->optimizer_bytes, "B", 1024, d),
               cli_amount((double)in->activation_bytes, "B", 1024, e));
    }
    for (int i = 0; i < in->n_data; i++)
        print_data(&in->data[i], ranks);
}

static void json_string(mu_text *text, const char *key, const char *value)
{
    mu_text_printf(text, "\"%s\": ", key);
    if (value)
        mu_text_append_json(text, value, strlen(value));
    else
        mu_text_append(text, "null");
}

static void json_shape(mu_text *text, const mu_type *type)
{
    mu_text_append(text, "\"output\": [");
    for (int i = 0; i < type->ndim; i++)
        mu_text_printf(text, "%s%" PRId64, i ? ", " : "", type->dim[i]);
    mu_text_append(text, "]");
}

static void json_module(mu_text *text, const mu_inspect_module *m)
{
    mu_text_append(text, "{");
    json_string(text, "path", m->path);
    mu_text_append(text, ", ");
    json_string(text, "type", m->type);
    mu_text_append(text, ", ");
    json_shape(text, &m->output);
    mu_text_printf(text, ", \"parameters\": %" PRId64 ", \"flops_per_sample\": %" PRId64 "}", m->params, m->flops);
}

static void json_data(mu_text *text, const mu_inspect_data *d)
{
    mu_text_append(text, "{");
    json_string(text, "phase", d->phase);
    mu_text_printf(text, ", \"samples\": %" PRId64 ", \"batch\": %" PRId64 ", \"global_batch\": %" PRId64 ", \"batches\": %" PRId64
                   ", \"repeated\": %" PRId64 ", ", d->samples, d->batch, d->global_batch, d->batches, d->repeated);
    json_string(text, "missing", d->missing);
    mu_text_append(text, "}");
}

void cli_inspection_json(mu_text *text, const mu_inspection *in)
{
    mu_text_append(text, ",\n \"data\": [");
    for (int i = 0; i < in->n_data; i++) {
        mu_text_append(text, i ? ",\n  " : "\n  ");
        json_data(text, &in->data[i]);
    }
    mu_text_append(text, "]");
    if (!in->traced)
        return;
    mu_text_append(text, ",\n ");
    json_string(text, "device", in->device);
    mu_text_printf(text, ", \"parameters\": %" PRId64 ", \"trained\": %" PRId64 ", \"flops\": %" PRId64, in->params, in->trainable,
                   in->flops);
    mu_text_printf(text, ", \"bytes\": {\"parameters\": %zu, \"gradients\": %zu, \"optimizer\": %zu, \"activations\": %zu}",
                   in->param_bytes, in->gradient_bytes, in->optimizer_bytes, in->activation_bytes);
    mu_text_append(text, ",\n \"modules\": [");
    for (size_t i = 0; i < in->n_modules; i++) {
        mu_text_append(text, i ? ",\n  " : "\n  ");
        json_module(text, &in->module[i]);
    }
    mu_text_append(text, "]");
}
