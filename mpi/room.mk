if WITH_MPI
noinst_LTLIBRARIES += libmumpi.la
libmumpi_la_SOURCES = mpi/comm_mpi.c mpi/comm_mpi.h mpi/launch.c mpi/notes.c mpi/pairwise.c mpi/runtime.c
libmumpi_la_CPPFLAGS = $(AM_CPPFLAGS) $(MPI_CFLAGS)
libmumpi_la_LIBADD = $(MPI_LIBS)
libmuster_la_LIBADD += libmumpi.la
else
libmuster_la_SOURCES += src/dist/launch_self.c
endif
