#include "ops/cases/trace.h"

#include <math.h>

typedef struct {
    int64_t n, v[MU_MAX_NDIM];
} ints;
typedef struct {
    int64_t before[MU_MAX_NDIM], after[MU_MAX_NDIM];
    mu_pad_mode mode;
    double value;
} padding;
typedef struct {
    int64_t start[MU_MAX_NDIM], size[MU_MAX_NDIM], step[MU_MAX_NDIM];
} window;

#define A ((const ints *)attrs)
TRACE(reshape, mu_reshape(g, in[0], (int)A->n, A->v))
TRACE(flatten, mu_flatten(g, in[0], (int)A->v[0]))
TRACE(broadcast_to, mu_broadcast_to(g, in[0], (int)A->n, A->v))
TRACE(concat2, mu_concat(g, in, 2, A->v[0]))
TRACE(concat3, mu_concat(g, in, 3, A->v[0]))
TRACE(concat1, mu_concat(g, in, 1, A->v[0]))
TRACE(slice,
      mu_slice(g, in[0], ((const window *)attrs)->start, ((const window *)attrs)->size, ((const window *)attrs)->step))
TRACE(pad, mu_pad(g, in[0], ((const padding *)attrs)->before, ((const padding *)attrs)->after,
                  ((const padding *)attrs)->mode, ((const padding *)attrs)->value))
TRACE(gather, mu_gather(g, in[0], in[1], A->v[0]))
TRACE2(embedding)

static mu_value t_transpose(mu_graph *g, const mu_value *in, const void *attrs)
{
    int perm[MU_MAX_NDIM];
    for (int i = 0; i < MU_MAX_NDIM; i++)
        perm[i] = (int)A->v[i];
    return mu_transpose(g, in[0], perm);
}

/* The gradient of slice, which is an operation of its own. */
TRACE(slice_grad, mu_graph_apply1(g, &mu_op_slice_grad, attrs, in, 1))

/* The pieces of a split, joined in another order. */
static mu_value t_split(mu_graph *g, const mu_value *in, const void *attrs)
{
    mu_value piece[3];
    mu_split(g, in[0], A->v[0], (const int64_t[]){2, 1, 4}, 3, piece);
    return mu_concat(g, (mu_value[]){piece[2], piece[0], piece[1]}, 3, A->v[0]);
}

#define INTS(n_, ...) &(const ints){.n = n_, .v = {__VA_ARGS__}}
#define PAD(...) &(const padding){__VA_ARGS__}
#define WINDOW(...) &(const window){__VA_ARGS__}

const op_case shape_cases[] = {
    {"reshape", t_reshape, "f[2,3,4]", INTS(2, 6, 4)},
    {"reshape", t_reshape, "f[2,3,4]", INTS(2, 4, -1)},
    {"reshape", t_reshape, "f[]", INTS(3, 1, 1, 1)},
    {"reshape", t_reshape, "f[1]", INTS(0, 0)},
    {"reshape", t_reshape, "f[0,3]", INTS(3, 3, 0, 5)},
    {"reshape", t_flatten, "f[2,17,3,5]", INTS(1, 1)},
    {"broadcast_to", t_broadcast_to, "f[3,1]", INTS(3, 2, 3, 4)},
    {"broadcast_to", t_broadcast_to, "f[]", INTS(2, 3, 2)},
    {"broadcast_to", t_broadcast_to, "f[3]", INTS(1, 3)},
    {"broadcast_to", t_broadcast_to, "f[1,4]", INTS(2, 0, 4)},
    {"broadcast_to", t_broadcast_to, "f[1,17,1,1]", INTS(4, 2, 17, 3, 5)},
    {"broadcast_to", t_broadcast_to, "i64[3,1]:9", INTS(2, 3, 4)},
    {"transpose", t_transpose, "f[3,5]", INTS(2, 1, 0)},
    {"transpose", t_transpose, "f[2,3,4]", INTS(3, 2, 0, 1)},
    {"transpose", t_transpose, "f[2,3,4,5]", INTS(4, 0, 2, 3, 1)},
    {"transpose", t_transpose, "f[2,3,4]", INTS(3, 0, 1, 2)},
    {"transpose", t_transpose, "f[]", INTS(0, 0)},
    {"transpose", t_transpose, "f[0,3]", INTS(2, 1, 0)},
    {"transpose", t_transpose, "i32[3,5]", INTS(2, 1, 0)},
    {"transpose", t_transpose, "f[2,17,3,5]", INTS(4, 0, 3, 1, 2)},
    {"transpose", t_transpose, "f[70,45]", INTS(2, 1, 0), CASE_NO_FD},
    {"transpose", t_transpose, "f[3,33,2,40]", INTS(4, 3, 0, 2, 1), CASE_NO_FD},
    {"concat", t_concat2, "f[3,4] f[2,4]", INTS(1, 0)},
    {"concat", t_concat2, "f[3,4] f[3,1]", INTS(1, -1)},
    {"concat", t_concat3, "f[2,3,4] f[2,0,4] f[2,5,4]", INTS(1, 1)},
    {"concat", t_concat1, "f[2,3]", INTS(1, 0)},
    {"concat", t_concat2, "i64[3] i64[2]", INTS(1, 0)},
    {"concat", t_concat2, "f[0,3] f[0,2]", INTS(1, 1)},
    {"concat", t_concat2, "f[2,16,3,5] f[2,17,3,5]", INTS(1, 1)},
    {"concat", t_concat2, "f[1,17,3,5] f[2,17,3,5]", INTS(1, 0)},
    {"slice", t_slice, "f[5,7]", WINDOW({1, 2}, {3, 4}, {1, 1})},
    {"slice", t_slice, "f[9,7]", WINDOW({1, 0}, {3, 4}, {3, 2})},
    {"slice", t_slice, "f[2,3,4]", WINDOW({0, 0, 0}, {2, 3, 4}, {1, 1, 1})},
    {"slice", t_slice, "f[5]", WINDOW({5}, {0}, {1})},
    {"slice", t_slice, "f[2,17,5,6]", WINDOW({0, 3, 1, 0}, {2, 9, 2, 6}, {1, 1, 2, 1})},
    {"slice", t_slice, "i64[6]", WINDOW({1}, {2}, {2})},
    {"slice", t_split, "f[3,7]", INTS(1, 1)},
    {"slice", t_split, "f[7]", INTS(1, 0)},
    {"slice_grad", t_slice_grad, "f[3,4]",
     &(const mu_slice_attrs){.ndim = 2, .start = {1, 2}, .size = {3, 4}, .step = {2, 1}, .full = {7, 7}}},
    {"pad", t_pad, "f[3,4]", PAD({1, 0}, {0, 2}, MU_PAD_CONSTANT, 0)},
    {"pad", t_pad, "f[3,4]", PAD({1, 2}, {1, 2}, MU_PAD_CONSTANT, -1.5)},
    {"pad", t_pad, "f[2,3,5,4]", PAD({0, 0, 2, 3}, {0, 0, 4, 1}, MU_PAD_REFLECT)},
    {"pad", t_pad, "f[2,3,2,4]", PAD({0, 0, 3, 1}, {0, 0, 2, 5}, MU_PAD_REPLICATE)},
    {"pad", t_pad, "f[5]", PAD({4}, {4}, MU_PAD_REFLECT)},
    {"pad", t_pad, "f[0,4]", PAD({0, 1}, {0, 1}, MU_PAD_CONSTANT, 2)},
    {"pad", t_pad, "f[3]", PAD({1}, {1}, MU_PAD_CONSTANT, INFINITY), CASE_NO_FD},
    {"pad", t_pad, "f[2,17,3,5]", PAD({0, 0, 1, 1}, {0, 0, 1, 1}, MU_PAD_CONSTANT, 0)},
    {"pad", t_pad, "f[2,3,4,1]", PAD({0, 2, 1, 3}, {0, 2, 3, 1}, MU_PAD_REPLICATE)},
    {"gather", t_gather, "f[5,4] i64[3,4]:5", INTS(1, 0)},
    {"gather", t_gather, "f[5,4] i64[5,6]:4", INTS(1, 1)},
    {"gather", t_gather, "f[3,5,2] i32[3,2,2]:5", INTS(1, 1)},
    {"gather", t_gather, "f[7] i64[20]:7", INTS(1, -1)},
    {"gather", t_gather, "f[5,4] i64[2,3]:4", INTS(1, 1)},
    {"gather", t_gather, "f[5,4] i64[0,4]:5", INTS(1, 0)},
    {"embedding", t_embedding, "f[10,4] i64[6]:10"},
    {"embedding", t_embedding, "f[5,7] i32[2,3]:5"},
    {"embedding", t_embedding, "f[3,4] i64[]:3"},
    {"embedding", t_embedding, "f[5,7] i64[0]:5"},
    {"embedding", t_embedding, "f[2,33] i64[50]:2"},
    {"embedding", t_embedding, "f[7,300] i32[1100]:7", NULL, CASE_NO_FD},
    {NULL}};
