/* Models that are trained in parts: doc/examples/gan.c against PyTorch (tests/golden/gan.py), and what is refused. */
#include "../../doc/examples/gan.c"

#include "config/config.h"
#include "optim/optim.h"
#include "train/models.h"

#include "../golden/gan.inc"
#include "test.h"

#include <math.h>

enum { STEPS = 50, BATCHES = 3, N = 6, SIDE = 4, LATENT = 5 };

static mu_registry *root;

static void setup(void)
{
    ck_ok(mu_registry_root(&root));
    ck_ok(muster_plugin_register(root));
}

static void teardown(void)
{
    mu_registry_reset();
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}

typedef struct {
    mu_config *config;
    void *object;
} built;

static built make(const char *kind, const char *yaml)
{
    built b;
    ck_ok(mu_config_parse(yaml, strlen(yaml), "yaml", &b.config));
    ck_ok(mu_build(kind, mu_config_root(b.config), NULL, "", &b.object));
    return b;
}

static void drop(built *b)
{
    mu_destroy(b->object);
    mu_config_release(b->config);
}

/* ---- against PyTorch ---- */

typedef struct {
    mu_dtype dtype;
    double img[N * SIDE * SIDE], noise[N * LATENT]; /* as f32 or f64 */
    int64_t index[N];
    mu_batch batch;
} gan_batch;

static void fill(gan_batch *b, int step)
{
    char name[32];
    snprintf(name, sizeof name, "img%d", step % BATCHES);
    for (int i = 0; i < N * SIDE * SIDE; i++) {
        double x = model_number(name, i);
        mu_convert((char *)b->img + (size_t)i * mu_dtype_size(b->dtype), b->dtype, &x, MU_F64, 1);
    }
    snprintf(name, sizeof name, "noise%d", step);
    for (int i = 0; i < N * LATENT; i++) {
        double x = model_number(name, i);
        mu_convert((char *)b->noise + (size_t)i * mu_dtype_size(b->dtype), b->dtype, &x, MU_F64, 1);
    }
    b->batch = (mu_batch){.size = N, .index = b->index, .stride = 1};
    ck_ok(mu_tensors_put(&b->batch.fields, "img", MU_TYPE(b->dtype, N, 1, SIDE, SIDE), b->img));
    ck_ok(mu_tensors_put(&b->batch.fields, "noise", MU_TYPE(b->dtype, N, LATENT), b->noise));
}

/* The weights that the Python has. */
static void initialise(mu_params *params)
{
    for (int p = 0; p < mu_params_count(params); p++) {
        const mu_param_info *info = mu_params_at(params, p);
        if (!mu_param_is_weight(info->name))
            continue;
        int64_t n = mu_type_count(&info->type);
        double bound = info->type.ndim > 1 ? sqrt(6.0 / ((double)n / (double)info->type.dim[0])) : 0.1, raw[256];
        ck_assert_int_le(n, 256);
        for (int64_t i = 0; i < n; i++) {
            double x = (float)(model_number(info->name, i) * bound);
            mu_convert((char *)raw + (size_t)i * mu_dtype_size(info->type.dtype), info->type.dtype, &x, MU_F64, 1);
        }
        ck_ok(mu_params_write(params, info->name, raw));
    }
}

static void bind_part(built *optim, mu_backend *backend, mu_params *params, const char *part, bool scaled)
{
    const mu_loss_scaling scaling = {.init_scale = *part == 'g' ? 16 : 1024, .growth_factor = 2, .backoff_factor = 0.5, .growth_interval = 7};
    char state[64];
    int group_of[16];
    ck_assert_int_le(mu_params_count(params), 16);
    for (int p = 0; p < mu_params_count(params); p++)
        group_of[p] = mu_name_is_under(mu_params_at(params, p)->name, part) ? 0 : -1;
    ck_ok(mu_optim_bind(optim->object, backend, params, group_of, NULL, 1));
    snprintf(state, sizeof state, MU_LOSS_SCALE ".%s", part);
    if (scaled)
        ck_ok(mu_optim_set_scaling(optim->object, &scaling, state));
}

static double find(const mu_log_vars *vars, const char *name)
{
    for (int i = 0; i < vars->n; i++)
        if (strcmp(vars->item[i].name, name) == 0)
            return vars->item[i].value;
    ck_abort_msg("no \"%s\" is logged", name);
    return NAN;
}

static const struct {
    const char *device;
    mu_dtype dtype;
    double tolerance;
    bool scaled; /* each part's loss by a power of two of its own, which moves: that changes nothing */
} places[] = {{"cpu:ref", MU_F64, 1e-12, false}, {"cpu:ref", MU_F32, 1e-4, false}, {"cpu", MU_F32, 1e-4, false}, {"cpu:ref", MU_F64, 1e-12, true}};

START_TEST(test_as_pytorch)
{
    built model = make("model", "{type: GAN, latent: 5, hidden: 7}");
    built optim[] = {make("optimizer", "{type: Adam, lr: 0.01, betas: [0.5, 0.999]}"), make("optimizer", "{type: SGD, lr: 0.05, momentum: 0.5}")};
    mu_backend *backend;
    static gan_batch b;
    b.dtype = places[_i].dtype;
    ck_ok(mu_backend_open(places[_i].device, &(mu_backend_options){.cache_dir = "", .deterministic = true}, &backend));
    ck_ok(mu_model_bind(model.object, &(mu_model_options){.backend = backend, .loss_scale = places[_i].scaled}));
    fill(&b, 0);
    ck_ok(mu_model_prepare(model.object, &b.batch, true));
    mu_params *params = mu_model_params(model.object);
    ck_assert_int_eq(mu_model_n_parts(model.object), 2);
    ck_assert_int_eq(mu_model_unused_params(model.object, NULL, NULL), 0);
    initialise(params);
    for (int p = 0; p < 2; p++)
        bind_part(&optim[p], backend, params, mu_model_part(model.object, p), places[_i].scaled);
    for (int step = 0; step < STEPS; step++) {
        mu_log_vars vars[2];
        fill(&b, step);
        ck_ok(mu_model_load_train(model.object, &b.batch));
        for (int p = 0; p < 2; p++) {
            mu_model_select_part(model.object, p);
            ck_ok(mu_model_run_train(model.object, 1, step, &vars[p]));
            ck_ok(mu_model_check_gradients(model.object));
            ck_ok(mu_optim_step(optim[p].object, NULL, NULL));
            mu_model_changed(model.object);
        }
        const double *want = golden_gan[step];
        double got[] = {find(&vars[0], "loss_generator"), find(&vars[1], "loss_real"), find(&vars[1], "loss_fake")};
        for (int i = 0; i < 3; i++)
            ck_assert_msg(fabs(got[i] - want[i]) <= places[_i].tolerance * fabs(want[i]), "step %d, loss %d: %.17g instead of %.17g",
                          step, i, got[i], want[i]);
        ck_assert_double_eq_tol(vars[1].item[0].value, got[1] + got[2], 1e-6);
        ck_assert_str_eq(vars[1].item[0].name, "loss");
    }
    for (int p = 0; p < 2; p++) {
        double control[MU_CONTROL_N];
        ck_ok(mu_optim_read_control(optim[p].object, control));
        ck_assert_double_eq(control[MU_CONTROL_LOSS_SCALE], places[_i].scaled ? (p ? 1024 : 16) * 128 : 1); /* 50 / 7 times */
        drop(&optim[p]);
    }
    drop(&model);
    mu_backend_close(backend);
}
END_TEST

/* ---- other models ---- */

typedef struct {
    mu_model base;
} halves;

static int stray; /* a parameter in no part; 2: a part's losses do not reach one of its own */

static mu_value one_weight(mu_trace *t, const char *name)
{
    mu_trace_enter(t, name, "Half", NULL);
    mu_value w = mu_trace_param(t, "weight", MU_TYPE(MU_F32, 3), (mu_fill){MU_FILL_CONSTANT, 1, 0});
    mu_trace_leave(t);
    return w;
}

static void halves_forward(const mu_model *model, mu_trace *t)
{
    (void)model;
    mu_value left = one_weight(t, "left"), right = one_weight(t, "right"), x = mu_trace_input(t, "x");
    if (stray == 1)
        left = mu_add(t->graph, left, one_weight(t, "leftover"));
    if (t->mode != MU_MODE_LOSS) {
        mu_trace_output(t, "y", mu_mul(t->graph, x, left));
        return;
    }
    bool first = t->part && strcmp(t->part, "left") == 0;
    mu_value y = mu_mul(t->graph, x, first || stray == 2 ? left : right);
    mu_trace_loss(t, "loss", mu_sum(t->graph, mu_mul(t->graph, y, y), 0, false));
}

static const char *const half_names[] = {"left", "right", NULL};
static const mu_option no_options[] = {MU_MODEL_OPTIONS(halves), MU_OPTION_END};
static const mu_component halves_component = {.kind = "model", .name = "Halves", .doc = "Two weights.", .size = sizeof(halves),
                                              .options = no_options, .destroy = mu_model_destroy,
                                              .ops = &(const mu_model_ops){.forward = halves_forward, .parts = half_names}};

typedef struct {
    built model;
    mu_backend *backend;
    float x[2 * 3];
    int64_t index[2];
    mu_batch batch;
} toy_halves;

static mu_err open_halves(toy_halves *h)
{
    ck_ok(mu_registry_add(root, &halves_component, true));
    h->model = make("model", "{type: Halves}");
    ck_ok(mu_backend_open("cpu:ref", NULL, &h->backend));
    for (int i = 0; i < 6; i++)
        h->x[i] = (float)(i + 1);
    h->batch = (mu_batch){.size = 2, .index = h->index, .stride = 1};
    ck_ok(mu_tensors_put(&h->batch.fields, "x", MU_TYPE(MU_F32, 2, 3), h->x));
    ck_ok(mu_model_bind(h->model.object, &(mu_model_options){.backend = h->backend}));
    return mu_model_prepare(h->model.object, &h->batch, true);
}

static void close_halves(toy_halves *h)
{
    drop(&h->model);
    mu_backend_close(h->backend);
    stray = 0;
}

/* Only the selected part gets gradients, and its "loss" keeps a name of its own. */
START_TEST(test_gradients_of_one_part)
{
    toy_halves h = {0};
    mu_log_vars vars;
    float ones[3] = {1, 1, 1}, twos[3] = {2, 2, 2}, left[3], right[3];
    ck_ok(open_halves(&h));
    mu_params *params = mu_model_params(h.model.object);
    ck_ok(mu_params_write(params, "left.weight", ones));
    ck_ok(mu_params_write(params, "right.weight", twos));
    ck_ok(mu_model_load_train(h.model.object, &h.batch));
    ck_ok(mu_model_run_train(h.model.object, 0, 0, &vars));
    ck_assert_int_eq(vars.n, 2);
    ck_assert_str_eq(vars.item[1].name, "left_loss");
    ck_assert_double_eq(vars.item[1].value, 91);
    ck_ok(mu_params_read_gradient(params, "left.weight", left));
    ck_ok(mu_params_read_gradient(params, "right.weight", right));
    for (int i = 0; i < 3; i++) {
        ck_assert_float_eq(left[i], 2 * (h.x[i] * h.x[i] + h.x[i + 3] * h.x[i + 3]));
        ck_assert_float_eq(right[i], 0);
    }
    mu_model_select_part(h.model.object, 1);
    ck_ok(mu_model_run_train(h.model.object, 0, 0, &vars));
    ck_assert_str_eq(vars.item[1].name, "right_loss");
    ck_assert_double_eq(vars.item[1].value, 364);
    ck_ok(mu_params_read_gradient(params, "right.weight", right));
    ck_assert_float_eq(right[0], 2 * 2 * (1 + 16));
    ck_fails(mu_model_loss(h.model.object, &h.batch, &vars), MU_ERR_UNSUPPORTED, "trained in parts");
    close_halves(&h);
}
END_TEST

START_TEST(test_parameter_of_no_part)
{
    toy_halves h = {0};
    stray = 1; /* "leftover" begins like "left" */
    ck_fails(open_halves(&h), MU_ERR_CONFIG, "\"leftover.weight\" is in none of the parts");
    close_halves(&h);
}
END_TEST

static void collect(void *user, const char *name)
{
    snprintf(user, 64, "%s", name);
}

START_TEST(test_unused_parameter_of_a_part)
{
    toy_halves h = {0};
    char name[64] = "";
    stray = 2;
    ck_ok(open_halves(&h));
    ck_assert_int_eq(mu_model_unused_params(h.model.object, collect, name), 1);
    ck_assert_str_eq(name, "right.weight");
    close_halves(&h);
}
END_TEST

static mu_err whole_life(void)
{
    mu_backend *backend = NULL;
    built b = {0};
    mu_plan_stats stats;
    static gan_batch batch = {.dtype = MU_F32};
    mu_err err;
    fill(&batch, 0);
    static const char yaml[] = "{type: GAN, latent: 5, hidden: 2}";
    MU_TRY_GOTO(err, mu_config_parse(yaml, sizeof yaml - 1, "yaml", &b.config), done);
    MU_TRY_GOTO(err, mu_build("model", mu_config_root(b.config), NULL, "", &b.object), done);
    MU_TRY_GOTO(err, mu_backend_open("cpu:ref", NULL, &backend), done);
    MU_TRY_GOTO(err, mu_model_bind(b.object, &(mu_model_options){.backend = backend}), done);
    MU_TRY_GOTO(err, mu_model_estimate(b.object, &batch.batch, MU_MODE_LOSS, true, &stats), done);
    MU_TRY_GOTO(err, mu_model_prepare(b.object, &batch.batch, true), done);
    MU_TRY_GOTO(err, mu_model_load_train(b.object, &batch.batch), done);
done:
    mu_destroy(b.object);
    mu_backend_close(backend);
    mu_config_release(b.config);
    return err;
}

START_TEST(test_out_of_memory)
{
    ck_survives_oom(whole_life(), (void)0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parts");
    TCase *tc = tcase_create("parts");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_as_pytorch, 0, sizeof places / sizeof *places);
    tcase_add_test(tc, test_gradients_of_one_part);
    tcase_add_test(tc, test_parameter_of_no_part);
    tcase_add_test(tc, test_unused_parameter_of_a_part);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return test_run(suite);
}
