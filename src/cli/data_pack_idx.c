/* `muster data pack` of IDX files. */
#include "cli/data_pack.h"
#include "cli/progress.h"

#include "core/mem.h"
#include "data/idx.h"

typedef struct {
    mu_idx *images, *labels;
    uint8_t *label, *image; /* of all samples; of one */
    int64_t n;              /* in the files */
} idx_state;

static mu_err check_class(const pack *p, int64_t label, int64_t at)
{
    if (p->classes.n == 0 || label < (int64_t)p->classes.n)
        return MU_OK;
    MU_FAIL(MU_ERR_FORMAT, "'%s': sample %lld has label %lld", p->labels, (long long)at, (long long)label);
    return mu_error_hint("labels count from 0 to one less than the number of classes");
}

static mu_err read_labels(pack *p, idx_state *s)
{
    MU_TRY(mu_alloc(&s->label, (size_t)s->n));
    MU_TRY(mu_idx_read(s->labels, s->label, (size_t)s->n));
    MU_TRY(mu_idx_finish(s->labels));
    for (int64_t i = 0; i < s->n; i++) {
        MU_TRY(check_class(p, s->label[i], i));
        p->n_classes = s->label[i] >= p->n_classes ? s->label[i] + 1 : p->n_classes;
    }
    p->n_classes = p->classes.n ? (int64_t)p->classes.n : p->n_classes;
    return MU_OK;
}

static mu_err check_types(pack *p, idx_state *s)
{
    const mu_type *type = mu_idx_type(s->images), *label_type = mu_idx_type(s->labels);
    mu_type own;
    char text[MU_TYPE_TEXT];
    if (type->ndim < 2)
        return MU_FAIL(MU_ERR_SHAPE, "'%s' holds %s, not images", p->images, mu_type_format(type, text));
    if (label_type->ndim != 1 || label_type->dim[0] != type->dim[0]) {
        MU_FAIL(MU_ERR_SHAPE, "'%s' holds %s instead of a label for each of the %lld images", p->labels,
                mu_type_format(label_type, text), (long long)type->dim[0]);
        return mu_error_hint("do the two files belong together?");
    }
    s->n = type->dim[0];
    if (type->ndim == 3)
        MU_TRY(mu_type_init(&own, MU_U8, 3, (int64_t[]){1, type->dim[1], type->dim[2]}));
    else
        MU_TRY(mu_type_init(&own, MU_U8, type->ndim - 1, type->dim + 1));
    MU_TRY(pack_set_images(p, &own, p->images));
    if (mu_type_count(&own) == 0)
        return MU_FAIL(MU_ERR_SHAPE, "the images of '%s' are empty", p->images);
    return MU_OK;
}

static mu_err scan_alone(pack *p, void **state)
{
    idx_state *s;
    MU_TRY(mu_calloc(&s, 1, sizeof *s));
    *state = s;
    MU_TRY(mu_idx_open(p->images, &s->images));
    MU_TRY(mu_idx_open(p->labels, &s->labels));
    MU_TRY(check_types(p, s));
    MU_TRY(read_labels(p, s));
    p->n = pack_count(p, s->n);
    return mu_alloc(&s->image, mu_type_bytes(&p->field[PACK_IMAGES].sample));
}

static mu_err scan(pack *p, void **state)
{
    return mu_comm_agree(p->comm, scan_alone(p, state));
}

static mu_err write_samples(pack *p, void *state)
{
    idx_state *s = state;
    size_t bytes = mu_type_bytes(&p->field[PACK_IMAGES].sample);
    int64_t taken = 0;
    for (int64_t i = 0; i < s->n; i++) {
        MU_TRY(mu_idx_read(s->images, s->image, bytes));
        if (!pack_takes(p, i))
            continue;
        if (taken >= p->first && taken < p->end)
            MU_TRY(pack_append(p, s->label[i], s->image));
        taken++;
        if (mu_comm_is_main(p->comm) && (taken % 256 == 0 || taken == p->end))
            cli_progress_update("images", taken < p->end ? taken : p->end, p->end, NULL);
    }
    return mu_idx_finish(s->images);
}

static void close_files(void *state)
{
    idx_state *s = state;
    if (!s)
        return;
    mu_idx_release(s->images);
    mu_idx_release(s->labels);
    mu_free(s->label);
    mu_free(s->image);
    mu_free(s);
}

const pack_source pack_idx = {.scan = scan, .write = write_samples, .close = close_files};
