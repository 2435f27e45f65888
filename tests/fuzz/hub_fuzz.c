/* Restores a message hub from arbitrary text. What is restored must dump to text that restores equal. */
#include "runner/message_hub.h"

#include "fuzz.h"

static void check_round_trip(const mu_message_hub *hub)
{
    char *text, *again;
    mu_message_hub *back;
    must(mu_message_hub_dump(hub, MU_HISTORY_CAPACITY, &text));
    must(mu_message_hub_new(&back));
    if (mu_message_hub_restore(back, text) != MU_OK)
        die(mu_error_last()->message, text);
    must(mu_message_hub_dump(back, MU_HISTORY_CAPACITY, &again));
    if (strcmp(text, again) != 0)
        die(text, again);
    mu_message_hub_release(back);
    mu_free(again);
    mu_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t live = mu_mem_get_counts().live_blocks;
    mu_message_hub *hub;
    char *text;
    must(mu_strndup(&text, (const char *)data, size));
    must(mu_message_hub_new(&hub));
    mu_err err = mu_message_hub_restore(hub, text);
    may_refuse(err);
    if (!err)
        check_round_trip(hub);
    mu_message_hub_release(hub);
    mu_free(text);
    if (mu_mem_get_counts().live_blocks != live)
        die("memory is left", mu_error_last()->message);
    return 0;
}

#ifndef MU_LIBFUZZER
static const char *const words[] = {"\"nan\"", "\"-inf\"", "[", "]", "{", "}", ",", ":", "\"", "1e999", "-0.0", "9223372036854775807",
    "null", "\\u0000", "\\ud800", "\xff", "{{ x }}", "true", "\"scalars\"", "\"facts\""};

int main(int argc, char **argv)
{
    fuzz_bytes seed[] = {
        fuzz_text("{\"scalars\": {\"train/loss\": [[0.5, 1.0], [0.25, 2.0]], \"lr\": []}, \"facts\": {\"iter\": 7, \"best\": [\"nan\"], "
                  "\"best_ckpt\": \"a.h5\", \"x\": 1.5}}"),
        fuzz_text("{\"scalars\": {\"a\": [[\"inf\", 1], [\"-inf\", 0]]}, \"facts\": {}}"),
    };
    fuzz_plan plan = {.seed = seed, .n_seeds = 2, .rounds = 20000, .words = words, .n_words = sizeof words / sizeof *words};
    return fuzz_main(argc, argv, &plan);
}
#endif
