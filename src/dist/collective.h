/* What ranks do together, by name. */
#ifndef MU_DIST_COLLECTIVE_H
#define MU_DIST_COLLECTIVE_H

typedef struct mu_comm mu_comm;

/* On bool, SUM and MAX are "or", PRODUCT and MIN are "and". A NaN on any rank makes MIN and MAX of floats NaN. MEAN is
 * for floats, BAND, BOR and BXOR are for integers and bool. Integer sums and products wrap around. */
#define MU_COMM_OP_MAP(X)                                                                                              \
    X(SUM, "sum") X(MEAN, "mean") X(PRODUCT, "product") X(MIN, "min") X(MAX, "max") X(BAND, "band") X(BOR, "bor")      \
    X(BXOR, "bxor")

typedef enum {
#define X(code, text) MU_COMM_##code,
    MU_COMM_OP_MAP(X)
#undef X
        MU_COMM_OP_COUNT
} mu_comm_op;

typedef enum {
    MU_REQUEST_ALL_REDUCE,
    MU_REQUEST_REDUCE_SCATTER,
    MU_REQUEST_ALL_GATHER,
    MU_REQUEST_BROADCAST
} mu_request_kind;

#endif
