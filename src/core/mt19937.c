#include "core/mt19937.h"

enum { N = 624, M = 397 };

void mu_mt19937_seed(mu_mt19937 *rng, uint64_t seed)
{
    rng->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < N; i++)
        rng->state[i] = 1812433253u * (rng->state[i - 1] ^ (rng->state[i - 1] >> 30)) + i;
    rng->at = N;
}

static void refill(mu_mt19937 *rng)
{
    uint32_t *s = rng->state;
    for (int i = 0; i < N; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % N] & 0x7fffffffu);
        s[i] = s[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    rng->at = 0;
}

uint32_t mu_mt19937_next(mu_mt19937 *rng)
{
    if (rng->at >= N)
        refill(rng);
    uint32_t y = rng->state[rng->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

void mu_mt19937_permutation(mu_mt19937 *rng, int64_t n, int64_t *perm)
{
    /* The remainder of 32 bits is no longer near enough to uniform beyond this n. */
    int wide = n >= UINT32_MAX / 20;
    for (int64_t i = 0; i < n; i++)
        perm[i] = i;
    for (int64_t i = 0; i < n - 1; i++) {
        uint64_t draw = mu_mt19937_next(rng);
        if (wide)
            draw = draw << 32 | mu_mt19937_next(rng);
        int64_t j = i + (int64_t)(draw % (uint64_t)(n - i)), kept = perm[i];
        perm[i] = perm[j];
        perm[j] = kept;
    }
}
