/* Reads arbitrary bytes as YAML, JSON or an override. What is read must dump to text that reads back equal.
 * The first byte chooses. */
#include "config/config.h"

#include "fuzz.h"

static void check_round_trip(const mu_config *config, const char *format)
{
    char *text;
    mu_config *back;
    mu_err err = mu_config_dump(config, format, &text);
    if (err == MU_ERR_UNSUPPORTED) /* .inf in JSON */
        return;
    if (err != MU_OK)
        die("no dump", mu_error_last()->message);
    if (mu_config_parse(text, strlen(text), format, &back) != MU_OK)
        die(mu_error_last()->message, text);
    if (!mu_cfg_equal(mu_config_root(config), mu_config_root(back)))
        die("the dump reads back otherwise", text);
    mu_free(text);
    mu_config_release(back);
}

static void read_text(const char *text, size_t size, const char *format)
{
    mu_config *config;
    if (mu_config_parse(text, size, format, &config) != MU_OK)
        return;
    check_round_trip(config, "yaml");
    check_round_trip(config, "json");
    mu_config_release(config);
}

static void override(const char *text, size_t size)
{
    static const char base[] = "a: {b: 1, c: [1, {d: 2}]}\nl: [[1, 2], x]\n";
    mu_config *config;
    char *assignment;
    if (mu_config_parse(base, sizeof base - 1, "yaml", &config) != MU_OK || mu_strndup(&assignment, text, size) != MU_OK)
        die("no base", mu_error_last()->message);
    if (mu_config_override(config, assignment) == MU_OK)
        check_round_trip(config, "yaml");
    mu_free(assignment);
    mu_config_release(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    int64_t live = mu_mem_get_counts().live_blocks;
    if (data[0] % 3 == 0)
        read_text(text, size - 1, "yaml");
    else if (data[0] % 3 == 1)
        read_text(text, size - 1, "json");
    else
        override(text, size - 1);
    if (mu_mem_get_counts().live_blocks != live)
        die("memory is left", mu_error_last()->message);
    return 0;
}

#ifndef MU_LIBFUZZER
/* The first byte chooses the reader. */
static const char *const corpus[] = {
    "0a: &x {b: [1, 2.5, ~, true], c: 'q'}\nd: {<<: *x, e: \"\\u00e9\\n\"}\nf: |\n  g\n   h\n",
    "0_base_: []\na: {{ fileDirname }}\nb: {{'$HOME:[1, 2]'}}\nc: {{_base_.a}}\n? d\n: !!str 1\n",
    "1{\"a\": [1, -2.5e3, null, true, \"\\ud83d\\ude00\\n\"], \"b\": {\"c\": {{$HOME:x}}, \"\": []}}",
    "2a.c.1.d=[1, (2.5, 'x'), null], \"y\"",
    "2l.0.1=5",
};

static const char *const tokens[] = {"{{", "}}", "&x", "*x", "<<: ", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "\"", "'", "|", ">",
    "\\u", "\\ud800", "!!int ", "#", "---\n", "$HOME", "_base_", "1e999", "9223372036854775808", "\xf4\x8f\xbc\x90", "\xef\xbb\xbf",
    "_delete_: true", "?", ".nan", "0x", "=", "."};

int main(int argc, char **argv)
{
    enum { N = sizeof corpus / sizeof *corpus };
    fuzz_bytes seed[N];
    for (int i = 0; i < N; i++)
        seed[i] = fuzz_text(corpus[i]);
    fuzz_plan plan = {.seed = seed, .n_seeds = N, .rounds = 30000, .fixed = 1, .words = tokens,
        .n_words = sizeof tokens / sizeof *tokens};
    return fuzz_main(argc, argv, &plan);
}
#endif
