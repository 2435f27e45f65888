#include "cli/prediction.h"

#include "cli/amount.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

typedef enum { SECONDS, BYTES, BYTES_A_SECOND, SHARE, COUNT } unit;

typedef struct {
    const char *key, *label; /* of JSON, of the table */
    unit unit;
    size_t offset;
} row;

#define ROW(field, label, unit) {#field, label, unit, offsetof(mu_prediction, field)}
static const row rows[] = {
    ROW(step, "step", SECONDS),
    ROW(compute, "  compute", SECONDS),
    ROW(exposed, "  communication, not hidden", SECONDS),
    ROW(small, "  small operations", SECONDS),
    ROW(straggling, "  waiting for the slowest", SECONDS),
    ROW(data, "  data", SECONDS),
    ROW(communication, "communication, hidden or not", SECONDS),
    ROW(efficiency, "efficiency", SHARE),
    ROW(samples_per_second, "samples a second", COUNT),
    ROW(epoch, "epoch", SECONDS),
    ROW(data_bandwidth, "data read", BYTES_A_SECOND),
    ROW(memory, "memory of a rank", BYTES),
    ROW(params, "  parameters", BYTES),
    ROW(gradients, "  gradients", BYTES),
    ROW(optimizer, "  optimizer", BYTES),
    ROW(activations, "  activations", BYTES),
    ROW(buffers, "  loader and buffers", BYTES),
    ROW(checkpoint_bytes, "checkpoint", BYTES),
    ROW(checkpoint, "  written in", SECONDS),
    ROW(stall, "  training stops for", SECONDS),
    ROW(checkpoint_interval, "  best interval", SECONDS),
};
enum { N_ROWS = sizeof rows / sizeof rows[0], WIDTH = 12, LABEL = 30 };

static double value(const mu_prediction *p, const row *r)
{
    return *(const double *)((const char *)p + r->offset);
}

static const char *format(double x, unit u, char buf[32])
{
    if (isnan(x))
        return "not known";
    switch (u) {
    case SECONDS: return cli_duration(x, buf);
    case BYTES: return cli_amount(x, "B", 1024, buf);
    case SHARE: snprintf(buf, 32, "%.3f", x); return buf;
    case COUNT: return cli_amount(x, "", 1000, buf);
    default: break;
    }
    char amount[32];
    snprintf(buf, 32, "%.29s/s", cli_amount(x, "B", 1024, amount));
    return buf;
}

static void print_table(const mu_prediction *of, size_t n)
{
    char buf[32];
    printf("\n%-*s", LABEL, "ranks");
    for (size_t i = 0; i < n; i++)
        printf(" %*" PRId64, WIDTH, of[i].ranks);
    printf("\n%-*s", LABEL, "nodes");
    for (size_t i = 0; i < n; i++)
        printf(" %*" PRId64, WIDTH, of[i].nodes);
    printf("\n%-*s", LABEL, "units of gradients");
    for (size_t i = 0; i < n; i++)
        printf(" %*d", WIDTH, of[i].pieces);
    puts("");
    for (int r = 0; r < N_ROWS; r++) {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || !isnan(value(&of[i], &rows[r]));
        if (!known)
            continue;
        printf("%-*s", LABEL, rows[r].label);
        for (size_t i = 0; i < n; i++)
            printf(" %*s", WIDTH, format(value(&of[i], &rows[r]), rows[r].unit, buf));
        puts("");
    }
}

static void print_measured(const mu_measurement *m)
{
    const mu_workload *w = &m->workload;
    char a[32], b[32], c[32], d[32], e[32];
    printf("\nmeasured here: %d training steps of %d %s", m->runs, w->threads, w->threads == 1 ? "thread" : "threads");
    if (m->ranks > 1)
        printf(", on %d ranks at the same time", m->ranks);
    printf("\nstep %s = forward %s + backward %s + optimizer %s + rest %s; it varies by %.1f %%\n", cli_duration(m->step, a),
           cli_duration(w->forward, b), cli_duration(w->backward, c), cli_duration(w->optimizer, d), cli_duration(w->rest, e), 100 * w->noise);
}

static void print_assumptions(const mu_measurement *m, const mu_network *network, const mu_prediction *of, size_t n)
{
    puts("\nEvery rank keeps its batch. Steps take on every node what they took here. Units of gradients go one after the other, each when it\n"
         "is complete. All links give what the file says, at all times, to all at once.");
    if (m->workload.load > 0)
        puts("Batches are loaded beside the step where a node has a core for it, else in turn with it.");
    int64_t ranks = of[n - 1].ranks < network->ranks_per_node ? of[n - 1].ranks : network->ranks_per_node;
    if (of[n - 1].oversubscribed > 1)
        printf("%" PRId64 " ranks of %d %s on %" PRId64 " cores: what cores do takes %.3g times as long.\n", ranks, m->workload.threads,
               m->workload.threads == 1 ? "thread" : "threads", network->cores_per_node, of[n - 1].oversubscribed);
}

void cli_prediction_print(const mu_measurement *measured, const mu_network *network, const mu_prediction *of, size_t n)
{
    print_measured(measured);
    print_table(of, n);
    print_assumptions(measured, network, of, n);
}

static void json_number(mu_text *text, const char *key, double x, const char *after)
{
    if (isfinite(x))
        mu_text_printf(text, "\"%s\": %.9g%s", key, x, after);
    else
        mu_text_printf(text, "\"%s\": null%s", key, after);
}

void cli_prediction_json(mu_text *text, const mu_measurement *m, const mu_prediction *of, size_t n)
{
    const mu_workload *w = &m->workload;
    mu_text_printf(text, ",\n \"measured\": {\"steps\": %d, \"ranks\": %d, \"threads\": %d, ", m->runs, m->ranks, w->threads);
    json_number(text, "step", m->step, ", ");
    json_number(text, "forward", w->forward, ", ");
    json_number(text, "backward", w->backward, ", ");
    json_number(text, "optimizer", w->optimizer, ", ");
    json_number(text, "rest", w->rest, ", ");
    json_number(text, "noise", w->noise, ", ");
    json_number(text, "load", w->load, ",\n  \"units\": [");
    for (int i = 0; i < w->n_buckets; i++) {
        mu_text_append(text, i ? ", {" : "{");
        json_number(text, "bytes", w->bucket[i].bytes, ", ");
        json_number(text, "used", w->bucket[i].used, ", ");
        json_number(text, "ready", w->bucket[i].ready, "}");
    }
    mu_text_append(text, "]},\n \"predictions\": [");
    for (size_t i = 0; i < n; i++) {
        mu_text_printf(text, "%s{\"ranks\": %" PRId64 ", \"nodes\": %" PRId64 ", \"pieces\": %d, ", i ? ",\n  " : "\n  ", of[i].ranks, of[i].nodes,
                       of[i].pieces);
        json_number(text, "oversubscribed", of[i].oversubscribed, "");
        for (int r = 0; r < N_ROWS; r++) {
            mu_text_append(text, ", ");
            json_number(text, rows[r].key, value(&of[i], &rows[r]), "");
        }
        mu_text_append(text, "}");
    }
    mu_text_append(text, "]");
}
