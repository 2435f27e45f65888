dist_check_SCRIPTS += tests/doc/completion_test.sh tests/doc/doc_test.sh tests/doc/install_test.sh
