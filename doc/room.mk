EXTRA_DIST += doc/design.md doc/style.md
# The program of libmuster(3): a test, and installed as a text.
check_PROGRAMS += doc/examples/first
doc_examples_first_SOURCES = doc/examples/first.c
doc_examples_first_LDADD = libmuster.la
