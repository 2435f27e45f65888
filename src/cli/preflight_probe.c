#include "cli/preflight.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/uuid.h"
#include "io/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 4 << 20, MESSAGE_BYTES = 16 << 20, SEEN_WITHIN = 10 };

/* The folder, or the nearest one above it that exists: nothing is made. */
static mu_err existing(const char *folder, char **out)
{
    struct stat info;
    char *path, *slash;
    MU_TRY(mu_strdup(&path, folder));
    while (stat(path, &info) != 0 && errno == ENOENT && (slash = strrchr(path, '/')) && slash != path)
        *slash = '\0';
    if (stat(path, &info) != 0 && errno == ENOENT)
        memcpy(path, strchr(path, '/') ? "/" : ".", 2); /* a name has a byte at least */
    *out = path;
    return MU_OK;
}

static double wait_for(const char *path)
{
    double begun = mu_clock();
    do {
        if (access(path, R_OK) == 0)
            return mu_clock() - begun;
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    } while (mu_clock() - begun < SEEN_WITHIN);
    return -1;
}

/* Collective. A file that rank 0 makes is looked for by all. */
static mu_err probe_sight(mu_comm *comm, const char *path, preflight_facts *facts)
{
    int64_t made = 0;
    if (mu_comm_is_main(comm)) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        made = fd >= 0;
        if (made)
            close(fd);
    }
    MU_TRY(mu_comm_broadcast(comm, &made, 1, MU_I64, 0));
    facts->seen = made ? wait_for(path) : 0;
    mu_err err = mu_comm_barrier(comm);
    if (made && mu_comm_is_main(comm))
        unlink(path);
    return err;
}

/* Collective. */
static mu_err probe_files(mu_comm *comm, const char *folder, preflight_facts *facts)
{
    char name[96], *path = NULL;
    void *there = NULL, *id = NULL;
    size_t there_size = 0, id_size = MU_UUID_TEXT;
    mu_disk disk = {0};
    mu_err err = MU_OK;
    if (mu_comm_is_main(comm)) {
        err = existing(folder, (char **)&there);
        there_size = err ? 0 : strlen(there) + 1;
        if (!err)
            err = mu_calloc(&id, 1, MU_UUID_TEXT);
        if (!err)
            err = mu_uuid_make(id);
    }
    MU_TRY_GOTO(err, mu_comm_agree(comm, err), done);
    MU_TRY_GOTO(err, mu_comm_broadcast_blob(comm, &there, &there_size, 0), done);
    MU_TRY_GOTO(err, mu_comm_broadcast_blob(comm, &id, &id_size, 0), done);
    snprintf(name, sizeof name, ".muster-%s-%d", (const char *)id, comm->rank);
    MU_TRY_GOTO(err, mu_comm_agree(comm, mu_asprintf(&path, "%s/.muster-%s", (const char *)there, (const char *)id)), done);
    MU_TRY_GOTO(err, mu_comm_barrier(comm), done);
    if (mu_disk_probe(there, name, FILE_BYTES, &disk) != MU_OK)
        preflight_keep_error(facts->file_error, sizeof facts->file_error);
    facts->write = disk.write;
    facts->read = disk.read;
    facts->disk_free = disk.free;
    facts->network_files = disk.network;
    memcpy(facts->file_system, disk.type, sizeof facts->file_system);
    err = probe_sight(comm, path, facts);
done:
    mu_free(path);
    mu_free(id);
    mu_free(there);
    return err;
}

/* Collective. */
static mu_err probe_network(mu_comm *comm, preflight_facts *facts, mu_comm_speed *world, mu_comm_speed *between)
{
    mu_comm *local = NULL, *leaders = NULL;
    mu_err err = MU_OK;
    int64_t nodes = comm->local_rank == 0;
    MU_TRY(mu_comm_all_reduce(comm, &nodes, 1, MU_I64, MU_COMM_SUM));
    facts->nodes = (int32_t)nodes;
    MU_TRY(mu_comm_measure(comm, MESSAGE_BYTES, world));
    MU_TRY(mu_comm_split_local(comm, &local));
    if (local->size > 1)
        err = mu_comm_measure(local, MESSAGE_BYTES, &facts->inside);
    mu_comm_release(local);
    MU_TRY(mu_comm_agree(comm, err));
    MU_TRY(mu_comm_split(comm, comm->local_rank == 0 ? 0 : -1, comm->rank, &leaders));
    if (leaders && leaders->size > 1)
        err = mu_comm_measure(leaders, MESSAGE_BYTES, between);
    mu_comm_release(leaders);
    MU_TRY(mu_comm_agree(comm, err));
    return MU_OK;
}

mu_err preflight_probe(mu_comm *comm, const char *folder, preflight_facts *facts, mu_comm_speed *world, mu_comm_speed *between)
{
    MU_TRY(probe_files(comm, folder, facts));
    return probe_network(comm, facts, world, between);
}
