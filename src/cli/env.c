#include "config.h"

#include "cli/cli.h"
#include "cli/preflight.h"

#include "backend.h"
#include "core/cpus.h"
#include "core/mem.h"
#include "core/text.h"
#include "dist/launch.h"

#include <gnu/libc-version.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>
#ifdef HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct {
    mu_text text;
    bool json, any;
} report;

static void MU_PRINTF(3, 4) line(report *r, const char *key, const char *format, ...)
{
    char value[512];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (r->json) {
        mu_text_printf(&r->text, "%s\n  \"%s\": ", r->any ? "," : "", key);
        mu_text_append_json(&r->text, value, strlen(value));
    } else {
        mu_text_printf(&r->text, "%-18s %s\n", key, value);
    }
    r->any = true;
}

/* The processor's name as the kernel tells it. */
static void cpu_name(char *buf, size_t size)
{
    char row[256];
    snprintf(buf, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(row, sizeof row, file)) {
        const char *colon = strchr(row, ':');
        if (strncmp(row, "model name", 10) == 0 && colon) {
            snprintf(buf, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}

static void cpu_instructions(char *buf, size_t size)
{
    buf[0] = '\0';
#if defined(__x86_64__)
#define ADD(name)                                                                                                      \
    do {                                                                                                               \
        if (__builtin_cpu_supports(name))                                                                              \
            snprintf(buf + strlen(buf), size - strlen(buf), "%s%s", buf[0] ? " " : "", name);                          \
    } while (0)
    ADD("sse4.2");
    ADD("avx");
    ADD("avx2");
    ADD("fma");
    ADD("avx512f");
    ADD("avx512bw");
    ADD("avx512vnni");
    ADD("avx512bf16");
#undef ADD
#endif
    if (!buf[0])
        snprintf(buf, size, "unknown");
}

static void backends(char *buf, size_t size)
{
    mu_backend_info info;
    buf[0] = '\0';
    for (int i = 0; mu_backend_at(i, &info); i++)
        snprintf(buf + strlen(buf), size - strlen(buf), "%s%s%s%s%s", i ? ", " : "", info.name,
                 info.why_off ? " (" : "", info.why_off ? info.why_off : "", info.why_off ? ")" : "");
}

static void libraries(report *r)
{
    mu_backend_info info;
    const char *name;
    char version[32];
    for (int i = 0; mu_backend_at(i, &info); i++)
        for (int k = 0; info.ops && info.ops->library && info.ops->library(k, &name, version); k++)
            line(r, name, "%s", version);
}

/* One line each: "NVIDIA H100 80GB HBM3, 0000:3b:00.0, GPU-..., compute capability 9.0, 79.2 GiB, 78.6 free". */
static void devices(report *r)
{
    enum { MOST = 64 };
    mu_backend_info info;
    mu_device *device;
    int n;
    if (mu_calloc(&device, MOST, sizeof *device) != MU_OK)
        return;
    for (int i = 0; mu_backend_at(i, &info); i++) {
        if (info.why_off || !info.ops->devices)
            continue;
        mu_err err = info.ops->devices(device, MOST, &n);
        for (int k = 0; k < n && k < MOST; k++) {
            char key[32];
            snprintf(key, sizeof key, "%.20s:%d", info.device, k);
            size_t available = 0;
            if (!device[k].total)
                line(r, key, "%s", err ? mu_error_last()->message : "unknown");
            else if (info.ops->free_memory(k, &available) == MU_OK)
                line(r, key, "%s, %s, %s, compute capability %s, %.1f GiB, %.1f free", device[k].name, device[k].bus, device[k].uuid,
                     device[k].version, (double)device[k].total / (1 << 30), (double)available / (1 << 30));
            else
                line(r, key, "%s, %s, %s, compute capability %s: %s", device[k].name, device[k].bus, device[k].uuid, device[k].version,
                     mu_error_last()->message);
        }
    }
    mu_free(device);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "(not set)";
}

static void fill(report *r)
{
    char text[512];
    line(r, "muster", "%s", PACKAGE_VERSION);
    line(r, "compiler", "%s", __VERSION__);
    line(r, "C library", "glibc %s", gnu_get_libc_version());
    line(r, "libyaml", "%s", yaml_get_version_string());
    line(r, "jansson", "%s", JANSSON_VERSION);
    line(r, "HDF5", "%s", BUILT_HDF5);
    line(r, "libjpeg-turbo", "%s", BUILT_JPEG);
    line(r, "libpng", "%s", BUILT_PNG);
    line(r, "cairo", "%s", BUILT_CAIRO);
    line(r, "hwloc", "%s", BUILT_HWLOC);
#ifdef HAVE_ONEDNN
    const dnnl_version_t *dnnl = dnnl_version();
    line(r, "oneDNN", "%d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
#else
    line(r, "oneDNN", "no; install libdnnl-dev and configure --with-onednn");
#endif
#ifdef _OPENMP
    line(r, "OpenMP", "%d, %d threads", _OPENMP, omp_get_max_threads());
#else
    line(r, "OpenMP", "no; configure without --disable-openmp");
#endif
    line(r, "MPI", "%s", mu_launch_mpi_version(text, sizeof text) ? text : "no; install libopenmpi-dev and configure --with-mpi");
    const mu_launcher launcher = mu_launch_detect();
    if (launcher.name)
        line(r, "launched by", "%s, rank %d of %d", launcher.name, launcher.rank, launcher.size);
    else
        line(r, "launched by", "nobody");
    libraries(r);
    backends(text, sizeof text);
    line(r, "backends", "%s", text);
    devices(r);
    cpu_name(text, sizeof text);
    line(r, "processor", "%s", text);
    cpu_instructions(text, sizeof text);
    line(r, "instructions", "%s", text);
    line(r, "cores", "%d of %ld", mu_cpu_count(), sysconf(_SC_NPROCESSORS_ONLN));
    line(r, "memory", "%.1f GiB", (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30));
    if (gethostname(text, sizeof text) == 0)
        line(r, "host", "%s", text);
    line(r, "plug-ins", "%s", MU_PLUGIN_DIR);
    static const char *const names[] = {
        "MUSTER_DEVICE", "MUSTER_LAUNCHER", "MUSTER_BIND", "MUSTER_CONFIG_PATH", "MUSTER_PLUGIN_PATH", "MUSTER_CACHE_DIR", "MUSTER_COMM_DELAY",
        "OMP_NUM_THREADS", "OMP_WAIT_POLICY",    "GOMP_SPINCOUNT",     "MU_LOG",           "MU_LOG_RANKS",
        "MU_SIMD_ISA",
#ifdef HAVE_CUDA
        "CUDA_VISIBLE_DEVICES", "MU_FALLBACK", "MU_LATE", "MU_RECORD",
#endif
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        line(r, names[i], "%s", variable(names[i]));
}

static int run(const cli_command *command, int argc, char **argv)
{
    report r = {0};
    cli_run flight = {0};
    bool preflight = false;
    const cli_option options[] = {
        {.name = "json", .flag = &r.json, .help = "print a JSON object"},
        {.name = "preflight", .flag = &preflight,
         .help = "under mpirun or srun: check ranks, cores, files, clocks and network before a run"},
        {.name = "work-dir", .value = "DIR", .text = &flight.work_dir, .help = "where --preflight tries files"},
        {.name = "cfg-options", .value = "KEY=VALUE", .list = &flight.overrides, .help = "of CONFIG, as for muster train"},
        {.name = NULL},
    };
    int n, status = cli_parse(command, options, argc, argv, 0, 1, &flight.config, &n);
    if (status == CLI_GO && !preflight && (n || flight.work_dir || flight.overrides.n))
        status = cli_misuse(command->name, "CONFIG, --work-dir and --cfg-options belong to --preflight");
    if (status == CLI_GO && preflight)
        status = cli_preflight(&flight, r.json);
    cli_list_release(&flight.overrides);
    if (status != CLI_GO)
        return status;
    if (r.json)
        mu_text_append(&r.text, "{");
    fill(&r);
    if (r.json)
        mu_text_append(&r.text, "}\n");
    mu_err err = mu_text_status(&r.text);
    if (!err)
        fputs(r.text.data, stdout);
    mu_text_release(&r.text);
    return err ? cli_fail(err) : 0;
}

const cli_command cli_env = {
    .name = "env",
    .operands = "[CONFIG]",
    .summary = "Show versions, backends, the processor and the settings that Muster reads",
    .details = "With --preflight all ranks together look at what a run would meet, with the CONFIG of the run if it is given. Status 1\n"
               "when a check says FAIL.",
    .run = run,
};
