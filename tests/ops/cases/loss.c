#include "ops/cases/trace.h"

TRACE(cross_entropy, mu_cross_entropy(g, in[0], in[1], in[2], attrs))
TRACE(bce_with_logits, mu_bce_with_logits(g, in[0], in[1], in[2], in[3], attrs))
TRACE(focal_loss, mu_focal_loss(g, in[0], in[1], attrs))
TRACE(mse_loss, mu_mse_loss(g, in[0], in[1], attrs))
TRACE(l1_loss, mu_l1_loss(g, in[0], in[1], attrs))
TRACE(smooth_l1_loss, mu_smooth_l1_loss(g, in[0], in[1], attrs))
TRACE(kl_div, mu_kl_div(g, in[0], in[1], attrs))

#define LOSS(r, ...) \
    &(const mu_loss_attrs){.reduction = MU_REDUCE_##r, .ignore_index = -100, .gamma = 2, .alpha = 0.25, __VA_ARGS__}
#define B1 .beta = 1

/* Every reduction; ragged, scalar, empty (summed: the mean of nothing is NaN), large values. */
#define REDUCTIONS(fn, x, t)                                                                                           \
    {#fn, t_##fn, "f[4,5]" x " f[4,5]" t, LOSS(MEAN, B1)}, {#fn, t_##fn, "f[4,5]" x " f[4,5]" t, LOSS(SUM, B1)},       \
        {#fn, t_##fn, "f[4,5]" x " f[4,5]" t, LOSS(NONE, B1)}, {#fn, t_##fn, "f[]" x " f[]" t, LOSS(MEAN, B1)},        \
        {#fn, t_##fn, "f[0,5]" x " f[0,5]" t, LOSS(SUM, B1)},                                                          \
    {                                                                                                                  \
#fn, t_##fn, "f[2,17,3,5]" x " f[2,17,3,5]" t, LOSS(MEAN, B1), CASE_NO_FD                                      \
    }

const op_case loss_cases[] = {
    {"cross_entropy", t_cross_entropy, "f[6,5] i64[6]:5", LOSS(MEAN, B1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] i32[6]:5", LOSS(SUM, B1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] i64[6]:5", LOSS(NONE, B1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] i64[6]:5~", LOSS(MEAN, B1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] i64[6]:5~ p[5]:pos", LOSS(MEAN, B1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] i64[6]:5~ p[5]:pos", LOSS(NONE, .label_smoothing = 0.1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] i64[6]:5 p[5]:pos", LOSS(MEAN, .label_smoothing = 0.2)},
    {"cross_entropy", t_cross_entropy, "f[6,5] i64[6]:5~", LOSS(MEAN, .label_smoothing = 0.1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] f[6,5]:simplex", LOSS(MEAN, B1)},
    {"cross_entropy", t_cross_entropy, "f[6,5] f[6,5]:simplex p[5]:pos", LOSS(SUM, .label_smoothing = 0.1)},
    {"cross_entropy", t_cross_entropy, "f[3,5,4] f[3,5,4]:simplex", LOSS(NONE, B1)},
    {"cross_entropy", t_cross_entropy, "f[2,5,3,4] i64[2,3,4]:5~", LOSS(MEAN, B1)},
    {"cross_entropy", t_cross_entropy, "f[2,3,7] i64[2,7]:3 p[3]:pos", LOSS(NONE, B1)},
    {"cross_entropy", t_cross_entropy, "f[4,9]:wide i64[4]:9", LOSS(MEAN, B1), CASE_NO_FD},
    {"cross_entropy", t_cross_entropy, "f[3,1] i64[3]:1", LOSS(MEAN, B1)},
    {"cross_entropy", t_cross_entropy, "f[0,5] i64[0]:5", LOSS(SUM, B1)},
    {"cross_entropy", t_cross_entropy, "f[5,130] i64[5]:130", LOSS(MEAN, B1), CASE_NO_FD},
    {"cross_entropy", t_cross_entropy, "f[40,33] i64[40]:33~", LOSS(MEAN, .label_smoothing = 0.1), CASE_NO_FD},
    {"cross_entropy", t_cross_entropy, "f[3,2100] f[3,2100]:simplex", LOSS(MEAN, B1), CASE_NO_FD},
    {"cross_entropy", t_cross_entropy, "f[2,6,19,23] i32[2,19,23]:6~", LOSS(MEAN, B1), CASE_NO_FD},
    {"cross_entropy", t_cross_entropy, "f[2,8,19,23] f[2,8,19,23]:simplex", LOSS(SUM, B1), CASE_NO_FD},
    REDUCTIONS(bce_with_logits, "", ":prob"),
    {"bce_with_logits", t_bce_with_logits, "f[4,5] f[4,5]:prob f[5]:pos f[4,5]:pos", LOSS(MEAN, B1)},
    {"bce_with_logits", t_bce_with_logits, "f[4,5] f[4,5]:prob f[4,1]:pos -", LOSS(SUM, B1)},
    {"bce_with_logits", t_bce_with_logits, "f[4,5] f[4,5]:prob - f[5]:pos", LOSS(NONE, B1)},
    {"bce_with_logits", t_bce_with_logits, "f[9,5,201] f[9,5,201]:prob f[5,1]:pos f[9,1,201]:pos", LOSS(MEAN, B1), CASE_NO_FD},
    {"bce_with_logits", t_bce_with_logits, "f[60]:wide f[60]:prob", LOSS(NONE, B1), CASE_NO_FD},
    REDUCTIONS(focal_loss, "", ":prob"),
    {"focal_loss", t_focal_loss, "f[4,5] f[4,5]:prob",
     &(const mu_loss_attrs){.reduction = MU_REDUCE_MEAN, .gamma = 1.5, .alpha = -1}},
    {"focal_loss", t_focal_loss, "f[4,5] f[4,5]:prob",
     &(const mu_loss_attrs){.reduction = MU_REDUCE_SUM, .gamma = 0, .alpha = 0.5}},
    {"focal_loss", t_focal_loss, "f[60]:off f[60]:prob", LOSS(NONE, B1)},
    REDUCTIONS(mse_loss, "", ""),
    REDUCTIONS(l1_loss, ":off", ":int"),
    REDUCTIONS(smooth_l1_loss, ":off", ":int"),
    {"smooth_l1_loss", t_smooth_l1_loss, "f[40]:off f[40]:int", LOSS(NONE, .beta = 2.5), CASE_NO_FD},
    {"smooth_l1_loss", t_smooth_l1_loss, "f[40]:off f[40]:int", LOSS(NONE, .beta = 0)},
    REDUCTIONS(kl_div, "", ":prob"),
    {"kl_div", t_kl_div, "f[4,5]:logp f[4,5]:logp", LOSS(MEAN, .log_target = true)},
    {"kl_div", t_kl_div, "f[4,5]:logp f[4,5]:simplex", LOSS(SUM, B1)},
    {NULL}};
