#!/usr/bin/env python3
"""The users: they ask through the service's name, all the time, and write down every answer.

    load.py --name app.demo.test --port P --resolver 127.0.0.1:53000 --log load.jsonl

Each request asks the name server for the name (a DNS query of its own: nothing is cached), connects
to the address it was told, and GETs the sentinel or some file. One JSON line for each answer, good
or bad: start and end (ns since 1970), path, address, status, bytes, SHA-256; "why" if it was bad; the
text of a sentinel. The judge (check.py) uses the same resolve() and get().
"""
import argparse
import hashlib
import json
import os
import random
import signal
import socket
import struct
import sys
import time


class Bad(Exception):
    """No good answer, and why."""


def resolve(name, resolver, timeout=2.0):
    """The first A record of the name, asked of that very name server."""
    host, port = resolver.rsplit(":", 1)
    ident = random.randrange(1 << 16)
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.rstrip(".").split("."))
    query = struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        s.connect((host, int(port)))
        try:
            s.send(query)
            answer = s.recv(4096)
        except OSError as e:
            raise Bad("name server: %s" % e) from e
    if len(answer) < len(query) or answer[:2] != query[:2]:
        raise Bad("name server: not an answer to the question")
    flags, _, answers = struct.unpack(">3H", answer[2:8])
    at = len(query)
    for _ in range(answers if not flags & 0xF else 0):
        at += 2  # the owner's name: a pointer, as there was one question
        kind, _, _, length = struct.unpack(">2HIH", answer[at:at + 10])
        if kind == 1:
            return socket.inet_ntoa(answer[at + 10:at + 14])
        at += 10 + length
    raise Bad("name server: no address for %s (code %d)" % (name, flags & 0xF))


def get(name, address, port, path, timeout=2.0):
    """(status, body) of one GET with the name as Host; a body cut short is a bad answer."""
    try:
        with socket.create_connection((address, port), timeout) as s:
            s.settimeout(timeout)
            s.sendall(("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path, name)).encode())
            parts = []
            while part := s.recv(1 << 18):
                parts.append(part)
    except OSError as e:
        raise Bad("%s:%d: %s" % (address, port, e.strerror or e)) from e
    head, found, body = b"".join(parts).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not found or not lines[0].startswith("HTTP/1."):
        raise Bad("%s:%d: not an answer" % (address, port))
    for line in lines[1:]:
        key, _, value = line.partition(":")
        if key.lower() == "content-length" and int(value) != len(body):
            raise Bad("%s:%d: %d of %d bytes" % (address, port, len(body), int(value)))
    return int(lines[0].split()[1]), body


def ask(args, path):
    line = {"start": time.time_ns(), "path": path, "status": 0, "bytes": 0}
    try:
        line["address"] = resolve(args.name, args.resolver)
        line["status"], body = get(args.name, line["address"], args.port, path)
        line["bytes"] = len(body)
        if line["status"] != 200:
            raise Bad("status %d from %s" % (line["status"], line["address"]))
        line["sha256"] = hashlib.sha256(body).hexdigest()
        if path == "/sentinel":
            line["sentinel"] = body.decode("ascii", "replace").split("\n")[0]
    except Bad as e:
        line["why"] = str(e)
    line["end"] = time.time_ns()
    return line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--resolver", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--pause", type=float, default=0.03)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    rng = random.Random(os.getpid())
    with open(args.log, "a", encoding="utf-8", buffering=1) as log:
        while True:
            number = rng.randrange(args.files)
            for path in ("/sentinel", "/files/%02d/%04d.txt" % (number // 100, number)):
                log.write(json.dumps(ask(args, path)) + "\n")
                time.sleep(args.pause)


if __name__ == "__main__":
    main()
