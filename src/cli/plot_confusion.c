#include "cli/plot.h"
#include "config/config.h"
#include "core/mem.h"
#include "eval/dump.h"
#include "vis/plot.h"

#include <string.h>

/* Names of the classes, from the dump's metainfo; NULL where it has not n of them. */
static mu_err class_names(const mu_cfg *meta, int64_t n, const char ***out)
{
    const mu_cfg *classes = mu_cfg_get(meta, "classes");
    *out = NULL;
    if (!classes || mu_cfg_kind_of(classes) != MU_CFG_LIST || (int64_t)mu_cfg_size(classes) != n)
        return MU_OK;
    const char **names;
    MU_TRY(mu_calloc(&names, (size_t)n, sizeof *names));
    for (size_t i = 0; i < (size_t)n; i++)
        names[i] = mu_cfg_kind_of(mu_cfg_at(classes, i)) == MU_CFG_STRING ? mu_cfg_string(mu_cfg_at(classes, i)) : "";
    *out = names;
    return MU_OK;
}

static mu_err write_csv(const char *out, const mu_result *m, const char *const *names)
{
    mu_text text = {0};
    mu_text_append(&text, "true");
    for (int64_t i = -1; i < m->dim[0]; i++) {
        for (int64_t j = i < 0 ? 0 : -1; j < m->dim[1]; j++) {
            int64_t class = i < 0 ? j : i;
            bool is_name = i < 0 || j < 0;
            if (j >= 0)
                mu_text_append(&text, ",");
            if (is_name && names)
                cli_plot_csv_cell(&text, names[class]);
            else
                cli_plot_csv_number(&text, is_name ? (double)class : m->value[i * m->dim[1] + j]);
        }
        mu_text_append(&text, "\n");
    }
    mu_err err = cli_plot_write(out, &text);
    mu_text_release(&text);
    return err;
}

static mu_err write(const mu_dump *dump, const mu_result *m, const char *out, const char *title)
{
    const char *json = mu_dump_meta(dump), **names;
    mu_cfg *meta;
    bool csv;
    MU_TRY(cli_plot_is_csv(out, &csv));
    MU_TRY(mu_cfg_parse_json(json, strlen(json), "metainfo", &meta));
    mu_err err = class_names(meta, m->dim[0], &names);
    if (!err) {
        err = csv ? write_csv(out, m, names) : mu_plot_confusion(out, title, m->dim[0], names, m->value);
        mu_free(names);
    }
    mu_cfg_release(meta);
    return err;
}

static mu_err measure(const mu_dump *dump, mu_results *results)
{
    static const char metric[] = "{\"type\": \"ConfusionMatrix\"}";
    mu_cfg *cfg;
    mu_comm *alone = NULL;
    mu_evaluator *evaluator = NULL;
    MU_TRY(mu_cfg_parse_json(metric, strlen(metric), "metric", &cfg));
    mu_err err = mu_comm_self_new(&alone);
    if (!err)
        err = mu_evaluator_new(cfg, "metric", &evaluator);
    if (!err)
        err = mu_dump_evaluate(dump, evaluator, alone, results);
    mu_evaluator_release(evaluator);
    mu_comm_release(alone);
    mu_cfg_release(cfg);
    return err;
}

static mu_err plot(const char *path, const char *out, const char *title)
{
    bool csv;
    mu_dump *dump;
    mu_results results = {0};
    MU_TRY(cli_plot_is_csv(out, &csv));
    MU_TRY(mu_dump_open(path, &dump));
    mu_err err = measure(dump, &results);
    if (!err)
        err = write(dump, &results.item[0], out, title);
    mu_results_release(&results);
    mu_dump_release(dump);
    return err;
}

static int run(const cli_command *command, int argc, char **argv)
{
    const char *path, *out = NULL, *title = "confusion matrix";
    const cli_option options[] = {
        {.name = "out", .letter = 'o', .value = "FILE.png|FILE.csv", .text = &out, .help = "where to; needed"},
        {.name = "title", .value = "TEXT", .text = &title, .help = "what stands above it"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 1, 1, &path, &n);
    if (status != CLI_GO)
        return status;
    if (!out)
        return cli_misuse(command->name, "an option is missing: --out FILE.png or FILE.csv");
    mu_err err = plot(path, out, title);
    return err ? cli_fail(err) : 0;
}

const cli_command cli_plot_confusion = {
    .name = "plot confusion",
    .operands = "DUMP.h5",
    .summary = "Which classes were taken for which, from dumped predictions",
    .run = run,
};
