/* What is built on a communicator: agreement, seeds, dictionaries, tensors, trees, results. */
#include "mpi/comm_checks.h"

#include "config/collect.h"
#include "config/config.h"
#include "dist/collect.h"

#include <math.h>

void check_agreement(void)
{
    int size = world->size, last = size - 1;
    char text[64];
    OK(mu_comm_agree(world, MU_OK));
    for (int who = 0; who < size; who++) {
        mu_err err = MU_OK;
        if (world->rank == who) {
            err = MU_FAIL(MU_ERR_IO, "disk %d is full", who);
            mu_error_hint("make room");
        }
        snprintf(text, sizeof text, size == 1 ? "disk %d is full" : "rank %d/%d: disk %d is full", who, size, who);
        FAILS(mu_comm_agree(world, err), MU_ERR_IO, size == 1 ? "disk 0 is full" : text);
        CHECK(strcmp(mu_error_last()->hint, "make room") == 0);
    }
    FAILS(mu_comm_agree(world, MU_FAIL(MU_ERR_CONFIG, "no such key")), MU_ERR_CONFIG, "no such key");
    CHECK(strcmp(mu_error_last()->message, "no such key") == 0, "%s", mu_error_last()->message);

    mu_err err = world->rank == last ? MU_FAIL(MU_ERR_SHAPE, "odd shape") : MU_FAIL(MU_ERR_IO, "disk is full");
    err = mu_comm_agree(world, err);
    CHECK(err == (size == 1 ? MU_ERR_SHAPE : MU_ERR_IO));
    CHECK(mu_error_last()->code == err);
    const char *message = mu_error_last()->message, *disk = strstr(message, "disk is full");
    CHECK(strstr(message, "odd shape") != NULL);
    if (size > 1) {
        CHECK(disk && strstr(disk + 1, "disk is full") == NULL, "%s", message);
        snprintf(text, sizeof text, "rank %d/%d: odd shape", last, size);
        CHECK(strstr(message, text) != NULL, "%s", message);
    }
    if (size > 2) {
        snprintf(text, sizeof text, "rank 0/%d and %d more: disk is full", size, size - 2);
        CHECK(strstr(message, text) != NULL, "%s", message);
        /* Agreeing on what was agreed changes nothing. */
        char before[MU_ERROR_TEXT];
        snprintf(before, sizeof before, "%s", message);
        CHECK(mu_comm_agree(world, err) == MU_ERR_IO);
        CHECK(strcmp(mu_error_last()->message, before) == 0, "%s", mu_error_last()->message);
    }
    /* A message as long as can be keeps its end; a code without a record has the code's text. */
    mu_error_clear();
    FAILS(mu_comm_agree(world, MU_ERR_PLUGIN), MU_ERR_PLUGIN, size == 1 ? "" : mu_err_text(MU_ERR_PLUGIN));
    mu_error_clear();
    OK(mu_comm_check_same(world, "the config", 42));
    if (size > 1) {
        snprintf(text, sizeof text, "rank %d/%d: the config", last, size);
        FAILS(mu_comm_check_same(world, "the config", world->rank == last), MU_ERR_USAGE, text);
    }
}

void check_seed(void)
{
    uint32_t seed = UINT32_MAX, main_rank;
    OK(mu_comm_sync_random_seed(world, &seed));
    CHECK(seed < 1u << 31);
    main_rank = seed;
    OK(mu_comm_broadcast(world, &main_rank, 1, MU_I32, 0));
    CHECK(seed == main_rank);
}

void check_dict(void)
{
    mu_named_value a = {"loss", world->rank + 1.0}, b = {"acc", world->rank * 10.0}, extra = {"zeta", 1};
    mu_named_value values[3] = {world->rank % 2 ? a : b, world->rank % 2 ? b : a, extra};
    double n = world->size;
    OK(mu_comm_all_reduce_dict(world, values, 2, MU_COMM_SUM));
    CHECK(values[world->rank % 2 ? 0 : 1].value == n * (n + 1) / 2);
    CHECK(values[world->rank % 2 ? 1 : 0].value == 10 * n * (n - 1) / 2);
    CHECK(strcmp(values[0].name, world->rank % 2 ? "loss" : "acc") == 0);
    OK(mu_comm_all_reduce_dict(world, values, 0, MU_COMM_SUM));
    values[0] = a, values[1] = b;
    OK(mu_comm_all_reduce_dict(world, values, 2, MU_COMM_MEAN));
    CHECK(fabs(values[0].value - (n + 1) / 2) < 1e-12);
    bool last = world->rank == world->size - 1;
    if (world->size > 1) {
        FAILS(mu_comm_all_reduce_dict(world, values, last ? 3 : 2, MU_COMM_SUM), MU_ERR_USAGE, "rank 0 lacks \"zeta\"");
        FAILS(mu_comm_all_reduce_dict(world, values, last ? 1 : 2, MU_COMM_SUM), MU_ERR_USAGE, "\"acc\" is missing");
    }
    values[2] = a;
    FAILS(mu_comm_all_reduce_dict(world, values, last ? 3 : 2, MU_COMM_SUM), MU_ERR_USAGE, "\"loss\" comes twice");
}

/* Rank r's tensor k of the dtype: value(r, i + k, dtype). */
enum { N_TENSORS = 9 };

static void make_tensors(mu_tensor tensor[N_TENSORS], unsigned char data[N_TENSORS][800], const mu_dtype *dtypes,
                         int n_dtypes)
{
    static const int64_t counts[] = {7, 0, 100, 1, 30, 3, 2, 64, 5};
    for (int k = 0; k < N_TENSORS; k++) {
        double wide[100];
        for (int64_t i = 0; i < counts[k]; i++)
            wide[i] = value(world->rank, i + k, dtypes[k % n_dtypes]);
        memset(data[k], 0x5a, 800);
        mu_convert(data[k], dtypes[k % n_dtypes], wide, MU_F64, counts[k]);
        tensor[k] = (mu_tensor){.type = MU_TYPE(dtypes[k % n_dtypes], counts[k]), .data = data[k]};
    }
}

static void compare_tensors(const mu_tensor *tensor, mu_comm_op op)
{
    for (int k = 0; k < N_TENSORS; k++) {
        mu_dtype dtype = tensor[k].type.dtype;
        double got[100];
        int64_t count = mu_type_count(&tensor[k].type);
        mu_convert(got, MU_F64, tensor[k].data, dtype, count);
        for (int64_t i = 0; i < count; i++)
            CHECK(fabs(got[i] - expected(i + k, dtype, op)) <= (op == MU_COMM_MEAN ? rounding(dtype) * 2 : 0),
                  "tensor %d", k);
        if (mu_type_bytes(&tensor[k].type) < 800)
            CHECK(((unsigned char *)tensor[k].data)[mu_type_bytes(&tensor[k].type)] == 0x5a);
    }
}

void check_params(void)
{
    static const mu_dtype floats[] = {MU_F32, MU_BF16, MU_F32, MU_F64},
                          mixed[] = {MU_F16, MU_I64, MU_BOOL, MU_I32, MU_U8};
    static const size_t buckets[] = {0, 1, 64, 300, SIZE_MAX};
    mu_tensor tensor[N_TENSORS];
    unsigned char data[N_TENSORS][800];
    for (size_t b = 0; b < sizeof buckets / sizeof *buckets; b++) {
        make_tensors(tensor, data, floats, 4);
        OK(mu_comm_all_reduce_params(world, tensor, N_TENSORS, MU_COMM_MEAN, buckets[b]));
        compare_tensors(tensor, MU_COMM_MEAN);
        make_tensors(tensor, data, mixed, 5);
        OK(mu_comm_all_reduce_params(world, tensor, N_TENSORS, MU_COMM_SUM, buckets[b]));
        compare_tensors(tensor, MU_COMM_SUM);
    }
    OK(mu_comm_all_reduce_params(world, NULL, 0, MU_COMM_SUM, SIZE_MAX));
    make_tensors(tensor, data, mixed, 5);
    unsigned char before[sizeof data];
    memcpy(before, data, sizeof data);
    FAILS(mu_comm_all_reduce_params(world, tensor, N_TENSORS, MU_COMM_MEAN, SIZE_MAX), MU_ERR_UNSUPPORTED,
          "mean of i64");
    CHECK(memcmp(before, data, sizeof data) == 0);
}

/* The same by name, in another order on each rank. */
void check_tensors(void)
{
    static const mu_dtype dtypes[] = {MU_F32, MU_I64};
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    mu_tensor tensor[N_TENSORS], turned[N_TENSORS];
    unsigned char data[N_TENSORS][800];
    bool last = world->rank == world->size - 1;
    make_tensors(tensor, data, dtypes, 2);
    for (int k = 0; k < N_TENSORS; k++) {
        tensor[k].name = names[k];
        turned[(k + world->rank) % N_TENSORS] = tensor[k];
    }
    OK(mu_comm_all_reduce_tensors(world, turned, N_TENSORS, MU_COMM_SUM));
    compare_tensors(tensor, MU_COMM_SUM);
    OK(mu_comm_all_reduce_tensors(world, NULL, 0, MU_COMM_SUM));
    if (world->size > 1) {
        char text[64];
        FAILS(mu_comm_all_reduce_tensors(world, tensor, last ? 8 : 9, MU_COMM_SUM), MU_ERR_USAGE, "\"i\" is missing");
        tensor[2].type.dim[0] = last ? 99 : 100;
        FAILS(mu_comm_all_reduce_tensors(world, tensor, N_TENSORS, MU_COMM_SUM), MU_ERR_USAGE,
              "\"c\" is f32[99], on rank 0 it is f32[100]");
        snprintf(text, sizeof text, "rank %d/%d: ", world->size - 1, world->size);
        CHECK(strstr(mu_error_last()->message, text) != NULL, "%s", mu_error_last()->message);
    }
    if (last)
        tensor[3].name = "a";
    FAILS(mu_comm_all_reduce_tensors(world, tensor, N_TENSORS, MU_COMM_SUM), MU_ERR_USAGE, "\"a\" comes twice");
}

static mu_err count_up(void *user)
{
    ++*(int *)user;
    return *(int *)user < 2 ? MU_OK : MU_FAIL(MU_ERR_IO, "two are too many");
}

void check_on_main(void)
{
    int calls = 0, is_main = mu_comm_is_main(world);
    OK(mu_comm_on_main(world, count_up, &calls));
    CHECK(calls == is_main);
    FAILS(mu_comm_on_main(world, count_up, &calls), MU_ERR_IO, "two are too many");
    CHECK(calls == 2 * is_main);
}

static mu_cfg *tree_of(int rank)
{
    char text[200];
    mu_cfg *tree = NULL;
    snprintf(text, sizeof text,
             "{\"rank\": %d, \"x\": [1.5, 0.1, 1e300, null, true, \"true\", \"{{x}}\"], \"name\": \"r\u00fcck %d\\n\", "
             "\"d\": {}}",
             rank, rank);
    OK(mu_cfg_parse_json(text, strlen(text), "<test>", &tree));
    mu_cfg *x = mu_cfg_get(tree, "x"), *number;
    OK(mu_cfg_new_float(NAN, (mu_pos){0}, &number));
    OK(mu_cfg_append(x, number));
    OK(mu_cfg_new_float(-INFINITY, (mu_pos){0}, &number));
    OK(mu_cfg_append(x, number));
    return tree;
}

void check_objects(void)
{
    mu_cfg *mine = tree_of(world->rank), *all, *scalar;
    for (int root = -1; root < world->size; root++) {
        all = NULL;
        if (root < 0)
            OK(mu_comm_all_gather_object(world, mine, &all));
        else
            OK(mu_comm_gather_object(world, mine, root, &all));
        CHECK((all != NULL) == (root < 0 || root == world->rank));
        for (int r = 0; all && r < world->size; r++) {
            mu_cfg *theirs = tree_of(r);
            CHECK(mu_cfg_size(all) == (size_t)world->size && mu_cfg_equal(mu_cfg_at(all, (size_t)r), theirs),
                  "rank %d's", r);
            mu_cfg_release(theirs);
        }
        mu_cfg_release(all);
    }
    for (int root = 0; root < world->size; root++) {
        mu_cfg *object = root == world->rank ? mine : NULL, *theirs = tree_of(root);
        OK(mu_comm_broadcast_object(world, &object, root));
        CHECK(mu_cfg_equal(object, theirs));
        if (object != mine)
            mu_cfg_release(object);
        mu_cfg_release(theirs);
    }
    OK(mu_cfg_new_int(world->rank, (mu_pos){0}, &scalar));
    OK(mu_comm_all_gather_object(world, scalar, &all));
    for (int r = 0; r < world->size; r++)
        CHECK(mu_cfg_int(mu_cfg_at(all, (size_t)r)) == r);
    mu_cfg_release(all);
    mu_cfg_release(scalar);
    FAILS(mu_comm_gather_object(world, mine, world->size, &all), MU_ERR_USAGE, "is not a rank");
    FAILS(mu_comm_broadcast_object(world, &mine, -1), MU_ERR_USAGE, "root -1");
    mu_cfg_release(mine);
}

/* Records of `samples` samples dealt out in turns; with padding every rank has as many, else the last ones may have
 * fewer. The record of sample s has s % 4 bytes of value s; padding has another content, which must not win. */
static size_t deal(int samples, bool padding, mu_record *record, unsigned char bytes[][4])
{
    int each = (samples + world->size - 1) / world->size;
    size_t n = 0;
    for (int k = 0; k < each; k++) {
        int place = k * world->size + world->rank;
        if (place >= samples && (!padding || samples == 0))
            break;
        int s = place % samples;
        memset(bytes[n], place < samples ? s : 0xee, 4);
        record[n] = (mu_record){.id = s, .data = s % 4 ? bytes[n] : NULL, .size = (size_t)(s % 4)};
        n++;
    }
    return n;
}

void check_collect(void)
{
    enum { MOST = 40 };
    mu_record record[MOST];
    unsigned char bytes[MOST][4];
    for (int samples = 0; samples < MOST; samples = samples < 9 ? samples + 1 : samples + 7)
        for (int root = MU_COLLECT_ALL; root < world->size; root++)
            for (int variant = 0; variant < 3; variant++) {
                size_t n = deal(samples, variant > 0, record, bytes);
                int64_t total = variant == 2 ? samples / 2 : variant == 1 ? samples : -1;
                size_t want = (size_t)(variant == 2 ? samples / 2 : samples);
                mu_records *all = NULL;
                OK(mu_comm_collect(world, record, n, total, root, &all));
                CHECK((all != NULL) == (root < 0 || world->rank == root));
                if (!all)
                    continue;
                CHECK(mu_records_count(all) == want, "%zu of %zu", mu_records_count(all), want);
                for (size_t s = 0; s < want && s < mu_records_count(all); s++) {
                    const mu_record *r = mu_records_at(all, s);
                    unsigned char same[4];
                    memset(same, (int)s, 4);
                    CHECK(r->id == (int64_t)s && r->size == s % 4 && memcmp(r->data, same, r->size) == 0);
                }
                CHECK(mu_records_at(all, want) == NULL);
                mu_records_release(all);
            }
    /* Lists of any length: rank r has r records; items of one turn stand together. */
    size_t n = 0, at = 0;
    for (int j = 0; j < world->rank; j++)
        record[n++] = (mu_record){.id = world->rank * 100 + j};
    mu_records *all = NULL;
    OK(mu_comm_collect(world, record, n, -1, 0, &all));
    for (int j = 0; all && j < world->size; j++)
        for (int r = j + 1; r < world->size; r++) {
            CHECK(mu_records_at(all, at) && mu_records_at(all, at)->id == r * 100 + j);
            at++;
        }
    CHECK(!all || mu_records_count(all) == at);
    mu_records_release(all);
}
