#include "config.h" /* _GNU_SOURCE */

#include "cli/preflight.h"

#include "config/config.h"
#include "core/mem.h"
#include "dist/launch.h"
#include "runner/inspect.h"

#include <dlfcn.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <xxhash.h>
#include <yaml.h>
#ifdef HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

static int number(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* Adds a file's bytes; false: it cannot be read. */
static bool hash_file(XXH3_state_t *state, const char *path)
{
    char buf[1 << 16];
    size_t n;
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    while ((n = fread(buf, 1, sizeof buf, file)) > 0)
        XXH3_64bits_update(state, buf, n);
    bool ok = !ferror(file);
    fclose(file);
    return ok;
}

/* Of the program and of libmuster, when that is a file of its own. */
static uint64_t hash_binary(void)
{
    Dl_info info;
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return 0;
    XXH3_64bits_reset(state);
    bool ok = hash_file(state, "/proc/self/exe");
    if (ok && dladdr((void *)(uintptr_t)mu_comm_split, &info) && info.dli_fname && strstr(info.dli_fname, "libmuster"))
        ok = hash_file(state, info.dli_fname);
    uint64_t hash = ok ? XXH3_64bits_digest(state) : 0;
    XXH3_freeState(state);
    return hash;
}

static void name_versions(char *text, size_t size)
{
    char mpi[96];
    unsigned major = 0, minor = 0, release = 0;
    (void)!H5get_libversion(&major, &minor, &release);
    int n = snprintf(text, size, "%s, HDF5 %u.%u.%u, libyaml %s", mu_launch_mpi_version(mpi, sizeof mpi) ? mpi : "no MPI", major, minor,
                     release, yaml_get_version_string());
#ifdef HAVE_ONEDNN
    const dnnl_version_t *dnnl = dnnl_version();
    if (n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, ", oneDNN %d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
#else
    (void)n;
#endif
}

void preflight_keep_error(char *text, size_t size)
{
    mu_error_format(mu_error_last(), 0, text, size);
    char *to = text;
    for (const char *from = text; *from; from++)
        if (*from != '\n')
            *to++ = *from;
        else if (from[strspn(from, "\n ")])
            *to++ = ' ', from += strspn(from, "\n ") - 1;
    *to = '\0';
}

/* Shapes, data and memory of the run. */
static void inspect(const mu_config *config, int ranks, preflight_facts *facts)
{
    const mu_cfg *root = mu_config_root(config), *scale = mu_cfg_get(root, "auto_scale_lr");
    const mu_cfg *base = scale && mu_cfg_kind_of(scale) == MU_CFG_DICT ? mu_cfg_get(scale, "base_batch_size") : NULL;
    const mu_cfg *enable = base ? mu_cfg_get(scale, "enable") : NULL;
    mu_diagnostics list = {0};
    mu_inspection in = {0};
    mu_inspect_options options = {.ranks = ranks};
    mu_err err = mu_inspect(config, &options, &list, &in);
    if (!err)
        err = mu_diagnostics_status(&list);
    if (err)
        preflight_keep_error(facts->data_error, sizeof facts->data_error);
    for (int i = 0; i < in.n_data && !err; i++) {
        if (in.data[i].missing && !facts->data_error[0])
            snprintf(facts->data_error, sizeof facts->data_error, "%s", in.data[i].missing);
        if (strcmp(in.data[i].phase, "train") == 0) {
            facts->batch = in.data[i].batch;
            facts->samples = in.data[i].samples;
        }
    }
    if (!err && in.traced) {
        facts->needs = (int64_t)(in.param_bytes + in.gradient_bytes + in.optimizer_bytes + in.activation_bytes);
        facts->checkpoint = (int64_t)(in.param_bytes + in.optimizer_bytes);
    }
    if (base && !(enable && mu_cfg_bool(enable)))
        facts->base_batch = mu_cfg_int(base);
    mu_inspection_release(&in);
    mu_diagnostics_release(&list);
}

static void look_at_config(const cli_run *run, int ranks, preflight_facts *facts)
{
    mu_config *config = NULL;
    mu_diagnostics list = {0};
    mu_err err = cli_run_read(run, &config, &list, &facts->config);
    if (!err)
        err = mu_diagnostics_status(&list);
    if (err)
        preflight_keep_error(facts->config_error, sizeof facts->config_error);
    else
        inspect(config, ranks, facts);
    mu_diagnostics_release(&list);
    mu_config_release(config);
}

static int64_t number_in(const char *path, const char *format)
{
    char line[256];
    long long value = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, format, &value) == 1)
            break;
    if (file)
        fclose(file);
    return value;
}

static int64_t limit(int resource)
{
    struct rlimit l;
    return getrlimit(resource, &l) != 0 || l.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)l.rlim_cur;
}

void preflight_find_out(const cli_run *run, const mu_comm *comm, preflight_facts *facts)
{
    const mu_launcher launcher = mu_launch_detect();
    snprintf(facts->launcher, sizeof facts->launcher, "%s", launcher.name ? launcher.name : "");
    facts->local_size = comm->local_size;
    facts->slurm_tasks = number("SLURM_NTASKS");
    facts->slurm_nodes = number("SLURM_JOB_NUM_NODES");
    facts->binary = hash_binary();
    name_versions(facts->versions, sizeof facts->versions);
    facts->versions_hash = XXH3_64bits(facts->versions, strlen(facts->versions));
    if (run->config)
        look_at_config(run, comm->size, facts);
    facts->memory = number_in("/proc/meminfo", "MemAvailable: %lld") * 1024;
    facts->memory_limit = mu_memory_limit(NULL);
    facts->quota = mu_cpu_quota(NULL);
    facts->limit_files = limit(RLIMIT_NOFILE);
    facts->limit_core = limit(RLIMIT_CORE);
    facts->limit_memlock = limit(RLIMIT_MEMLOCK);
}
