/* MT19937 (Matsumoto and Nishimura 1998): only for the sampler order, which follows the reference's generator. */
#ifndef MU_CORE_MT19937_H
#define MU_CORE_MT19937_H

#include <stdint.h>

typedef struct {
    uint32_t state[624];
    int at;
} mu_mt19937;

void mu_mt19937_seed(mu_mt19937 *rng, uint64_t seed); /* the low 32 bits count, as in the reference */
uint32_t mu_mt19937_next(mu_mt19937 *rng);

/* A permutation of 0..n-1 into perm: position i swaps with i + next % (n - i). For n < 2^32 / 20 (214 million) it is the
 * one that torch.randperm(n) draws on a CPU; beyond, a draw takes two words, the first one high.
 * seed 42, n 100 begins 42 96 62 98 46 95 60 24. */
void mu_mt19937_permutation(mu_mt19937 *rng, int64_t n, int64_t *perm);

#endif
