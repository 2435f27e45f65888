/* The value tree: ownership, places, look-up, equality, depth and width without bounds, lack of memory. */
#include "config/value.h"

#include "test.h"

#include <math.h>

static const mu_pos at = {"a.yaml", 3, 7};

/* {name: "x", list: [1, 2.5, null, true], inner: {k0: 0, ... k(n-1): n-1}} */
static mu_err sample(int n, mu_cfg **out)
{
    mu_cfg *root = NULL, *child, *inner;
    mu_err err;
    MU_TRY(mu_cfg_new_dict(at, &root));
    MU_TRY_GOTO(err, mu_cfg_new_string("x", 1, (mu_pos){NULL, 1, 7}, &child), fail);
    MU_TRY_GOTO(err, mu_cfg_set(root, "name", (mu_pos){NULL, 1, 1}, child), fail);
    MU_TRY_GOTO(err, mu_cfg_new_list((mu_pos){"b.yaml", 2, 7}, &child), fail);
    MU_TRY_GOTO(err, mu_cfg_set(root, "list", (mu_pos){"c.yaml", 2, 1}, child), fail);
    inner = child;
    MU_TRY_GOTO(err, mu_cfg_new_int(1, at, &child), fail);
    MU_TRY_GOTO(err, mu_cfg_append(inner, child), fail);
    MU_TRY_GOTO(err, mu_cfg_new_float(2.5, at, &child), fail);
    MU_TRY_GOTO(err, mu_cfg_append(inner, child), fail);
    MU_TRY_GOTO(err, mu_cfg_new_null(at, &child), fail);
    MU_TRY_GOTO(err, mu_cfg_append(inner, child), fail);
    MU_TRY_GOTO(err, mu_cfg_new_bool(true, at, &child), fail);
    MU_TRY_GOTO(err, mu_cfg_append(inner, child), fail);
    MU_TRY_GOTO(err, mu_cfg_new_dict(at, &child), fail);
    MU_TRY_GOTO(err, mu_cfg_set(root, "inner", at, child), fail);
    inner = child;
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        MU_TRY_GOTO(err, mu_cfg_new_int(i, at, &child), fail);
        MU_TRY_GOTO(err, mu_cfg_set(inner, key, at, child), fail);
    }
    *out = root;
    return MU_OK;
fail:
    mu_cfg_release(root);
    return err;
}

START_TEST(reads_what_was_put)
{
    mu_cfg *root;
    ck_ok(sample(40, &root));
    ck_assert_int_eq(mu_cfg_kind_of(root), MU_CFG_DICT);
    ck_assert_uint_eq(mu_cfg_size(root), 3);
    ck_assert_str_eq(mu_cfg_key_at(root, 1), "list");
    ck_assert_str_eq(mu_cfg_string(mu_cfg_get(root, "name")), "x");
    ck_assert_uint_eq(mu_cfg_string_length(mu_cfg_get(root, "name")), 1);
    const mu_cfg *list = mu_cfg_get(root, "list");
    ck_assert_int_eq(mu_cfg_int(mu_cfg_at(list, 0)), 1);
    ck_assert_double_eq(mu_cfg_float(mu_cfg_at(list, 0)), 1.0);
    ck_assert_double_eq(mu_cfg_float(mu_cfg_at(list, 1)), 2.5);
    ck_assert_int_eq(mu_cfg_kind_of(mu_cfg_at(list, 2)), MU_CFG_NULL);
    ck_assert(mu_cfg_bool(mu_cfg_at(list, 3)));
    ck_assert_ptr_null(mu_cfg_get(root, "nam"));
    ck_assert_ptr_null(mu_cfg_get(root, "names"));
    ck_assert_ptr_null(mu_cfg_get(list, "0"));
    ck_assert_str_eq(mu_cfg_kind_name(MU_CFG_DICT), "dictionary");
    mu_cfg_release(root);
}
END_TEST

START_TEST(finds_by_path)
{
    mu_cfg *root;
    ck_ok(sample(40, &root));
    ck_assert_int_eq(mu_cfg_int(mu_cfg_find(root, "inner.k39")), 39);
    ck_assert_double_eq(mu_cfg_float(mu_cfg_find(root, "list.1")), 2.5);
    static const char *const absent[] = {"", ".", "list.", "list.4", "list.-1", "list.x", "list.18446744073709551617",
                                         "inner.k", "inner.k1.x", "inner..k1", "name.x", "Inner"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        ck_assert_msg(mu_cfg_find(root, absent[i]) == NULL, "'%s' is found", absent[i]);
    mu_cfg_release(root);
}
END_TEST

static void ck_pos(mu_pos pos, const char *file, int line, int column)
{
    ck_assert_str_eq(pos.file, file);
    ck_assert_int_eq(pos.line, line);
    ck_assert_int_eq(pos.column, column);
}

START_TEST(places_outlive_their_tree)
{
    mu_cfg *root, *copy, *other, *child;
    char file[] = "temporary.yaml";
    ck_ok(sample(2, &root));
    ck_pos(mu_cfg_pos(mu_cfg_get(root, "name")), "a.yaml", 1, 7);
    ck_pos(mu_cfg_key_pos(mu_cfg_get(root, "name")), "a.yaml", 1, 1);
    ck_pos(mu_cfg_key_pos(root), "a.yaml", 3, 7);
    ck_ok(mu_cfg_copy(mu_cfg_get(root, "list"), &copy));
    mu_cfg_release(root);
    ck_ok(mu_cfg_new_dict((mu_pos){file, 1, 1}, &other));
    memset(file, '?', sizeof file - 1);
    ck_ok(mu_cfg_set(other, "copy", (mu_pos){NULL, 5, 6}, copy));
    ck_pos(mu_cfg_pos(copy), "b.yaml", 2, 7);
    ck_pos(mu_cfg_pos(mu_cfg_at(copy, 2)), "a.yaml", 3, 7);
    ck_pos(mu_cfg_key_pos(copy), "temporary.yaml", 5, 6);
    ck_ok(mu_cfg_new_null((mu_pos){0}, &child));
    ck_pos(mu_cfg_pos(child), "<value>", 0, 0);
    ck_ok(mu_cfg_set(other, "child", (mu_pos){"c.yaml", 8, 9}, child));
    ck_pos(mu_cfg_pos(child), "temporary.yaml", 0, 0);
    ck_pos(mu_cfg_key_pos(child), "c.yaml", 8, 9);
    mu_cfg_release(other);
}
END_TEST

START_TEST(set_replaces_in_place)
{
    for (int n = 2; n <= 40; n += 38) { /* without and with an index */
        mu_cfg *root, *child;
        ck_ok(sample(n, &root));
        mu_cfg *inner = mu_cfg_get(root, "inner");
        ck_ok(mu_cfg_new_string("new", 3, at, &child));
        ck_ok(mu_cfg_set(inner, "k1", (mu_pos){"z.yaml", 9, 9}, child));
        ck_assert_uint_eq(mu_cfg_size(inner), (unsigned)n);
        ck_assert_str_eq(mu_cfg_key_at(inner, 1), "k1");
        ck_assert_ptr_eq(mu_cfg_get(inner, "k1"), child);
        ck_assert_ptr_eq(mu_cfg_at(inner, 1), child);
        ck_pos(mu_cfg_key_pos(child), "z.yaml", 9, 9);
        ck_ok(mu_cfg_new_int(5, at, &child));
        ck_ok(mu_cfg_set_at(mu_cfg_get(root, "list"), 3, child));
        ck_assert_int_eq(mu_cfg_int(mu_cfg_find(root, "list.3")), 5);
        ck_ok(mu_cfg_new_int(5, at, &child));
        ck_fails(mu_cfg_set_at(mu_cfg_get(root, "list"), 4, child), MU_ERR_NOT_FOUND, "index 4 is beyond a list of 4 items");
        mu_cfg_release(root);
    }
}
END_TEST

START_TEST(removal_keeps_the_others)
{
    mu_cfg *root, *child;
    ck_ok(sample(40, &root));
    mu_cfg *inner = mu_cfg_get(root, "inner");
    ck_assert(!mu_cfg_remove(inner, "k40"));
    for (int i = 0; i < 40; i += 2) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        ck_assert(mu_cfg_remove(inner, key));
        ck_assert(!mu_cfg_remove(inner, key));
    }
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", 2 * i + 1);
        ck_assert_str_eq(mu_cfg_key_at(inner, (size_t)i), key);
        ck_assert_ptr_eq(mu_cfg_get(inner, key), mu_cfg_at(inner, (size_t)i));
    }
    while (mu_cfg_size(inner) > 0)
        ck_assert(mu_cfg_remove(inner, mu_cfg_key_at(inner, 0)));
    ck_ok(mu_cfg_new_int(7, at, &child));
    ck_ok(mu_cfg_set(inner, "k3", at, child));
    ck_assert_ptr_eq(mu_cfg_get(inner, "k3"), child);
    mu_cfg_release(root);
}
END_TEST

START_TEST(equality)
{
    mu_cfg *a, *b, *child;
    ck_ok(sample(40, &a));
    ck_ok(mu_cfg_copy(a, &b));
    ck_assert(mu_cfg_equal(a, b));
    /* The order of keys does not count. */
    ck_assert(mu_cfg_remove(mu_cfg_get(b, "inner"), "k3"));
    ck_assert(!mu_cfg_equal(a, b));
    ck_ok(mu_cfg_new_int(3, (mu_pos){"q", 9, 9}, &child));
    ck_ok(mu_cfg_set(mu_cfg_get(b, "inner"), "k3", at, child));
    ck_assert(mu_cfg_equal(a, b) && mu_cfg_equal(b, a));
    /* Subtrees compare as roots. */
    ck_assert(mu_cfg_equal(mu_cfg_get(a, "list"), mu_cfg_get(b, "list")));
    ck_assert(!mu_cfg_equal(mu_cfg_get(a, "list"), mu_cfg_get(b, "inner")));
    /* A last element that differs. */
    ck_ok(mu_cfg_new_bool(false, at, &child));
    ck_ok(mu_cfg_set_at(mu_cfg_get(b, "list"), 3, child));
    ck_assert(!mu_cfg_equal(a, b));
    /* As many keys, another name. */
    ck_assert(mu_cfg_remove(mu_cfg_get(a, "inner"), "k0"));
    ck_assert(mu_cfg_remove(mu_cfg_get(b, "inner"), "k1"));
    ck_assert(!mu_cfg_equal(mu_cfg_get(a, "inner"), mu_cfg_get(b, "inner")));
    mu_cfg_release(a);
    mu_cfg_release(b);
}
END_TEST

START_TEST(equality_of_numbers)
{
    static const struct {
        double a, b;
        bool equal;
    } pairs[] = {{NAN, NAN, true}, {0.0, -0.0, false}, {INFINITY, INFINITY, true}, {INFINITY, -INFINITY, false}, {1, 1, true}};
    mu_cfg *a, *b;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ck_ok(mu_cfg_new_float(pairs[i].a, at, &a));
        ck_ok(mu_cfg_new_float(pairs[i].b, at, &b));
        ck_assert_msg(mu_cfg_equal(a, b) == pairs[i].equal, "%g and %g", pairs[i].a, pairs[i].b);
        mu_cfg_release(a);
        mu_cfg_release(b);
    }
    ck_ok(mu_cfg_new_float(1.0, at, &a));
    ck_ok(mu_cfg_new_int(1, at, &b));
    ck_assert(!mu_cfg_equal(a, b));
    mu_cfg_release(a);
    mu_cfg_release(b);
}
END_TEST

START_TEST(text_is_checked)
{
    mu_cfg *dict, *child = NULL;
    ck_ok(mu_cfg_new_dict(at, &dict));
    ck_fails(mu_cfg_new_string("a\0b", 3, at, &child), MU_ERR_FORMAT, "byte 0x00 at offset 1 of a string is not allowed");
    ck_fails(mu_cfg_new_string("ab\xff", 3, at, &child), MU_ERR_FORMAT, "byte 0xff at offset 2 of a string is not valid UTF-8");
    ck_assert_ptr_null(child);
    ck_ok(mu_cfg_new_null(at, &child));
    ck_fails(mu_cfg_set(dict, "\xc3", at, child), MU_ERR_FORMAT, "0xc3");
    ck_assert_uint_eq(mu_cfg_size(dict), 0);
    mu_cfg_release(dict);
}
END_TEST

/* Twice the 10,000 levels that must not overflow the C stack. */
static mu_cfg *deep(void)
{
    mu_cfg *inner, *outer;
    ck_ok(mu_cfg_new_int(1, at, &inner));
    for (int i = 0; i < 20000; i++) {
        if (i % 2) {
            ck_ok(mu_cfg_new_list(at, &outer));
            ck_ok(mu_cfg_append(outer, inner));
        } else {
            ck_ok(mu_cfg_new_dict(at, &outer));
            ck_ok(mu_cfg_set(outer, "k", at, inner));
        }
        inner = outer;
    }
    return inner;
}

START_TEST(depth)
{
    mu_cfg *a = deep(), *b, *child;
    ck_ok(mu_cfg_copy(a, &b));
    ck_assert(mu_cfg_equal(a, b));
    mu_cfg *bottom = b;
    while (mu_cfg_kind_of(bottom) == MU_CFG_LIST || mu_cfg_kind_of(mu_cfg_at(bottom, 0)) == MU_CFG_LIST)
        bottom = mu_cfg_at(bottom, 0);
    ck_ok(mu_cfg_new_int(2, at, &child));
    ck_ok(mu_cfg_set(bottom, "k", at, child));
    ck_assert(!mu_cfg_equal(a, b));
    mu_cfg_release(a);
    mu_cfg_release(b);
}
END_TEST

START_TEST(measure)
{
    mu_cfg *root = deep();
    mu_cfg_extent extent = mu_cfg_measure(root);
    ck_assert_uint_eq(extent.values, 20001);
    ck_assert_uint_eq(extent.depth, 20000);
    ck_assert_uint_eq(extent.bytes, 10000);
    mu_cfg_release(root);
    ck_ok(sample(3, &root));
    extent = mu_cfg_measure(root);
    ck_assert_uint_eq(extent.values, 11);
    ck_assert_uint_eq(extent.depth, 2);
    ck_assert_uint_eq(extent.bytes, 1 + 4 + 4 + 5 + 6); /* x; name, list, inner; k0, k1, k2 */
    extent = mu_cfg_measure(mu_cfg_get(root, "name"));
    ck_assert_uint_eq(extent.values, 1);
    ck_assert_uint_eq(extent.depth, 0);
    ck_assert_uint_eq(extent.bytes, 1);
    mu_cfg_release(root);
}
END_TEST

START_TEST(width)
{
    enum { N = 200000 };
    mu_cfg *dict, *copy, *child;
    char key[16];
    ck_ok(mu_cfg_new_dict(at, &dict));
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ck_ok(mu_cfg_new_int(i, (mu_pos){0}, &child));
        ck_ok(mu_cfg_set(dict, key, (mu_pos){0}, child));
    }
    ck_ok(mu_cfg_copy(dict, &copy));
    ck_assert(mu_cfg_equal(dict, copy));
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ck_assert_int_eq(mu_cfg_int(mu_cfg_get(copy, key)), i);
    }
    mu_cfg_release(dict);
    mu_cfg_release(copy);
}
END_TEST

/* Fills a dict past the size at which it is indexed, where the last set fails and leaves it as it was. */
static mu_err refill(mu_cfg *dict)
{
    char key[16];
    mu_cfg *child;
    size_t n = mu_cfg_size(dict);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i);
        n = mu_cfg_size(dict);
        mu_err err = mu_cfg_new_int(i, at, &child);
        if (err == MU_OK)
            err = mu_cfg_set(dict, key, at, child);
        if (err != MU_OK) {
            ck_assert_uint_eq(mu_cfg_size(dict), n);
            for (size_t k = 0; k < n; k++)
                ck_assert_ptr_eq(mu_cfg_get(dict, mu_cfg_key_at(dict, k)), mu_cfg_at(dict, k));
            return err;
        }
    }
    return MU_OK;
}

START_TEST(survives_lack_of_memory)
{
    mu_cfg *root, *copy;
    ck_survives_oom(sample(40, &root), mu_cfg_release(root));
    ck_ok(sample(40, &root));
    ck_survives_oom(mu_cfg_copy(root, &copy), mu_cfg_release(copy));
    mu_cfg_release(root);
    /* A dict in use stays sound whatever allocation fails. */
    for (int64_t n = 1;; n++) {
        ck_ok(mu_cfg_new_dict(at, &root));
        mu_mem_fail_at(n);
        mu_err err = refill(root);
        mu_mem_fail_at(0);
        if (err != MU_OK) {
            ck_assert_int_eq(err, MU_ERR_MEMORY);
            ck_ok(refill(root));
        }
        ck_assert_uint_eq(mu_cfg_size(root), 300);
        mu_cfg_release(root);
        if (err == MU_OK)
            break;
    }
    ck_assert_int_eq(mu_mem_get_counts().live_blocks, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("value");
    TCase *tcase = tcase_create("value");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, reads_what_was_put);
    tcase_add_test(tcase, finds_by_path);
    tcase_add_test(tcase, places_outlive_their_tree);
    tcase_add_test(tcase, set_replaces_in_place);
    tcase_add_test(tcase, removal_keeps_the_others);
    tcase_add_test(tcase, equality);
    tcase_add_test(tcase, equality_of_numbers);
    tcase_add_test(tcase, text_is_checked);
    tcase_add_test(tcase, depth);
    tcase_add_test(tcase, measure);
    tcase_add_test(tcase, width);
    tcase_add_test(tcase, survives_lack_of_memory);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
