#!/bin/bash
# drctl alerts: real letters to real servers (HTTP, HTTPS, SMTP with STARTTLS and a login), read by programs that are
# not ours: Python's mail parser, its hmac, openssl.
set -euo pipefail
# shellcheck source=tests/support/facts.sh
. "$(dirname "$0")/support/facts.sh"
unset DRCTL_CONFIG
export DRCTL_OPERATOR=ana
python=/usr/bin/python3 # that which has Debian's modules
cd "$work"

mkdir got
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 -keyout got/key.pem -out got/cert.pem 2>openssl.err
mkfifo leash
$python -B "$root/tests/support/receiver.py" got <leash >receiver.log 2>&1 &
receiver=$!
exec 9>leash # it ends when this end is closed, however this script ends
for _ in $(seq 600); do
    [ ! -e got/ports ] || break
    kill -0 $receiver 2>/dev/null || break
    sleep 0.1
done
fact "the servers are up" test -e got/ports || { cat receiver.log; facts_end; exit 1; }
port() { awk -v name="$1" '$1 == name { print $2 }' got/ports; }

printf 'the-password\n' >password
printf 'the-hmac-key\n' >hmac
printf 'the-routing-key\n' >routing
printf 'wrong\n' >wrong
printf 'https://127.0.0.1:%s/services/T0/B0/secret-of-slack\n' "$(port https)" >slack.url
cat >dr.yaml <<YAML
disaster_recovery:
  backup_policy:
    full_backup: {frequency: daily, retention: 30d}
  monitoring:
    alerting:
      critical_alerts: {channels: [hook, mail], escalation_time: 5m}
      warning_alerts: {channels: [slack]}
  incident_response:
    contact_information:
      dr-commander: [{name: ana, phone: "+31 20 555 0101"}]
sources:
  - {name: app, path: $work/got}
buckets:
  - {name: us, url: "file://$work/us", region: us-east-1}
notify:
  slack: {url_file: $work/slack.url, ca: $work/got/cert.pem}
  stranger: {kind: slack, url_file: $work/slack.url}
  pager: {kind: pagerduty, url: "http://127.0.0.1:$(port http)/v2/enqueue", secret: routing}
  hook: {kind: webhook, url: "http://127.0.0.1:$(port http)/hook", secret: hmac}
  mail: {kind: smtp, url: "smtp://127.0.0.1:$(port smtp)", from: drctl@example.test, to: [ops@example.test, boss@example.test], user: drctl, secret: password, ca: $work/got/cert.pem}
  mails: {kind: smtp, url: "smtps://127.0.0.1:$(port smtps)", from: drctl@example.test, to: [ops@example.test], ca: $work/got/cert.pem}
  login: {kind: smtp, url: "smtp://127.0.0.1:$(port smtp)", from: drctl@example.test, to: [ops@example.test], user: drctl, secret: wrong, ca: $work/got/cert.pem}
  bare: {kind: smtp, url: "smtp://127.0.0.1:$(port plain)", from: drctl@example.test, to: [ops@example.test]}
  plain: {kind: smtp, url: "smtp://127.0.0.1:$(port plain)?starttls=never", from: drctl@example.test, to: [ops@example.test]}
  nobody: {kind: smtp, url: "smtp://127.0.0.1:$(port plain)?starttls=never", from: drctl@example.test, to: [ops@example.test, reject@example.test]}
  desk: {command: [/bin/sh, -c, "cat >$work/desk; echo thanks"]}
  gone: {command: [$work/no-such-program]}
secrets:
  password: {file: $work/password}
  hmac: {file: $work/hmac}
  routing: {file: $work/routing}
  wrong: {file: $work/wrong}
state_dir: $work/state
YAML

try() { run "$DRCTL" alerts test "$1"; }
json() { $python -B -c 'import json,sys; v=json.loads(open(sys.argv[1]).read()); sys.exit(not eval(sys.argv[2]))' "$work/.out" "$1"; }

# -- nothing yet ------------------------------------------------------------------------------------------
run "$DRCTL" alerts
fact "without alerts that is said" has "$out" "no alerts"
fact "each channel is listed" test "$(grep -c '^channel ' <<<"$out")" -eq 12
fact "looking writes nothing" test ! -e state
run "$DRCTL" alerts ack overdue/app
fact "what is not open cannot be taken" test $rc -eq 1
fact "and that is said" has "$talk" "no alert 'overdue/app' is open"
run "$DRCTL" alerts ack
fact "ack without a key is a mistake of use" test $rc -eq 2
try nosuch
fact "a channel that does not exist is named" has "$talk" "no channel 'nosuch'"

# -- HTTP ---------------------------------------------------------------------------------------------------
try slack
fact "slack takes a letter over TLS" test $rc -eq 0
fact "its answer is told" has "$out" "slack took the test letter: HTTP/1.0 200 OK: stored"
fact "the letter is what Slack reads" $python -B -c '
import json,sys
head,body=open("got/http.1").read().split("\n\n",1)
assert head.startswith("POST /services/T0/B0/secret-of-slack\n"), head
assert json.loads(body)["text"].startswith("*INFO: a test of this channel*\n"), body'
try stranger
fact "a certificate that nobody vouches for is refused" test $rc -eq 1
fact "and the secret url is in no message" test "$(grep -c secret-of-slack <<<"$out$talk")" -eq 0
try pager
fact "pagerduty takes an event" test $rc -eq 0
fact "the event is one of version 2" $python -B -c '
import json
v=json.loads(open("got/http.2").read().split("\n\n",1)[1])
assert v["routing_key"]=="the-routing-key" and v["event_action"]=="trigger", v
assert v["dedup_key"]=="drctl/test/pager" and v["payload"]["severity"]=="info", v
assert v["payload"]["summary"] and v["payload"]["source"], v'
try hook
fact "a webhook takes a letter" test $rc -eq 0
fact "its signature is right, says Python" $python -B -c '
import hashlib,hmac
head,body=open("got/http.3","rb").read().split(b"\n\n",1)
h={k.lower():v for k,v in (l.split(b": ",1) for l in head.split(b"\n")[1:])}
want=hmac.new(b"the-hmac-key",h[b"drctl-timestamp"]+b"."+body,hashlib.sha256).hexdigest().encode()
assert h[b"drctl-signature"]==b"v1="+want, (h,want)
assert h[b"idempotency-key"] in body'
signed_by_openssl() {
    local at sig
    at=$(sed -n 's/^Drctl-Timestamp: //p' got/http.3)
    sig=$(sed -n 's/^Drctl-Signature: v1=//p' got/http.3)
    { printf '%s.' "$at" && sed '1,/^$/d' got/http.3; } >signed
    [ "$(openssl dgst -sha256 -hmac the-hmac-key signed | awk '{ print $NF }')" = "$sig" ]
}
fact "and so says openssl" signed_by_openssl

# -- mail ----------------------------------------------------------------------------------------------------
try mail
fact "mail is taken over STARTTLS with a login" test $rc -eq 0
fact "each address has its own answer" has "$out" "ops@example.test: 250 kept as 1; boss@example.test: 250 kept as 2"
fact "the message is one for Python's parser" $python -B -c '
import email,email.policy,email.utils,json
raw=open("got/mail.1","rb").read()
about=json.load(open("got/mail.1.json"))
assert about=={"from":"drctl@example.test","to":["ops@example.test"],"tls":True}, about
assert all(len(l)<=78 for l in raw.split(b"\r\n")) and b"\n" not in raw.replace(b"\r\n",b"")
m=email.message_from_bytes(raw,policy=email.policy.default)
assert not m.defects, m.defects
assert m["Subject"]=="INFO: a test of this channel", m["Subject"]
assert m["From"].addresses[0].addr_spec=="drctl@example.test"
assert m["To"].addresses[0].addr_spec=="ops@example.test"
assert email.utils.parsedate_to_datetime(m["Date"]) is not None
assert m["Message-ID"].startswith("<test-") and m["References"]
assert "Nothing has to be done." in m.get_content()'
try mails
fact "mail is taken over TLS from the first byte" test $rc -eq 0
try bare
fact "without TLS no mail leaves" test $rc -eq 1
fact "and nothing came" test ! -e got/mail.4
try plain
fact "unless the configuration says so" test $rc -eq 0
try login
fact "a wrong password is a refusal" test $rc -eq 1
fact "that the server is quoted with" has "$talk" "535"
try nobody
fact "one address that is refused fails the test" test $rc -eq 1
fact "the server's words are told" has "$talk" "550 no such user"
fact "the other address has its mail" test -e got/mail.5

# A letter whose words are hard for mail, as backupd would hand it to its child.
$python -B - "$(port plain)" >request <<'PYTHON'
import json, sys
title = "Zoë's site 'eu' — " + "schweigt beharrlich " * 8 + "€ =?UTF-8?Q?x?="
text = ".\n..two\n.\ntrailing \n=3D tab\there\n" + "long " * 80 + "\nFrom here Zoë €"
letter = {"id": "x1", "incident": "i1", "key": "silent/eu", "channel": "plain", "to": "ops@example.test", "kind": "again",
          "severity": "critical", "title": title, "text": text, "hint": "", "wall": 1795230700000000000}
target = {"kind": "smtp", "url": "smtp://127.0.0.1:%s?starttls=never" % sys.argv[1], "from": "drctl@example.test",
          "host": "a host.example", "command": []}
print(json.dumps({"target": target, "letter": letter}))
PYTHON
run "$DRCTL" notify-send <request
fact "a letter with hard words is taken" has "$out" '"verdict":"pass"'
fact "they come out as they went in" $python -B -c '
import email,email.policy,json
raw=open("got/mail.6","rb").read()
letter=json.load(open("request"))["letter"]
assert all(len(l)<=76 for l in raw.split(b"\r\n")), max(raw.split(b"\r\n"),key=len)
assert all(32<=c<127 or c in (13,10) for c in raw)
m=email.message_from_bytes(raw,policy=email.policy.default)
assert not m.defects, m.defects
assert m["Subject"]=="CRITICAL, again: "+letter["title"], m["Subject"]
assert m["Message-ID"]=="<x1@a-host.example>" and m["References"]=="<i1@a-host.example>"
assert m["Date"]=="Sat, 21 Nov 2026 03:11:40 +0000"
text=m.get_content().replace("\r\n","\n")
assert "\n\n"+letter["text"]+"\nAt: " in text, text'
sed 's/ops@example.test/ops@example.test>\\r\\nRCPT TO:<boss@example.test/' request >forged
run "$DRCTL" notify-send <forged
fact "an address cannot be a line of the protocol" has "$out" "is no plain mail address"

# -- a command -------------------------------------------------------------------------------------------------
try desk
fact "a command takes a letter" has "$out" "exit code 0: thanks"
fact "it has the text" has "$(cat desk)" "INFO: a test of this channel"
try gone
fact "a program that is not there is told" has "$talk" "cannot start '$work/no-such-program'"
fact "tests leave no state behind" test ! -e state/alerts/state.json
run "$DRCTL" alerts test hook --json
fact "the answer as JSON" json "v['exit'] == 0 and v['channel'] == 'hook' and '200' in v['answer']"

# -- an open alert -----------------------------------------------------------------------------------------------
mkdir -p state/alerts
cat >state/alerts/state.json <<'JSON'
{"v":1,"left_out":0,"left_out_findings":0,"letters":[],"channels":[],
 "clock":{"at_ns":5,"boot_id":"another","boot_ns":5,"wall_ns":5},
 "alerts":[{"key":"silent/eu","severity":"critical","title":"site 'eu' is silent","text":"","hint":"Look.",
   "incident":"00aa","state":0,"own":0,"since_wall":1795230700000000000,"acked_wall":0,"window_ns":5,
   "raises":1,"until_ns":0,"escalate_ns":6,"level":0}]}
JSON
run "$DRCTL" alerts
fact "an open alert is shown with what to do" has "$out" "critical    silent/eu   site 'eu' is silent"
fact "and that nobody has it" has "$out" "nobody acknowledged it"
run "$DRCTL" alerts ack silent/eu
fact "it can be taken" has "$out" "silent/eu is acknowledged by ana"
run "$DRCTL" alerts --json
fact "who has it is kept" json "v['alerts'][0]['acknowledged']['by'] == 'ana' and v['alerts'][0]['state'] == 'open'"
fact "and the channels will be told" json "v['alerts'][0]['waiting'] == 3"
run env DRCTL_OPERATOR=bo "$DRCTL" alerts ack silent/eu
fact "a second person hears who has it" has "$talk" "was acknowledged by ana"

exec 9>&-
wait $receiver || true
facts_end
