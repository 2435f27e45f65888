bin_PROGRAMS += muster
muster_SOURCES = src/cli/check.c src/cli/cli.h src/cli/comm.c src/cli/comm.h src/cli/config.c src/cli/data.c src/cli/data.h src/cli/data_info.c src/cli/data_pack.c \
	src/cli/data_pack.h src/cli/data_pack_csv.c src/cli/data_pack_folder.c src/cli/data_pack_idx.c \
	src/cli/data_verify.c src/cli/describe.c src/cli/env.c src/cli/list.c src/cli/muster.c src/cli/parse.c src/cli/progress.c src/cli/progress.h
muster_CPPFLAGS = $(AM_CPPFLAGS) $(ONEDNN_CFLAGS)
muster_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
muster_LDADD = libmuster.la $(YAML_LIBS) $(JANSSON_LIBS) $(ONEDNN_LIBS)
muster_SOURCES += src/cli/eval.c src/cli/results.c src/cli/results.h
muster_SOURCES += src/cli/ckpt.c src/cli/ckpt.h src/cli/ckpt_diff.c src/cli/ckpt_info.c src/cli/ckpt_verify.c
muster_SOURCES += src/cli/plot.c src/cli/plot.h src/cli/plot_confusion.c src/cli/plot_scalars.c
