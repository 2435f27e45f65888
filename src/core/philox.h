/* Counter-based random numbers: Philox 4x32-10 (Salmon et al., SC'11). A number depends on its key and counter only,
 * never on threads or ranks. */
#ifndef MU_CORE_PHILOX_H
#define MU_CORE_PHILOX_H

#include <stdint.h>

typedef struct {
    uint32_t v[4];
} mu_u32x4;

/* What a stream is for: part of its key. */
typedef enum { MU_RNG_INIT = 1, MU_RNG_DROPOUT, MU_RNG_AUGMENT, MU_RNG_SWEEP, MU_RNG_TEST } mu_rng_purpose;

typedef struct {
    uint32_t key[2];
    uint32_t stream[2]; /* upper half of the counter */
} mu_philox;

/* The stream of (seed, purpose, a, b): a and b are epoch and sample, or call and step. Distinct tuples give distinct
 * streams: key and stream come from a 64-bit finaliser over all four. */
mu_philox mu_philox_key(uint64_t seed, mu_rng_purpose purpose, uint64_t a, uint64_t b);

/* Block n of the stream: four 32-bit numbers. */
mu_u32x4 mu_philox_block(const mu_philox *stream, uint64_t n);

/* Number i of the stream, uniform in [0, 1) with 24 bits, or with 53 bits. */
float mu_philox_uniform_f32(const mu_philox *stream, uint64_t i);
double mu_philox_uniform_f64(const mu_philox *stream, uint64_t i);
/* Standard normal number i (Box and Muller). */
double mu_philox_normal(const mu_philox *stream, uint64_t i);
/* Uniform integer in [0, n), n > 0. */
uint64_t mu_philox_below(const mu_philox *stream, uint64_t i, uint64_t n);

#endif
