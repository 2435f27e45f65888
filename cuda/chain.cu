#include "element.cuh"

/* A chain of element-wise operations: a program that every thread interprets for its pack, so that memory is read and written once. */

enum { CHAIN_PACK = 4, CHAIN_BEFORE = 127 }; /* CHAIN_BEFORE as an argument: the result of the step before */

typedef struct {
    float alpha, beta;
    unsigned char code;
    signed char arg[3]; /* an operand, MU_CHAIN_MAX_IN + a slot, CHAIN_BEFORE, or -1 */
    signed char slot;   /* where the result is kept for later; -1: only the next step wants it */
} mu_cuda_chain_step;

typedef struct {
    int64_t count;
    bool whole;
    int n_steps, n_out;
    bool truth[MU_CHAIN_MAX_IN], one[MU_CHAIN_MAX_IN], out_truth[MU_CHAIN_MAX_OUT];
    const void *in[MU_CHAIN_MAX_IN];
    void *out[MU_CHAIN_MAX_OUT];
    signed char from[MU_CHAIN_MAX_OUT]; /* outputs, as arguments */
    mu_cuda_chain_step step[MU_CHAIN_MAX];
} mu_cuda_chain;

template <class T, int SLOTS>
static __device__ inline void chain_fetch(const mu_cuda_chain &c, int arg, int64_t i, const float (*slot)[CHAIN_PACK], const float *before, float *x)
{
    const int N = CHAIN_PACK;
    if (arg < 0)
        return;
    if (arg == CHAIN_BEFORE || arg >= MU_CHAIN_MAX_IN) {
        for (int j = 0; j < N; j++)
            x[j] = arg == CHAIN_BEFORE ? before[j] : slot[arg - MU_CHAIN_MAX_IN][j];
    } else if (c.one[arg]) {
        float all = c.truth[arg] ? (float)*(const uint8_t *)c.in[arg] : load(*(const T *)c.in[arg]);
        for (int j = 0; j < N; j++)
            x[j] = all;
    } else if (c.truth[arg]) {
        read_truth<N>(c.in[arg], i, c.count, c.whole, x);
    } else {
        read_pack<N>((const T *)c.in[arg], i, c.count, c.whole, x);
    }
}

template <class T, int SLOTS> static __global__ void chain_kernel(mu_cuda_chain c)
{
    const int N = CHAIN_PACK;
    float slot[SLOTS][N];
    FOR_EACH(k, (c.count + N - 1) / N) {
        float before[N] = {}, x[3][N] = {}, y[N];
        for (int s = 0; s < c.n_steps; s++) {
            const mu_cuda_chain_step &step = c.step[s];
            for (int a = 0; a < 3; a++)
                chain_fetch<T, SLOTS>(c, step.arg[a], k * N, slot, before, x[a]);
            element_step<N>(step.code, step.alpha, step.beta, x[0], x[1], x[2], y);
            for (int j = 0; j < N; j++) {
                before[j] = y[j];
                if (step.slot >= 0)
                    slot[step.slot][j] = y[j];
            }
        }
        for (int o = c.n_out - 1; o >= 0; o--) { /* output 0 may be in operand 0: it is written last */
            chain_fetch<T, SLOTS>(c, c.from[o], k * N, slot, before, y);
            if (c.out_truth[o])
                write_truth<N>(c.out[o], k * N, c.count, c.whole, y);
            else
                write_pack<N>((T *)c.out[o], k * N, c.count, c.whole, y);
        }
    }
}

/* ---- the host's side ---- */

typedef struct {
    mu_cuda_kernel base;
    mu_dtype dtype; /* of the floats */
    int n_slots;    /* that the program needs */
    mu_cuda_chain chain;
} mu_cuda_chain_kernel;

static bool chain_supports(const mu_call *call, const char **why)
{
    const mu_chain_attrs *a = (const mu_chain_attrs *)call->attrs;
    mu_dtype dtype = computed(call);
    *why = "the CUDA kernels compute f32, bf16 and f16";
    if (!is_short_float(dtype) && dtype != MU_BOOL)
        return false;
    *why = "a step of the chain has no element-wise CUDA kernel";
    for (int64_t s = 0; s < a->n_steps; s++)
        if (!find_element(a->step[s].op))
            return false;
    return true;
}

/* Which steps come last to read each register; outputs are read after all steps. */
static void last_readers(const mu_chain_attrs *a, int n_in, int last[MU_CHAIN_MAX_IN + MU_CHAIN_MAX])
{
    for (int r = 0; r < n_in + (int)a->n_steps; r++)
        last[r] = -1;
    for (int s = 0; s < (int)a->n_steps; s++)
        for (int k = 0; k < 3; k++)
            if (a->step[s].arg[k] >= 0)
                last[(int)a->step[s].arg[k]] = s;
    for (int o = 0; o < (int)a->n_out; o++)
        last[(int)a->out[o]] = (int)a->n_steps;
}

/* How step `s` (n_steps: an output) names register r: operands first, then the results of the steps. */
static signed char argument(int r, int n_in, int s, const int *slot_of)
{
    if (r < n_in)
        return (signed char)r;
    return (signed char)(r == n_in + s - 1 ? (int)CHAIN_BEFORE : MU_CHAIN_MAX_IN + slot_of[r]);
}

/* Gives a result that a later step than the next one wants a slot, which is free again after its last reader. */
static void set_steps(mu_cuda_chain_kernel *self, const mu_chain_attrs *a, int n_in, int *slot_of)
{
    int last[MU_CHAIN_MAX_IN + MU_CHAIN_MAX], until[MU_CHAIN_MAX] = {};
    last_readers(a, n_in, last);
    for (int s = 0; s < (int)a->n_steps; s++) {
        mu_cuda_chain_step *to = &self->chain.step[s];
        const mu_chain_step *from = &a->step[s];
        to->alpha = (float)from->alpha;
        to->beta = (float)from->beta;
        to->code = (unsigned char)code_of(find_element(from->op), from->alpha);
        for (int k = 0; k < 3; k++)
            to->arg[k] = argument(from->arg[k], n_in, s, slot_of);
        to->slot = -1;
        if (last[n_in + s] > s + 1) {
            int free_slot = 0;
            while (until[free_slot] > s)
                free_slot++;
            until[free_slot] = last[n_in + s];
            to->slot = (signed char)free_slot;
            self->n_slots = self->n_slots > free_slot + 1 ? self->n_slots : free_slot + 1;
        }
        slot_of[n_in + s] = to->slot;
    }
}

static mu_err chain_setup(mu_cuda_kernel *kernel)
{
    mu_cuda_chain_kernel *self = (mu_cuda_chain_kernel *)kernel;
    const mu_call *call = &kernel->base.call;
    const mu_chain_attrs *a = (const mu_chain_attrs *)call->attrs;
    mu_cuda_chain *c = &self->chain;
    int slot_of[MU_CHAIN_MAX_IN + MU_CHAIN_MAX];
    mu_dtype dtype = computed(call);
    self->dtype = dtype == MU_BOOL ? MU_F32 : dtype; /* truths alone: numbers are 0 and 1 */
    c->count = mu_type_count(&call->out[0]);
    c->n_steps = (int)a->n_steps;
    c->n_out = (int)a->n_out;
    set_steps(self, a, call->n_in, slot_of);
    for (int i = 0; i < call->n_in; i++) {
        c->truth[i] = call->in[i].dtype == MU_BOOL;
        c->one[i] = mu_type_count(&call->in[i]) == 1;
    }
    for (int o = 0; o < c->n_out; o++) {
        c->from[o] = argument(a->out[o], call->n_in, c->n_steps, slot_of);
        c->out_truth[o] = call->out[o].dtype == MU_BOOL;
    }
    return MU_OK;
}

static mu_err chain_run(mu_kernel *k, const mu_run *run)
{
    mu_cuda_chain_kernel *self = (mu_cuda_chain_kernel *)k;
    const mu_cuda *cuda = self->base.self;
    mu_cuda_chain *c = &self->chain;
    (void)run;
    if (c->count == 0)
        return MU_OK;
    c->whole = all_whole(k);
    for (int i = 0; i < k->call.n_in; i++)
        c->in[i] = k->in[i];
    for (int o = 0; o < c->n_out; o++)
        c->out[o] = k->out[o];
    unsigned blocks = blocks_for(cuda, c->count, CHAIN_PACK);
    return visit_float(self->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        if (self->n_slots <= 4)
            return launch(cuda, chain_kernel<T, 4>, blocks, BLOCK, *c);
        return launch(cuda, chain_kernel<T, MU_CHAIN_MAX>, blocks, BLOCK, *c);
    });
}

extern "C" const mu_cuda_impl chain_cuda = {MU_CUDA_FLAT, sizeof(mu_cuda_chain_kernel), chain_supports, NULL, chain_setup, chain_run, NULL};
