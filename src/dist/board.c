#include "config.h" /* _GNU_SOURCE */

#include "dist/board.h"

#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The memory is a nameless file of the node's first rank: nothing is left behind, however the ranks end. Where ranks have a PID namespace each,
 * as in containers, pid and fd name another file, or none: device and inode tell. */
typedef struct {
    int32_t pid, fd;
    uint64_t device, inode;
} origin;

static size_t bytes_of(int n)
{
    return (size_t)n * sizeof(mu_slot);
}

static mu_err make(int n, origin *out)
{
    struct stat info;
    int fd = memfd_create("muster-watch", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes_of(n)) != 0 || fstat(fd, &info) != 0) {
        mu_err err = MU_FAIL(MU_ERR_SYSTEM, "memory to share between ranks: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return err;
    }
    *out = (origin){.pid = getpid(), .fd = fd, .device = info.st_dev, .inode = info.st_ino};
    return MU_OK;
}

static mu_err map(int fd, int n, mu_slot **out)
{
    int kind = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    void *at = mmap(NULL, bytes_of(n), PROT_READ | PROT_WRITE, kind, fd, 0);
    if (at == MAP_FAILED)
        return MU_FAIL(MU_ERR_SYSTEM, "memory to share between ranks: %s", strerror(errno));
    *out = at;
    return MU_OK;
}

static mu_err map_other(origin from, int n, mu_slot **out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", from.pid, from.fd);
    struct stat info;
    if (stat(path, &info) != 0 || info.st_dev != from.device || info.st_ino != from.inode)
        return MU_FAIL(MU_ERR_SYSTEM, "memory of process %d: that is another process here, or none", from.pid);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return MU_FAIL(MU_ERR_SYSTEM, "memory of process %d: %s", from.pid, strerror(errno));
    mu_err err = map(fd, n, out);
    close(fd);
    return err;
}

/* Collective over the ranks of a node. */
static mu_err share(mu_comm *local, mu_slot **out)
{
    origin from = {.pid = -1, .fd = -1};
    mu_slot *slot = NULL;
    mu_err err = local->rank == 0 ? make(local->size, &from) : MU_OK;
    int own = from.fd;
    err = mu_comm_agree(local, err);
    if (!err)
        err = mu_comm_broadcast_bytes(local, &from, sizeof from, 0);
    if (!err)
        err = mu_comm_agree(local, local->rank == 0 ? map(own, local->size, &slot) : map_other(from, local->size, &slot));
    if (own >= 0)
        close(own);
    if (!err)
        *out = slot;
    else if (slot)
        munmap(slot, bytes_of(local->size));
    return err;
}

mu_err mu_board_open(mu_comm *comm, mu_board *out, bool *shared)
{
    mu_comm *local = NULL;
    mu_board board = {.n = 1};
    bool common = comm->local_size > 1;
    if (common) {
        MU_TRY(mu_comm_split_local(comm, &local));
        mu_err err = share(local, &board.slot);
        common = err == MU_OK;
        board.n = common ? local->size : 1;
        board.mine = common ? local->rank : 0;
        mu_comm_release(local);
        if (err == MU_ERR_COMM)
            return err;
    }
    if (!common)
        MU_TRY(map(-1, 1, &board.slot));
    board.bytes = bytes_of(board.n);
    mu_slot *mine = &board.slot[board.mine];
    int64_t now = mu_clock_ns();
    mine->pid = getpid();
    mine->rank = comm->rank;
    mine->since = mine->noted = mine->beat = now;
    mine->iteration = -1;
    *out = board;
    *shared = common;
    return MU_OK;
}

void mu_board_close(mu_board *board)
{
    if (board->slot)
        munmap(board->slot, board->bytes);
    *board = (mu_board){0};
}

void mu_board_write(mu_board_text to, const char *text)
{
    uint64_t word[MU_BOARD_TEXT] = {0};
    if (text)
        memcpy(word, text, strnlen(text, sizeof word - 1));
    for (int i = 0; i < MU_BOARD_TEXT; i++)
        atomic_store_explicit(&to[i], word[i], memory_order_relaxed);
}

void mu_board_read(mu_board_text from, char to[MU_BOARD_CHARS])
{
    for (int i = 0; i < MU_BOARD_TEXT; i++) {
        uint64_t word = atomic_load_explicit(&from[i], memory_order_relaxed);
        memcpy(to + i * 8, &word, 8);
    }
    to[MU_BOARD_CHARS - 1] = '\0';
}
