/* Memory runs out on one rank, at every allocation in turn. */
#include "mpi/comm_checks.h"

#include "config/collect.h"
#include "config/config.h"
#include "core/mem.h"
#include "dist/collect.h"
#include "dist/hierarchy.h"

static mu_err try_collect(void)
{
    mu_record record = {.id = world->rank, .data = "abc", .size = 3};
    mu_records *all = NULL;
    MU_TRY(mu_comm_collect(world, &record, 1, -1, MU_COLLECT_ALL, &all));
    mu_records_release(all);
    return MU_OK;
}

static mu_err try_blob(void)
{
    char text[] = "text";
    void *data = text;
    size_t size = 4;
    MU_TRY(mu_comm_broadcast_blob(world, &data, &size, 0));
    if (world->rank != 0)
        mu_free(data);
    return MU_OK;
}

static mu_err try_dict(void)
{
    mu_named_value values[] = {{"a", 1}, {"b", 2}};
    MU_TRY(mu_comm_all_reduce_dict(world, values, 2, MU_COMM_SUM));
    return MU_OK;
}

static mu_err try_objects(void)
{
    mu_cfg *mine = NULL, *all = NULL, *copy = NULL;
    mu_err err = mu_comm_agree(world, mu_cfg_new_string("text", 4, (mu_pos){0}, &mine));
    if (err == MU_OK)
        err = mu_comm_all_gather_object(world, mine, &all);
    if (world->rank == 0)
        copy = mine;
    if (err == MU_OK)
        err = mu_comm_broadcast_object(world, &copy, 0);
    mu_cfg_release(mine);
    mu_cfg_release(all);
    if (copy != mine)
        mu_cfg_release(copy);
    return err;
}

static mu_err try_split(void)
{
    mu_comm *part = NULL;
    MU_TRY(mu_comm_split(world, 0, 0, &part));
    mu_err err = mu_comm_set_fixed_order(part, true);
    mu_comm_release(part);
    return err;
}

static mu_err try_slices(void)
{
    float data[MAX_RANKS] = {0}, slice[2];
    mu_request request[2] = {0};
    mu_comm *part = NULL;
    MU_TRY(mu_comm_split(world, 0, 0, &part));
    mu_err err = mu_comm_start_reduce_scatter(part, data, &slice[0], 1, MU_F32, MU_COMM_SUM, &request[0]);
    if (err == MU_OK)
        err = mu_comm_start_reduce_scatter(part, data, &slice[1], 1, MU_F32, MU_COMM_SUM, &request[1]);
    for (int i = 0; i < 2 && err == MU_OK; i++)
        err = mu_request_wait(&request[i]);
    mu_comm_release(part);
    return err;
}

static mu_err try_hierarchy(void)
{
    mu_comm *made = NULL;
    MU_TRY(mu_comm_hierarchy_of(world, world->rank / 2, &made));
    mu_comm_release(made);
    return MU_OK;
}

/* One rank's allocations fail in turn: all ranks hear of it, and nothing is left behind. */
void check_out_of_memory(void)
{
    static mu_err (*const calls[])(void) = {try_collect, try_blob,      try_dict,   try_split,
                                            try_slices,  try_hierarchy, try_objects};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        for (int who = 0; who<world->size; who += world->size> 1 ? world->size - 1 : 1) {
            mu_err err = MU_ERR_MEMORY;
            int64_t live = mu_mem_get_counts().live_blocks;
            for (int64_t n = 1; err != MU_OK && n < 100; n++) {
                if (world->rank == who)
                    mu_mem_fail_at(n);
                err = calls[c]();
                mu_mem_fail_at(0);
                CHECK(err == MU_OK || err == MU_ERR_MEMORY, "%s", mu_error_last()->message);
                char text[32];
                snprintf(text, sizeof text, "rank %d/%d: ", who, world->size);
                if (calls[c] == try_hierarchy) /* it may be the ranks of a part that agree first */
                    snprintf(text, sizeof text, ": out of memory");
                CHECK(err == MU_OK || world->size == 1 || strstr(mu_error_last()->message, text) != NULL, "%s",
                      mu_error_last()->message);
                CHECK(mu_mem_get_counts().live_blocks == live, "call %zu, allocation %lld", c, (long long)n);
            }
            CHECK(err == MU_OK);
        }
}
