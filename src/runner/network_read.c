#include "config/config.h"
#include "registry/registry.h"
#include "runner/network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POSITIVE .bounded_below = true, .min = 0, .above_min = true
#define NOT_NEGATIVE .bounded_below = true, .min = 0
#define COUNT .bounded_below = true, .min = 1, .bounded_above = true, .max = 1e9

static const mu_option link_keys[] = {
    MU_OPTION(mu_link, latency, MU_OPT_FLOAT, .required = true, NOT_NEGATIVE, .unit = "s", .help = "of one step of a collective operation"),
    MU_OPTION(mu_link, bandwidth, MU_OPT_FLOAT, .required = true, POSITIVE, .unit = "bytes/s",
              .help = "inside: of one rank; between: of one node"),
    MU_OPTION(mu_link, small_latency, MU_OPT_FLOAT, NOT_NEGATIVE, .unit = "s", .help = "the same for short messages, with small_bandwidth"),
    MU_OPTION(mu_link, small_bandwidth, MU_OPT_FLOAT, POSITIVE, .text_default = "null", .nullable = true, .unit = "bytes/s",
              .help = "the same for short messages; null: as bandwidth and latency"),
    MU_OPTION(mu_link, by_cores, MU_OPT_BOOL, .help = "the ranks' own cores move the bytes: shared memory, TCP"),
    MU_OPTION_END,
};

static const mu_option file_keys[] = {
    MU_OPTION(mu_network, write_bandwidth, MU_OPT_FLOAT, .required = true, POSITIVE, .unit = "bytes/s", .help = "of all ranks together"),
    MU_OPTION(mu_network, read_bandwidth, MU_OPT_FLOAT, .required = true, POSITIVE, .unit = "bytes/s", .help = "of all ranks together"),
    MU_OPTION(mu_network, rank_write_bandwidth, MU_OPT_FLOAT, POSITIVE, .text_default = "null", .nullable = true, .unit = "bytes/s",
              .help = "of one rank; null: as much as all"),
    MU_OPTION(mu_network, rank_read_bandwidth, MU_OPT_FLOAT, POSITIVE, .text_default = "null", .nullable = true, .unit = "bytes/s",
              .help = "of one rank; null: as much as all"),
    MU_OPTION(mu_network, open_latency, MU_OPT_FLOAT, NOT_NEGATIVE, .unit = "s", .help = "to create and to commit a file"),
    MU_OPTION_END,
};

typedef struct {
    mu_network network;
    const mu_cfg *inside, *between, *file_system;
    mu_strings algorithms;
} document;

static const char *const algorithm_names[] = {"ring", "recursive_doubling", "rabenseifner", "hierarchical", "tree", "pairs", NULL};

#define NETWORK(field, type_, ...) {.key = #field, .offset = offsetof(document, network.field), .type = (type_), __VA_ARGS__}
static const mu_option keys[] = {
    NETWORK(ranks_per_node, MU_OPT_INT, .required = true, COUNT, .help = "ranks that are started on a node"),
    NETWORK(cores_per_node, MU_OPT_INT, COUNT, .text_default = "null", .nullable = true,
            .help = "that the ranks of a node share; null: as many as they want"),
    MU_OPTION(document, inside, MU_OPT_DICT, .nullable = true, .fields = link_keys, .help = "the link of a rank inside its node"),
    MU_OPTION(document, between, MU_OPT_DICT, .nullable = true, .fields = link_keys, .help = "the link of a node to the others"),
    MU_OPTION(document, algorithms, MU_OPT_STRINGS, .choices = algorithm_names, .min_items = 1,
              .text_default = "[pairs, tree, recursive_doubling]", .help = "that there are; the quickest is taken"),
    MU_OPTION(document, file_system, MU_OPT_DICT, .nullable = true, .fields = file_keys, .help = "of checkpoints and datasets"),
    NETWORK(copy_bandwidth, MU_OPT_FLOAT, POSITIVE, .text_default = "null", .nullable = true, .unit = "bytes/s",
            .help = "memory to memory, of one rank while all of its node copy"),
    NETWORK(noise, MU_OPT_FLOAT, NOT_NEGATIVE, .float_default = -1, .text_default = "null", .nullable = true,
            .help = "standard deviation of a step's compute time over its mean; null: as measured"),
    NETWORK(node_mtbf, MU_OPT_FLOAT, POSITIVE, .text_default = "null", .nullable = true, .unit = "s",
            .help = "mean time between failures of one node"),
    MU_OPTION_END,
};

static unsigned read_algorithms(const mu_strings *names)
{
    unsigned set = 0;
    for (size_t i = 0; i < names->n; i++)
        for (unsigned k = 0; algorithm_names[k]; k++)
            set |= strcmp(names->v[i], algorithm_names[k]) == 0 ? 1u << k : 0;
    return names->n ? set : MU_PAIRS | MU_TREE | MU_DOUBLING;
}

static mu_err read_parts(const document *d, mu_network *n, mu_diagnostics *list)
{
    if (d->inside)
        MU_TRY(mu_options_parse(link_keys, d->inside, "inside", &n->inside, list));
    if (d->between)
        MU_TRY(mu_options_parse(link_keys, d->between, "between", &n->between, list));
    if (d->file_system)
        MU_TRY(mu_options_parse(file_keys, d->file_system, "file_system", n, list));
    if (n->rank_write_bandwidth == 0)
        n->rank_write_bandwidth = n->write_bandwidth;
    if (n->rank_read_bandwidth == 0)
        n->rank_read_bandwidth = n->read_bandwidth;
    return MU_OK;
}

/* What belongs together. */
static mu_err suits(const mu_cfg *root, const mu_network *n, int64_t ranks, mu_diagnostics *list)
{
    int64_t inside = ranks < n->ranks_per_node ? ranks : n->ranks_per_node;
    char found[192];
    if (n->inside.bandwidth == 0 && inside > 1) {
        snprintf(found, sizeof found, "%lld ranks share a node, and what joins them is not told", (long long)inside);
        MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(root), "inside", NULL, found, NULL));
    }
    if (n->between.bandwidth == 0 && ranks > inside) {
        snprintf(found, sizeof found,
                 "%lld ranks are more than the %lld of a node, and what joins the nodes is not told: add {latency, bandwidth}, or measure "
                 "on two nodes",
                 (long long)ranks, (long long)inside);
        MU_TRY(mu_diagnostics_add(list, mu_cfg_pos(root), "between", NULL, found, NULL));
    }
    return MU_OK;
}

static mu_err read_root(const mu_cfg *root, int64_t ranks, mu_diagnostics *list, mu_network *out)
{
    document d = {0};
    size_t before = list->n;
    MU_TRY(mu_check_keys(keys, root, "", list));
    if (list->n > before)
        return MU_OK;
    MU_TRY(mu_options_parse(keys, root, "", &d, list));
    mu_err err = read_parts(&d, &d.network, list);
    if (!err) {
        d.network.algorithms = read_algorithms(&d.algorithms);
        err = suits(root, &d.network, ranks, list);
    }
    *out = d.network;
    mu_options_release(keys, &d);
    return err;
}

mu_err mu_network_read(const char *path, int64_t ranks, mu_diagnostics *list, mu_network *out)
{
    mu_config *config;
    mu_err err = mu_config_read(path, &config);
    if (err) {
        mu_error_context("the network");
        mu_error_hint("muster bench comm -o FILE.yaml measures one");
    }
    MU_TRY(err);
    err = read_root(mu_config_root(config), ranks, list, out);
    mu_config_release(config);
    MU_TRY(err);
    return MU_OK;
}
