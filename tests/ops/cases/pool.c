#include "ops/cases/trace.h"

TRACE(max_pool2d, mu_max_pool2d(g, in[0], attrs))
TRACE(avg_pool2d, mu_avg_pool2d(g, in[0], attrs))
TRACE(adaptive_avg, mu_adaptive_avg_pool2d(g, in[0], ((const int64_t *)attrs)[0], ((const int64_t *)attrs)[1]))
TRACE(adaptive_max, mu_adaptive_max_pool2d(g, in[0], ((const int64_t *)attrs)[0], ((const int64_t *)attrs)[1]))
TRACE(resize, mu_resize(g, in[0], ((const mu_resize_attrs *)attrs)->size[0], ((const mu_resize_attrs *)attrs)->size[1],
                        (mu_resize_mode)((const mu_resize_attrs *)attrs)->mode,
                        ((const mu_resize_attrs *)attrs)->align_corners))

#define POOL(kh, kw, sh, sw, ...) &(const mu_pool2d_attrs){.kernel = {kh, kw}, .stride = {sh, sw}, __VA_ARGS__}
#define D1 .dilation = {1, 1}
#define TO(h, w) (const int64_t[2]){h, w}
#define RESIZE(h, w, ...) &(const mu_resize_attrs){.size = {h, w}, __VA_ARGS__}

const op_case pool_cases[] = {
    {"max_pool2d", t_max_pool2d, "f[2,3,8,6]:gap", POOL(2, 2, 2, 2, D1)},
    {"max_pool2d", t_max_pool2d, "f[1,3,9,7]:gap", POOL(3, 3, 2, 2, D1, .padding = {1, 1, 1, 1})},
    {"max_pool2d", t_max_pool2d, "f[2,2,7,8]:gap", POOL(3, 2, 1, 3, D1, .padding = {1, 0, 0, 1})},
    {"max_pool2d", t_max_pool2d, "f[1,2,9,9]:gap", POOL(2, 3, 2, 1, .dilation = {2, 3}, .padding = {1, 1, 1, 1})},
    {"max_pool2d", t_max_pool2d, "f[1,2,6,7]:gap", POOL(3, 3, 2, 2, D1, .ceil_mode = true)},
    {"max_pool2d", t_max_pool2d, "f[1,17,5,5]:gap", POOL(3, 3, 2, 2, D1, .padding = {1, 1, 1, 1}, .ceil_mode = true)},
    {"max_pool2d", t_max_pool2d, "f[2,16,8,8]", POOL(2, 2, 2, 2, D1), CASE_NO_FD},
    {"max_pool2d", t_max_pool2d, "f[2,2,6,6]:int", POOL(3, 3, 1, 1, D1, .padding = {1, 1, 1, 1}), CASE_NO_FD},
    {"max_pool2d", t_max_pool2d, "f[1,2,6,6]:special", POOL(2, 2, 2, 2, D1), CASE_NO_FD},
    {"max_pool2d", t_max_pool2d, "f[0,3,8,6]", POOL(2, 2, 2, 2, D1)},
    {"max_pool2d", t_max_pool2d, "f[2,3,1,1]:gap", POOL(1, 1, 1, 1, D1)},

    {"avg_pool2d", t_avg_pool2d, "f[2,3,8,6]", POOL(2, 2, 2, 2, D1)},
    {"avg_pool2d", t_avg_pool2d, "f[2,3,7,7]",
     POOL(3, 3, 2, 2, D1, .padding = {1, 1, 1, 1}, .count_include_pad = true)},
    {"avg_pool2d", t_avg_pool2d, "f[2,3,7,7]", POOL(3, 3, 2, 2, D1, .padding = {1, 1, 1, 1})},
    {"avg_pool2d", t_avg_pool2d, "f[1,5,8,9]", POOL(3, 2, 1, 3, D1, .padding = {1, 0, 0, 1}, .ceil_mode = true)},
    {"avg_pool2d", t_avg_pool2d, "f[1,5,8,6]", POOL(3, 3, 2, 2, D1, .ceil_mode = true, .count_include_pad = true)},
    {"avg_pool2d", t_avg_pool2d, "f[1,4,8,7]",
     POOL(3, 3, 2, 2, D1, .padding = {1, 1, 1, 1}, .ceil_mode = true, .count_include_pad = true)},
    {"avg_pool2d", t_avg_pool2d, "f[2,16,6,6]", POOL(6, 6, 1, 1, D1)},
    {"avg_pool2d", t_avg_pool2d, "f[0,3,8,6]", POOL(2, 2, 2, 2, D1)},

    {"adaptive_avg_pool2d", t_adaptive_avg, "f[2,3,7,5]", TO(1, 1)},
    {"adaptive_avg_pool2d", t_adaptive_avg, "f[2,3,7,5]", TO(3, 2)},
    {"adaptive_avg_pool2d", t_adaptive_avg, "f[1,4,3,4]", TO(5, 6)},
    {"adaptive_avg_pool2d", t_adaptive_avg, "f[2,17,8,8]", TO(1, 1)},
    {"adaptive_avg_pool2d", t_adaptive_avg, "f[0,3,7,5]", TO(1, 1)},
    {"adaptive_max_pool2d", t_adaptive_max, "f[2,3,7,5]:gap", TO(1, 1)},
    {"adaptive_max_pool2d", t_adaptive_max, "f[2,3,7,5]:gap", TO(3, 2)},
    {"adaptive_max_pool2d", t_adaptive_max, "f[1,4,3,4]:gap", TO(5, 6)},
    {"adaptive_max_pool2d", t_adaptive_max, "f[0,3,7,5]", TO(2, 2)},

    {"resize", t_resize, "f[2,3,5,4]", RESIZE(10, 8, .mode = MU_RESIZE_NEAREST)},
    {"resize", t_resize, "f[2,3,7,5]", RESIZE(3, 4, .mode = MU_RESIZE_NEAREST)},
    {"resize", t_resize, "f[1,2,3,4]", RESIZE(7, 9, .mode = MU_RESIZE_NEAREST)},
    {"resize", t_resize, "f[2,3,5,4]", RESIZE(10, 8, .mode = MU_RESIZE_BILINEAR)},
    {"resize", t_resize, "f[2,3,7,5]", RESIZE(3, 4, .mode = MU_RESIZE_BILINEAR)},
    {"resize", t_resize, "f[1,17,3,4]", RESIZE(7, 9, .mode = MU_RESIZE_BILINEAR, .align_corners = true)},
    {"resize", t_resize, "f[1,2,4,5]", RESIZE(1, 1, .mode = MU_RESIZE_BILINEAR, .align_corners = true)},
    {"resize", t_resize, "f[0,2,4,5]", RESIZE(2, 2, .mode = MU_RESIZE_BILINEAR)},
    {NULL}};
