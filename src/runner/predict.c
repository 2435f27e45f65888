#include "runner/predict.h"

#include "core/mem.h"
#include "parallel/bucket.h"

#include <math.h>

double mu_expected_maximum(int64_t n)
{
    double above = 0.625 / ((double)n + 0.25), low = 0, high = 40; /* P(Z > z); z is in [low, high] */
    if (n <= 1)
        return 0;
    for (int i = 0; i < 200; i++) {
        double z = (low + high) / 2;
        *(erfc(z / sqrt(2)) / 2 > above ? &low : &high) = z;
    }
    return low;
}

/* The node as its ranks have it. */
typedef struct {
    int64_t ranks;
    double factor; /* by which whatever cores do takes longer */
    bool spare;    /* a core of a rank is left beside its compute threads */
    double cores;  /* those left */
} node;

static node node_of(const mu_workload *w, const mu_network *n, int64_t ranks)
{
    node at = {.ranks = ranks < n->ranks_per_node ? ranks : n->ranks_per_node, .factor = 1, .spare = true, .cores = INFINITY};
    if (n->cores_per_node == 0)
        return at;
    double share = (double)n->cores_per_node / (double)at.ranks;
    at.factor = fmax(1, w->threads / share);
    at.cores = fmax(0, share - w->threads);
    at.spare = at.cores >= 1;
    return at;
}

static double seconds_of(mu_cost cost, const node *at)
{
    return cost.seconds + cost.by_cores * (at->factor - 1);
}

/* ---- gradients and parameters on their way: one link, on which one thing goes at a time ---- */

typedef struct {
    const mu_workload *w;
    const mu_network *n;
    int64_t ranks;
    node at;
    double link;  /* when it is free */
    double total; /* of all that travelled */
    double cores; /* of that the work of the ranks' cores */
} traffic;

/* Something that can go from `ready` on; when it has come. */
static double travel(traffic *t, mu_cost cost, double ready)
{
    double seconds = seconds_of(cost, &t->at);
    t->link = fmax(t->link, ready) + seconds;
    t->total += seconds;
    t->cores += cost.by_cores * t->at.factor;
    return t->link;
}

/* Stages 0 to 2: gradients go while backward goes on; the parameters that others updated come after the optimizer. Returns what forward and
 * backward of `compute` seconds and the optimizer wait for. */
static double wait_simple(traffic *t, double compute)
{
    const mu_workload *w = t->w;
    for (int i = 0; i < w->n_buckets; i++) {
        double bytes = w->bucket[i].bytes * w->wire;
        mu_cost cost = w->stage == 0 ? mu_network_all_reduce(t->n, t->ranks, bytes) : mu_network_half(t->n, t->ranks, bytes);
        travel(t, cost, t->at.factor * w->bucket[i].ready);
    }
    /* Without a core for it, what cores move holds the computation up. */
    double late = fmax(t->at.spare ? 0 : t->cores, t->link - compute);
    double before = t->total;
    for (int i = 0; w->stage > 0 && i < w->n_buckets; i++)
        travel(t, mu_network_half(t->n, t->ranks, w->bucket[i].bytes), compute + late);
    return fmax(0, late) + t->total - before;
}

/* What a sharded step reads k-th: forward's buckets, then backward's. */
static const mu_bucket *in_turn(const mu_workload *w, int k)
{
    return &w->bucket[k < w->n_buckets ? w->n_buckets - 1 - k : k - w->n_buckets];
}

/* Stage 3: a bucket is gathered before forward reads it, in the opposite order, and again before backward does; `prefetch` buckets ahead of the one
 * in use. Its gradients are scattered when they are complete. */
static double wait_sharded(traffic *t, double compute)
{
    enum { MOST = 16 };
    const mu_workload *w = t->w;
    int n = w->n_buckets, ahead = w->prefetch < 1 ? 1 : w->prefetch < MOST ? w->prefetch : MOST;
    double came[MOST], late = 0, f = t->at.factor;
    for (int k = 0; k < ahead && k < 2 * n; k++)
        came[k] = travel(t, mu_network_half(t->n, t->ranks, in_turn(w, k)->bytes), 0);
    for (int k = 0; k < 2 * n; k++) {
        const mu_bucket *b = in_turn(w, k);
        double wanted = f * (k < n ? b->used : k == n ? w->forward : in_turn(w, k - 1)->ready) + late;
        double begun = fmax(wanted, came[k % ahead]);
        late += begun - wanted;
        if (k + ahead < 2 * n)
            came[k % ahead] = travel(t, mu_network_half(t->n, t->ranks, in_turn(w, k + ahead)->bytes), begun);
        if (k >= n)
            travel(t, mu_network_half(t->n, t->ranks, b->bytes * w->wire), f * b->ready + late);
    }
    return fmax(late + (t->at.spare ? 0 : t->cores), t->link - compute);
}

/* ---- memory and files ---- */

static void predict_memory(const mu_workload *w, int64_t ranks, mu_prediction *out)
{
    double largest = 0, p = (double)ranks;
    for (int i = 0; i < w->n_buckets; i++)
        largest = fmax(largest, w->bucket[i].bytes);
    bool sharded = ranks > 1;
    int gathered = 1 + (w->prefetch > 0 ? w->prefetch : 1);
    out->optimizer = sharded && w->stage >= 1 ? w->optimizer_bytes / p : w->optimizer_bytes;
    out->gradients = sharded && w->stage >= 2 ? w->gradient_bytes / p : w->gradient_bytes;
    out->params = w->state_bytes + (sharded && w->stage >= 3 ? w->param_bytes / p : w->param_bytes);
    out->activations = w->activation_bytes;
    out->buffers = w->loader_bytes;
    if (sharded && w->stage >= 2)
        out->buffers += 2 * largest;
    if (sharded && w->stage >= 3)
        out->buffers += gathered * largest;
    if (sharded && w->wire < 1)
        out->buffers += largest * w->wire;
    out->memory = out->params + out->gradients + out->optimizer + out->activations + out->buffers;
}

static void predict_checkpoint(const mu_workload *w, const mu_network *n, int64_t ranks, mu_prediction *out)
{
    double bytes = w->param_bytes + w->state_bytes + w->optimizer_bytes, share = fmax(bytes / (double)ranks, w->largest_bytes);
    out->checkpoint_bytes = bytes;
    out->checkpoint = out->stall = out->checkpoint_interval = NAN;
    if (n->write_bandwidth > 0)
        out->checkpoint = n->open_latency + fmax(bytes / n->write_bandwidth, share / n->rank_write_bandwidth);
    /* What is written later is copied first, by every rank what it will write, and the file is made. */
    out->stall = out->checkpoint;
    if (w->async_checkpoint)
        out->stall = n->copy_bandwidth > 0 ? n->open_latency + share / n->copy_bandwidth : NAN;
    if (n->node_mtbf > 0)
        out->checkpoint_interval = fmax(sqrt(2 * out->stall * n->node_mtbf / (double)out->nodes), out->checkpoint);
}

/* Reading and making the batches: threads of the loader go beside the step where there are cores for them. */
static double data_seconds(const mu_workload *w, const mu_network *n, const node *at, int64_t ranks, double step)
{
    double added = 0, load = w->load * at->factor;
    if (w->loader_threads == 0 || at->cores < 1)
        added = load;
    else
        added = fmax(0, load / fmin(w->loader_threads, at->cores) - step);
    if (n->read_bandwidth > 0) {
        double bytes = (double)ranks * (double)w->batch * w->sample_bytes;
        added = fmax(added, bytes / fmin(n->read_bandwidth, (double)ranks * n->rank_read_bandwidth) - step);
    }
    return added;
}

static double step_of(const mu_workload *w, const mu_network *n, int64_t ranks, mu_prediction *out)
{
    traffic t = {.w = w, .n = n, .ranks = ranks, .at = node_of(w, n, ranks)};
    double f = t.at.factor, p = w->stage > 0 ? (double)ranks : 1;
    double compute = f * (w->forward + w->backward), optimizer = f * (w->optimizer / p + w->rest);
    double step = compute + optimizer;
    out->oversubscribed = f;
    out->compute = step;
    if (ranks > 1) {
        out->exposed = w->stage == 3 ? wait_sharded(&t, compute) : wait_simple(&t, compute);
        out->communication = t.total;
        out->small = w->small * seconds_of(mu_network_all_reduce(n, ranks, w->small_bytes), &t.at);
        if (w->broadcasts && w->state_bytes > 0)
            out->small += seconds_of(mu_network_broadcast(n, ranks, w->state_bytes), &t.at);
        out->straggling = compute * (n->noise >= 0 ? n->noise : w->noise) * mu_expected_maximum(ranks);
    }
    step += out->exposed + out->small + out->straggling;
    out->data = data_seconds(w, n, &t.at, ranks, step);
    return step + out->data;
}

/* ---- pieces ---- */

static double chosen_bytes(const mu_workload *w, const mu_network *n, int64_t ranks)
{
    double few = mu_network_all_reduce(n, ranks, MU_BUCKET_PROBE_SMALL).seconds;
    double many = mu_network_all_reduce(n, ranks, MU_BUCKET_PROBE_LARGE).seconds;
    double per_byte = fmax(many - few, 1e-9) / (MU_BUCKET_PROBE_LARGE - MU_BUCKET_PROBE_SMALL);
    return (double)mu_bucket_best((size_t)w->gradient_bytes, few, per_byte);
}

/* What travels together among so many ranks; out [n_buckets]. Returns how many. */
static int join(const mu_workload *w, const mu_network *n, int64_t ranks, mu_bucket *out)
{
    double bytes = isnan(w->bucket_bytes) ? chosen_bytes(w, n, ranks) : w->bucket_bytes;
    int made = 0;
    for (int i = 0; i < w->n_buckets; i++) {
        const mu_bucket *b = &w->bucket[i];
        if (made == 0 || out[made - 1].bytes >= bytes) {
            out[made++] = *b;
            continue;
        }
        mu_bucket *with = &out[made - 1];
        *with = (mu_bucket){with->bytes + b->bytes, fmin(with->used, b->used), fmax(with->ready, b->ready)};
    }
    return made;
}

mu_err mu_predict(const mu_workload *workload, const mu_network *network, int64_t ranks, mu_prediction *out)
{
    mu_workload w = *workload;
    mu_network own = *network, *n = &own;
    mu_prediction alone = {0}, p = {.ranks = ranks};
    mu_bucket *bucket;
    MU_TRY(mu_calloc(&bucket, (size_t)w.n_buckets, sizeof *bucket));
    own.algorithms |= w.hierarchical ? MU_HIERARCHICAL : 0;
    w.n_buckets = join(workload, n, ranks, bucket);
    w.bucket = bucket;
    p.pieces = w.n_buckets;
    p.nodes = (ranks + n->ranks_per_node - 1) / n->ranks_per_node;
    p.step = step_of(&w, n, ranks, &p);
    p.efficiency = step_of(&w, n, 1, &alone) / p.step;
    double batch = (double)ranks * (double)w.batch;
    p.samples_per_second = batch / p.step;
    p.epoch = w.samples > 0 ? ceil((double)w.samples / batch) * p.step : NAN;
    p.data_bandwidth = w.sample_bytes > 0 ? p.samples_per_second * w.sample_bytes : NAN;
    predict_memory(&w, ranks, &p);
    predict_checkpoint(&w, n, ranks, &p);
    mu_free(bucket);
    *out = p;
    return MU_OK;
}
