/* Notes from rank to rank that nobody has to wait for. */
#include "comm_mpi.h"

#include "core/mem.h"

enum { TAG_NOTE = 2 };

struct mpi_note {
    mpi_note *next;
    MPI_Request request;
    unsigned char data[];
};

/* Frees those that have left. */
static mu_err sweep(comm_mpi *self)
{
    for (mpi_note **at = &self->notes; *at;) {
        mpi_note *note = *at;
        int gone = 0;
        MU_TRY_MPI(MPI_Test(&note->request, &gone, MPI_STATUS_IGNORE));
        if (gone) {
            *at = note->next;
            mu_free(note);
        } else {
            at = &note->next;
        }
    }
    return MU_OK;
}

mu_err mpi_post(mu_comm *comm, const void *data, size_t size, int to)
{
    comm_mpi *self = (comm_mpi *)comm;
    mpi_note *note;
    MU_TRY(sweep(self));
    MU_TRY(mu_alloc(&note, sizeof *note + size));
    memcpy(note->data, data, size);
    int code = MPI_Isend(note->data, (int)size, MPI_BYTE, to, TAG_NOTE, self->comm, &note->request);
    if (code != MPI_SUCCESS) {
        mu_free(note);
        return mpi_fail(code, "MPI_Isend", __FILE__, __LINE__, __func__);
    }
    note->next = self->notes;
    self->notes = note;
    return MU_OK;
}

mu_err mpi_poll(mu_comm *comm, void *data, size_t size, int *from)
{
    comm_mpi *self = (comm_mpi *)comm;
    MPI_Status status;
    int there = 0;
    MU_TRY(sweep(self));
    MU_TRY_MPI(MPI_Iprobe(MPI_ANY_SOURCE, TAG_NOTE, self->comm, &there, &status));
    if (there)
        MU_TRY_MPI(MPI_Recv(data, (int)size, MPI_BYTE, status.MPI_SOURCE, TAG_NOTE, self->comm, MPI_STATUS_IGNORE));
    *from = there ? status.MPI_SOURCE : -1;
    return MU_OK;
}

void mpi_notes_drop(comm_mpi *self)
{
    while (self->notes) {
        mpi_note *note = self->notes;
        self->notes = note->next;
        MPI_Wait(&note->request, MPI_STATUS_IGNORE);
        mu_free(note);
    }
}
