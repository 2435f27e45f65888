#include "runner/log_processor.h"

#include "backend/device.h"
#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"

#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

typedef enum { MEAN, MIN, MAX, CURRENT, N_METHODS } method;
static const char *const method_names[N_METHODS] = {"mean", "min", "max", "current"};

typedef enum { ALL, COUNT, EPOCH, GLOBAL } span;

/* An entry of custom_cfg. */
typedef struct {
    const char *source; /* borrowed from the config: "loss" */
    method method;
    span span;
    int64_t window; /* of COUNT */
    char *name[4];  /* by phase: "train/loss_max"; owned */
} statistic;

struct mu_log_processor {
    int64_t window_size, num_digits;
    bool by_epoch, log_with_hierarchy;
    const mu_cfg *custom_cfg;
    char *mean_pattern;

    regex_t averaged;
    statistic *statistics;
    size_t n_statistics;
};

#define AT_LEAST(x) .bounded_below = true, .min = (x)

const mu_option mu_log_processor_options[] = {
    MU_OPTION(struct mu_log_processor, window_size, MU_OPT_INT, .int_default = 10, AT_LEAST(1), .unit = "iterations",
              .help = "of running means"),
    MU_OPTION(struct mu_log_processor, by_epoch, MU_OPT_BOOL, .boolean_default = true, .help = "lines count epochs"),
    MU_OPTION(struct mu_log_processor, custom_cfg, MU_OPT_ANY, .nullable = true,
              .help = "further statistics: [{data_src, method_name: mean, min, max or current, "
                      "window_size: a number, epoch or global, log_name}, ...]"),
    MU_OPTION(struct mu_log_processor, num_digits, MU_OPT_INT, .int_default = 4, AT_LEAST(0), .bounded_above = true,
              .max = 17, .help = "after the decimal point"),
    MU_OPTION(struct mu_log_processor, log_with_hierarchy, MU_OPT_BOOL, .help = "put the phase before each tag"),
    MU_OPTION(struct mu_log_processor, mean_pattern, MU_OPT_STRING,
              .text_default = ".*(loss|time|data_time|grad_norm).*",
              .help = "tags that are averaged over the window (a POSIX extended regular expression)"),
    MU_OPTION_END,
};

/* ---- custom_cfg ---- */

static mu_err read_text(const mu_cfg *entry, const char *key, const char **out)
{
    const mu_cfg *value = mu_cfg_get(entry, key);
    char found[128];
    if (value && mu_cfg_kind_of(value) == MU_CFG_STRING) {
        *out = mu_cfg_string(value);
        return MU_OK;
    }
    if (!value)
        return MU_FAIL_AT(mu_cfg_pos(entry), "custom_cfg: no %s", key);
    mu_cfg_describe(value, found, sizeof found);
    return MU_FAIL_AT(mu_cfg_pos(value), "custom_cfg.%s: expected a string, found %s", key, found);
}

static mu_err read_method(const mu_cfg *entry, method *out)
{
    const char *text;
    MU_TRY(read_text(entry, "method_name", &text));
    for (int i = 0; i < N_METHODS; i++)
        if (strcmp(text, method_names[i]) == 0) {
            *out = (method)i;
            return MU_OK;
        }
    return MU_FAIL_AT(mu_cfg_pos(mu_cfg_get(entry, "method_name")),
                      "custom_cfg.method_name: expected mean, min, max or current, found '%s'", text);
}

static mu_err read_window(const mu_log_processor *processor, const mu_cfg *entry, statistic *s)
{
    const mu_cfg *window = mu_cfg_get(entry, "window_size");
    char found[128];
    if (!window || mu_cfg_kind_of(window) == MU_CFG_NULL)
        return MU_OK;
    if (s->method == CURRENT)
        return MU_FAIL_AT(mu_cfg_key_pos(window), "custom_cfg.window_size: 'current' has no window");
    const char *word = mu_cfg_kind_of(window) == MU_CFG_STRING ? mu_cfg_string(window) : "";
    if (mu_cfg_kind_of(window) == MU_CFG_INT && mu_cfg_int(window) >= 1) {
        s->span = COUNT;
        s->window = mu_cfg_int(window);
    } else if (strcmp(word, "epoch") == 0 && processor->by_epoch) {
        s->span = EPOCH;
    } else if (strcmp(word, "global") == 0) {
        s->span = GLOBAL;
    } else {
        mu_cfg_describe(window, found, sizeof found);
        return MU_FAIL_AT(mu_cfg_pos(window), "custom_cfg.window_size: expected an integer >= 1%s or global, found %s",
                          processor->by_epoch ? ", epoch" : " (epoch only with by_epoch: true)", found);
    }
    return MU_OK;
}

static mu_err check_keys(const mu_cfg *entry)
{
    static const char *const known[] = {"data_src", "method_name", "window_size", "log_name"};
    enum { N_KNOWN = sizeof known / sizeof known[0] };
    for (size_t i = 0; i < mu_cfg_size(entry); i++) {
        size_t k = 0;
        while (k < N_KNOWN && strcmp(mu_cfg_key_at(entry, i), known[k]) != 0)
            k++;
        if (k == N_KNOWN)
            return MU_FAIL_AT(mu_cfg_key_pos(mu_cfg_at(entry, i)), "custom_cfg: unknown key '%s'; known are data_src, "
                              "method_name, window_size and log_name", mu_cfg_key_at(entry, i));
    }
    return MU_OK;
}

static mu_err read_statistic(mu_log_processor *processor, const mu_cfg *entry, statistic *s)
{
    const char *name;
    if (mu_cfg_kind_of(entry) != MU_CFG_DICT)
        return MU_FAIL_AT(mu_cfg_pos(entry), "custom_cfg: expected a dictionary with data_src and method_name");
    MU_TRY(check_keys(entry));
    MU_TRY(read_text(entry, "data_src", &s->source));
    name = s->source;
    if (mu_cfg_get(entry, "log_name"))
        MU_TRY(read_text(entry, "log_name", &name));
    MU_TRY(read_method(entry, &s->method));
    MU_TRY(read_window(processor, entry, s));
    for (int phase = MU_PHASE_TRAIN; phase <= MU_PHASE_TEST; phase++)
        MU_TRY(mu_asprintf(&s->name[phase], "%s/%s", mu_phase_names[phase], name));
    for (const statistic *other = processor->statistics; other < s; other++)
        if (strcmp(other->name[MU_PHASE_TRAIN], s->name[MU_PHASE_TRAIN]) == 0) {
            MU_FAIL_AT(mu_cfg_pos(entry), "custom_cfg: '%s' is written twice", name);
            return mu_error_hint("give each statistic of '%s' a log_name of its own", s->source);
        }
    return MU_OK;
}

static mu_err read_statistics(mu_log_processor *processor)
{
    const mu_cfg *list = processor->custom_cfg;
    if (!list || mu_cfg_kind_of(list) == MU_CFG_NULL)
        return MU_OK;
    if (mu_cfg_kind_of(list) != MU_CFG_LIST)
        return MU_FAIL_AT(mu_cfg_pos(list), "custom_cfg: expected a list of dictionaries");
    MU_TRY(mu_calloc(&processor->statistics, mu_cfg_size(list), sizeof(statistic)));
    for (size_t i = 0; i < mu_cfg_size(list); i++) {
        processor->n_statistics = i + 1;
        MU_TRY(read_statistic(processor, mu_cfg_at(list, i), &processor->statistics[i]));
    }
    return MU_OK;
}

static void release_statistics(mu_log_processor *processor)
{
    for (size_t i = 0; i < processor->n_statistics; i++)
        for (int phase = MU_PHASE_TRAIN; phase <= MU_PHASE_TEST; phase++)
            mu_free(processor->statistics[i].name[phase]);
    mu_free(processor->statistics);
}

/* ---- the component ---- */

static mu_err create(void *object, const mu_cfg *cfg)
{
    mu_log_processor *processor = object;
    char why[256];
    int code = regcomp(&processor->averaged, processor->mean_pattern, REG_EXTENDED | REG_NOSUB);
    if (code == REG_ESPACE)
        return MU_FAIL(MU_ERR_MEMORY, "out of memory for mean_pattern");
    if (code) {
        const mu_cfg *pattern = mu_cfg_get(cfg, "mean_pattern");
        regerror(code, &processor->averaged, why, sizeof why);
        return MU_FAIL_AT(mu_cfg_pos(pattern ? pattern : cfg), "mean_pattern '%s': %s", processor->mean_pattern, why);
    }
    mu_err err = read_statistics(processor);
    if (err) {
        release_statistics(processor);
        regfree(&processor->averaged);
    }
    MU_TRY(err);
    return MU_OK;
}

static void destroy(void *object)
{
    mu_log_processor *processor = object;
    release_statistics(processor);
    regfree(&processor->averaged);
}

const mu_component mu_component_log_processor = {
    .kind = "log_processor",
    .name = "LogProcessor",
    .doc = "Makes log lines and records of the scalars in the message hub, in the format of MMEngine.",
    .size = sizeof(struct mu_log_processor),
    .options = mu_log_processor_options,
    .create = create,
    .destroy = destroy,
};

mu_err mu_log_processor_new(const mu_cfg *cfg, const char *path, mu_log_processor **out)
{
    static const char text[] = "{\"type\": \"LogProcessor\"}";
    mu_cfg *defaults;
    void *object;
    MU_TRY(mu_cfg_parse_json(text, sizeof text - 1, "<defaults>", &defaults));
    mu_err err = mu_build("log_processor", cfg ? cfg : defaults, defaults, path, &object);
    mu_cfg_release(defaults);
    MU_TRY(err);
    if (mu_component_of(object) != &mu_component_log_processor) {
        err = MU_FAIL_AT(mu_cfg_pos(cfg), "%s.type: '%s' cannot stand in for LogProcessor", path,
                         mu_component_of(object)->name);
        mu_destroy(object);
        return err;
    }
    *out = object;
    return MU_OK;
}

void mu_log_processor_release(mu_log_processor *processor)
{
    mu_destroy(processor);
}

/* ---- records ---- */

void mu_log_record_release(mu_log_record *record)
{
    mu_free(record->line);
    mu_free(record->scalar);
    *record = (mu_log_record){0};
}

static mu_scalar *find(const mu_log_record *record, const char *tag)
{
    for (size_t i = 0; i < record->n; i++)
        if (strcmp(record->scalar[i].tag, tag) == 0)
            return &record->scalar[i];
    return NULL;
}

/* Replaces the value of a known tag in its place. */
static mu_err put(mu_log_record *record, const char *tag, double value)
{
    mu_scalar *known = find(record, tag);
    if (known) {
        known->value = value;
        return MU_OK;
    }
    MU_TRY(mu_grow(&record->scalar, &record->capacity, record->n + 1, sizeof *record->scalar));
    record->scalar[record->n++] = (mu_scalar){.tag = tag, .value = value};
    return MU_OK;
}

static double measure(const statistic *s, const mu_history *history, int64_t done_in_epoch, int64_t done)
{
    int64_t window = s->span == COUNT ? s->window : s->span == EPOCH ? done_in_epoch : s->span == GLOBAL ? done : 0;
    switch (s->method) {
    case MEAN: return mu_history_mean(history, window);
    case MIN: return mu_history_min(history, window);
    case MAX: return mu_history_max(history, window);
    default: return mu_history_current(history);
    }
}

/* What is looked at: a phase, and what was done when. */
typedef struct {
    const mu_log_processor *processor;
    const mu_runner *runner;
    mu_phase phase;
    int64_t batches; /* of the epoch or of the phase, done */
    bool ended;      /* times cover the whole phase */
} view;

static const mu_history *history_of(const view *v, const char *source)
{
    for (size_t i = 0; i < mu_message_hub_n_scalars(v->runner->hub); i++) {
        const char *name = mu_message_hub_scalar_name(v->runner->hub, i), *phase = mu_phase_names[v->phase];
        size_t n = strlen(phase);
        if (strncmp(name, phase, n) == 0 && name[n] == '/' && strcmp(name + n + 1, source) == 0) {
            const mu_history *history = mu_message_hub_history(v->runner->hub, name);
            return mu_history_length(history) > 0 ? history : NULL;
        }
    }
    return NULL;
}

static double value_of(const view *v, const char *tag, const mu_history *history)
{
    bool time = strcmp(tag, "time") == 0 || strcmp(tag, "data_time") == 0;
    if (v->ended && time)
        return mu_history_mean(history, v->batches);
    if (regexec(&v->processor->averaged, tag, 0, NULL, 0) == 0)
        return mu_history_mean(history, v->processor->window_size);
    return mu_history_current(history);
}

/* The scalars of the phase in the hub's order, then what custom_cfg asks for. Tags are whole names ("train/loss"). */
static mu_err collect(const view *v, mu_log_record *out)
{
    const mu_message_hub *hub = v->runner->hub;
    const char *phase = mu_phase_names[v->phase];
    size_t n = strlen(phase);
    for (size_t i = 0; i < mu_message_hub_n_scalars(hub); i++) {
        const char *name = mu_message_hub_scalar_name(hub, i);
        const mu_history *history = mu_message_hub_history(hub, name);
        if (strncmp(name, phase, n) == 0 && name[n] == '/' && mu_history_length(history) > 0)
            MU_TRY(put(out, name, value_of(v, name + n + 1, history)));
    }
    for (size_t i = 0; i < v->processor->n_statistics; i++) {
        const statistic *s = &v->processor->statistics[i];
        const mu_history *history = history_of(v, s->source);
        if (history)
            MU_TRY(put(out, s->name[v->phase], measure(s, history, v->batches, v->runner->iter + 1)));
    }
    return MU_OK;
}

/* ---- lines ---- */

static const char *bare(const view *v, const char *tag)
{
    size_t n = strlen(mu_phase_names[v->phase]);
    return strncmp(tag, mu_phase_names[v->phase], n) == 0 && tag[n] == '/' ? tag + n + 1 : tag;
}

static bool is_time(const char *tag)
{
    return strcmp(tag, "time") == 0 || strcmp(tag, "data_time") == 0;
}

static bool is_lr(const char *tag)
{
    size_t n = strlen(tag);
    return n >= 2 && strcmp(tag + n - 2, "lr") == 0;
}

static void append_number(mu_text *line, const view *v, double x)
{
    if (isnan(x))
        mu_text_append(line, "nan"); /* without a sign */
    else
        mu_text_printf(line, "%.*f", (int)v->processor->num_digits, x);
}

static void append_item(mu_text *line, const view *v, const char *name, double x, const char **separator)
{
    mu_text_printf(line, "%s%s: ", *separator, name);
    append_number(line, v, x);
    *separator = "  ";
}

static int width_of(int64_t n)
{
    return snprintf(NULL, 0, "%" PRId64, n);
}

/* "[ 50/100]" */
static void append_progress(mu_text *line, int64_t done, int64_t total)
{
    mu_text_printf(line, "[%*" PRId64 "/%" PRId64 "]  ", width_of(total), done, total);
}

/* "Epoch(train)  [1][ 50/100]  ": the bracket of the epoch is as wide as that of the last one, and one more. */
static void append_place(mu_text *line, const view *v)
{
    const mu_runner *runner = v->runner;
    const char *phase = mu_phase_names[v->phase];
    bool train = v->phase == MU_PHASE_TRAIN;
    char epoch[32];
    if (!v->processor->by_epoch) {
        mu_text_printf(line, "Iter(%s) ", phase);
        append_progress(line, train ? runner->iter + 1 : v->batches, train ? runner->max_iters : runner->epoch_length);
        return;
    }
    mu_text_printf(line, "Epoch(%s)", phase);
    snprintf(epoch, sizeof epoch, "[%" PRId64 "]", runner->epoch + train);
    if (v->phase == MU_PHASE_TEST)
        mu_text_append(line, " ");
    else
        mu_text_printf(line, "%*s", runner->train_loop ? width_of(runner->max_epochs) + 3 : 0, epoch);
    append_progress(line, v->batches, runner->epoch_length);
}

/* "1:12:01", "2 days, 0:00:05" */
static void append_eta(mu_text *line, double seconds)
{
    int64_t whole = seconds > 0 && seconds < 1e15 ? (int64_t)seconds : 0, days = whole / 86400;
    if (days > 0)
        mu_text_printf(line, "%" PRId64 " day%s, ", days, days > 1 ? "s" : "");
    mu_text_printf(line, "%d:%02d:%02d", (int)(whole / 3600 % 24), (int)(whole / 60 % 60), (int)(whole % 60));
}

/* Of the device, or of the process's resident memory; MB. */
static int64_t peak_memory(const mu_runner *runner)
{
    struct rusage usage;
    if (runner->backend && !runner->backend->host_memory)
        return mu_get_max_cuda_memory(runner->backend);
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss / 1024 : 0;
}

static const mu_scalar *find_bare(const view *v, const mu_log_record *record, const char *tag)
{
    for (size_t i = 0; i < record->n; i++)
        if (strcmp(bare(v, record->scalar[i].tag), tag) == 0)
            return &record->scalar[i];
    return NULL;
}

/* "eta: 0:01:00  time: 0.1234  data_time: 0.0011  "; false when these are not known. */
static bool append_times(mu_text *line, const view *v, const mu_log_record *record)
{
    const mu_scalar *time = find_bare(v, record, "time"), *data_time = find_bare(v, record, "data_time");
    const mu_cfg *eta = mu_message_hub_get(v->runner->hub, "eta");
    if (!time || !data_time || !eta)
        return false;
    mu_text_append(line, "eta: ");
    append_eta(line, mu_cfg_float(eta));
    mu_text_append(line, "  time: ");
    append_number(line, v, time->value);
    mu_text_append(line, "  data_time: ");
    append_number(line, v, data_time->value);
    mu_text_append(line, "  ");
    return true;
}

static void append_iter_line(mu_text *line, const view *v, const mu_log_record *record, int64_t memory)
{
    const char *separator = "";
    append_place(line, v);
    for (size_t i = 0; i < record->n; i++)
        if (is_lr(record->scalar[i].tag)) {
            mu_text_printf(line, "%s%s: %.*e", separator, bare(v, record->scalar[i].tag), (int)v->processor->num_digits,
                           record->scalar[i].value);
            separator = " ";
        }
    mu_text_append(line, "  ");
    bool timed = append_times(line, v, record);
    mu_text_printf(line, "memory: %" PRId64 "  ", memory);
    separator = "";
    for (size_t i = 0; v->phase == MU_PHASE_TRAIN && i < record->n; i++) {
        const char *tag = bare(v, record->scalar[i].tag);
        if (!is_lr(tag) && !(timed && is_time(tag)))
            append_item(line, v, tag, record->scalar[i].value, &separator);
    }
}

/* Metrics that no hook has put into the hub. */
static mu_err add_metrics(const view *v, const mu_results *metrics, mu_log_record *record)
{
    for (size_t i = 0; metrics && i < metrics->n; i++)
        if (metrics->item[i].ndim == 0 && !find_bare(v, record, metrics->item[i].name))
            MU_TRY(put(record, metrics->item[i].name, metrics->item[i].value[0]));
    return MU_OK;
}

/* Times behind all others. */
static mu_err times_last(const view *v, mu_log_record *record)
{
    mu_scalar *ordered;
    size_t n = 0;
    MU_TRY(mu_calloc(&ordered, record->n, sizeof *ordered));
    for (int times = 0; times < 2; times++)
        for (size_t i = 0; i < record->n; i++)
            if (is_time(bare(v, record->scalar[i].tag)) == times)
                ordered[n++] = record->scalar[i];
    mu_free(record->scalar);
    record->scalar = ordered;
    record->capacity = n;
    return MU_OK;
}

static void append_epoch_line(mu_text *line, const view *v, const mu_log_record *record)
{
    int64_t length = v->runner->epoch_length;
    const char *separator = "";
    mu_text_printf(line, "%s(%s) ", v->processor->by_epoch ? "Epoch" : "Iter", mu_phase_names[v->phase]);
    if (v->processor->by_epoch && v->phase == MU_PHASE_VAL)
        mu_text_printf(line, "[%" PRId64 "]", v->runner->epoch);
    append_progress(line, length, length);
    mu_text_append(line, "  ");
    for (size_t i = 0; i < record->n; i++) {
        const char *tag = record->scalar[i].tag;
        append_item(line, v, v->processor->log_with_hierarchy ? tag : bare(v, tag), record->scalar[i].value, &separator);
    }
}

/* Tags as the recorders want them. */
static void shorten(const view *v, mu_log_record *record)
{
    for (size_t i = 0; i < record->n && !v->processor->log_with_hierarchy; i++)
        record->scalar[i].tag = bare(v, record->scalar[i].tag);
}

static mu_err fill_iter(const view *v, mu_log_record *record)
{
    mu_text line = {0};
    int64_t memory = peak_memory(v->runner);
    bool train = v->phase == MU_PHASE_TRAIN;
    MU_TRY(collect(v, record));
    append_iter_line(&line, v, record, memory);
    mu_err err = mu_text_take(&line, &record->line);
    if (err)
        mu_text_release(&line);
    MU_TRY(err);
    shorten(v, record);
    if (v->processor->by_epoch && v->phase != MU_PHASE_TEST)
        MU_TRY(put(record, "epoch", (double)(v->runner->epoch + train)));
    MU_TRY(put(record, "iter", v->runner->train_loop ? (double)(v->runner->iter + 1) : 0));
    MU_TRY(put(record, "memory", (double)memory));
    return MU_OK;
}

static mu_err fill_epoch(const view *v, const mu_results *metrics, mu_log_record *record)
{
    mu_text line = {0};
    MU_TRY(collect(v, record));
    MU_TRY(add_metrics(v, metrics, record));
    MU_TRY(times_last(v, record));
    append_epoch_line(&line, v, record);
    mu_err err = mu_text_take(&line, &record->line);
    if (err)
        mu_text_release(&line);
    MU_TRY(err);
    shorten(v, record);
    return MU_OK;
}

mu_err mu_log_processor_iter(mu_log_processor *processor, const mu_runner *runner, int64_t batch_index, mu_phase phase,
                             mu_log_record *out)
{
    view v = {.processor = processor, .runner = runner, .phase = phase, .batches = batch_index + 1};
    mu_log_record record = {0};
    mu_err err = fill_iter(&v, &record);
    if (err)
        mu_log_record_release(&record);
    MU_TRY(err);
    *out = record;
    return MU_OK;
}

mu_err mu_log_processor_epoch(mu_log_processor *processor, const mu_runner *runner, int64_t batches, mu_phase phase,
                              const mu_results *metrics, mu_log_record *out)
{
    view v = {.processor = processor, .runner = runner, .phase = phase, .batches = batches, .ended = true};
    mu_log_record record = {0};
    mu_err err = fill_epoch(&v, metrics, &record);
    if (err)
        mu_log_record_release(&record);
    MU_TRY(err);
    *out = record;
    return MU_OK;
}
