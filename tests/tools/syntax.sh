#!/bin/bash
# syntax.sh FILE...: clang says what it thinks of the sources, as an error; nothing is built ($FLAGS as in the Makefile).
set -uo pipefail
# shellcheck disable=SC2086 # words
exec clang $FLAGS -Werror -fsyntax-only "$@"
