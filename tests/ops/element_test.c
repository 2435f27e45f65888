/* Element-wise operations, reductions, losses, dropout, callbacks, chains and updates: what they give, cost and refuse, and
 * what fails only when it runs. Values and gradients are the conformance suite's business. */
#include "test.h"

#include "graph/autodiff.h"
#include "graph/plan.h"
#include "ops/ops.h"

#include <math.h>

enum { N = 4000, SAMPLES = 8 };

static mu_graph *g;

static void begin(void)
{
    ck_ok(mu_graph_new(&g));
}

static void end(void)
{
    mu_graph_release(g);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static void restart(void)
{
    mu_graph_release(g);
    ck_ok(mu_graph_new(&g));
}

static mu_value input(mu_type type)
{
    char name[16];
    snprintf(name, sizeof name, "x%d", mu_graph_n_values(g));
    return mu_graph_input(g, name, type);
}

#define IN(dtype, ...) input(MU_TYPE(MU_##dtype, __VA_ARGS__))
#define SCALAR(dtype) input(MU_SCALAR(MU_##dtype))

static int64_t flops_of_last(void)
{
    mu_type types[MU_OP_VARIADIC + MU_OP_MAX_OUT];
    mu_call call = mu_graph_call(g, mu_graph_node(g, mu_graph_n_nodes(g) - 1), types);
    return mu_call_flops(&call);
}

#define GIVES(type_, expr)                                                       \
    do {                                                                         \
        char text_[MU_TYPE_TEXT];                                                \
        mu_value value_ = (expr);                                                \
        ck_ok(mu_graph_status(g));                                               \
        ck_assert_str_eq(mu_type_format(mu_graph_type(g, value_), text_), type_); \
    } while (0)

/* The expression fails in a graph of its own. */
#define REFUSES(code_, part_, expr)                 \
    do {                                            \
        restart();                                  \
        mu_value value_ = (expr);                   \
        ck_assert_int_eq(value_.id, 0);             \
        ck_fails(mu_graph_status(g), code_, part_); \
        restart();                                  \
    } while (0)

START_TEST(binary_types)
{
    GIVES("f32[2,3,5]", mu_add(g, IN(F32, 2, 3, 5), IN(F32, 3, 1)));
    ck_assert_int_eq(flops_of_last(), 30);
    GIVES("i64[4,3]", mu_maximum(g, IN(I64, 1), IN(I64, 4, 3)));
    GIVES("bool[2,2]", mu_less(g, SCALAR(F64), IN(F64, 2, 2)));
    GIVES("bool[2]", mu_equal(g, IN(BOOL, 2), IN(BOOL, 2)));
    GIVES("bf16[3,4]", mu_where(g, IN(BOOL, 3, 1), IN(BF16, 4), SCALAR(BF16)));
    GIVES("f16[0,4]", mu_mul(g, IN(F16, 0, 4), IN(F16, 1, 4)));
    GIVES("i32[2]", mu_add_scalar(g, IN(I32, 2), 3));
    REFUSES(MU_ERR_SHAPE, "operands f32[2] and f64[2] are of different dtypes", mu_sub(g, IN(F32, 2), IN(F64, 2)));
    REFUSES(MU_ERR_SHAPE, "3 against 2 in dimension 1", mu_mul(g, IN(F32, 4, 3), IN(F32, 2)));
    REFUSES(MU_ERR_SHAPE, "needs numbers, got bool[2]", mu_add(g, IN(BOOL, 2), IN(BOOL, 2)));
    REFUSES(MU_ERR_SHAPE, "needs floating-point operands, got i64[2]", mu_div(g, IN(I64, 2), IN(I64, 2)));
    REFUSES(MU_ERR_SHAPE, "power", mu_power(g, IN(I32, 2), IN(I32, 2)));
    REFUSES(MU_ERR_SHAPE, "the condition must be bool, got f32[2]", mu_where(g, IN(F32, 2), IN(F32, 2), IN(F32, 2)));
    REFUSES(MU_ERR_SHAPE, "choices f32[2] and i64[2]", mu_where(g, IN(BOOL, 2), IN(F32, 2), IN(I64, 2)));
    REFUSES(MU_ERR_USAGE, "operand 1 is missing", mu_add(g, IN(F32, 2), MU_NO_VALUE));
    REFUSES(MU_ERR_USAGE, "operand 0 is missing", mu_mul_scalar(g, MU_NO_VALUE, 2));
}
END_TEST

START_TEST(unary_types)
{
    GIVES("f64[2,3]", mu_gelu(g, IN(F64, 2, 3), true));
    GIVES("f32[]", mu_sqrt(g, SCALAR(F32)));
    REFUSES(MU_ERR_SHAPE, "needs a floating-point operand, got i64[2]", mu_abs(g, IN(I64, 2)));
    REFUSES(MU_ERR_SHAPE, "hard_swish", mu_hard_swish(g, IN(BOOL, 2)));
}
END_TEST

START_TEST(reduction_types)
{
    GIVES("f32[2,5]", mu_mean(g, IN(F32, 2, 3, 5), 1 << 1, false));
    GIVES("f32[1,3,1]", mu_max(g, IN(F32, 2, 3, 5), 1 << 0 | 1 << 2, true));
    GIVES("i64[]", mu_min(g, IN(I64, 2, 3), 0, false));
    GIVES("f32[0]", mu_max(g, IN(F32, 0, 3), 1 << 1, false));
    REFUSES(MU_ERR_SHAPE, "there is no element to choose from in f32[0,3]", mu_max(g, IN(F32, 0, 3), 1 << 0, false));
    REFUSES(MU_ERR_SHAPE, "needs a floating-point operand, got i32[3]", mu_mean(g, IN(I32, 3), 0, false));
    REFUSES(MU_ERR_SHAPE, "needs floats, i64 or i32, got bool[3]", mu_sum(g, IN(BOOL, 3), 0, false));
    REFUSES(MU_ERR_SHAPE, "reaches beyond 2 dimensions", mu_sum(g, IN(F32, 3, 2), 1 << 2, false));
    GIVES("f32[2,3]", mu_softmax(g, IN(F32, 2, 3), -1));
    ck_assert_int_eq(flops_of_last(), 24);
    GIVES("f64[2,3]", mu_log_softmax(g, IN(F64, 2, 3), 0));
    REFUSES(MU_ERR_SHAPE, "2", mu_softmax(g, IN(F32, 2, 3), 2));
    REFUSES(MU_ERR_SHAPE, "-1", mu_softmax(g, IN(F32, 2, 3), -3));
    REFUSES(MU_ERR_SHAPE, "i64[2]", mu_softmax(g, IN(I64, 2), 0));
}
END_TEST

static const mu_loss_attrs *loss(mu_loss_reduction reduction)
{
    static mu_loss_attrs attrs;
    attrs = mu_loss_defaults();
    attrs.reduction = reduction;
    return &attrs;
}

START_TEST(loss_types)
{
    mu_loss_attrs smooth = mu_loss_defaults(), flat = smooth;
    smooth.label_smoothing = 1.5;
    flat.beta = -1;
    GIVES("f32[]", mu_cross_entropy(g, IN(F32, 4, 3), IN(I64, 4), MU_NO_VALUE, NULL));
    GIVES("f32[4,2,2]", mu_cross_entropy(g, IN(F32, 4, 3, 2, 2), IN(I32, 4, 2, 2), IN(F32, 3), loss(MU_REDUCE_NONE)));
    GIVES("f64[]", mu_cross_entropy(g, IN(F64, 4, 3), IN(F64, 4, 3), MU_NO_VALUE, loss(MU_REDUCE_SUM)));
    GIVES("f32[2,3]", mu_mse_loss(g, IN(F32, 2, 3), IN(F32, 2, 3), loss(MU_REDUCE_NONE)));
    GIVES("f32[]", mu_bce_with_logits(g, IN(F32, 2, 3), IN(F32, 2, 3), MU_NO_VALUE, IN(F32, 3), NULL));
    REFUSES(MU_ERR_SHAPE, "need class indices (i64 or i32) [4], target is i64[3]",
            mu_cross_entropy(g, IN(F32, 4, 3), IN(I64, 3), MU_NO_VALUE, NULL));
    REFUSES(MU_ERR_SHAPE, "target is u8[4]", mu_cross_entropy(g, IN(F32, 4, 3), IN(U8, 4), MU_NO_VALUE, NULL));
    REFUSES(MU_ERR_SHAPE, "target probabilities f32[4,2]",
            mu_cross_entropy(g, IN(F32, 4, 3), IN(F32, 4, 2), MU_NO_VALUE, NULL));
    REFUSES(MU_ERR_SHAPE, "class weights must be f32[3], got f32[4]",
            mu_cross_entropy(g, IN(F32, 4, 3), IN(I64, 4), IN(F32, 4), NULL));
    REFUSES(MU_ERR_SHAPE, "[N,C,...]", mu_cross_entropy(g, IN(F32, 4), IN(I64, 4), MU_NO_VALUE, NULL));
    REFUSES(MU_ERR_SHAPE, "label_smoothing is between 0 and 1, not 1.5",
            mu_cross_entropy(g, IN(F32, 4, 3), IN(I64, 4), MU_NO_VALUE, &smooth));
    REFUSES(MU_ERR_SHAPE, "x and target must be of one floating-point type, got f32[2] and f32[3]",
            mu_l1_loss(g, IN(F32, 2), IN(F32, 3), NULL));
    REFUSES(MU_ERR_SHAPE, "got f32[2] and i64[2]", mu_focal_loss(g, IN(F32, 2), IN(I64, 2), NULL));
    REFUSES(MU_ERR_SHAPE, "needs beta >= 0", mu_smooth_l1_loss(g, IN(F32, 2), IN(F32, 2), &flat));
    REFUSES(MU_ERR_SHAPE, "weight f32[2,2,3] does not broadcast to x f32[2,3]",
            mu_bce_with_logits(g, IN(F32, 2, 3), IN(F32, 2, 3), IN(F32, 2, 2, 3), MU_NO_VALUE, NULL));
}
END_TEST

/* A target that parameters reach: an error, not a silent zero; losses of a difference have a gradient there. */
START_TEST(gradients_of_targets)
{
    mu_value w = mu_graph_param(g, "w", MU_TYPE(MU_F32, 2, 3));
    mu_graph_backward(g, mu_mse_loss(g, IN(F32, 2, 3), w, NULL), NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
    ck_assert_int_ne(mu_graph_gradient_of(g, w).id, 0);
    restart();
    w = mu_graph_param(g, "w", MU_TYPE(MU_F32, 2, 3));
    mu_graph_backward(g, mu_kl_div(g, IN(F32, 2, 3), w, NULL), NULL, 0, NULL);
    ck_fails(mu_graph_status(g), MU_ERR_UNSUPPORTED, "operand 1 (target) is taken for constant");
}
END_TEST

/* Runs g; reads the outputs "y0", "y1", ... into out[i] (f64). Every input is filled with ones. */
static mu_err run(const mu_run *args, int n_out, double **out)
{
    mu_backend *backend = NULL;
    mu_params *params = NULL;
    mu_plan *plan = NULL;
    mu_err err;
    MU_TRY(mu_backend_open("cpu:ref", NULL, &backend));
    MU_TRY_GOTO(err, mu_params_new(backend, &params), done);
    MU_TRY_GOTO(err, mu_plan_new(g, backend, params, NULL, &plan), done);
    for (int32_t id = 1; id <= mu_graph_n_values(g); id++) {
        const mu_value_info *info = mu_graph_value(g, (mu_value){id});
        mu_type type;
        char *bytes = info->kind == MU_VALUE_INPUT ? mu_plan_input(plan, info->name, &type) : NULL;
        for (int64_t i = 0; bytes && i < mu_type_count(&type); i++)
            mu_convert(bytes + (size_t)i * mu_dtype_size(type.dtype), type.dtype, &(double){1}, MU_F64, 1);
    }
    MU_TRY_GOTO(err, mu_plan_run(plan, args), done);
    for (int i = 0; i < n_out; i++) {
        char name[8];
        snprintf(name, sizeof name, "y%d", i);
        mu_type type = mu_plan_output_type(plan, name);
        MU_TRY_GOTO(err, mu_plan_read(plan, name, out[i], mu_type_bytes(&type)), done);
    }
done:
    mu_plan_release(plan);
    mu_params_release(params);
    mu_backend_close(backend);
    return err;
}

/* Two dropouts of ones [samples, N / SAMPLES] and the gradient of the first: y0, y1, y2. */
static void trace_dropout(int64_t samples, double p)
{
    restart();
    mu_value x = IN(F64, samples, N / SAMPLES), dx;
    mu_graph_push(g, "drop");
    mu_value a = mu_dropout(g, x, p), b = mu_dropout(g, x, p);
    mu_graph_pop(g);
    mu_graph_output(g, "y0", a);
    mu_graph_output(g, "y1", b);
    mu_graph_backward(g, mu_sum(g, a, 0, false), &x, 1, &dx);
    mu_graph_output(g, "y2", dx);
    ck_ok(mu_graph_status(g));
}

START_TEST(dropout_follows_seed_step_and_global_index)
{
    enum { INNER = N / SAMPLES };
    static double all[3][N], part[3][N], other[3][N];
    double *to_all[] = {all[0], all[1], all[2]}, *to_part[] = {part[0], part[1], part[2]};
    double *to_other[] = {other[0], other[1], other[2]};
    trace_dropout(SAMPLES, 0.3);
    ck_ok(run(&(mu_run){.seed = 5, .step = 7}, 3, to_all));
    int kept = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(all[0][i] == 0 || fabs(all[0][i] - 1 / 0.7) < 1e-15);
        ck_assert_double_eq(all[2][i], all[0][i]); /* dy is 1 */
        kept += all[0][i] != 0;
    }
    ck_assert_int_gt(kept, (int)(0.67 * N));
    ck_assert_int_lt(kept, (int)(0.73 * N));
    ck_assert_mem_ne(all[0], all[1], sizeof all[0]);

    ck_ok(run(&(mu_run){.seed = 5, .step = 8}, 3, to_other));
    ck_assert_mem_ne(all[0], other[0], sizeof all[0]);
    ck_ok(run(&(mu_run){.seed = 6, .step = 7}, 3, to_other));
    ck_assert_mem_ne(all[0], other[0], sizeof all[0]);

    trace_dropout(SAMPLES / 2, 0.3); /* as on two ranks */
    for (int rank = 0; rank < 2; rank++) {
        ck_ok(run(&(mu_run){.seed = 5, .step = 7, .sample_offset = rank * SAMPLES / 2}, 3, to_part));
        for (int k = 0; k < 3; k++)
            ck_assert_mem_eq(part[k], all[k] + rank * N / 2, sizeof part[k] / 2);
    }
    for (int rank = 0; rank < 2; rank++) { /* who take turns */
        ck_ok(run(&(mu_run){.seed = 5, .step = 7, .sample_offset = rank, .sample_stride = 2}, 3, to_part));
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < SAMPLES / 2; i++)
                ck_assert_mem_eq(part[k] + i * INNER, all[k] + (rank + 2 * i) * INNER, INNER * sizeof(double));
    }
}
END_TEST

START_TEST(dropout_at_the_ends)
{
    static double y[3][N];
    double *out[] = {y[0], y[1], y[2]};
    trace_dropout(SAMPLES, 1);
    ck_ok(run(&(mu_run){.seed = 5}, 3, out));
    for (int i = 0; i < N; i++)
        ck_assert_double_eq(y[0][i], 0);
    restart();
    mu_value x = IN(F32, 2);
    ck_assert_int_eq(mu_dropout(g, x, 0).id, x.id);
    REFUSES(MU_ERR_USAGE, "lies between 0 and 1, not 1.5", mu_dropout(g, IN(F32, 2), 1.5));
    REFUSES(MU_ERR_USAGE, "not nan", mu_dropout(g, IN(F32, 2), NAN));
    REFUSES(MU_ERR_SHAPE, "i64[2]", mu_dropout(g, IN(I64, 2), 0.5));
}
END_TEST

START_TEST(a_target_out_of_range_is_named)
{
    double y[1], *out[] = {y};
    mu_graph_push(g, "head.loss");
    mu_value loss_value = mu_cross_entropy(g, IN(F64, 3, 1), IN(I64, 3), MU_NO_VALUE, NULL); /* targets are 1 of 1 class */
    mu_graph_pop(g);
    mu_graph_output(g, "y0", loss_value);
    ck_fails(run(NULL, 1, out), MU_ERR_FORMAT, "\"head.loss\": the target of sample 0 is 1, classes are 0 to 0");
}
END_TEST

typedef struct {
    double factor;
    bool fails;
} scaling;

static mu_err scale_infer(void *user, const mu_call *call, mu_type *out)
{
    (void)user;
    ck_assert_int_eq(call->n_out, 2);
    out[0] = call->in[0];
    out[1] = MU_SCALAR(MU_I64);
    return MU_OK;
}

static mu_err scale(void *user, const mu_call *call, const void *const *in, void *const *out)
{
    const scaling *s = user;
    if (s->fails)
        return MU_FAIL(MU_ERR_FORMAT, "the callback is not pleased");
    for (int64_t i = 0; i < mu_type_count(&call->in[0]); i++)
        ((double *)out[0])[i] = s->factor * ((const double *)in[0])[i];
    *(int64_t *)out[1] = call->n_in;
    return MU_OK;
}

START_TEST(host_callbacks)
{
    double y[4], *out[] = {y};
    scaling s = {.factor = 3};
    mu_host_attrs a = {.run = scale, .infer = scale_infer, .user = &s, .n_out = 2};
    mu_value x = IN(F64, 4), given[2];
    mu_graph_push(g, "decode");
    mu_host(g, &a, &x, 1, given);
    mu_graph_pop(g);
    GIVES("f64[4]", given[0]);
    GIVES("i64[]", given[1]);
    mu_graph_output(g, "y0", given[0]);
    ck_ok(run(NULL, 1, out));
    ck_assert_double_eq(y[3], 3);
    s.fails = true;
    ck_fails(run(NULL, 1, out), MU_ERR_FORMAT, "host \"decode\": the callback is not pleased");
    restart();
    a.n_out = MU_OP_MAX_OUT + 1;
    x = IN(F64, 4);
    mu_value many[MU_OP_MAX_OUT + 1];
    mu_host(g, &a, &x, 1, many);
    ck_fails(mu_graph_status(g), MU_ERR_USAGE, "0 to 6 outputs, not 7");
    restart();
    a.run = NULL;
    x = IN(F64, 4);
    mu_host(g, &a, &x, 1, many);
    ck_fails(mu_graph_status(g), MU_ERR_USAGE, "needs a callback");
}
END_TEST

static mu_value chain(const mu_chain_attrs *a, mu_value x, mu_value y)
{
    mu_value out[MU_OP_MAX_OUT];
    mu_graph_apply(g, &mu_op_chain, a, (mu_value[]){x, y}, y.id ? 2 : 1, out);
    return out[0];
}

START_TEST(chains)
{
    mu_chain_attrs a = {.n_steps = 2, .n_out = 1,
                        .step = {{.op = &mu_op_mul, .arg = {0, 1, -1}}, {.op = &mu_op_tanh, .arg = {2, -1, -1}}}, .out = {3}};
    GIVES("f32[2,3]", chain(&a, IN(F32, 2, 3), SCALAR(F32)));
    ck_assert_int_eq(flops_of_last(), 12);
    GIVES("f32[2,3]", chain(&a, IN(F32, 1), IN(F32, 2, 3)));
    GIVES("f32[0,3]", chain(&a, IN(F32, 0, 3), IN(F32, 1, 1, 1)));
    GIVES("f32[]", chain(&a, SCALAR(F32), SCALAR(F32)));
    REFUSES(MU_ERR_SHAPE, "operand 1 f32[3] is neither of shape [2,3] nor one element",
            chain(&a, IN(F32, 2, 3), IN(F32, 3)));
    REFUSES(MU_ERR_SHAPE, "operand 1 is f64[2]", chain(&a, IN(F32, 2), IN(F64, 2)));
    REFUSES(MU_ERR_SHAPE, "operand 0 is i64[2]", chain(&a, IN(I64, 2), IN(I64, 2)));
    REFUSES(MU_ERR_USAGE, "register 1 is read before it is written", chain(&a, IN(F32, 2), MU_NO_VALUE));
    a.out[0] = 4;
    REFUSES(MU_ERR_USAGE, "register 4 is no output", chain(&a, IN(F32, 2), IN(F32, 2)));
    a.out[0] = 3;
    a.step[1].op = &mu_op_softmax;
    REFUSES(MU_ERR_UNSUPPORTED, "softmax cannot be a step of a chain", chain(&a, IN(F32, 2), IN(F32, 2)));
    a.step[1].op = &mu_op_add;
    REFUSES(MU_ERR_USAGE, "step add takes 2 operands, not 1", chain(&a, IN(F32, 2), IN(F32, 2)));
    a.n_steps = MU_CHAIN_MAX + 1;
    REFUSES(MU_ERR_USAGE, "1 to 24 steps", chain(&a, IN(F32, 2), IN(F32, 2)));
}
END_TEST

static mu_value sgd(bool nesterov, mu_value param, mu_value gradient, mu_value buffer, mu_value scalars)
{
    mu_value out[MU_OP_MAX_OUT];
    mu_update_attrs a = {.nesterov = nesterov};
    mu_graph_apply(g, &mu_op_sgd, &a, (mu_value[]){param, gradient, buffer, scalars}, 4, out);
    return out[0];
}

static mu_value control(mu_value block, mu_value request, mu_value groups, mu_value sums, mu_value scale)
{
    mu_value out[MU_OP_MAX_OUT];
    mu_graph_apply(g, &mu_op_update_control, NULL, (mu_value[]){block, request, groups, sums, scale}, 5, out);
    return out[1];
}

START_TEST(control_types)
{
    GIVES("f64[3,12]", control(IN(F64, 8), IN(F64, 8), IN(F64, 3, 12), IN(F64, 5), IN(F32, 1)));
    GIVES("f64[3,12]", control(IN(F64, 8), IN(F64, 8), IN(F64, 3, 12), MU_NO_VALUE, MU_NO_VALUE));
    REFUSES(MU_ERR_SHAPE, "the control block must be f64[8], got f64[9]", control(IN(F64, 9), IN(F64, 8), IN(F64, 3, 12), MU_NO_VALUE, MU_NO_VALUE));
    REFUSES(MU_ERR_SHAPE, "the request must be f64[8], got f32[8]", control(IN(F64, 8), IN(F32, 8), IN(F64, 3, 12), MU_NO_VALUE, MU_NO_VALUE));
    REFUSES(MU_ERR_SHAPE, "the groups must be f64 [g,12], got f64[12]", control(IN(F64, 8), IN(F64, 8), IN(F64, 12), MU_NO_VALUE, MU_NO_VALUE));
    REFUSES(MU_ERR_SHAPE, "the sums of squares must be f64 [n], got f64[5,1]",
            control(IN(F64, 8), IN(F64, 8), IN(F64, 3, 12), IN(F64, 5, 1), MU_NO_VALUE));
    REFUSES(MU_ERR_SHAPE, "the loss scale must be f32[1], got f64[1]",
            control(IN(F64, 8), IN(F64, 8), IN(F64, 3, 12), IN(F64, 5), IN(F64, 1)));
}
END_TEST

START_TEST(update_types)
{
    GIVES("f32[9]", sgd(false, IN(F32, 9), IN(F32, 9), MU_NO_VALUE, IN(F64, 12)));
    ck_assert_int_eq(flops_of_last(), 45);
    REFUSES(MU_ERR_SHAPE, "operand 1 must be f32[9] like the parameters, got f32[8]",
            sgd(false, IN(F32, 9), IN(F32, 8), MU_NO_VALUE, IN(F64, 12)));
    REFUSES(MU_ERR_SHAPE, "operand 2 must be f32[9]", sgd(false, IN(F32, 9), IN(F32, 9), IN(F64, 9), IN(F64, 12)));
    REFUSES(MU_ERR_SHAPE, "the last of which is f64[12]", sgd(false, IN(F32, 9), IN(F32, 9), MU_NO_VALUE, IN(F64, 8)));
    REFUSES(MU_ERR_SHAPE, "needs a momentum buffer", sgd(true, IN(F32, 9), IN(F32, 9), MU_NO_VALUE, IN(F64, 12)));
    GIVES("f64[]", mu_graph_apply1(g, &mu_op_square_sum, NULL, (mu_value[]){IN(F32, 5)}, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("element");
    TCase *tests = tcase_create("element");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, binary_types);
    tcase_add_test(tests, unary_types);
    tcase_add_test(tests, reduction_types);
    tcase_add_test(tests, loss_types);
    tcase_add_test(tests, gradients_of_targets);
    tcase_add_test(tests, dropout_follows_seed_step_and_global_index);
    tcase_add_test(tests, dropout_at_the_ends);
    tcase_add_test(tests, a_target_out_of_range_is_named);
    tcase_add_test(tests, host_callbacks);
    tcase_add_test(tests, chains);
    tcase_add_test(tests, update_types);
    tcase_add_test(tests, control_types);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
