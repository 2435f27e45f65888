/* What is said about checkpoints as a whole: their metainfo, and which one is the last. */
#include "runner/checkpoint.h"

#include "config/config.h"
#include "core/mem.h"
#include "core/text.h"
#include "io/file.h"
#include "graph/autodiff.h"
#include "runner/checkpoint_impl.h"
#include "runner/own.h"

#include <stdio.h>
#include <string.h>

const ckpt_field ckpt_fields[CKPT_N_FIELDS] = {
    {"lr", offsetof(mu_optim_group, lr)},
    {"weight_decay", offsetof(mu_optim_group, weight_decay)},
    {"momentum", offsetof(mu_optim_group, momentum)},
    {"dampening", offsetof(mu_optim_group, dampening)},
    {"beta1", offsetof(mu_optim_group, beta1)},
    {"beta2", offsetof(mu_optim_group, beta2)},
    {"eps", offsetof(mu_optim_group, eps)},
};

mu_err mu_checkpoint_meta(const mu_tensor_file *file, mu_cfg **out)
{
    char *text;
    MU_TRY(mu_tensor_file_text(file, CKPT_META, &text));
    mu_cfg *meta;
    mu_err err = mu_cfg_parse_json(text, strlen(text), mu_tensor_file_path(file), &meta);
    mu_free(text);
    if (err == MU_ERR_MEMORY)
        return err;
    if (err || mu_cfg_kind_of(meta) != MU_CFG_DICT) {
        if (!err)
            mu_cfg_release(meta);
        return MU_FAIL(MU_ERR_FORMAT, "'%s', dataset " CKPT_META ": it is not a JSON object", mu_tensor_file_path(file));
    }
    *out = meta;
    return MU_OK;
}

/* JSON on one line: line breaks in texts are escaped. */
static mu_err append_cfg(mu_text *text, const char *key, const mu_cfg *cfg)
{
    char *json = NULL;
    mu_text_printf(text, "\"%s\": ", key);
    if (!cfg) {
        mu_text_append(text, "null");
        return MU_OK;
    }
    MU_TRY(mu_cfg_dump(cfg, "json", &json));
    for (const char *line = json; *line;) {
        size_t n = strcspn(line, "\n");
        mu_text_append_n(text, line, n);
        line += n;
        line += strspn(line, "\n ");
    }
    mu_free(json);
    return MU_OK;
}

int ckpt_n_optims(const mu_runner *runner)
{
    return runner->n_parts ? runner->n_parts : runner->optim ? 1 : 0;
}

void ckpt_optim_at(const mu_runner *runner, int i, ckpt_optim *out)
{
    const char *part = runner->n_parts ? runner->part[i].name : NULL;
    *out = (ckpt_optim){.part = part, .optim = mu_optim_wrapper_optim(part ? runner->part[i].optim : runner->optim)};
    snprintf(out->folder, sizeof out->folder, CKPT_OPTIMIZER "%s%s", part ? part : "", part ? "/" : "");
}

bool ckpt_is_trained(const mu_param_info *param, const char *part)
{
    return param->trainable && (!part || mu_name_is_under(param->name, part));
}

mu_err ckpt_schedule_text(const mu_cfg *config, char **out)
{
    mu_text text = {0};
    mu_err err;
    const mu_cfg *wrapper = mu_cfg_find(config, "optim_wrapper");
    bool parts = mu_runner_names_parts(wrapper);
    mu_text_append(&text, "{");
    MU_TRY_GOTO(err, append_cfg(&text, "param_scheduler", mu_cfg_find(config, "param_scheduler")), fail);
    mu_text_append(&text, ", ");
    MU_TRY_GOTO(err, append_cfg(&text, "optimizer", parts ? wrapper : mu_cfg_find(config, "optim_wrapper.optimizer")), fail);
    mu_text_append(&text, ", ");
    MU_TRY_GOTO(err, append_cfg(&text, "paramwise_cfg", mu_cfg_find(config, "optim_wrapper.paramwise_cfg")), fail);
    mu_text_append(&text, "}");
    MU_TRY_GOTO(err, mu_text_take(&text, out), fail);
    return MU_OK;
fail:
    mu_text_release(&text);
    return err;
}

mu_err ckpt_write_last(const char *work_dir, const char *checkpoint)
{
    char *path, *line = NULL;
    mu_replacement *file = NULL;
    MU_TRY(mu_asprintf(&path, "%s/" CKPT_LAST, work_dir));
    mu_err err;
    MU_TRY_GOTO(err, mu_asprintf(&line, "%s\n", checkpoint), done);
    MU_TRY_GOTO(err, mu_replacement_new(path, &file), done);
    MU_TRY_GOTO(err, mu_pwrite(mu_replacement_fd(file), line, strlen(line), 0, path), done);
    MU_TRY_GOTO(err, mu_replacement_commit(file), done);
done:
    mu_replacement_release(file);
    mu_free(line);
    mu_free(path);
    return err;
}

mu_err mu_checkpoint_set_last(mu_runner *runner, const char *path)
{
    mu_err err = mu_runner_is_main(runner) ? ckpt_write_last(runner->work_dir, path) : MU_OK;
    return mu_runner_agreed(runner, mu_comm_agree(runner->comm, err));
}
