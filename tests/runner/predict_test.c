#include "runner/predict.h"
#include "test.h"

#include <math.h>
#include <unistd.h>

static void near(double got, double expected)
{
    ck_assert_msg(fabs(got - expected) <= 1e-9 * fabs(expected) + 1e-15, "%.12g instead of %.12g", got, expected);
}

/* ---- collective operations ---- */

/* 1 us a step, 1 GB/s inside; 10 us, 100 MB/s between. */
static const mu_network small = {
    .ranks_per_node = 4,
    .inside = {.latency = 1e-6, .bandwidth = 1e9},
    .between = {.latency = 1e-5, .bandwidth = 1e8},
    .algorithms = MU_RING | MU_DOUBLING | MU_RABENSEIFNER | MU_HIERARCHICAL,
    .noise = 0,
};

static mu_network with(unsigned algorithms)
{
    mu_network n = small;
    n.algorithms = algorithms;
    return n;
}

START_TEST(one_node)
{
    mu_network n = with(MU_RING);
    near(mu_network_all_reduce(&n, 1, 1e6).seconds, 0);
    near(mu_network_all_reduce(&n, 2, 1e6).seconds, 2e-6 + 1e-3);
    near(mu_network_all_reduce(&n, 4, 1e6).seconds, 6e-6 + 1.5e-3);
    near(mu_network_half(&n, 4, 1e6).seconds, 3e-6 + 0.75e-3);
    n = with(MU_DOUBLING);
    near(mu_network_all_reduce(&n, 2, 1e6).seconds, 1e-6 + 1e-3);
    near(mu_network_all_reduce(&n, 3, 1e6).seconds, 3 * (1e-6 + 1e-3)); /* joins, exchanges, hears */
    near(mu_network_all_reduce(&n, 4, 1e6).seconds, 2 * (1e-6 + 1e-3));
    n = with(MU_RABENSEIFNER);
    near(mu_network_all_reduce(&n, 4, 1e6).seconds, 4e-6 + 1.5e-3);
    near(mu_network_all_reduce(&n, 3, 1e6).seconds, 2 * (2e-6 + 2e-3 / 3)); /* folding the third rank in costs more than a ring */
    n = with(MU_TREE);
    near(mu_network_all_reduce(&n, 2, 1e6).seconds, 2 * (1e-6 + 1e-3));
    near(mu_network_all_reduce(&n, 3, 1e6).seconds, 4 * (1e-6 + 1e-3));
    near(mu_network_half(&n, 4, 1e6).seconds, 3e-6 + 0.75e-3); /* pair by pair, as in a ring */
    n = with(MU_TREE | MU_DOUBLING); /* exchanges are for few bytes */
    near(mu_network_all_reduce(&n, 4, 1e6).seconds, 4 * (1e-6 + 1e-3));
    near(mu_network_all_reduce(&n, 4, 1e3).seconds, 2 * (1e-6 + 1e-6));
    /* In pairs: of long ones, among few ranks. */
    n = with(MU_PAIRS | MU_TREE | MU_DOUBLING);
    near(mu_network_all_reduce(&n, 4, 1 << 20).seconds, 6e-6 + 1.5 * (1 << 20) / 1e9);
    near(mu_network_all_reduce(&n, 4, 1e6).seconds, 4 * (1e-6 + 1e-3));
    near(mu_network_all_reduce(&n, 4, 1e3).seconds, 2 * (1e-6 + 1e-6));
    /* The quickest: few bytes by exchanges, many round the ring. */
    n = with(MU_RING | MU_DOUBLING);
    near(mu_network_all_reduce(&n, 4, 8).seconds, 2 * (1e-6 + 8e-9));
    near(mu_network_all_reduce(&n, 4, 1e6).seconds, 6e-6 + 1.5e-3);
}
END_TEST

START_TEST(several_nodes)
{
    /* Flat: 8 steps of a ring, each as slow as the network between nodes. */
    mu_network n = with(MU_RING);
    near(mu_network_all_reduce(&n, 8, 1e6).seconds, 14e-5 + 1.75e-2);
    near(mu_network_half(&n, 8, 1e6).seconds, 7e-5 + 0.875e-2);
    /* Exchanges: two inside, one between in which the four ranks of a node share its link. */
    n = with(MU_DOUBLING);
    near(mu_network_all_reduce(&n, 8, 1e4).seconds, 2 * (1e-6 + 1e-5) + 1e-5 + 4e-4);
    /* Inside, between, inside: the bytes cross each node's link once, as two halves. */
    n = with(MU_RING | MU_HIERARCHICAL);
    near(mu_network_all_reduce(&n, 8, 1e6).seconds, 2 * (3e-6 + 0.75e-3) + 2e-5 + 1e-2);
    near(mu_network_half(&n, 8, 1e6).seconds, (3e-6 + 0.75e-3) + 1e-5 + 0.5e-2);
    /* One rank a node. */
    n.ranks_per_node = 1;
    near(mu_network_all_reduce(&n, 4, 1e6).seconds, 6e-5 + 1.5e-2);
}
END_TEST

START_TEST(broadcasts)
{
    near(mu_network_broadcast(&small, 1, 1e3).seconds, 0);
    near(mu_network_broadcast(&small, 3, 1e3).seconds, 2 * (1e-6 + 1e-6));
    near(mu_network_broadcast(&small, 16, 1e3).seconds, 2 * (1e-6 + 1e-6) + 2 * (1e-5 + 1e-5));
}
END_TEST

START_TEST(work_of_cores)
{
    mu_network n = with(MU_RING | MU_HIERARCHICAL);
    n.inside.by_cores = true;
    mu_cost cost = mu_network_all_reduce(&n, 8, 1e6);
    near(cost.by_cores, 2 * (3e-6 + 0.75e-3));
    ck_assert_double_gt(cost.seconds, cost.by_cores);
    n.between.by_cores = true;
    cost = mu_network_all_reduce(&n, 8, 1e6);
    near(cost.by_cores, cost.seconds);
}
END_TEST

START_TEST(short_messages)
{
    mu_network n = with(MU_RING | MU_DOUBLING);
    n.inside.small_latency = 5e-7;
    n.inside.small_bandwidth = 5e8;
    near(mu_network_all_reduce(&n, 4, 1000).seconds, 2 * (5e-7 + 2e-6));
    n.algorithms = MU_DOUBLING;
    near(mu_network_all_reduce(&n, 4, MU_SHORT_MESSAGE + 1).seconds, 2 * (1e-6 + (MU_SHORT_MESSAGE + 1) / 1e9));
}
END_TEST

/* ---- fitting ---- */

START_TEST(fits)
{
    const double bytes[] = {1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    double seconds[6], latency, bandwidth;
    for (int i = 0; i < 6; i++)
        seconds[i] = 3e-6 + bytes[i] / 2e9;
    mu_network_fit(bytes, seconds, 6, &latency, &bandwidth);
    ck_assert_double_eq_tol(latency, 3e-6, 1e-11);
    ck_assert_double_eq_tol(bandwidth, 2e9, 1e3);
    seconds[3] *= 20; /* one disturbed measurement */
    mu_network_fit(bytes, seconds, 6, &latency, &bandwidth);
    ck_assert_double_eq_tol(latency, 3e-6, 3e-8);
    ck_assert_double_eq_tol(bandwidth, 2e9, 2e7);
    /* Nothing negative. */
    mu_network_fit((double[]){1, 2}, (double[]){2e-6, 1e-6}, 2, &latency, &bandwidth);
    ck_assert(latency > 0 && isinf(bandwidth));
    mu_network_fit((double[]){1e6, 2e6}, (double[]){1e-3, 3e-3}, 2, &latency, &bandwidth);
    ck_assert(latency == 0 && bandwidth > 5e8 && bandwidth < 1e9);
    mu_network_fit((double[]){1e6}, (double[]){1e-3}, 1, &latency, &bandwidth);
    ck_assert(latency == 1e-3 && isinf(bandwidth));
}
END_TEST

/* What mu_link_all_reduce gives is fitted back. */
START_TEST(fits_links)
{
    const mu_link link = {.latency = 4e-6, .bandwidth = 3e9, .small_latency = 1e-6, .small_bandwidth = 1e9};
    const double bytes[] = {8, 512, 16384, 1 << 20, 4 << 20, 16 << 20};
    for (int64_t p = 2; p <= 65; p += p < 5 ? 1 : 20) {
        double seconds[6];
        for (int i = 0; i < 6; i++)
            seconds[i] = mu_link_all_reduce(&link, i < 3 ? MU_DOUBLING : p <= MU_PAIRS_MOST_RANKS ? MU_PAIRS : MU_TREE, p, bytes[i]);
        mu_link fitted = mu_link_fit(p, bytes, seconds, 3, 3);
        ck_assert_double_eq_tol(fitted.latency / link.latency, 1, 1e-3);
        ck_assert_double_eq_tol(fitted.bandwidth / link.bandwidth, 1, 1e-6);
        ck_assert_double_eq_tol(fitted.small_latency / link.small_latency, 1, 1e-6);
        ck_assert_double_eq_tol(fitted.small_bandwidth / link.small_bandwidth, 1, 1e-6);
    }
}
END_TEST

START_TEST(largest_of_many)
{
    /* Exact: 1/sqrt(pi), 1.0294, 2.5076. */
    ck_assert_double_eq(mu_expected_maximum(1), 0);
    ck_assert_double_eq_tol(mu_expected_maximum(2), 0.5642, 0.03);
    ck_assert_double_eq_tol(mu_expected_maximum(4), 1.0294, 0.03);
    ck_assert_double_eq_tol(mu_expected_maximum(100), 2.5076, 0.01);
    ck_assert_double_gt(mu_expected_maximum(16384), mu_expected_maximum(1024));
}
END_TEST

/* ---- steps ---- */

/* 1 s forward, 2 s backward; gradients of 400 MB complete at 2 s, of 200 MB at 3 s. */
static const mu_bucket buckets[] = {{4e8, 0.5, 2}, {2e8, 0, 3}};
static const mu_workload work = {
    .forward = 1, .backward = 2, .optimizer = 0.25, .rest = 0.125,
    .threads = 1, .bucket = buckets, .n_buckets = 2, .wire = 1,
    .param_bytes = 6e8, .gradient_bytes = 6e8, .optimizer_bytes = 12e8, .state_bytes = 1e6, .activation_bytes = 5e9, .loader_bytes = 1e7,
    .batch = 32, .samples = 1000, .sample_bytes = 1e5,
};

static void predict(const mu_workload *w, const mu_network *n, int64_t ranks, mu_prediction *out)
{
    ck_ok(mu_predict(w, n, ranks, out));
}

START_TEST(overlap)
{
    mu_network n = with(MU_RING);
    mu_prediction p;
    /* 1 rank: what was measured. */
    predict(&work, &n, 1, &p);
    near(p.step, 3.375);
    near(p.efficiency, 1);
    near(p.communication, 0);
    near(p.samples_per_second, 32 / 3.375);
    near(p.epoch, 32 * 3.375);
    /* 2 ranks: 0.4 s from 2 on, hidden; 0.2 s from 3 on, not. Two latencies each. */
    predict(&work, &n, 2, &p);
    near(p.communication, 0.6 + 4e-6);
    near(p.exposed, 0.2 + 2e-6);
    near(p.step, 3.575 + 2e-6);
    near(p.efficiency, 3.375 / (3.575 + 2e-6));
    near(p.epoch, 16 * p.step);
    near(p.data_bandwidth, 64 / p.step * 1e5);
    /* A slow link: the second one waits for the first. */
    n.inside.bandwidth = 2e8;
    predict(&work, &n, 2, &p);
    near(p.exposed, 2 + 2 + 1 - 3 + 4e-6);
    /* Half as many bytes on the wire. */
    mu_workload half = work;
    half.wire = 0.5;
    predict(&half, &n, 2, &p);
    near(p.communication, 1.5 + 4e-6);
}
END_TEST

/* Neighbours travel together until they have as many bytes as they should. */
START_TEST(pieces)
{
    const mu_bucket four[] = {{1e6, 3, 4}, {2e6, 2, 5}, {4e6, 1, 6}, {8e6, 0, 7}};
    mu_network n = with(MU_RING);
    mu_workload w = work;
    mu_prediction p;
    w.forward = 3;
    w.backward = 4;
    w.bucket = four;
    w.n_buckets = 4;
    w.gradient_bytes = 15e6;
    n.inside.latency = 0;
    n.inside.bandwidth = 1e6;
    predict(&w, &n, 2, &p);
    ck_assert_int_eq(p.pieces, 4);
    near(p.exposed, 4 + 1 + 2 + 4 + 8 - 7);
    w.bucket_bytes = 3e6; /* two, one, one */
    predict(&w, &n, 2, &p);
    ck_assert_int_eq(p.pieces, 3);
    near(p.exposed, 5 + 3 + 4 + 8 - 7);
    w.bucket_bytes = 1e9;
    predict(&w, &n, 2, &p);
    ck_assert_int_eq(p.pieces, 1);
    near(p.exposed, 15);
    /* Chosen: sqrt(15e6 * 0.7 s * 1 MB/s) is 3.2 MB: 4 MiB as a power of 2. */
    w.bucket_bytes = NAN;
    n.inside.latency = 0.35;
    predict(&w, &n, 2, &p);
    ck_assert_int_eq(p.pieces, 2);
    near(p.exposed, 6 + 7 + 0.7 + 8 + 0.7 - 7);
    ck_survives_oom(mu_predict(&w, &n, 2, &p), (void)0);
}
END_TEST

START_TEST(no_spare_core)
{
    mu_network n = with(MU_RING);
    mu_prediction p;
    n.inside.by_cores = true;
    n.cores_per_node = 4;
    predict(&work, &n, 2, &p); /* one left for each */
    near(p.exposed, 0.2 + 2e-6);
    near(p.oversubscribed, 1);
    n.cores_per_node = 2;
    predict(&work, &n, 2, &p); /* none: nothing is hidden */
    near(p.exposed, 0.6 + 4e-6);
    near(p.oversubscribed, 1);
    n.cores_per_node = 1;
    predict(&work, &n, 2, &p); /* everything takes twice as long */
    near(p.oversubscribed, 2);
    near(p.compute, 6.75);
    near(p.exposed, 1.2 + 8e-6);
}
END_TEST

START_TEST(hierarchical_wrapper)
{
    mu_network n = with(MU_RING), all = with(MU_RING | MU_HIERARCHICAL);
    mu_workload w = work;
    mu_prediction flat, inside, both;
    predict(&w, &n, 16, &flat);
    predict(&w, &all, 16, &both);
    w.hierarchical = true;
    predict(&w, &n, 16, &inside);
    ck_assert(inside.communication == both.communication && inside.communication < flat.communication);
}
END_TEST

START_TEST(small_operations_and_stragglers)
{
    mu_network n = with(MU_RING | MU_DOUBLING);
    mu_workload w = work;
    mu_prediction p;
    w.small = 2;
    w.small_bytes = 8;
    w.noise = 0.1;
    n.noise = -1; /* as measured */
    predict(&w, &n, 4, &p);
    near(p.small, 4 * (1e-6 + 8e-9));
    near(p.straggling, 0.3 * mu_expected_maximum(4));
    near(p.step, p.compute + p.exposed + p.small + p.straggling);
    w.broadcasts = true; /* 1 MB of states, in two steps */
    predict(&w, &n, 4, &p);
    near(p.small, 4 * (1e-6 + 8e-9) + 2 * (1e-6 + 1e-3));
    n.noise = 0;
    predict(&w, &n, 4, &p);
    near(p.straggling, 0);
}
END_TEST

START_TEST(data)
{
    mu_network n = with(MU_RING);
    mu_workload w = work;
    mu_prediction p;
    w.load = 2;
    w.loader_threads = 1;
    predict(&w, &n, 1, &p); /* beside the step */
    near(p.data, 0);
    w.load = 4;
    predict(&w, &n, 1, &p); /* one thread is too slow */
    near(p.step, 4);
    n.cores_per_node = 1;
    predict(&w, &n, 1, &p); /* in turn with it */
    near(p.step, 7.375);
    /* The file system gives 400 kB/s: 64 samples of 100 kB take 16 s. */
    n.read_bandwidth = n.rank_read_bandwidth = 4e5;
    predict(&work, &n, 2, &p);
    near(p.step, 16);
}
END_TEST

START_TEST(sharding)
{
    mu_network n = with(MU_RING);
    mu_workload w = work;
    mu_prediction p;
    w.stage = 1;
    predict(&w, &n, 2, &p);
    /* 0.2 s hidden, 0.1 s at the end of backward; parameters of 600 MB after an optimizer of half the work. */
    near(p.exposed, 0.1 + 1e-6 + 0.3 + 2e-6);
    near(p.communication, 0.6 + 4e-6);
    near(p.optimizer, 6e8);
    near(p.gradients, 6e8);
    w.stage = 2;
    predict(&w, &n, 2, &p);
    near(p.gradients, 3e8);
    near(p.params, 6e8 + 1e6);
    w.stage = 3;
    w.prefetch = 1;
    predict(&w, &n, 2, &p);
    near(p.params, 3e8 + 1e6);
    near(p.buffers, 1e7 + 2 * 4e8 + 2 * 4e8);
    near(p.communication, 0.9 + 6e-6); /* twice gathered, once scattered */
    /* The first gather, of 200 MB, cannot be hidden; the second (400 MB, wanted 0.5 s later) is. Of backward's all is but the last scatter. */
    near(p.exposed, 0.1 + 1e-6 + 0.1 + 1e-6);
    /* On a network without cost nothing is lost, in any stage. */
    n.inside.latency = 0;
    n.inside.bandwidth = INFINITY;
    for (w.stage = 0; w.stage <= 3; w.stage++) {
        predict(&w, &n, 4, &p);
        near(p.exposed, 0);
        ck_assert(w.stage > 0 || fabs(p.efficiency - 1) < 1e-12);
    }
}
END_TEST

START_TEST(checkpoints)
{
    mu_network n = with(MU_RING);
    mu_workload w = work;
    mu_prediction p;
    predict(&w, &n, 4, &p);
    near(p.checkpoint_bytes, 18e8 + 1e6);
    ck_assert(isnan(p.checkpoint) && isnan(p.stall) && isnan(p.checkpoint_interval));
    n.write_bandwidth = 3e9;
    n.rank_write_bandwidth = 1e9;
    n.open_latency = 0.01;
    n.node_mtbf = 1e6;
    predict(&w, &n, 2, &p);
    near(p.checkpoint, 0.01 + 1.801e9 / 2e9);
    near(p.stall, p.checkpoint);
    near(p.checkpoint_interval, sqrt(2 * p.stall * 1e6));
    predict(&w, &n, 8, &p);
    near(p.checkpoint, 0.01 + 1.801e9 / 3e9);
    near(p.checkpoint_interval, sqrt(2 * p.stall * 1e6 / 2));
    w.async_checkpoint = true;
    n.copy_bandwidth = 1e10;
    predict(&w, &n, 8, &p);
    near(p.stall, 0.01 + 1.801e9 / 8 / 1e10);
    w.largest_bytes = 9e8; /* more than a rank's share: one rank has it all to write */
    predict(&w, &n, 8, &p);
    near(p.stall, 0.01 + 9e8 / 1e10);
    near(p.checkpoint, 0.01 + 9e8 / 1e9);
}
END_TEST

/* More bandwidth or less latency never makes a step longer; more ranks never make it shorter. */
START_TEST(monotonic)
{
    mu_workload w = work;
    w.small = 2;
    w.small_bytes = 8;
    for (w.stage = 0; w.stage <= 3; w.stage++)
        for (unsigned algorithms = 1; algorithms < 32; algorithms++) {
            double last = 0;
            for (int64_t ranks = 1; ranks <= 4096; ranks *= 4) {
                mu_network n = with(algorithms), better;
                mu_prediction slow, quick;
                predict(&w, &n, ranks, &slow);
                ck_assert(w.stage > 0 || slow.step >= last);
                last = slow.step;
                for (int change = 0; change < 4; change++) {
                    better = n;
                    mu_link *link = change % 2 ? &better.inside : &better.between;
                    link->latency *= change / 2 ? 0.5 : 1;
                    link->bandwidth *= change / 2 ? 1 : 2;
                    predict(&w, &better, ranks, &quick);
                    ck_assert_msg(quick.step <= slow.step * (1 + 1e-12), "stage %d, algorithms %u, %lld ranks", w.stage, algorithms,
                                  (long long)ranks);
                }
            }
        }
}
END_TEST

/* ---- files ---- */

typedef struct {
    mu_err err;
    mu_network network;
    size_t mistakes;
    char first[512];
} reading;

static reading read_text(const char *text, int64_t ranks)
{
    reading r = {0};
    mu_diagnostics list = {0};
    char path[] = "/tmp/predict_testXXXXXX.yaml";
    int fd = mkstemps(path, 5);
    ck_assert_int_ge(fd, 0);
    ck_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    r.err = mu_network_read(path, ranks, &list, &r.network);
    unlink(path);
    r.mistakes = list.n;
    if (list.n)
        mu_diagnostic_format(&list.item[0], r.first, sizeof r.first);
    mu_diagnostics_release(&list);
    return r;
}

START_TEST(reads)
{
    reading r = read_text("ranks_per_node: 8\ncores_per_node: 64\n"
                          "inside: {latency: 1e-6, bandwidth: 1e10, by_cores: true}\n"
                          "between: {latency: 2e-6, bandwidth: .inf, small_latency: 1e-6, small_bandwidth: 1e9}\n"
                          "algorithms: [rabenseifner, hierarchical]\n"
                          "file_system: {write_bandwidth: 1e11, read_bandwidth: 2e11, rank_write_bandwidth: 1e9, open_latency: 0.01}\n"
                          "copy_bandwidth: 5e9\nnoise: 0.01\nnode_mtbf: 1e7\n", 64);
    ck_ok(r.err);
    ck_assert_uint_eq(r.mistakes, 0);
    ck_assert(r.network.ranks_per_node == 8 && r.network.cores_per_node == 64 && r.network.inside.by_cores && !r.network.between.by_cores);
    ck_assert(r.network.inside.latency == 1e-6 && r.network.inside.small_bandwidth == 0 && isinf(r.network.between.bandwidth));
    ck_assert_uint_eq(r.network.algorithms, MU_RABENSEIFNER | MU_HIERARCHICAL);
    ck_assert(r.network.rank_write_bandwidth == 1e9 && r.network.rank_read_bandwidth == 2e11 && r.network.node_mtbf == 1e7);
    r = read_text("ranks_per_node: 1\n", 1);
    ck_ok(r.err);
    ck_assert(r.mistakes == 0 && r.network.noise < 0 && r.network.cores_per_node == 0);
    ck_assert_uint_eq(r.network.algorithms, MU_PAIRS | MU_TREE | MU_DOUBLING);
}
END_TEST

static const struct {
    const char *text;
    int64_t ranks;
    size_t mistakes;
    const char *first;
} bad[] = {
    {"inside: {latency: 1e-6, bandwidth: 1e9}\n", 1, 1, ":1:1: ranks_per_node: expected integer"},
    {"ranks_per_node: 0\n", 1, 1, ":1:17: ranks_per_node: expected integer"},
    {"ranks_per_node: 2\n", 2, 1, ":1:1: inside: 2 ranks share a node"},
    {"ranks_per_node: 1\n", 4, 1, ":1:1: between: 4 ranks are more than the 1 of a node"},
    {"ranks_per_node: 1\nbetween: {latency: -1, bandwith: 1e9}\n", 4, 3, ":2:20: between.latency: expected number >= 0"},
    {"ranks_per_node: 1\nbetween: {latency: 0, bandwidth: 0}\n", 4, 1, ":2:34: between.bandwidth: expected number > 0"},
    {"ranks_per_node: 1\nbetween: {latency: 0, bandwidth: .nan}\n", 4, 1, ":2:34: between.bandwidth: expected number > 0"},
    {"ranks_per_node: 1\nalgorithms: [rings]\n", 1, 1, "did you mean 'ring'"},
    {"ranks_per_node: 1\nfile_system: {write_bandwidth: 1}\n", 1, 1, "read_bandwidth"},
};

START_TEST(refuses)
{
    reading r = read_text(bad[_i].text, bad[_i].ranks);
    ck_ok(r.err);
    ck_assert_uint_eq(r.mistakes, bad[_i].mistakes);
    ck_assert_msg(strstr(r.first, bad[_i].first) != NULL, "%s", r.first);
}
END_TEST

START_TEST(survives_lack_of_memory)
{
    mu_diagnostics list = {0};
    mu_network n;
    char path[] = "/tmp/predict_testXXXXXX.yaml";
    static const char text[] = "ranks_per_node: 1\nbetween: {latency: 0, bandwidth: 1}\nalgorithms: [ring]\n";
    int fd = mkstemps(path, 5);
    ck_assert(write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
    close(fd);
    ck_survives_oom(mu_network_read(path, 4, &list, &n), (void)0);
    unlink(path);
    ck_fails(mu_network_read(path, 1, &list, &n), MU_ERR_CONFIG, path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("predict");
    TCase *tcase = tcase_create("predict");
    tcase_add_test(tcase, one_node);
    tcase_add_test(tcase, several_nodes);
    tcase_add_test(tcase, broadcasts);
    tcase_add_test(tcase, work_of_cores);
    tcase_add_test(tcase, short_messages);
    tcase_add_test(tcase, fits);
    tcase_add_test(tcase, fits_links);
    tcase_add_test(tcase, largest_of_many);
    tcase_add_test(tcase, overlap);
    tcase_add_test(tcase, pieces);
    tcase_add_test(tcase, no_spare_core);
    tcase_add_test(tcase, hierarchical_wrapper);
    tcase_add_test(tcase, small_operations_and_stragglers);
    tcase_add_test(tcase, data);
    tcase_add_test(tcase, sharding);
    tcase_add_test(tcase, checkpoints);
    tcase_add_test(tcase, monotonic);
    tcase_add_test(tcase, reads);
    tcase_add_loop_test(tcase, refuses, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
