#include "ops/suite.h"
#include "test.h"

enum { GUARD = 256 };
static const unsigned char guard_byte = 0xA5, fill_byte = 0xFF; /* all ones is NaN in every floating dtype */

/* Device memory with a guard on both sides. */
typedef struct {
    unsigned char *block;
    size_t bytes;
} buffer;

static void *buffer_new(mu_backend *b, buffer *out, size_t bytes, int byte)
{
    size_t whole = mu_align_up(bytes) + 2 * GUARD;
    unsigned char *image = malloc(whole);
    void *block;
    ck_ok(b->ops->alloc(b, whole, &block));
    out->block = block;
    out->bytes = bytes;
    memset(image, guard_byte, whole);
    memset(image + GUARD, byte, bytes);
    ck_ok(b->ops->upload(b, block, image, whole));
    free(image);
    return out->block + GUARD;
}

static bool guards_intact(mu_backend *b, const buffer *buf)
{
    size_t whole = mu_align_up(buf->bytes) + 2 * GUARD;
    bool intact = true;
    if (!buf->block)
        return true;
    unsigned char *image = malloc(whole);
    ck_ok(b->ops->download(b, image, buf->block, whole));
    for (size_t i = 0; i < whole; i++)
        intact &= (i >= GUARD && i < GUARD + buf->bytes) || image[i] == guard_byte;
    free(image);
    return intact;
}

static void buffer_release(mu_backend *b, buffer *buf)
{
    if (buf->block)
        b->ops->dealloc(b, buf->block);
    buf->block = NULL;
}

/* Weights of convolutions have layouts of their own. */
static bool is_weight(const mu_op *op, int i)
{
    return i == 1 && (op == &mu_op_conv2d || op == &mu_op_conv2d_grad_input);
}

/* The layout in which a 1x1 convolution leaves a tensor of this type; NULL when that is row-major. */
static const mu_layout *native_layout(mu_backend *b, const mu_type *type)
{
    mu_type t[3] = {*type, *type, *type};
    const char *why;
    mu_kernel *kernel;
    if (type->ndim != 4 || !mu_dtype_is_float(type->dtype) || mu_type_count(type) == 0)
        return NULL;
    t[0].dim[1] = 16;
    t[1] = MU_TYPE(type->dtype, type->dim[1], 16, 1, 1);
    mu_conv2d_attrs a = mu_conv2d_defaults();
    mu_call call = {.op = &mu_op_conv2d, .attrs = &a, .n_in = 2, .n_out = 1, .in = t, .out = t + 2};
    if (!b->ops->supports(b, &call, &why))
        return NULL;
    const mu_layout *none[2] = {NULL, NULL};
    ck_ok(b->ops->prepare(b, &call, none, none, &kernel));
    const mu_layout *layout = kernel->out_layout[0];
    mu_kernel_release(kernel);
    return layout;
}

static void reorder(mu_backend *b, const mu_type *type, const mu_layout *from, const mu_layout *to, void *src,
                    void *dst)
{
    mu_kernel *kernel;
    buffer scratch = {0};
    ck_ok(b->ops->reorder(b, type, from, to, &kernel));
    ck_ok(mu_kernel_bind(kernel, &src, &dst, buffer_new(b, &scratch, kernel->scratch_bytes, fill_byte)));
    ck_ok(mu_kernel_run(kernel, &suite_run_args));
    mu_kernel_release(kernel);
    buffer_release(b, &scratch);
}

typedef struct {
    mu_backend *b;
    const mu_call *call;
    const tensor *in;
    run_how how;
    mu_kernel *kernel;
    const mu_layout *came[MU_OP_VARIADIC]; /* how the operands lie before */
    buffer in_buf[MU_OP_VARIADIC], out_buf[MU_OP_MAX_OUT], scratch;
    void *in_at[MU_OP_VARIADIC], *out_at[MU_OP_MAX_OUT];
    int shared[MU_OP_VARIADIC]; /* 1 + the output that lives in this operand */
} session;

/* Puts operand i where the kernel wants it. */
static void place(session *s, int i)
{
    const mu_type *t = &s->call->in[i];
    const mu_layout *want = s->kernel->in_layout[i];
    buffer row = {0}, came = {0};
    if (t->dtype == MU_NONE)
        return;
    void *at = buffer_new(s->b, &row, mu_type_bytes(t), 0);
    ck_ok(s->b->ops->upload(s->b, at, s->in[i].data, mu_type_bytes(t)));
    if (s->came[i]) {
        void *first = buffer_new(s->b, &came, s->came[i]->bytes, 0);
        reorder(s->b, t, NULL, s->came[i], at, first);
        buffer_release(s->b, &row);
        at = first;
        row = came;
    }
    if (want != s->came[i]) {
        void *second = buffer_new(s->b, &came, mu_layout_bytes(want, t), 0);
        reorder(s->b, t, s->came[i], want, at, second);
        buffer_release(s->b, &row);
        at = second;
        row = came;
    }
    s->in_buf[i] = row;
    s->in_at[i] = at;
}

/* Output o: memory of its own, or an operand's. */
static void place_out(session *s, int o, bool *inplace_used)
{
    const mu_type *t = &s->call->out[o];
    int j = s->call->op->updates[o] - 1;
    if (t->dtype == MU_NONE)
        return;
    if (j < 0 && s->how == RUN_INPLACE) {
        j = s->kernel->inplace[o] - 1;
        if (j >= 0 && (j >= s->call->n_in || s->call->in[j].dtype == MU_NONE || s->shared[j] ||
                       s->in_buf[j].bytes != mu_layout_bytes(s->kernel->out_layout[o], t)))
            j = -1;
        *inplace_used |= j >= 0;
    }
    if (j >= 0) {
        s->out_at[o] = s->in_at[j];
        s->shared[j] = o + 1;
    } else {
        s->out_at[o] = buffer_new(s->b, &s->out_buf[o], mu_layout_bytes(s->kernel->out_layout[o], t), fill_byte);
    }
}

static void collect(session *s, int o, tensor *out)
{
    const mu_type *t = &s->call->out[o];
    buffer row = {0};
    void *at = s->out_at[o];
    if (t->dtype == MU_NONE)
        return;
    if (s->kernel->out_layout[o]) {
        at = buffer_new(s->b, &row, mu_type_bytes(t), fill_byte);
        reorder(s->b, t, s->kernel->out_layout[o], NULL, s->out_at[o], at);
    }
    ck_ok(s->b->ops->download(s->b, out->data, at, mu_type_bytes(t)));
    buffer_release(s->b, &row);
}

static bool operand_unchanged(session *s, int i)
{
    const mu_type *t = &s->call->in[i];
    buffer row = {0};
    void *at = s->in_at[i];
    if (s->kernel->in_layout[i]) {
        at = buffer_new(s->b, &row, mu_type_bytes(t), fill_byte);
        reorder(s->b, t, s->kernel->in_layout[i], NULL, s->in_at[i], at);
    }
    void *now = malloc(mu_type_bytes(t) + 1);
    ck_ok(s->b->ops->download(s->b, now, at, mu_type_bytes(t)));
    bool same = memcmp(now, s->in[i].data, mu_type_bytes(t)) == 0;
    free(now);
    buffer_release(s->b, &row);
    return same;
}

static bool check_memory(session *s, char *problem, size_t size)
{
    for (int i = 0; i < s->call->n_in; i++) {
        if (s->call->in[i].dtype == MU_NONE)
            continue;
        if (!guards_intact(s->b, &s->in_buf[i]) || (!s->shared[i] && !operand_unchanged(s, i))) {
            snprintf(problem, size, "operand %d was written to", i);
            return false;
        }
    }
    for (int o = 0; o < s->call->n_out; o++)
        if (!guards_intact(s->b, &s->out_buf[o])) {
            snprintf(problem, size, "wrote beyond output %d", o);
            return false;
        }
    if (!guards_intact(s->b, &s->scratch)) {
        snprintf(problem, size, "wrote beyond its %zu bytes of scratch", s->kernel->scratch_bytes);
        return false;
    }
    return true;
}

static bool run_session(session *s, tensor *out, bool *applies, char *problem, size_t size)
{
    const mu_layout *wish[MU_OP_MAX_OUT] = {NULL};
    bool used = s->how == RUN_PLAIN;
    for (int i = 0; s->how == RUN_LAYOUTS && i < s->call->n_in; i++) {
        s->came[i] = is_weight(s->call->op, i) ? NULL : native_layout(s->b, &s->call->in[i]);
        used |= s->came[i] != NULL;
    }
    if (s->how == RUN_LAYOUTS && s->call->op == &mu_op_normalize) /* the only one that takes wishes */
        used = (wish[0] = native_layout(s->b, &s->call->out[0])) != NULL;
    if (s->how == RUN_LAYOUTS && !used) {
        *applies = false;
        return true;
    }
    if (s->b->ops->prepare(s->b, s->call, s->came, wish, &s->kernel) != MU_OK) {
        snprintf(problem, size, "prepare: %s", test_error_text());
        return false;
    }
    for (int i = 0; i < s->call->n_in; i++)
        place(s, i);
    for (int o = 0; o < s->call->n_out; o++)
        place_out(s, o, &used);
    *applies = used;
    if (!used)
        return true;
    void *scratch = buffer_new(s->b, &s->scratch, s->kernel->scratch_bytes, fill_byte);
    ck_ok(mu_backend_set_run(s->b, &suite_run_args));
    if (mu_kernel_bind(s->kernel, s->in_at, s->out_at, scratch) != MU_OK ||
        mu_kernel_run(s->kernel, &suite_run_args) != MU_OK) {
        snprintf(problem, size, "run: %s", test_error_text());
        return false;
    }
    ck_ok(s->b->ops->synchronize(s->b));
    if (!check_memory(s, problem, size))
        return false;
    for (int o = 0; o < s->call->n_out; o++)
        collect(s, o, &out[o]);
    return true;
}

bool suite_run_call(mu_backend *backend, const mu_call *call, const tensor *in, tensor *out, run_how how, bool *applies,
                    char *problem, size_t size)
{
    session s = {.b = backend, .call = call, .in = in, .how = how};
    bool ok = run_session(&s, out, applies, problem, size);
    mu_kernel_release(s.kernel);
    for (int i = 0; i < call->n_in; i++)
        buffer_release(backend, &s.in_buf[i]);
    for (int o = 0; o < call->n_out; o++)
        buffer_release(backend, &s.out_buf[o]);
    buffer_release(backend, &s.scratch);
    return ok;
}

bool suite_run_ref(mu_backend *ref, const mu_call *call, const tensor *in, tensor *out, char *problem, size_t size)
{
    mu_type in_type[MU_OP_VARIADIC], out_type[MU_OP_MAX_OUT];
    tensor in64[MU_OP_VARIADIC];
    mu_call call64 = *call;
    bool applies;
    call64.in = in_type;
    call64.out = out_type;
    for (int i = 0; i < call->n_in; i++) {
        in64[i] = tensor_as(&in[i], MU_F64);
        in_type[i] = in64[i].type;
    }
    for (int o = 0; o < call->n_out; o++)
        out_type[o] = out[o].type;
    bool ok = suite_run_call(ref, &call64, in64, out, RUN_PLAIN, &applies, problem, size);
    for (int i = 0; i < call->n_in; i++)
        tensor_release(&in64[i]);
    return ok;
}
