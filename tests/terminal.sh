#!/bin/bash
# Runs as a person at a terminal has them: the region's name, the live screen, keys, Ctrl-C, few columns.
# A pseudo terminal plays the person: it waits for words on the screen (60 s at most) and types.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
# shellcheck source=tests/support/regions.sh
. "$root/tests/support/regions.sh"
unset NO_COLOR
export TERM=xterm
three_regions ana
cat >ask.yaml <<YAML
plan: ask
title: "Höhere Gewalt"
regions: [us-east-1, eu-west-1]
objectives: {rto: 30m}
params:
  ticket: {type: string, match: "^INC-[0-9]+$"}
steps:
  - {id: pick, use: region.pick}
  - {id: go, use: approve, with: {role: dr-commander, question: "Give up \${failed}? (\${ticket})"}}
  - {id: snapshot, use: backup.pick, with: {source: app}}
  - id: live
    title: "Wörter für 東京 und noch viel mehr, als in eine schmale Zeile passt"
    use: exec
    with: {argv: ["true"], effect: change}
    undo: none
    point_of_no_return: "new writes exist only in \${target}"
  - {id: proved, use: exec.check, with: {argv: ["true"]}}
YAML
cat >fall.yaml <<YAML
plan: fall
regions: [us-east-1, eu-west-1, ap-southeast-1]
objectives: {rto: 30m}
steps:
  - {id: pick, use: region.pick}
  - id: start
    use: exec
    with: {argv: [touch, "$work/on-\${target}"]}
    undo: {use: exec, with: {argv: [rm, -f, "$work/on-\${target}"]}}
  - id: fits
    use: exec
    with: {argv: [sh, -c, 'test "\$1" = ap-southeast-1 || { printf "\033[2Jno \033]0;x\007room\n" >&2; exit 1; }', sh, "\${target}"]}
    undo: none
  - {id: proved, use: exec.check, with: {argv: ["true"]}}
YAML
cat >slow.yaml <<YAML
plan: slow
regions: [us-east-1, eu-west-1]
objectives: {rto: 30m}
steps:
  - {id: pick, use: region.pick}
  - id: work
    use: exec
    with: {argv: [sh, -c, "echo \$\$ >$work/pid; until test -e $work/quick; do sleep 0.1; done"]}
    undo: none
  - {id: after, use: exec, with: {argv: [touch, "$work/after"]}, undo: none}
  - {id: proved, use: exec.check, with: {argv: ["true"]}}
YAML
# at COLUMNS SCRIPT COMMAND...: each line of SCRIPT is "WORDS => KEYS" (KEYS may have \n, \x03; "!COMMAND"
# is run instead of typed); the whole screen is kept in $out, the exit code in $rc.
cat >person.py <<'PY'
import fcntl, os, pty, re, select, struct, subprocess, sys, termios, time
columns, script, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execv(command[0], command)
seen, mark, until = b"", 0, time.monotonic() + 60
steps = [line.split(" => ") for line in script.splitlines() if line.strip()]
while True:
    while steps and steps[0][0].strip().encode() in seen[mark:]:
        words, keys = steps.pop(0)
        mark = seen.index(words.strip().encode(), mark) + len(words.strip().encode())
        if keys.startswith("!"):
            subprocess.run(keys[1:], shell=True, check=True)
        else:
            os.write(fd, keys.encode().decode("unicode_escape").encode())
    left = until - time.monotonic()
    if left <= 0 or not select.select([fd], [], [], left)[0]:
        os.kill(pid, 9)
        print("person: nothing more came in 60 s; waited for", steps[:1])
        break
    try:
        more = os.read(fd, 65536)
    except OSError:
        more = b""
    if not more:
        break
    seen += more
if steps:
    print("person: never saw", steps[0][0])
sys.stdout.buffer.write(seen)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(status if status >= 0 else 128 - status)
PY
# longest FILE: the widest line that the terminal was given, in columns.
cat >longest.py <<'PY'
import re, sys, unicodedata
text = sys.stdin.buffer.read().decode("utf-8")
text = re.sub(r"\x1b\[[0-9]*[AJK]", "\n", text)
assert "\x1b" not in text and "\x07" not in text, "an escape sequence that is not the screen's own"
wide = lambda c: 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
print(max(sum(map(wide, line)) for line in re.split(r"[\r\n]+", text)))
PY
at() { local columns=$1 script=$2; shift 2; run python3 person.py "$columns" "$script" "$DRCTL" "$@"; }
widest() { python3 longest.py <"$work/.out"; }
lacks() { ! has "$1" "$2" >/dev/null; }
run "$DRCTL" init
run "$DRCTL" backup --source app --kind full

# -- the region's name -----------------------------------------------------------------------------------
at 80 'us-east-1]: => eu-west-1\n
us-east-1]: => yes\n
us-east-1]: => \n' failover ask --set ticket=INC-4711
fact "the region's name is asked thrice, then it is exit 2" test $rc -eq 2
fact "nothing was begun" has "$out" "Nothing was begun"
fact "and there is no run" test ! -e state/runs/R-1
at 80 'us-east-1]: => \x03' failover ask --set ticket=INC-4711
fact "Ctrl-C at the question begins nothing" test ! -e state/runs/R-1 -a $rc -ne 0
fact "what would be lost stands above the question" has "$out" "DATA     newest good snapshot of 'app'"
fact "and what cannot be taken back" has "$out" "CANNOT BE TAKEN BACK after live: new writes exist only in"

# -- an approval ------------------------------------------------------------------------------------------
at 80 'us-east-1]: => us-east-1\n
Press a to approve => a' failover ask --set ticket=INC-4711
fact "a approves, there and then" test $rc -eq 4 -o $rc -eq 0
fact "the run recovers" has "$out" "RECOVERED"
fact "the bar counts against the objective" has "$out" "RTO [-"
fact "the point of no return is marked beforehand" has "$out" "NO WAY BACK after it"
fact "no line is as wide as the terminal" test "$(widest)" -lt 80
run "$DRCTL" runs show R-1
fact "the approval shows its question with the names put in" has "$out" "Give up us-east-1? (INC-4711)"

# -- few columns -------------------------------------------------------------------------------------------
NO_COLOR=1 at 40 'eu-west-1]: => eu-west-1\n
Press a to approve => x' failover ask --failed eu-west-1 --set ticket=INC-4711
fact "x rejects, and the run is undone" test $rc -eq 1
fact "40 columns hold every line" test "$(widest)" -lt 40
fact "the bar is there with 40 columns, without colours" has "$out" "RTO [-"

# -- held ----------------------------------------------------------------------------------------------------
at 80 'us-east-1]: => us-east-1\n
Choose [r/s/n/u] => n\n' failover fall --failed us-east-1
fact "n gives the standby up and tries the next" test -e on-ap-southeast-1
fact "and puts the first back as it was" test ! -e on-eu-west-1
fact "then the run recovers" has "$out" "RECOVERED"
fact "an escape sequence of a step does not reach the terminal" test "$(widest)" -lt 80
rm -f on-*
at 40 'us-east-1]: => us-east-1\n
Choose [r/s/n/u] => u\n' failover fall --failed us-east-1
fact "u takes everything back" test $rc -eq 1 -a ! -e on-eu-west-1
fact "the menu fits into 40 columns" test "$(widest)" -lt 40
at 80 'us-east-1]: => us-east-1\n
Choose [r/s/n/u] => s\n
Why? => made room by hand\n' failover fall --failed us-east-1
fact "s goes on without it, with a reason" has "$out" "skipped by ana: made room by hand"
fact "and the run recovers" has "$out" "RECOVERED"
at 80 'eu-west-1]: => eu-west-1\n
Choose [r/s/n/u] => \x03' failover fall --failed eu-west-1
fact "Ctrl-C leaves it held" test $rc -eq 3
run "$DRCTL" runs next
fact "runs next does what n does" test -e on-ap-southeast-1

# -- Ctrl-C ---------------------------------------------------------------------------------------------------
at 80 'us-east-1]: => us-east-1\n
> work => \x03
Ctrl-C again kills => !touch quick' failover slow --failed us-east-1
fact "Ctrl-C holds after the running step" test $rc -eq 3
run "$DRCTL" runs show --json
fact "which was let finish" has "$out" '"step":"work","verdict":"pass"'
fact "and nothing began after it" test ! -e after
run "$DRCTL" runs abort --reason "seen enough"
rm -f quick pid
at 80 'us-east-1]: => us-east-1\n
> work => !until test -s pid; do sleep 0.05; done
> work => \x03
Ctrl-C again kills => \x03' failover slow --failed us-east-1
fact "Ctrl-C twice kills and holds" test $rc -eq 3
gone() { ! kill -0 "$(cat pid)" 2>/dev/null; }
until_true() { for _ in $(seq 600); do "$@" && return 0; sleep 0.1; done; return 1; }
fact "the step is dead" until_true gone
run "$DRCTL" runs show
fact "and the run is held" has "$out" "HELD"

# -- for programs -----------------------------------------------------------------------------------------------
run "$DRCTL" runs list --json
fact "runs list --json is JSON, a line each" python3 -c 'import json,sys; [json.loads(l) for l in open(sys.argv[1])]' "$work/.out"
run "$DRCTL" runs show R-1 --json
fact "and so is runs show" python3 -c 'import json,sys; [json.loads(l) for l in open(sys.argv[1])]' "$work/.out"
facts_end
