/* Names of parameters, revised by POSIX extended regular expressions. */
#include "core/mem.h"
#include "core/text.h"
#include "runner/checkpoint_impl.h"

#include <regex.h>
#include <string.h>

enum { MAX_GROUPS = 10 };

struct ckpt_revisions {
    size_t n;
    regex_t *regex;
    const mu_key_revision *revision;
};

static const mu_key_revision default_revision = {"^module\\.", ""};

static mu_err compile(regex_t *regex, const char *pattern)
{
    int code = regcomp(regex, pattern, REG_EXTENDED);
    if (code == 0)
        return MU_OK;
    char text[256];
    regerror(code, regex, text, sizeof text);
    return MU_FAIL(MU_ERR_CONFIG, "revise_keys: '%s' is not a regular expression: %s", pattern, text);
}

mu_err ckpt_revisions_new(const mu_key_revision *revision, size_t n, ckpt_revisions **out)
{
    ckpt_revisions *r;
    MU_TRY(mu_calloc(&r, 1, sizeof *r));
    r->revision = n ? revision : &default_revision;
    n = n ? n : 1;
    mu_err err = mu_calloc(&r->regex, n, sizeof *r->regex);
    for (; !err && r->n < n; r->n++) {
        err = compile(&r->regex[r->n], r->revision[r->n].pattern);
        if (err)
            break;
    }
    if (err) {
        ckpt_revisions_release(r);
        return err;
    }
    *out = r;
    return MU_OK;
}

void ckpt_revisions_release(ckpt_revisions *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        regfree(&r->regex[i]);
    mu_free(r->regex);
    mu_free(r);
}

static void append_group(mu_text *text, const char *name, const regmatch_t *match)
{
    if (match->rm_so >= 0)
        mu_text_append_n(text, name + match->rm_so, (size_t)(match->rm_eo - match->rm_so));
}

/* \1 to \9 are what the groups matched; a backslash before anything else stands for that. */
static void append_replacement(mu_text *text, const char *replacement, const char *name, const regmatch_t *match)
{
    for (const char *p = replacement; *p; p++) {
        if (p[0] == '\\' && p[1] >= '1' && p[1] <= '9')
            append_group(text, name, &match[*++p - '0']);
        else if (p[0] == '\\' && p[1])
            mu_text_append_n(text, ++p, 1);
        else
            mu_text_append_n(text, p, 1);
    }
}

/* Every match, from left to right, as re.sub does. */
static mu_err revise_once(const regex_t *regex, const char *replacement, const char *name, char **out)
{
    mu_text text = {0};
    regmatch_t match[MAX_GROUPS];
    const char *rest = name;
    while (regexec(regex, rest, MAX_GROUPS, match, rest == name ? 0 : REG_NOTBOL) == 0) {
        mu_text_append_n(&text, rest, (size_t)match[0].rm_so);
        append_replacement(&text, replacement, rest, match);
        rest += match[0].rm_eo;
        if (match[0].rm_so == match[0].rm_eo) { /* an empty match: one character on */
            if (!*rest)
                break;
            mu_text_append_n(&text, rest++, 1);
        }
    }
    mu_text_append(&text, rest);
    mu_err err = mu_text_take(&text, out);
    mu_text_release(&text);
    return err;
}

mu_err ckpt_revise(const ckpt_revisions *r, const char *name, char **out)
{
    char *now;
    MU_TRY(mu_strdup(&now, name));
    for (size_t i = 0; i < r->n; i++) {
        char *next;
        mu_err err = revise_once(&r->regex[i], r->revision[i].replacement, now, &next);
        mu_free(now);
        MU_TRY(err);
        now = next;
    }
    *out = now;
    return MU_OK;
}
