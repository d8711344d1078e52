#!/bin/bash
# judge.sh: the judge of the demo is able to say no.
exec env PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/demo/judge_test.py"
