#include "cli/cli.h"
#include "cli/results.h"
#include "config/config.h"
#include "core/mem.h"
#include "eval/dump.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *dump, *out;
    cli_list metrics;
    bool json;
} arguments;

static bool is_config(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

/* NAME:key=value,... as {type: NAME, key: value, ...}; commas in brackets and quotes are the values' own. */
static void append_metric(mu_text *text, const char *word)
{
    size_t n = strcspn(word, ":");
    int depth = 0;
    char quote = '\0';
    bool in_key = true;
    mu_text_append(text, "{type: ");
    mu_text_append_n(text, word, n);
    if (word[n] == ':' && word[n + 1])
        mu_text_append(text, ", ");
    for (const char *at = word + n + (word[n] == ':'); *at; at++) {
        bool quoted = quote != '\0';
        if (quoted || *at == '"' || *at == '\'')
            quote = !quoted ? *at : *at == quote ? '\0' : quote;
        depth += !quoted && (*at == '[' || *at == '{');
        depth -= !quoted && (*at == ']' || *at == '}');
        if (!quoted && depth == 0 && in_key && *at == '=') {
            mu_text_append(text, ": ");
            in_key = false;
        } else {
            mu_text_append_n(text, at, 1);
            in_key |= !quoted && depth == 0 && *at == ',';
        }
    }
    mu_text_append(text, "}");
}

/* A config with test_evaluator. */
static mu_err config_of_names(const cli_list *names, mu_config **out)
{
    mu_text text = {0};
    mu_text_append(&text, "test_evaluator: [");
    for (size_t i = 0; i < names->n; i++) {
        mu_text_append(&text, i ? ", " : "");
        append_metric(&text, names->v[i]);
    }
    mu_text_append(&text, "]\n");
    mu_err err = mu_text_status(&text);
    if (!err)
        err = mu_config_parse(text.data, text.length, "yaml", out);
    if (err)
        mu_error_context("--metrics");
    mu_text_release(&text);
    return err;
}

/* What fits a classifier's dump: top5 where there are more than five classes. */
static mu_err config_by_default(const mu_dump *dump, mu_config **out)
{
    const mu_tensor *score = mu_tensors_find(mu_dump_predictions(dump), "pred_score");
    bool five = score && score->type.ndim == 2 && score->type.dim[1] > 5;
    const char *name = five ? "Accuracy:topk=[1,5]" : "Accuracy";
    const char *words[] = {name, "SingleLabelMetric", "ConfusionMatrix"};
    return config_of_names(&(cli_list){.n = 3, .v = words}, out);
}

static mu_err use_config(const mu_config *config)
{
    const mu_cfg *root = mu_config_root(config), *scope = mu_cfg_get(root, "default_scope");
    mu_diagnostics list = {0};
    mu_err err = MU_OK;
    if (mu_cfg_get(root, "custom_imports"))
        err = mu_plugin_import(mu_cfg_get(root, "custom_imports"), "custom_imports", &list);
    if (!err)
        err = mu_diagnostics_status(&list);
    if (!err && scope && mu_cfg_kind_of(scope) == MU_CFG_STRING)
        err = mu_registry_set_default_scope(mu_cfg_string(scope));
    mu_diagnostics_release(&list);
    return err;
}

static mu_err read_config(const arguments *a, const mu_dump *dump, mu_config **out)
{
    if (a->metrics.n == 0)
        return config_by_default(dump, out);
    if (!is_config(a->metrics.v[0]))
        return config_of_names(&a->metrics, out);
    if (a->metrics.n > 1)
        return MU_FAIL(MU_ERR_USAGE, "--metrics takes one config or names of metrics, got '%s' too", a->metrics.v[1]);
    mu_config *config;
    MU_TRY(mu_config_read(a->metrics.v[0], &config));
    mu_err err = use_config(config);
    if (err)
        mu_config_release(config);
    else
        *out = config;
    return err;
}

static bool is_dump(const mu_cfg *metric)
{
    const mu_cfg *type = mu_cfg_get(metric, "type");
    return type && mu_cfg_kind_of(type) == MU_CFG_STRING && strcmp(mu_cfg_string(type), "DumpResults") == 0;
}

/* The metrics of a config; a DumpResults among them would write over the dump. */
static mu_err metrics_of(const mu_config *config, mu_cfg **out)
{
    const mu_cfg *root = mu_config_root(config), *cfg = mu_cfg_get(root, "test_evaluator");
    if (!cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL)
        cfg = mu_cfg_get(root, "val_evaluator");
    if (!cfg || mu_cfg_kind_of(cfg) == MU_CFG_NULL)
        return MU_FAIL(MU_ERR_CONFIG, "'%s' has no test_evaluator and no val_evaluator", mu_config_filename(config));
    bool is_list = mu_cfg_kind_of(cfg) == MU_CFG_LIST;
    mu_cfg *list, *copy;
    MU_TRY(mu_cfg_new_list(mu_cfg_pos(cfg), &list));
    for (size_t i = 0; i < (is_list ? mu_cfg_size(cfg) : 1); i++) {
        const mu_cfg *metric = is_list ? mu_cfg_at(cfg, i) : cfg;
        if (is_dump(metric))
            continue;
        mu_err err = mu_cfg_copy(metric, &copy);
        if (!err)
            err = mu_cfg_append(list, copy);
        if (err) {
            mu_cfg_release(list);
            return err;
        }
    }
    *out = list;
    return MU_OK;
}

static mu_err write_json(const arguments *a, const mu_results *results)
{
    mu_text text = {0};
    mu_replacement *file = NULL;
    mu_text_append(&text, "{\"dump\": ");
    mu_text_append_json(&text, a->dump, strlen(a->dump));
    mu_text_append(&text, ", \"metrics\": ");
    cli_results_json(results, &text);
    mu_text_append(&text, "}\n");
    mu_err err = mu_text_status(&text);
    if (!err && a->json)
        fputs(text.data, stdout);
    if (!err && a->out)
        err = mu_replacement_new(a->out, &file);
    if (!err && a->out)
        err = mu_pwrite(mu_replacement_fd(file), text.data, text.length, 0, a->out);
    if (!err && a->out)
        err = mu_replacement_commit(file);
    mu_replacement_release(file);
    mu_text_release(&text);
    return err;
}

static mu_err write_text(const mu_results *results)
{
    mu_text text = {0};
    cli_results_text(results, &text);
    mu_err err = mu_text_status(&text);
    if (!err && text.data)
        fputs(text.data, stdout);
    mu_text_release(&text);
    return err;
}

/* What every rank can do by itself. */
static mu_err prepare(const arguments *a, mu_dump **dump, mu_config **config, mu_cfg **metrics, mu_evaluator **evaluator)
{
    MU_TRY(mu_dump_open(a->dump, dump));
    MU_TRY(read_config(a, *dump, config));
    MU_TRY(metrics_of(*config, metrics));
    return mu_evaluator_new(*metrics, "metrics", evaluator);
}

static mu_err evaluate(const arguments *a, mu_comm *comm, mu_results *results)
{
    mu_dump *dump = NULL;
    mu_config *config = NULL;
    mu_cfg *metrics = NULL;
    mu_evaluator *evaluator = NULL;
    mu_err err = mu_comm_agree(comm, prepare(a, &dump, &config, &metrics, &evaluator));
    if (!err)
        err = mu_dump_evaluate(dump, evaluator, comm, results);
    mu_evaluator_release(evaluator);
    mu_cfg_release(metrics);
    mu_config_release(config);
    mu_dump_release(dump);
    return err;
}

static int run_eval(const arguments *a)
{
    mu_comm *comm = NULL;
    mu_results results = {0};
    mu_err err = cli_comm(&comm);
    if (err)
        return cli_end(comm, err, true);
    err = evaluate(a, comm, &results);
    bool agreed = err != MU_OK;
    if (!err && mu_comm_is_main(comm))
        err = write_json(a, &results);
    if (!err && mu_comm_is_main(comm) && !a->json)
        err = write_text(&results);
    mu_results_release(&results);
    return cli_end(comm, err, agreed);
}

static int run(const cli_command *command, int argc, char **argv)
{
    arguments a = {0};
    const cli_option options[] = {
        {.name = "metrics", .value = "CONFIG|NAME", .list = &a.metrics,
         .help = "a config with test_evaluator, or metrics: Accuracy:topk=[1,5]"},
        {.name = "out", .letter = 'o', .value = "FILE.json", .text = &a.out, .help = "write the results there, as JSON"},
        {.name = "json", .flag = &a.json, .help = "print the results as JSON"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &a.dump, &n);
    if (status == CLI_GO)
        status = run_eval(&a);
    cli_list_release(&a.metrics);
    return status;
}

const cli_command cli_eval = {
    .name = "eval",
    .operands = "DUMP.h5",
    .summary = "Measure dumped predictions again",
    .details = "DUMP.h5 is what the metric DumpResults wrote. Without --metrics: accuracy, precision, recall, F1 score and the\n"
               "confusion matrix. The numbers are those of the run that made the dump, bit by bit.",
    .run = run,
};
