/* What a training run would take on many ranks: a calculation from what one rank was measured to take, and from what the network gives.
 * Weak scaling: every rank keeps its batch. */
#ifndef MU_RUNNER_PREDICT_H
#define MU_RUNNER_PREDICT_H

#include "runner/network.h"

/* Parameters whose gradients may travel together, in the order in which backward completes them. */
typedef struct {
    double bytes;       /* of its parameters, and of its gradients */
    double used, ready; /* s from the beginning of a step: its parameters are first read; its gradients are complete */
} mu_bucket;

/* One rank and its training step, alone on its cores. */
typedef struct {
    double forward, backward, optimizer, rest; /* s of a step; rest: what is none of these */
    double noise;                              /* standard deviation of a step over its mean */
    double load;                               /* s of one core to make a batch; 0: not known */
    int threads, loader_threads;
    const mu_bucket *bucket;
    int n_buckets;
    double bucket_bytes; /* neighbours travel together until they have so many; 0: each alone; NaN: as mu_bucket_choose does */
    int stage;         /* 0: nothing is sharded; 1: optimizer; 2: and gradients; 3: and parameters */
    int prefetch;      /* stage 3: buckets gathered ahead */
    double wire;       /* bytes that travel of a byte of gradient: 1, or 0.5 for half precision */
    bool hierarchical; /* gradients are reduced inside nodes first, whatever the MPI library does */
    int small;         /* all-reduces of few bytes in an iteration */
    double small_bytes;
    bool broadcasts;   /* rank 0's states, at the beginning of every step */
    double param_bytes, gradient_bytes, optimizer_bytes, state_bytes, activation_bytes, loader_bytes;
    double largest_bytes; /* of one tensor in a checkpoint, which one rank writes */
    bool async_checkpoint;
    int64_t batch, samples; /* of a rank; of an epoch, 0: not known */
    double sample_bytes;    /* read from the file system for a sample; 0: not known */
} mu_workload;

/* Seconds and bytes; NaN: what it takes is not known. */
typedef struct {
    int64_t ranks, nodes;
    double oversubscribed; /* threads for each core of a node; 1: none too many */
    double step, compute;  /* compute: what one rank takes by itself on a node so full */
    int pieces;            /* in which gradients travel */
    double communication;  /* of gradients and parameters, had nothing been hidden */
    double exposed, small; /* what of it the step waits for; the small operations */
    double straggling;     /* waiting for the slowest rank */
    double data;           /* what the data add: reading them, and loading where no core is left for it */
    double efficiency;     /* step of one rank / step */
    double samples_per_second, epoch, data_bandwidth;
    double params, gradients, optimizer, activations, buffers, memory; /* of a rank; memory: their sum */
    double checkpoint_bytes, checkpoint, stall;                        /* s to write it; s for which training stops */
    double checkpoint_interval; /* s from one to the next that lose least (Young 1974), and in which one is written */
} mu_prediction;

MU_CHECKED mu_err mu_predict(const mu_workload *workload, const mu_network *network, int64_t ranks, mu_prediction *out);

/* The largest of n standard normal numbers, expected: the quantile (n - 3/8) / (n + 1/4) (Blom 1958). */
double mu_expected_maximum(int64_t n);

#endif
