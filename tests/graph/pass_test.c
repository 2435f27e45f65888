#include "toys.h"

#include "graph/pass.h"

#include <malloc.h>
#include <math.h>

static mu_graph *g, *made;
static mu_backend *ref;

static void open_graph(void)
{
    made = NULL;
    ck_ok(mu_graph_new(&g));
    ck_ok(mu_backend_open("cpu:ref", NULL, &ref));
}

static void close_graph(void)
{
    mu_graph_release(g);
    mu_graph_release(made);
    mu_backend_close(ref);
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

static mu_value input(const char *name)
{
    return mu_graph_input(g, name, MU_TYPE(MU_F64, 2, 3));
}

static int count(const mu_graph *graph, const char *op)
{
    int n = 0;
    for (int32_t i = 0; i < mu_graph_n_nodes(graph); i++)
        n += !op || strcmp(mu_graph_node(graph, i)->op->name, op) == 0;
    return n;
}

/* The graph as it is and as a plan makes it, on ref in f64: equal but for rounding. */
static void check_same_results(int runs)
{
    double *plain, *full;
    size_t n, m;
    ck_ok(toy_run(g, ref, &(mu_plan_options){.no_fusion = true, .keep_all = true}, runs, &plain, &n));
    ck_ok(toy_run(g, ref, NULL, runs, &full, &m));
    ck_assert_uint_eq(n, m);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(full[i] - plain[i]) <= 1e-10 * (1 + fabs(plain[i])), "number %zu is %.15g, not %.15g", i, full[i],
                      plain[i]);
    mu_free(plain);
    mu_free(full);
}

/* ---- simplify ---- */

START_TEST(equal_nodes_become_one)
{
    mu_value a = input("a"), b = input("b");
    mu_value x = mu_relu(g, mu_add(g, a, b)), y = mu_relu(g, mu_add(g, a, b)), z = mu_relu(g, mu_add(g, b, a));
    mu_mul(g, x, y); /* dead */
    mu_graph_output(g, "y", mu_mul(g, mu_add_scalar(g, x, 2), mu_add_scalar(g, y, 2)));
    mu_graph_output(g, "z", mu_cast(g, z, MU_F64));
    ck_ok(mu_pass_simplify(g, &made));
    ck_assert_int_eq(count(made, NULL), 6); /* a+b, b+a, two ReLUs, +2, mul */
    ck_assert_int_eq(count(made, "relu"), 2);
    ck_assert_int_eq(count(made, "cast"), 0);
    check_same_results(1);
}
END_TEST

START_TEST(attributes_tell_nodes_apart)
{
    mu_value a = input("a");
    mu_graph_output(g, "x", mu_add(g, mu_leaky_relu(g, a, 0.1), mu_leaky_relu(g, a, 0.2)));
    mu_graph_output(g, "y", mu_leaky_relu(g, a, 0.1));
    ck_ok(mu_pass_simplify(g, &made));
    ck_assert_int_eq(count(made, "leaky_relu"), 2);
}
END_TEST

START_TEST(random_and_updating_nodes_stay_apart)
{
    mu_value a = input("a");
    mu_value n1 = toy_norm(g, "bn", a), n2 = toy_norm(g, "bn", a);
    static const mu_op dice = {.name = "dice", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = MU_OP_RANDOM};
    mu_op random = dice, effect = dice;
    random.infer = effect.infer = mu_op_relu.infer;
    effect.flags = MU_OP_EFFECT;
    mu_value r1 = mu_graph_apply1(g, &random, NULL, &a, 1), r2 = mu_graph_apply1(g, &random, NULL, &a, 1);
    mu_graph_apply1(g, &random, NULL, &a, 1); /* dead, random or not */
    mu_graph_apply1(g, &effect, NULL, &a, 1); /* alive */
    mu_graph_output(g, "n", mu_add(g, n1, n2));
    mu_graph_output(g, "r", mu_add(g, r1, r2));
    toy_norm(g, "unread", a); /* its statistics are wanted */
    ck_ok(mu_pass_simplify(g, &made));
    ck_assert_int_eq(count(made, "dice"), 3);
    ck_assert_int_eq(count(made, "batch_norm"), 3);
}
END_TEST

START_TEST(leaves_gradients_and_names_survive)
{
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 4));
    mu_graph_input(g, "unused", MU_SCALAR(MU_F32));
    mu_graph_param(g, "unused_too", MU_SCALAR(MU_F32));
    x = toy_linear(g, "fc2", toy_linear(g, "fc1", x, 4), 4);
    mu_value loss = mu_sum(g, x, 0, false);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_pass_simplify(g, &made));
    ck_assert_int_ne(mu_graph_find(made, "unused").id, 0);
    ck_assert_int_ne(mu_graph_find(made, "unused_too").id, 0);
    ck_assert_int_eq(mu_graph_n_gradients(made), 4);
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(mu_graph_value(made, mu_graph_gradient_param(made, i))->name,
                         mu_graph_value(g, mu_graph_gradient_param(g, i))->name);
    ck_assert_str_eq(mu_graph_node(made, 0)->name, "fc1");
    ck_assert(mu_graph_node(made, mu_graph_n_nodes(made) - 1)->backward);
}
END_TEST

START_TEST(a_broken_graph_is_not_rewritten)
{
    mu_add(g, input("a"), mu_graph_input(g, "b", MU_TYPE(MU_F64, 7)));
    ck_fails(mu_pass_simplify(g, &made), MU_ERR_SHAPE, "add");
    ck_fails(mu_pass_fuse(g, ref, &made), MU_ERR_SHAPE, "add");
}
END_TEST

/* ---- fusion ---- */

static mu_value image(void)
{
    return mu_graph_input(g, "x", MU_TYPE(MU_F64, 2, 3, 5, 4));
}

START_TEST(convolution_takes_residual_and_activation)
{
    mu_value x = image(), y = mu_relu(g, mu_add(g, x, toy_conv(g, "conv1", x, 3, 3)));
    mu_value z = mu_gelu(g, toy_conv(g, "conv2", y, 3, 1), true);
    z = mu_leaky_relu(g, toy_linear(g, "fc", mu_flatten(g, z, 1), 4), 0.3);
    mu_graph_output(g, "z", z);
    ck_ok(mu_pass_fuse(g, ref, &made));
    check_same_results(1);
    mu_conv2d_attrs a1 = {0}, a2 = {0};
    mu_linear_attrs l = {0};
    for (int32_t i = 0; i < mu_graph_n_nodes(made); i++) {
        const mu_node *node = mu_graph_node(made, i);
        if (strcmp(node->name, "conv1") == 0)
            a1 = *(const mu_conv2d_attrs *)node->attrs;
        if (strcmp(node->name, "conv2") == 0)
            a2 = *(const mu_conv2d_attrs *)node->attrs;
        if (strcmp(node->name, "fc") == 0)
            l = *(const mu_linear_attrs *)node->attrs;
    }
    ck_assert_int_eq(a1.activation, MU_ACT_RELU);
    ck_assert_int_eq(a2.activation, MU_ACT_GELU_TANH);
    ck_assert_int_eq(l.activation, MU_ACT_LEAKY_RELU);
    ck_assert(l.alpha == 0.3);
    ck_assert_int_eq(count(made, NULL), 4); /* with the reshape */
}
END_TEST

START_TEST(what_is_read_twice_stays)
{
    mu_value y = toy_conv(g, "conv1", image(), 3, 3);
    mu_graph_output(g, "y", y);
    mu_graph_output(g, "z", mu_relu(g, y));
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "relu"), 1);
    check_same_results(1);
}
END_TEST

static void differentiate(mu_value y)
{
    mu_value loss = mu_sum(g, mu_mul(g, y, y), 0, false);
    mu_graph_output(g, "loss", loss);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_graph_status(g));
}

START_TEST(training_fuses_what_backward_does_not_read)
{
    mu_value y = mu_relu(g, toy_conv(g, "conv1", image(), 3, 3)); /* backward reads the output: fused */
    y = mu_silu(g, toy_conv(g, "conv2", y, 3, 3));                /* backward reads the input: not */
    differentiate(y);
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "conv2d"), 2);
    for (int32_t i = 0; i < mu_graph_n_nodes(made); i++) {
        const mu_node *node = mu_graph_node(made, i);
        if (strcmp(node->op->name, "conv2d") == 0)
            ck_assert_int_eq(((const mu_conv2d_attrs *)node->attrs)->activation,
                             strcmp(node->name, "conv1") == 0 ? MU_ACT_RELU : MU_ACT_NONE);
    }
    check_same_results(1);
}
END_TEST

START_TEST(batch_norm_residual_relu_and_gradient)
{
    /* Two blocks, the second with its own norm on the shortcut: dz goes two ways. */
    mu_value x = toy_conv(g, "stem", image(), 3, 1);
    mu_value y = mu_relu(g, toy_norm(g, "bn1", toy_conv(g, "conv1", x, 3, 3)));
    y = mu_relu(g, mu_add(g, toy_norm(g, "bn2", toy_conv(g, "conv2", y, 3, 3)), x));
    mu_value z = toy_norm(g, "bn3", toy_conv(g, "conv3", y, 4, 3));
    z = mu_relu(g, mu_add(g, z, toy_norm(g, "bn4", toy_conv(g, "conv4", y, 4, 1))));
    differentiate(z);
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "relu"), 0);
    ck_assert_int_eq(count(made, "relu_grad"), 0);
    ck_assert_int_eq(count(made, "batch_norm"), 4);
    ck_assert_int_eq(count(made, "batch_norm_grad"), 4);
    int fused = 0, residuals = 0;
    for (int32_t i = 0; i < mu_graph_n_nodes(made); i++) {
        const mu_node *node = mu_graph_node(made, i);
        if (strcmp(node->op->name, "batch_norm_grad") != 0)
            continue;
        fused += ((const mu_batch_norm_attrs *)node->attrs)->relu;
        residuals += ((const mu_batch_norm_attrs *)node->attrs)->residual;
    }
    ck_assert_int_eq(fused, 3);
    ck_assert_int_eq(residuals, 2);
    check_same_results(2);
}
END_TEST

/* Gradients of norms by how many operands they have; residuals: how many give the gradient of one. */
static int norm_gradients(int n_in, bool residuals)
{
    int n = 0;
    for (int32_t i = 0; i < mu_graph_n_nodes(made); i++) {
        const mu_node *node = mu_graph_node(made, i);
        if (strcmp(node->op->name, "batch_norm_grad") == 0 && node->n_in == n_in)
            n += !residuals || ((const mu_batch_norm_attrs *)node->attrs)->residual;
    }
    return n;
}

START_TEST(sums_of_gradients_come_in_two_parts)
{
    /* Blocks whose results are read by a convolution and a shortcut: after a ReLU, with a residual, with one and no ReLU. */
    mu_value x = mu_relu(g, toy_norm(g, "bn0", toy_conv(g, "conv0", image(), 3, 3)));
    x = mu_relu(g, mu_add(g, toy_norm(g, "bn1", toy_conv(g, "conv1", x, 3, 3)), x));
    x = mu_add(g, toy_norm(g, "bn2", toy_conv(g, "conv2", x, 3, 3)), x);
    x = mu_relu(g, mu_add(g, toy_norm(g, "bn3", toy_conv(g, "conv3", x, 3, 3)), x));
    differentiate(toy_conv(g, "head", x, 2, 1));
    int sums = count(g, "add");
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(norm_gradients(7, false), 3);
    ck_assert_int_eq(norm_gradients(7, true), 2); /* the first has no shortcut */
    ck_assert_int_eq(norm_gradients(6, true), 1); /* the last has one reader */
    ck_assert_int_eq(sums, 7);
    ck_assert_int_eq(count(made, "add"), 1); /* without a ReLU, forward */
    check_same_results(2);
}
END_TEST

START_TEST(sums_that_others_need_stay)
{
    /* A sum that a convolution's gradient reads before the norm's, and one that is the end of a chain. */
    mu_value x = toy_conv(g, "stem", image(), 3, 1), y = toy_norm(g, "bn1", toy_conv(g, "conv1", x, 3, 3));
    x = mu_add(g, y, toy_conv(g, "conv2", x, 3, 1));
    x = mu_add(g, toy_conv(g, "conv3", x, 3, 3), toy_conv(g, "conv4", x, 3, 1));
    x = mu_relu(g, toy_norm(g, "bn2", x));
    differentiate(mu_add(g, mu_silu(g, x), mu_tanh(g, x)));
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "batch_norm_grad"), 2);
    ck_assert_int_eq(norm_gradients(5, false), 1);
    ck_assert_int_eq(norm_gradients(6, false), 1);
    check_same_results(2);
}
END_TEST

START_TEST(statistics_that_are_read_early_prevent_it)
{
    mu_value x = image(), c = mu_graph_param(g, "g", MU_TYPE(MU_F64, 3)), out[MU_OP_MAX_OUT];
    mu_value m = mu_graph_state(g, "m", MU_TYPE(MU_F64, 3)), v = mu_graph_state(g, "v", MU_TYPE(MU_F64, 3));
    mu_batch_norm_attrs a = {.eps = 1e-5, .momentum = 0.1};
    mu_graph_apply(g, &mu_op_batch_norm, &a, (mu_value[]){x, c, c, m, v}, 5, out);
    mu_value early = mu_sum(g, out[1], 0, false); /* before the ReLU */
    mu_graph_output(g, "y", mu_mul(g, mu_relu(g, out[0]), early));
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "batch_norm"), 1);
    ck_assert_int_eq(count(made, "relu") + count(made, "chain"), 1);
    check_same_results(2);
}
END_TEST

START_TEST(chains_swallow_elementwise_work)
{
    /* Four operations, a scalar, an operand read twice, a value that is read outside, too. */
    mu_value a = input("a"), b = input("b"), s = mu_graph_input(g, "s", MU_SCALAR(MU_F64));
    mu_value x = mu_mul(g, mu_add(g, a, b), s);
    mu_value y = mu_sigmoid(g, mu_mul(g, x, a));
    mu_graph_output(g, "total", mu_sum(g, x, 0, false));
    mu_graph_output(g, "y", y);
    ck_ok(mu_pass_fuse(g, ref, &made));
    check_same_results(1);
    /* x is read by the sum, which stands after the chain */
    ck_assert_int_eq(count(made, "chain"), 1);
    ck_assert_int_eq(count(made, NULL), 2);
}
END_TEST

START_TEST(a_chain_never_waits_for_itself)
{
    /* The sum of x stands between x and the end of the chain, which reads it. */
    mu_value a = input("a"), x = mu_exp(g, mu_neg(g, a));
    mu_graph_output(g, "y", mu_relu(g, mu_div(g, x, mu_sum(g, x, 0, false))));
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "chain"), 2);
    ck_assert_int_eq(count(made, NULL), 3);
    check_same_results(1);
}
END_TEST

START_TEST(long_chains_are_cut)
{
    mu_value x = input("a");
    char name[16];
    for (int i = 0; i < 100; i++) { /* more steps and more operands than one chain holds */
        snprintf(name, sizeof name, "i%d", i);
        x = mu_tanh(g, mu_add(g, x, input(name)));
    }
    mu_graph_output(g, "y", x);
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "chain"), count(made, NULL));
    ck_assert_int_le(count(made, NULL), 20);
    check_same_results(1);
}
END_TEST

START_TEST(gradients_that_meet_are_chained)
{
    mu_value x = mu_relu(g, toy_conv(g, "stem", image(), 3, 1));
    mu_value y = mu_add(g, toy_conv(g, "conv1", x, 3, 3), toy_conv(g, "conv2", x, 3, 1));
    differentiate(y);
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "relu_grad"), 0); /* in one sweep with the sum before it */
    check_same_results(1);
}
END_TEST

/* ---- folding ---- */

static mu_value norm_inference(const char *name, mu_value x)
{
    static const char *const leaves[4] = {"weight", "bias", "running_mean", "running_var"};
    char leaf[64];
    mu_value v[4];
    for (int i = 0; i < 4; i++) {
        mu_type c = MU_TYPE(MU_F64, mu_graph_type(g, x)->dim[1]);
        snprintf(leaf, sizeof leaf, "%s.%s", name, leaves[i]);
        v[i] = i < 2 ? mu_graph_param(g, leaf, c) : mu_graph_state(g, leaf, c);
    }
    return mu_batch_norm_inference(g, x, v[0], v[1], v[2], v[3], 1e-5);
}

/* One norm, three times: its statistics see the batches in the order of the graph, whatever follows them. */
START_TEST(statistics_move_in_order)
{
    mu_value first = toy_norm(g, "bn", image());
    mu_value still = norm_inference("bn", mu_tanh(g, image()));
    mu_type c = MU_TYPE(MU_F64, 3);
    mu_value scaled = mu_mul(g, mu_graph_input(g, "s", c), mu_graph_state(g, "bn.running_mean", c));
    mu_value second = toy_norm(g, "bn", mu_mul_scalar(g, image(), 3));
    mu_graph_output(g, "second", mu_relu(g, second));
    mu_graph_output(g, "still", mu_relu(g, still));
    mu_graph_output(g, "scaled", mu_abs(g, mu_tanh(g, scaled)));
    mu_graph_output(g, "first", mu_relu(g, first));
    check_same_results(2);
}
END_TEST

START_TEST(norms_are_folded_into_weights)
{
    mu_value x = mu_relu(g, norm_inference("bn1", toy_conv(g, "conv1", image(), 6, 3)));
    mu_conv2d_attrs a = mu_conv2d_defaults();
    a.groups = 3;
    x = mu_conv2d(g, x, mu_graph_param(g, "conv2.weight", MU_TYPE(MU_F64, 6, 2, 1, 1)), MU_NO_VALUE, &a);
    x = mu_add(g, norm_inference("bn2", x), mu_graph_input(g, "r", MU_TYPE(MU_F64, 2, 6, 5, 4)));
    x = norm_inference("bn3", toy_linear(g, "fc", mu_flatten(g, mu_relu(g, x), 1), 7));
    mu_graph_output(g, "y", x);
    ck_ok(mu_pass_fold_batch_norm(g, &made));
    ck_assert_int_eq(count(made, "batch_norm_inference"), 0);
    check_same_results(2);
    /* What folding costs runs once: three products and a reshape remain. */
    mu_params *params;
    mu_plan *plan;
    ck_ok(mu_params_new(ref, &params));
    ck_ok(toy_params(g, params));
    ck_ok(mu_plan_new(g, ref, params, NULL, &plan));
    int every_run = 0;
    for (int i = 0; i < mu_plan_n_steps(plan); i++)
        every_run += !mu_plan_get_step(plan, i).once;
    ck_assert_int_eq(every_run, 3);
    mu_plan_release(plan);
    mu_params_release(params);
}
END_TEST

START_TEST(norms_that_cannot_be_folded_stay)
{
    mu_value y = toy_conv(g, "conv1", image(), 3, 3);
    mu_graph_output(g, "y", norm_inference("bn1", y));
    mu_graph_output(g, "raw", y); /* read elsewhere */
    mu_graph_output(g, "z", mu_relu(g, norm_inference("bn2", image()))); /* nothing to fold into; the ReLU joins it */
    mu_conv2d_attrs a = mu_conv2d_defaults(); /* the weight is an input */
    mu_value w = mu_graph_input(g, "w", MU_TYPE(MU_F64, 3, 3, 1, 1));
    mu_graph_output(g, "v", norm_inference("bn3", mu_conv2d(g, image(), w, MU_NO_VALUE, &a)));
    ck_ok(mu_pass_fold_batch_norm(g, &made));
    ck_assert_int_eq(count(made, "batch_norm_inference"), 3);
    check_same_results(1);
    mu_graph_release(made);
    ck_ok(mu_pass_fuse(g, ref, &made));
    ck_assert_int_eq(count(made, "relu"), 0);
}
END_TEST

/* Memory behind an operation's only operand is no second one: it holds a number that is no value here. */
START_TEST(norms_behind_operations_with_one_operand_stay)
{
    mallopt(M_PERTURB, 0x5a); /* for a process of its own */
    mu_value x = image();
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "bn%d", i);
        x = norm_inference(name, mu_tanh(g, x));
    }
    mu_graph_output(g, "y", x);
    ck_ok(mu_pass_fold_batch_norm(g, &made));
    ck_assert_int_eq(count(made, "batch_norm_inference"), 8);
    check_same_results(1);
}
END_TEST

/* ---- autocast; the backend only says what it supports ---- */

static bool says_yes(mu_backend *backend, const mu_call *call, const char **why)
{
    (void)backend;
    *why = "planted";
    return strcmp(call->op->name, "max_pool2d") != 0;
}

static const mu_backend_ops yes_ops = {.name = "yes", .supports = says_yes};

static const mu_node *find(const mu_graph *graph, const char *op)
{
    for (int32_t i = 0; i < mu_graph_n_nodes(graph); i++)
        if (strcmp(mu_graph_node(graph, i)->op->name, op) == 0)
            return mu_graph_node(graph, i);
    ck_abort_msg("no %s", op);
}

START_TEST(autocast_chooses_dtypes)
{
    mu_backend yes = {.ops = &yes_ops};
    mu_pool2d_attrs pool = mu_pool2d_defaults(2, 2, 0);
    mu_value x = mu_graph_input(g, "x", MU_TYPE(MU_F32, 2, 3, 4, 4));
    x = mu_relu(g, toy_norm(g, "bn", toy_conv(g, "conv1", x, 3, 3)));
    mu_value pooled = mu_max_pool2d(g, x, &pool); /* not supported: f32 */
    mu_value y = toy_linear(g, "fc", mu_flatten(g, pooled, 1), 5);
    mu_value loss = mu_sum(g, mu_softmax(g, y, 1), 0, false);
    mu_graph_output(g, "loss", loss);
    mu_graph_output(g, "y", y);
    mu_graph_backward(g, loss, NULL, 0, NULL);
    ck_ok(mu_pass_autocast(g, &yes, MU_BF16, &made));
    static const struct {
        const char *op;
        mu_dtype dtype;
    } want[] = {{"conv2d", MU_BF16},   {"batch_norm", MU_BF16},         {"relu", MU_BF16}, {"max_pool2d", MU_F32},
                {"linear", MU_BF16},   {"softmax", MU_F32},             {"sum", MU_F32},   {"conv2d_grad_weight", MU_BF16},
                {"relu_grad", MU_BF16}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        ck_assert_msg(mu_graph_type(made, find(made, want[i].op)->out[0])->dtype == want[i].dtype, "%s", want[i].op);
    const mu_node *norm = find(made, "batch_norm");
    ck_assert_int_eq(mu_graph_type(made, norm->in[1])->dtype, MU_F32);
    for (int i = 0; i < mu_graph_n_gradients(made); i++)
        ck_assert_int_eq(mu_graph_type(made, mu_graph_gradient(made, i))->dtype, MU_F32);
    for (int i = 0; i < mu_graph_n_outputs(made); i++)
        ck_assert_int_eq(mu_graph_type(made, mu_graph_output_value(made, i))->dtype, MU_F32);
    /* Each weight is cast once: forward and backward share it. */
    int casts = 0;
    for (int32_t i = 0; i < mu_graph_n_nodes(made); i++) {
        const mu_node *node = mu_graph_node(made, i);
        casts += strcmp(node->op->name, "cast") == 0 && node->in[0].id == mu_graph_find(made, "fc.weight").id;
    }
    ck_assert_int_eq(casts, 1);
    mu_graph *none;
    ck_fails(mu_pass_autocast(g, &yes, MU_I32, &none), MU_ERR_USAGE, "not i32");
}
END_TEST

/* Images come in the low dtype at once where that is read, and in f32 where that is. */
START_TEST(autocast_normalises_once)
{
    mu_backend yes = {.ops = &yes_ops};
    mu_normalize_attrs attrs = {.dtype = MU_F32, .reverse = true};
    mu_value x = mu_normalize(g, mu_graph_input(g, "x", MU_TYPE(MU_U8, 2, 3, 4, 4)), mu_graph_const(g, MU_TYPE(MU_F32, 1), &(float){3}),
                              MU_NO_VALUE, &attrs);
    mu_graph_output(g, "y", mu_sum(g, mu_add(g, toy_conv(g, "conv1", x, 3, 3), toy_conv(g, "conv2", x, 3, 3)), 0, false));
    mu_graph_output(g, "bright", _i ? mu_exp(g, x) : mu_exp(g, mu_graph_input(g, "z", MU_TYPE(MU_F32, 1))));
    mu_graph *cast;
    ck_ok(mu_pass_autocast(g, &yes, MU_BF16, &cast));
    ck_ok(mu_pass_simplify(cast, &made));
    mu_graph_release(cast);
    const mu_node *low = mu_graph_value(made, find(made, "conv2d")->in[0])->node;
    ck_assert_str_eq(low->op->name, "normalize");
    ck_assert(((const mu_normalize_attrs *)low->attrs)->reverse);
    ck_assert_str_eq(low->name, "normalize");
    ck_assert_int_eq(mu_graph_type(made, low->out[0])->dtype, MU_BF16);
    ck_assert_int_eq(count(made, "normalize"), 1 + _i);
}
END_TEST

START_TEST(autocast_leaves_doubles_and_a_shy_backend_alone)
{
    differentiate(mu_relu(g, toy_conv(g, "conv1", image(), 3, 3)));
    ck_ok(mu_pass_autocast(g, ref, MU_BF16, &made));
    ck_assert_int_eq(count(made, "cast"), 0);
    ck_assert_int_eq(count(made, NULL), mu_graph_n_nodes(g));
}
END_TEST

START_TEST(out_of_memory)
{
    mu_value x = mu_relu(g, norm_inference("bn1", toy_conv(g, "conv1", image(), 6, 3)));
    mu_graph_output(g, "y", mu_tanh(g, mu_exp(g, x)));
    mu_graph *t;
    ck_survives_oom(mu_pass_simplify(g, &t), mu_graph_release(t));
    ck_survives_oom(mu_pass_fold_batch_norm(g, &t), mu_graph_release(t));
    ck_survives_oom(mu_pass_fuse(g, ref, &t), mu_graph_release(t));
    ck_survives_oom(mu_pass_autocast(g, ref, MU_BF16, &t), mu_graph_release(t));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("passes");
    TCase *tests = tcase_create("passes");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, open_graph, close_graph);
    tcase_add_test(tests, equal_nodes_become_one);
    tcase_add_test(tests, attributes_tell_nodes_apart);
    tcase_add_test(tests, random_and_updating_nodes_stay_apart);
    tcase_add_test(tests, leaves_gradients_and_names_survive);
    tcase_add_test(tests, a_broken_graph_is_not_rewritten);
    tcase_add_test(tests, convolution_takes_residual_and_activation);
    tcase_add_test(tests, what_is_read_twice_stays);
    tcase_add_test(tests, training_fuses_what_backward_does_not_read);
    tcase_add_test(tests, batch_norm_residual_relu_and_gradient);
    tcase_add_test(tests, sums_of_gradients_come_in_two_parts);
    tcase_add_test(tests, sums_that_others_need_stay);
    tcase_add_test(tests, statistics_that_are_read_early_prevent_it);
    tcase_add_test(tests, chains_swallow_elementwise_work);
    tcase_add_test(tests, a_chain_never_waits_for_itself);
    tcase_add_test(tests, long_chains_are_cut);
    tcase_add_test(tests, gradients_that_meet_are_chained);
    tcase_add_test(tests, statistics_move_in_order);
    tcase_add_test(tests, norms_are_folded_into_weights);
    tcase_add_test(tests, norms_that_cannot_be_folded_stay);
    tcase_add_test(tests, norms_behind_operations_with_one_operand_stay);
    tcase_add_test(tests, autocast_chooses_dtypes);
    tcase_add_loop_test(tests, autocast_normalises_once, 0, 2);
    tcase_add_test(tests, autocast_leaves_doubles_and_a_shy_backend_alone);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
