#include "cli/cli.h"
#include "cli/inspection.h"
#include "cli/mistakes.h"
#include "cli/prediction.h"
#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "runner/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void json_string(mu_text *text, const char *key, const char *value, const char *after)
{
    mu_text_printf(text, "\"%s\": ", key);
    if (value)
        mu_text_append_json(text, value, strlen(value));
    else
        mu_text_append(text, "null");
    mu_text_append(text, after);
}

typedef struct {
    const char *path, *net;
    cli_list overrides;
    bool json;
    int64_t depth, *ranks; /* [n_ranks] */
    size_t n_ranks, capacity;
    mu_inspect_options inspect;
} check_options;

typedef struct {
    mu_config *config;
    mu_diagnostics mistakes, net_mistakes;
    mu_inspection inspection;
    mu_network network;
    mu_measurement measured;
    mu_prediction *prediction; /* [n_ranks], NULL: none */
} findings;

static void json_mistakes(mu_text *text, const mu_diagnostics *list, bool first)
{
    for (size_t i = 0; i < list->n; i++) {
        const mu_diagnostic *d = &list->item[i];
        mu_text_append(text, i || !first ? ",\n  {" : "\n  {");
        json_string(text, "file", d->pos.file, ", ");
        mu_text_printf(text, "\"line\": %d, \"column\": %d, ", d->pos.line, d->pos.column);
        json_string(text, "path", d->path, ", ");
        json_string(text, "expected", d->expected, ", ");
        json_string(text, "found", d->found, ", ");
        json_string(text, "nearest", d->nearest, "}");
    }
}

static mu_err print_json(const check_options *o, const findings *f)
{
    mu_text text = {0};
    mu_text_append(&text, "{");
    json_string(&text, "config", o->path, ", ");
    mu_text_printf(&text, "\"count\": %zu, \"mistakes\": [", f->mistakes.n + f->net_mistakes.n);
    json_mistakes(&text, &f->mistakes, true);
    json_mistakes(&text, &f->net_mistakes, f->mistakes.n == 0);
    mu_text_append(&text, "]");
    cli_inspection_json(&text, &f->inspection);
    if (f->prediction)
        cli_prediction_json(&text, &f->measured, f->prediction, o->n_ranks);
    mu_text_append(&text, "}\n");
    mu_err err = mu_text_status(&text);
    if (!err)
        fputs(text.data, stdout);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}

static mu_err print(const check_options *o, findings *f)
{
    if (o->json)
        return print_json(o, f);
    if (f->mistakes.n)
        MU_TRY(cli_tell_mistakes(o->path, &f->mistakes));
    if (f->net_mistakes.n)
        MU_TRY(cli_tell_mistakes(o->net, &f->net_mistakes));
    if (f->mistakes.n || f->net_mistakes.n)
        return MU_OK;
    printf("%s: no mistakes\n", o->path);
    cli_inspection_print(&f->inspection, o->inspect.ranks, (int)o->depth);
    if (f->prediction)
        cli_prediction_print(&f->measured, &f->network, f->prediction, o->n_ranks);
    return MU_OK;
}

static mu_err look(const check_options *o, findings *f)
{
    MU_TRY(mu_config_read(o->path, &f->config));
    for (size_t i = 0; i < o->overrides.n; i++)
        MU_TRY(mu_config_override(f->config, o->overrides.v[i]));
    MU_TRY(mu_runner_check(mu_config_root(f->config), &f->mistakes));
    if (!f->mistakes.n)
        MU_TRY(mu_inspect(f->config, &o->inspect, &f->mistakes, &f->inspection));
    mu_diagnostics_sort(&f->mistakes);
    if (!o->net)
        return MU_OK;
    MU_TRY(mu_network_read(o->net, o->inspect.ranks, &f->net_mistakes, &f->network));
    if (!f->mistakes.n && !f->inspection.training) {
        MU_FAIL(MU_ERR_CONFIG, "'%s' trains nothing, so there is no step to predict", o->path);
        return mu_error_hint("give train_dataloader (or --input-shape), optim_wrapper and train_cfg");
    }
    return MU_OK;
}

/* Collective. */
static mu_err predict(const check_options *o, findings *f, mu_comm *comm)
{
    enum { SECONDS = 12 };
    if (mu_comm_is_main(comm) && isatty(STDERR_FILENO))
        fprintf(stderr, "measuring the training step, for about %d s\n", SECONDS);
    MU_TRY(mu_measure(f->config, mu_batch_buffer_batch(f->inspection.example), SECONDS, comm, &f->measured));
    MU_TRY(mu_calloc(&f->prediction, o->n_ranks, sizeof *f->prediction));
    for (size_t i = 0; i < o->n_ranks; i++)
        MU_TRY(mu_predict(&f->measured.workload, &f->network, o->ranks[i], &f->prediction[i]));
    return MU_OK;
}

/* Alone, without looking for other ranks: `muster check` asks nothing of its surroundings. */
static mu_err check_alone(const check_options *o, findings *f)
{
    MU_TRY(look(o, f));
    return print(o, f);
}

/* Collective. Ranks that were launched together measure at the same time; the first one tells. */
static mu_err check_together(const check_options *o, findings *f, mu_comm *comm)
{
    MU_TRY(mu_comm_agree(comm, look(o, f)));
    int64_t mistakes = (int64_t)(f->mistakes.n + f->net_mistakes.n);
    MU_TRY(mu_comm_all_reduce(comm, &mistakes, 1, MU_I64, MU_COMM_MAX));
    if (mistakes == 0)
        MU_TRY(mu_comm_agree(comm, predict(o, f, comm)));
    return mu_comm_agree(comm, mu_comm_is_main(comm) ? print(o, f) : MU_OK);
}

static int check(const check_options *o)
{
    findings f = {0};
    mu_comm *comm = NULL;
    mu_err err = o->net ? cli_comm(&comm) : MU_OK;
    err = err ? err : comm ? check_together(o, &f, comm) : check_alone(o, &f);
    int status = err ? cli_end(comm, err, true) : f.mistakes.n || f.net_mistakes.n ? 2 : 0;
    mu_free(f.prediction);
    mu_measurement_release(&f.measured);
    mu_inspection_release(&f.inspection);
    mu_diagnostics_release(&f.mistakes);
    mu_diagnostics_release(&f.net_mistakes);
    mu_config_release(f.config);
    return status;
}

static bool read_count(const char *text, int64_t least, int64_t *out)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return end != text && *end == '\0' && value >= least && value <= INT32_MAX;
}

/* "1,64,1024", at most a million each; the largest is what the config is checked for. */
static bool read_ranks(const char *text, check_options *o)
{
    char *end = (char *)text;
    for (int i = 0; i == 0 || *end; i++) {
        const char *at = end + (i > 0);
        long long value = strtoll(at, &end, 10);
        if (end == at || (*end && *end != ',') || value < 1 || value > INT32_MAX ||
            mu_grow(&o->ranks, &o->capacity, o->n_ranks + 1, sizeof *o->ranks) != MU_OK)
            return false;
        o->ranks[o->n_ranks++] = value;
        o->inspect.ranks = value > o->inspect.ranks ? (int)value : o->inspect.ranks;
    }
    return true;
}

/* "3,224,224" */
static bool read_shape(const char *text, mu_type *out)
{
    int64_t dim[3];
    char *end = (char *)text;
    for (int i = 0; i < 3; i++) {
        const char *at = end + (i > 0);
        dim[i] = strtoll(at, &end, 10);
        if (end == at || dim[i] < 1 || dim[i] > INT32_MAX || *end != (i < 2 ? ',' : '\0'))
            return false;
    }
    *out = MU_TYPE(MU_U8, dim[0], dim[1], dim[2]);
    return true;
}

static int run(const cli_command *command, int argc, char **argv)
{
    check_options o = {.inspect.ranks = 1, .depth = 2};
    const char *ranks = "1", *shape = NULL, *depth = "2";
    const cli_option options[] = {
        {.name = "ranks", .value = "N", .text = &ranks, .help = "that the run is to have (default: 1); with --net also 1,64,1024"},
        {.name = "net", .value = "FILE", .text = &o.net, .help = "predict the step at N ranks: measures for about 15 s"},
        {.name = "input-shape",
         .value = "C,H,W",
         .text = &shape,
         .help = "of an image, when the datasets are not on this machine"},
        {.name = "depth", .value = "N", .text = &depth, .help = "of the modules that are shown (default: 2)"},
        {.name = "cfg-options",
         .value = "KEY=VALUE",
         .list = &o.overrides,
         .help = "set keys, as in model.head.num_classes=10"},
        {.name = "json", .flag = &o.json, .help = "print everything as JSON on standard output"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &o.path, &n);
    if (status == CLI_GO && (!read_ranks(ranks, &o) || (o.n_ranks > 1 && !o.net)))
        status = cli_misuse(command->name, "--ranks takes a number from 1, or with --net several with commas, not '%s'", ranks);
    else if (status == CLI_GO && !read_count(depth, 0, &o.depth))
        status = cli_misuse(command->name, "--depth takes a number from 0, not '%s'", depth);
    else if (status == CLI_GO && shape && !read_shape(shape, &o.inspect.input_shape))
        status = cli_misuse(command->name, "--input-shape takes channels, height and width as in 3,224,224, not '%s'", shape);
    if (status == CLI_GO)
        status = check(&o);
    mu_free(o.ranks);
    cli_list_release(&o.overrides);
    return status;
}

const cli_command cli_check = {
    .name = "check",
    .operands = "CONFIG",
    .summary = "Find every mistake in a config, and tell what the run would take",
    .details = "Reads CONFIG and its bases, loads the plug-ins that it names, checks each key and each component, opens the\n"
               "datasets, and traces the model: shapes, parameters, FLOPs, memory of a rank. Nothing is trained.\n"
               "With --net FILE (muster bench comm -o FILE writes one) the training step is run here for some seconds, and what a run of\n"
               "N ranks would take is predicted: step, communication, efficiency, memory, checkpoints. Under mpirun all ranks measure.\n"
               "Every mistake is told with its file, line and column, the key, what was expected and what was found.\n"
               "Keys that begin with '_' are yours. The exit status is 2 when there is a mistake.",
    .run = run,
    .computes = true,
};
