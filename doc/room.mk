EXTRA_DIST += doc/design.md doc/style.md
