#include "cli/plot.h"
#include "core/mem.h"
#include "vis/plot.h"
#include "vis/scalars.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNS = 16, MAX_TAGS = 24, FEW = 60 };

typedef struct {
    const char *run[MAX_RUNS], *tags, *out, *x, *smooth;
    int n_runs;
    bool log_y;
    mu_axis_kind axis;
    int64_t window;
} arguments;

typedef struct {
    int n_runs;
    mu_scalars run[MAX_RUNS];
    mu_axis axis[MAX_RUNS];
    int n_tags;
    char *tag[MAX_TAGS];
} request;

static mu_err add_tag(request *r, const char *tag, size_t n)
{
    for (int i = 0; i < r->n_tags; i++)
        if (strlen(r->tag[i]) == n && memcmp(r->tag[i], tag, n) == 0)
            return MU_OK;
    if (r->n_tags == MAX_TAGS)
        return MU_FAIL(MU_ERR_USAGE, "more than %d tags; choose some by --tags", MAX_TAGS);
    MU_TRY(mu_strndup(&r->tag[r->n_tags], tag, n));
    r->n_tags++;
    return MU_OK;
}

static const mu_series *series_of(const request *r, const char *tag)
{
    const mu_series *series = NULL;
    for (int i = 0; i < r->n_runs && !series; i++)
        series = mu_scalars_find(&r->run[i], tag);
    return series;
}

static mu_err unknown_tag(const request *r, const char *tag)
{
    mu_text text = {0};
    for (int i = 0; i < r->n_runs; i++)
        for (size_t k = 0; k < r->run[i].n; k++)
            mu_text_printf(&text, "%s%s", text.length ? ", " : "", r->run[i].item[k].tag);
    MU_FAIL(MU_ERR_USAGE, "there is no tag '%s': there are %.1000s", tag, text.data ? text.data : "none");
    mu_text_release(&text);
    return MU_ERR_USAGE;
}

static bool has_part(const char *tag, const char *part)
{
    return strstr(tag, part) != NULL;
}

/* Losses, then metrics of validation (what a line without an epoch, or an iteration, tells), then the learning rate. */
static mu_err default_tags(request *r)
{
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < r->n_runs; i++)
            for (size_t k = 0; k < r->run[i].n; k++) {
                const char *tag = r->run[i].item[k].tag;
                bool loss = has_part(tag, "loss"), lr = strcmp(tag, "lr") == 0, metric = !loss && strchr(tag, '/');
                if (pass == 0 ? loss : pass == 1 ? metric : lr)
                    MU_TRY(add_tag(r, tag, strlen(tag)));
            }
    for (int i = 0; i < r->n_runs && r->n_tags == 0; i++)
        for (size_t k = 0; k < r->run[i].n; k++)
            MU_TRY(add_tag(r, r->run[i].item[k].tag, strlen(r->run[i].item[k].tag)));
    return MU_OK;
}

static mu_err choose_tags(request *r, const char *tags)
{
    if (!tags)
        return default_tags(r);
    for (const char *at = tags; *at;) {
        size_t n = strcspn(at, ",");
        if (n)
            MU_TRY(add_tag(r, at, n));
        at += n + (at[n] == ',');
    }
    for (int i = 0; i < r->n_tags; i++)
        if (!series_of(r, r->tag[i]))
            return unknown_tag(r, r->tag[i]);
    return r->n_tags ? MU_OK : MU_FAIL(MU_ERR_USAGE, "--tags names nothing");
}

/* Means of the last `window` finite values up to each; those that are not finite stay. */
static void smooth(const mu_series *s, int64_t window, double *y)
{
    for (size_t k = 0; k < s->n; k++) {
        double sum = 0, n = 0;
        y[k] = s->point[k].value;
        if (!isfinite(y[k]))
            continue;
        for (size_t j = k + 1; j-- > 0 && n < (double)window;)
            if (isfinite(s->point[j].value)) {
                sum += s->point[j].value;
                n++;
            }
        y[k] = sum / n;
    }
}

/* The last part of a path that says something. */
static const char *run_name(const char *path, char *buf, size_t size)
{
    snprintf(buf, size, "%s", path);
    for (size_t n = strlen(buf); n > 1 && buf[n - 1] == '/';)
        buf[--n] = '\0';
    const char *slash = strrchr(buf, '/');
    return slash && slash[1] ? slash + 1 : buf;
}

/* x and y of a curve in one block, owned. */
static mu_err make_curve(const request *r, const arguments *a, int run, const char *tag, mu_curve *out)
{
    const mu_series *s = mu_scalars_find(&r->run[run], tag);
    double *x;
    char name[256], *label;
    if (!s)
        return MU_OK;
    MU_TRY(mu_calloc(&x, 2 * s->n, sizeof *x));
    for (size_t k = 0; k < s->n; k++)
        x[k] = mu_axis_at(&r->axis[run], &s->point[k]);
    smooth(s, a->window, x + s->n);
    mu_err err = a->n_runs > 1 ? mu_asprintf(&label, "%s: %s", run_name(a->run[run], name, sizeof name), tag) : mu_strdup(&label, tag);
    if (err) {
        mu_free(x);
        return err;
    }
    *out = (mu_curve){.label = label, .n = s->n, .x = x, .y = x + s->n};
    return MU_OK;
}

static const char *x_label(const arguments *a)
{
    return a->axis == MU_AXIS_STEP ? "iteration" : a->axis == MU_AXIS_EPOCH ? "epoch" : "seconds";
}

/* All runs of a tag are curves of its panel; curve has room for n_runs. */
static mu_err make_panel(const request *r, const arguments *a, const char *tag, mu_curve *curve, mu_panel *out)
{
    size_t n = 0;
    bool few = true;
    for (int i = 0; i < r->n_runs; i++) {
        if (!mu_scalars_find(&r->run[i], tag))
            continue;
        MU_TRY(make_curve(r, a, i, tag, &curve[n]));
        few &= curve[n].n <= FEW;
        n++;
    }
    bool percent = has_part(tag, "accuracy") || has_part(tag, "single-label");
    *out = (mu_panel){.title = tag, .x_label = x_label(a), .y_label = percent ? "percent" : NULL, .n = n, .curve = curve, .markers = few,
                      .log_y = a->log_y && has_part(tag, "loss")};
    return MU_OK;
}

static mu_err draw(const request *r, const arguments *a)
{
    mu_curve curve[MAX_TAGS][MAX_RUNS] = {0};
    mu_panel panel[MAX_TAGS];
    char name[256];
    mu_err err = MU_OK;
    for (int t = 0; t < r->n_tags && !err; t++)
        err = make_panel(r, a, r->tag[t], curve[t], &panel[t]);
    if (!err)
        err = mu_plot_curves(a->out, a->n_runs > 1 ? "" : run_name(a->run[0], name, sizeof name), panel, (size_t)r->n_tags);
    for (int t = 0; t < r->n_tags; t++)
        for (int i = 0; i < r->n_runs; i++) {
            mu_free((void *)curve[t][i].label);
            mu_free((void *)curve[t][i].x);
        }
    return err;
}

/* A row for each point: run, tag, step, the x that was asked for, value. */
static mu_err write_csv(const request *r, const arguments *a)
{
    mu_text text = {0};
    mu_text_printf(&text, "run,tag,%s,value\n", a->axis == MU_AXIS_STEP ? "step" : a->axis == MU_AXIS_EPOCH ? "epoch" : "time");
    mu_err err = MU_OK;
    for (int t = 0; t < r->n_tags && !err; t++)
        for (int i = 0; i < r->n_runs && !err; i++) {
            mu_curve c = {0};
            err = make_curve(r, a, i, r->tag[t], &c);
            for (size_t k = 0; k < c.n; k++) {
                cli_plot_csv_cell(&text, a->run[i]);
                mu_text_append(&text, ",");
                cli_plot_csv_cell(&text, r->tag[t]);
                mu_text_append(&text, ",");
                cli_plot_csv_number(&text, c.x[k]);
                mu_text_append(&text, ",");
                cli_plot_csv_number(&text, c.y[k]);
                mu_text_append(&text, "\n");
            }
            mu_free((void *)c.label);
            mu_free((void *)c.x);
        }
    if (!err)
        err = cli_plot_write(a->out, &text);
    mu_text_release(&text);
    return err;
}

static void release(request *r)
{
    for (int i = 0; i < r->n_runs; i++)
        mu_scalars_release(&r->run[i]);
    for (int i = 0; i < r->n_tags; i++)
        mu_free(r->tag[i]);
}

static mu_err plot(const arguments *a)
{
    request r = {0};
    bool csv;
    MU_TRY(cli_plot_is_csv(a->out, &csv));
    mu_err err = MU_OK;
    for (int i = 0; i < a->n_runs && !err; i++) {
        err = mu_scalars_read(a->run[i], &r.run[i]);
        if (err)
            break;
        r.n_runs++;
        err = mu_axis_init(&r.axis[i], &r.run[i], a->axis);
        if (err)
            mu_error_context("'%s'", a->run[i]);
    }
    if (!err)
        err = choose_tags(&r, a->tags);
    if (!err)
        err = csv ? write_csv(&r, a) : draw(&r, a);
    release(&r);
    return err;
}

/* What the texts of the options say; CLI_GO, or the exit status. */
static int understand(const cli_command *command, arguments *a)
{
    static const char *const axes[] = {"step", "epoch", "time"};
    int axis = -1;
    char *end = NULL;
    for (int i = 0; i < 3; i++)
        if (strcmp(a->x, axes[i]) == 0)
            axis = i;
    if (axis < 0)
        return cli_misuse(command->name, "--x is one of step, epoch, time, not '%s'", a->x);
    a->axis = (mu_axis_kind)axis;
    a->window = strtoll(a->smooth, &end, 10);
    if (end == a->smooth || *end || a->window < 1)
        return cli_misuse(command->name, "--smooth is a number of points, at least 1, not '%s'", a->smooth);
    if (!a->out)
        return cli_misuse(command->name, "an option is missing: --out FILE.png or FILE.csv");
    return CLI_GO;
}

static int run(const cli_command *command, int argc, char **argv)
{
    arguments a = {.x = "step", .smooth = "1"};
    const cli_option options[] = {
        {.name = "out", .letter = 'o', .value = "FILE.png|FILE.csv", .text = &a.out, .help = "where to; needed"},
        {.name = "tags", .value = "TAG,TAG", .text = &a.tags, .help = "what to draw; else losses, metrics and the learning rate"},
        {.name = "x", .value = "step|epoch|time", .text = &a.x, .help = "what to draw it over (step)"},
        {.name = "smooth", .value = "N", .text = &a.smooth, .help = "means of the last N points"},
        {.name = "log-y", .flag = &a.log_y, .help = "losses on a logarithmic axis"},
        {.name = NULL},
    };
    int status = cli_parse(command, options, argc, argv, 1, MAX_RUNS, a.run, &a.n_runs);
    if (status == CLI_GO)
        status = understand(command, &a);
    if (status != CLI_GO)
        return status;
    mu_err err = plot(&a);
    return err ? cli_fail(err) : 0;
}

const cli_command cli_plot_scalars = {
    .name = "plot scalars",
    .operands = "RUN...",
    .summary = "The curves of loss, metrics and learning rate of one run or several",
    .details = "RUN is a work_dir, one of its log folders, a scalars.h5 or a file of JSON lines.",
    .run = run,
};
