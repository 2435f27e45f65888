#include "nn/init_record.h"

#include "core/mem.h"
#include "core/text.h"

#include <stdio.h>

void mu_init_record_release(mu_init_record *record)
{
    mu_free(record->line);
    *record = (mu_init_record){0};
}

enum { CHUNK = 2048 };

/* The sum of (x - centre)^power. */
static double sum_of(const mu_type *type, const void *values, double centre, int power)
{
    double x[CHUNK], sum = 0;
    int64_t count = mu_type_count(type);
    for (int64_t i = 0; i < count; i += CHUNK) {
        int n = count - i < CHUNK ? (int)(count - i) : CHUNK;
        mu_convert(x, MU_F64, (const char *)values + (size_t)i * mu_dtype_size(type->dtype), type->dtype, n);
        for (int k = 0; k < n; k++)
            sum += power == 1 ? x[k] - centre : (x[k] - centre) * (x[k] - centre);
    }
    return sum;
}

void mu_init_line_fill(mu_init_line *line, const mu_module_param *param, const void *values)
{
    double count = (double)mu_type_count(&param->type);
    line->param = param->name;
    line->mean = count > 0 ? sum_of(&param->type, values, 0, 1) / count : 0;
    line->std = count > 0 ? sqrt(sum_of(&param->type, values, line->mean, 2) / count) : 0;
}

static void MU_PRINTF(2, 3) add(mu_init_line *line, const char *format, ...)
{
    size_t at = strlen(line->by);
    va_list args;
    va_start(args, format);
    vsnprintf(line->by + at, sizeof line->by - at, format, args);
    va_end(args);
}

/* Options that say where, not what. */
static bool is_place(const char *key)
{
    return strcmp(key, "layer") == 0 || strcmp(key, "override") == 0 || strcmp(key, "name") == 0 ||
           strcmp(key, "bias_prob") == 0;
}

void mu_init_line_by(mu_init_line *line, const void *init, const char *module)
{
    line->by[0] = '\0';
    if (!init) {
        add(line, "PyTorch's default");
        return;
    }
    const mu_component *component = mu_component_of(init);
    double bias_prob = ((const mu_weight_init *)init)->bias_prob;
    const char *separator = ":";
    add(line, "%sInit", component->name);
    for (const mu_option *o = component->options; o->key; o++) {
        const void *field = (const char *)init + o->offset;
        if (is_place(o->key))
            continue;
        if (strcmp(o->key, "bias") == 0 && bias_prob > 0)
            add(line, "%s bias_prob=%g", separator, bias_prob);
        else if (o->type == MU_OPT_FLOAT)
            add(line, "%s %s=%g", separator, o->key, *(const double *)field);
        else if (o->type == MU_OPT_CHOICE)
            add(line, "%s %s=%s", separator, o->key, o->choices[*(const int *)field]);
        else if (o->type == MU_OPT_STRING && *(char *const *)field)
            add(line, "%s %s=%.120s", separator, o->key, *(char *const *)field);
        else
            continue;
        separator = ",";
    }
    add(line, " (%s)", module);
}

static int widest(int width, const char *text)
{
    int n = (int)strlen(text);
    return n > width ? n : width;
}

mu_err mu_init_record_text(const mu_init_record *record, const mu_modules *modules, char **out)
{
    mu_text text = {0};
    char shape[MU_TYPE_TEXT];
    int name_width = 9, shape_width = 5;
    for (int i = 0; i < record->n; i++) {
        name_width = widest(name_width, record->line[i].param);
        shape_width = widest(shape_width, mu_shape_format(&mu_modules_param(modules, i)->type, shape));
    }
    mu_text_printf(&text, "%-*s  %-*s  %11s  %11s  %s\n", name_width, "parameter", shape_width, "shape", "mean", "std",
                   "by");
    for (int i = 0; i < record->n; i++) {
        const mu_init_line *line = &record->line[i];
        mu_shape_format(&mu_modules_param(modules, i)->type, shape);
        mu_text_printf(&text, "%-*s  %-*s  %11.4e  %11.4e  %s\n", name_width, line->param, shape_width, shape,
                       line->mean, line->std, line->by);
    }
    mu_err err = mu_text_take(&text, out);
    mu_text_release(&text);
    MU_TRY(err);
    return MU_OK;
}
