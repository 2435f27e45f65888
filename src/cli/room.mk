bin_PROGRAMS += muster
muster_SOURCES = src/cli/muster.c
muster_LDADD = libmuster.la
