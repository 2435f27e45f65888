dist_man_MANS += doc/man/libmuster.3 doc/man/muster.1 doc/man/muster-check.1 doc/man/muster-config.1 \
	doc/man/muster-config.5 doc/man/muster-data.1 doc/man/muster-describe.1 doc/man/muster-env.1 doc/man/muster-list.1
dist_doc_DATA += README.md doc/design.md doc/benchmarks.md doc/differences.md doc/formats.md doc/guide.md doc/style.md
EXTRA_DIST += doc/examples/base.yaml doc/examples/run.yaml
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = completions/muster
# The program of libmuster(3), which is a test too.
check_PROGRAMS += doc/examples/first
doc_examples_first_SOURCES = doc/examples/first.c
doc_examples_first_LDADD = libmuster.la
