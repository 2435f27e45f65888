dist_man_MANS += doc/man/libmuster.3 doc/man/muster.1 doc/man/muster-bench.1 doc/man/muster-check.1 doc/man/muster-ckpt.1 \
	doc/man/muster-config.1 \
	doc/man/muster-config.5 doc/man/muster-data.1 doc/man/muster-describe.1 doc/man/muster-env.1 doc/man/muster-eval.1 \
	doc/man/muster-list.1 doc/man/muster-plot.1 doc/man/muster-test.1 doc/man/muster-train.1 doc/man/muster-val.1
dist_doc_DATA += README.md doc/design.md doc/benchmarks.md doc/differences.md doc/formats.md doc/guide.md doc/scaling.md doc/style.md
EXTRA_DIST += doc/examples/base.yaml doc/examples/cluster.yaml doc/examples/gan.yaml doc/examples/photos.yaml doc/examples/plugins.yaml \
	doc/examples/run.yaml
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = completions/muster
# The program of libmuster(3), which is a test too.
check_PROGRAMS += doc/examples/first
doc_examples_first_SOURCES = doc/examples/first.c
doc_examples_first_LDADD = libmuster.la
# The plug-ins of the guide: doc_test.sh trains with them.
check_LTLIBRARIES += doc/examples/mlp.la doc/examples/stop_file_hook.la doc/examples/confidence.la doc/examples/random_erase.la
doc_examples_mlp_la_SOURCES = doc/examples/mlp.c
doc_examples_mlp_la_LDFLAGS = $(PLUGIN_LDFLAGS)
doc_examples_stop_file_hook_la_SOURCES = doc/examples/stop_file_hook.c
doc_examples_stop_file_hook_la_LDFLAGS = $(PLUGIN_LDFLAGS)
doc_examples_confidence_la_SOURCES = doc/examples/confidence.c
doc_examples_confidence_la_LDFLAGS = $(PLUGIN_LDFLAGS)
doc_examples_random_erase_la_SOURCES = doc/examples/random_erase.c
doc_examples_random_erase_la_LDFLAGS = $(PLUGIN_LDFLAGS)
# Two optimizers: tests/run/parts_test.sh trains with it.
check_LTLIBRARIES += doc/examples/gan.la
doc_examples_gan_la_SOURCES = doc/examples/gan.c
doc_examples_gan_la_LDFLAGS = $(PLUGIN_LDFLAGS)
