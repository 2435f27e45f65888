#include "core/philox.h"

#include <math.h>

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit numbers. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

mu_philox mu_philox_key(uint64_t seed, mu_rng_purpose purpose, uint64_t a, uint64_t b)
{
    /* Two chains that fold the four in opposite order: streams meet only when both collide. */
    uint64_t key = mix(mix(mix(mix(seed) + purpose) + a) + b);
    uint64_t stream = mix(mix(mix(mix(b) + a) + purpose) + seed);
    return (mu_philox){.key = {(uint32_t)key, (uint32_t)(key >> 32)},
                       .stream = {(uint32_t)stream, (uint32_t)(stream >> 32)}};
}

mu_u32x4 mu_philox_block(const mu_philox *stream, uint64_t n)
{
    uint32_t k0 = stream->key[0], k1 = stream->key[1];
    uint32_t c0 = (uint32_t)n, c1 = (uint32_t)(n >> 32), c2 = stream->stream[0], c3 = stream->stream[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53 * c0, p1 = (uint64_t)0xcd9e8d57 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
    }
    return (mu_u32x4){.v = {c0, c1, c2, c3}};
}

float mu_philox_uniform_f32(const mu_philox *stream, uint64_t i)
{
    return (float)(mu_philox_block(stream, i / 4).v[i % 4] >> 8) * 0x1p-24f;
}

/* Half h of a block as a number in [0, 1). */
static double uniform_half(const mu_u32x4 *block, int h)
{
    uint64_t bits = (uint64_t)block->v[2 * h + 1] << 32 | block->v[2 * h];
    return (double)(bits >> 11) * 0x1p-53;
}

double mu_philox_uniform_f64(const mu_philox *stream, uint64_t i)
{
    mu_u32x4 block = mu_philox_block(stream, i / 2);
    return uniform_half(&block, (int)(i % 2));
}

double mu_philox_normal(const mu_philox *stream, uint64_t i)
{
    mu_u32x4 block = mu_philox_block(stream, i / 2);
    double radius = sqrt(-2 * log(1 - uniform_half(&block, 0))); /* the argument lies in (0, 1] */
    double angle = 2 * M_PI * uniform_half(&block, 1);
    return radius * (i % 2 ? sin(angle) : cos(angle));
}

uint64_t mu_philox_below(const mu_philox *stream, uint64_t i, uint64_t n)
{
    /* The 128 bits of block i as a fraction, times n: the bias is below n / 2^128. */
    mu_u32x4 block = mu_philox_block(stream, i);
    uint64_t low = (uint64_t)block.v[1] << 32 | block.v[0], high = (uint64_t)block.v[3] << 32 | block.v[2];
    unsigned __int128 carry = (unsigned __int128)low * n >> 64;
    return (uint64_t)(((unsigned __int128)high * n + carry) >> 64);
}
