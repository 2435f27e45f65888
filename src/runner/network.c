#include "runner/network.h"

#include <math.h>

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* ---- one level: p members with a link of their own each ---- */

static int floor_log2(int64_t p)
{
    int log = 0;
    while (p >> (log + 1))
        log++;
    return log;
}

static bool is_power_of_2(int64_t p)
{
    return (p & (p - 1)) == 0;
}

static double short_step(const mu_link *link, double bytes)
{
    bool is_short = link->small_bandwidth > 0 && bytes <= MU_SHORT_MESSAGE;
    return is_short ? link->small_latency + bytes / link->small_bandwidth : link->latency + bytes / link->bandwidth;
}

/* Exchanges of everything with partners at distances 1, 2, 4, ...; the ranks beyond a power of 2 join before and hear after. */
static int doubling_steps(int64_t p)
{
    return floor_log2(p) + (is_power_of_2(p) ? 0 : 2);
}

static int tree_steps(int64_t p)
{
    return floor_log2(p) + (is_power_of_2(p) ? 0 : 1);
}

/* Reduce-scatter, or all-gather: in p - 1 steps, or in log2 p of halved (doubled) size. */
static double level_half(const mu_link *link, unsigned algorithms, int64_t p, double bytes)
{
    double share = (double)(p - 1) / (double)p * bytes / link->bandwidth, best = (double)(p - 1) * link->latency + share;
    if (p > 1 && algorithms & MU_RABENSEIFNER) {
        double folded = is_power_of_2(p) ? 0 : link->latency + bytes / link->bandwidth;
        best = least(best, floor_log2(p) * link->latency + share + folded);
    }
    return p > 1 ? best : 0;
}

static bool in_pairs(int64_t p, double bytes)
{
    return p <= MU_PAIRS_MOST_RANKS && bytes >= MU_PAIRS_FEWEST_BYTES;
}

double mu_link_all_reduce(const mu_link *link, unsigned algorithms, int64_t p, double bytes)
{
    unsigned long_ones = algorithms & (MU_RING | MU_RABENSEIFNER | MU_TREE);
    double best = INFINITY;
    if (p == 1)
        return 0;
    if (long_ones & (MU_RING | MU_RABENSEIFNER))
        best = 2 * level_half(link, long_ones, p, bytes);
    if (long_ones & MU_TREE) /* to one and back, all bytes at every step */
        best = least(best, 2 * tree_steps(p) * (link->latency + bytes / link->bandwidth));
    if (algorithms & MU_PAIRS && in_pairs(p, bytes))
        best = least(best, 2 * level_half(link, MU_RING, p, bytes));
    if (isinf(best) || (algorithms & MU_DOUBLING && bytes <= MU_SHORT_MESSAGE))
        best = least(best, doubling_steps(p) * short_step(link, bytes));
    return best;
}

static double level(const mu_link *link, unsigned algorithms, int64_t p, double bytes, bool whole)
{
    return whole ? mu_link_all_reduce(link, algorithms, p, bytes) : level_half(link, algorithms, p, bytes);
}

/* ---- nodes ---- */

typedef struct {
    int64_t inside, nodes; /* ranks of a full node; nodes */
} shape;

static shape shape_of(const mu_network *n, int64_t ranks)
{
    int64_t inside = ranks < n->ranks_per_node ? ranks : n->ranks_per_node;
    return (shape){inside, (ranks + inside - 1) / inside};
}

static mu_cost cost_of(double inside, double between, const mu_network *n)
{
    return (mu_cost){inside + between, (n->inside.by_cores ? inside : 0) + (n->between.by_cores ? between : 0)};
}

/* As if there were no nodes: the slower link sets the pace; in a ring one message enters a node at a time, in the exchanges all its ranks' do. */
static mu_cost flat(const mu_network *n, shape s, int64_t ranks, double bytes, bool whole)
{
    mu_link slow = {.latency = fmax(n->inside.latency, n->between.latency), .bandwidth = least(n->inside.bandwidth, n->between.bandwidth)};
    unsigned long_ones = n->algorithms & (MU_RING | MU_RABENSEIFNER | MU_TREE);
    mu_cost cost = {.seconds = INFINITY};
    if (long_ones || !whole)
        cost.seconds = level(&slow, long_ones, ranks, bytes, whole);
    cost.by_cores = n->between.by_cores ? cost.seconds : 0;
    if (whole && (!long_ones || (n->algorithms & MU_DOUBLING && bytes <= MU_SHORT_MESSAGE))) {
        double in = s.inside > 1 ? doubling_steps(s.inside) * short_step(&n->inside, bytes) : 0;
        double out = doubling_steps(s.nodes) * short_step(&n->between, bytes * (double)s.inside);
        if (in + out < cost.seconds)
            cost = cost_of(in, out, n);
    }
    return cost;
}

/* Reduce-scatter inside, every rank its slice between the nodes, all-gather inside. */
static mu_cost hierarchical(const mu_network *n, shape s, double bytes, bool whole)
{
    double in = (whole ? 2 : 1) * level_half(&n->inside, n->algorithms, s.inside, bytes);
    return cost_of(in, level(&n->between, n->algorithms, s.nodes, bytes, whole), n);
}

static mu_cost cost(const mu_network *n, int64_t ranks, double bytes, bool whole)
{
    shape s = shape_of(n, ranks);
    if (ranks == 1)
        return (mu_cost){0, 0};
    if (s.nodes == 1)
        return cost_of(level(&n->inside, n->algorithms, ranks, bytes, whole), 0, n);
    if (s.inside == 1)
        return cost_of(0, level(&n->between, n->algorithms, ranks, bytes, whole), n);
    mu_cost a = flat(n, s, ranks, bytes, whole);
    if (!(n->algorithms & MU_HIERARCHICAL))
        return a;
    mu_cost b = hierarchical(n, s, bytes, whole);
    return b.seconds < a.seconds ? b : a;
}

mu_cost mu_network_all_reduce(const mu_network *network, int64_t ranks, double bytes)
{
    return cost(network, ranks, bytes, true);
}

mu_cost mu_network_half(const mu_network *network, int64_t ranks, double bytes)
{
    return cost(network, ranks, bytes, false);
}

static double level_broadcast(const mu_link *link, int64_t p, double bytes)
{
    int steps = tree_steps(p);
    return steps ? steps * short_step(link, bytes) : 0;
}

mu_cost mu_network_broadcast(const mu_network *n, int64_t ranks, double bytes)
{
    shape s = shape_of(n, ranks);
    return cost_of(level_broadcast(&n->inside, s.inside, bytes), level_broadcast(&n->between, s.nodes, bytes), n);
}

/* ---- fitting ---- */

/* Least squares of weights w; w counts 0 where a point is left out. */
static void fit_weighted(const double *x, const double *y, const double *w, int n, double *a, double *b)
{
    double s = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < n; i++) {
        s += w[i];
        sx += w[i] * x[i];
        sy += w[i] * y[i];
        sxx += w[i] * x[i] * x[i];
        sxy += w[i] * x[i] * y[i];
    }
    double d = s * sxx - sx * sx;
    *b = d > 1e-12 * s * sxx ? (s * sxy - sx * sy) / d : 0;
    if (*b < 0)
        *b = 0;
    *a = (sy - *b * sx) / s;
    if (*a < 0) {
        *a = 0;
        *b = sxx > 0 ? sxy / sxx : 0;
    }
}

void mu_network_fit(const double *bytes, const double *seconds, int n, double *latency, double *bandwidth)
{
    enum { MOST = 64, ROUNDS = 30 };
    double w[MOST], a = 0, b = 0;
    n = n < MOST ? n : MOST;
    for (int i = 0; i < n; i++)
        w[i] = 1 / (seconds[i] * seconds[i]);
    for (int round = 0; round < ROUNDS; round++) {
        double scale = 0;
        fit_weighted(bytes, seconds, w, n, &a, &b);
        for (int i = 0; i < n; i++)
            scale += fabs((seconds[i] - a - b * bytes[i]) / seconds[i]) / n;
        for (int i = 0; i < n; i++) {
            double r = fabs((seconds[i] - a - b * bytes[i]) / seconds[i]);
            w[i] = (r <= scale || r == 0 ? 1 : scale / r) / (seconds[i] * seconds[i]);
        }
    }
    *latency = a;
    *bandwidth = b > 0 ? 1 / b : INFINITY;
}

mu_link mu_link_fit(int64_t p, const double *bytes, const double *seconds, int n_short, int n_long)
{
    mu_link link = {0};
    bool pairs = p <= MU_PAIRS_MOST_RANKS;
    double steps = doubling_steps(p), long_steps = pairs ? 2 * (double)(p - 1) : 2 * tree_steps(p);
    mu_network_fit(bytes, seconds, n_short, &link.small_latency, &link.small_bandwidth);
    mu_network_fit(bytes + n_short, seconds + n_short, n_long, &link.latency, &link.bandwidth);
    link.small_latency /= steps;
    link.small_bandwidth *= steps;
    link.latency = fmax(link.latency / long_steps, link.small_latency);
    link.bandwidth *= pairs ? long_steps / (double)p : long_steps;
    return link;
}
