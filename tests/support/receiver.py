"""receiver.py DIR: real servers for letters, on loopback: HTTP, HTTPS, and SMTP by aiosmtpd.

DIR/cert.pem and DIR/key.pem are their certificate. DIR/ports says "NAME PORT" lines when all are up: http, https,
smtp (STARTTLS and a login, user "drctl", password "the-password"), plain (neither), smtps. What arrives is written
to DIR/http.N (method, path, headers, an empty line, body) and DIR/mail.N (the message; envelope in mail.N.json).
HTTP answers "200 stored"; mail to reject@ is answered 550, to defer@ 451. It ends with its standard input.
"""
import http.server
import json
import os
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

where = sys.argv[1]
lock = threading.Lock()
counts = {"http": 0, "mail": 0}


def store(kind, content, about=None):
    with lock:
        counts[kind] += 1
        path = os.path.join(where, "%s.%d" % (kind, counts[kind]))
        if about is not None:
            with open(path + ".json", "w") as f:
                json.dump(about, f)
        with open(path + ".new", "wb") as f:
            f.write(content)
        os.rename(path + ".new", path)


class Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = "%s %s\n" % (self.command, self.path) + "".join("%s: %s\n" % h for h in self.headers.items())
        store("http", head.encode() + b"\n" + body)
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"stored")

    def log_message(self, *words):
        pass


class Mail:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("reject@"):
            return "550 no such user"
        if address.startswith("defer@"):
            return "451 try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        about = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None}
        store("mail", envelope.content, about)
        return "250 kept as %d" % counts["mail"]


def login(server, session, envelope, mechanism, data):
    good = data.login == b"drctl" and data.password == b"the-password"
    return AuthResult(success=good, handled=False)


def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(os.path.join(where, "cert.pem"), os.path.join(where, "key.pem"))
    return c


def web(tls):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    if tls:
        server.socket = context().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class AnyPort(Controller):
    """A controller whose port the kernel chooses: it looks at its own port to see whether it is up."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def mail(**options):
    controller = AnyPort(Mail(), hostname="127.0.0.1", port=0, **options)
    controller.start()
    return controller.port


ports = {
    "http": web(False),
    "https": web(True),
    "smtp": mail(tls_context=context(), require_starttls=True, authenticator=login, auth_required=True),
    "plain": mail(),
    "smtps": mail(ssl_context=context()),
}
with open(os.path.join(where, "ports.new"), "w") as f:
    f.write("".join("%s %d\n" % p for p in ports.items()))
os.rename(os.path.join(where, "ports.new"), os.path.join(where, "ports"))
sys.stdin.read()
os._exit(0)
