#!/usr/bin/env python3
"""The application whose region is lost: it owns a tree of files and keeps writing to it.

    app.py create DATA                   a new tree: 2,000 files, one large file, the first sentinel
    app.py run DATA --region R ...       write round after round, until somebody stops it

A round changes some files and a part of the large one. Below extra/ it does what else happens to files: one
is created, one renamed, one gets a second name (a hard link), one is removed, and one becomes a directory or
a file again. Then it stores a manifest (every path with its
SHA-256, in the form of sha256sum) in --manifests, a directory OUTSIDE all regions, and replaces the
sentinel last. So whoever holds a sentinel knows which manifest the whole tree must equal:

    2026-03-01T12:00:00.123456789Z seq=17 manifest=SHA256-of-the-manifest

Each round holds an flock on --lock; a backup taken under the same lock is of one moment. The writer
takes stock of its tree when it starts, and does not write to a tree that is not what its sentinel
says. With --gate FILE it serves what it has and writes nothing before that file is there: so a
recovered application stays as it was restored until people have looked at it.
"""
import argparse
import fcntl
import hashlib
import os
import random
import signal
import sys
import time

FILES = 2000
LARGE = 48 << 20
PART = 1 << 20
WORDS = [w.encode() for w in "region lease epoch bucket pack frame sentinel restore switch verify".split()]


def now_text():
    ns = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + ".%09dZ" % (ns % 10**9)


def small_name(number):
    return "files/%02d/%04d.txt" % (number // 100, number)


def small_content(rng, number, seq):
    """Between 1 and 12 KiB, two thirds of it words, so that it compresses as records do."""
    head = b"record %d of round %d\n" % (number, seq)
    size = rng.randrange(1 << 10, 12 << 10)
    words = b" ".join(rng.choices(WORDS, k=size // 9))
    return head + words + b"\n" + rng.randbytes(size // 3)


def replace(path, content):
    """Readers see the old file or the new one, never a piece."""
    new = path + ".new"
    with open(new, "wb") as f:
        f.write(content)
    os.rename(new, path)


def digest_of(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


class Tree:
    """The data, and what the application knows of it: the digest of each file."""

    def __init__(self, root, region, manifests):
        self.root, self.region, self.manifests = root, region, manifests
        self.rng = random.Random()
        self.seq = 0
        self.digests = {}

    def path(self, name):
        return os.path.join(self.root, name)

    def write_small(self, number):
        name = small_name(number)
        content = small_content(self.rng, number, self.seq)
        digest = hashlib.sha256(content).hexdigest()
        self.announce(digest, name)
        replace(self.path(name), content)
        self.digests[name] = digest

    def announce(self, digest, name):
        """What a user may be served from now on, also of a round that is never sealed."""
        with open(os.path.join(self.manifests, "announced"), "a", encoding="ascii") as f:
            f.write("%s  %s\n" % (digest, name))

    def write_large_part(self):
        with open(self.path("large.bin"), "r+b") as f:
            f.seek(self.rng.randrange(LARGE // PART) * PART)
            f.write(self.rng.randbytes(PART))
        self.digests["large.bin"] = digest_of(self.path("large.bin"))

    def forget(self, name):
        if self.digests.pop(name, None) is not None:
            os.unlink(self.path(name))

    def take_name(self, old, new, verb):
        """Rename or link; a tree that never had the old name has nothing to do."""
        if old in self.digests:
            verb(self.path(old), self.path(new))
            self.digests[new] = self.digests[old]

    def move_about(self):
        """extra/: new-N is created, moved-N was new-(N-1), link-N is the same file as moved-N."""
        os.makedirs(self.path("extra"), exist_ok=True)
        now, before, old = ["extra/%%s-%04d.txt" % (self.seq - n) for n in (0, 1, 4)]
        content = small_content(self.rng, self.seq, self.seq)
        replace(self.path(now % "new"), content)
        self.digests[now % "new"] = hashlib.sha256(content).hexdigest()
        self.take_name(before % "new", before % "moved", os.rename)
        self.digests.pop(before % "new", None)
        self.take_name(before % "moved", before % "link", os.link)
        self.forget(old % "moved")
        if self.seq % 8 == 0:
            self.forget(old % "link")
        self.change_shape()

    def change_shape(self):
        """extra/shape: a file in odd rounds, a directory with a file in even ones."""
        is_file, within = "extra/shape", "extra/shape/inside.txt"
        for name in (is_file, within):
            self.forget(name)
        if os.path.isdir(self.path(is_file)):
            os.rmdir(self.path(is_file))
        name = is_file
        if self.seq % 2 == 0:
            os.mkdir(self.path(is_file))
            name = within
        content = b"shape of round %d\n" % self.seq
        replace(self.path(name), content)
        self.digests[name] = hashlib.sha256(content).hexdigest()

    def manifest(self):
        return "".join("%s  %s\n" % (d, n) for n, d in sorted(self.digests.items())).encode()

    def seal(self):
        """The end of a round: the manifest first, the sentinel last."""
        manifest = self.manifest()
        kept = os.path.join(self.manifests, "%06d.%s.sha256" % (self.seq, self.region))
        replace(kept, manifest)
        told = "%s seq=%d manifest=%s\nregion %s\n" % (
            now_text(), self.seq, hashlib.sha256(manifest).hexdigest(), self.region)
        replace(self.path("sentinel"), told.encode())

    def create(self):
        self.rng.seed(1)
        self.seq = 1
        for number in range(FILES):
            if number % 100 == 0:
                os.makedirs(os.path.dirname(self.path(small_name(number))), exist_ok=True)
            self.write_small(number)
        with open(self.path("large.bin"), "wb") as f:
            for _ in range(LARGE // PART):
                f.write(self.rng.randbytes(PART // 2) + bytes(PART // 2))
        self.digests["large.bin"] = digest_of(self.path("large.bin"))
        self.seal()

    def take_stock(self):
        """Read everything; the tree must be what the sentinel says. Returns the sentinel's text."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                full = os.path.join(folder, name)
                short = os.path.relpath(full, self.root)
                if name.endswith(".new"):
                    os.unlink(full)  # a round that its writer did not live to finish
                elif short.startswith(("files/", "extra/")) or short == "large.bin":
                    self.digests[short] = digest_of(full)
        with open(self.path("sentinel"), encoding="ascii") as f:
            sentinel = f.readline().split()
        said = dict(word.split("=", 1) for word in sentinel[1:])
        self.seq = int(said["seq"])
        if hashlib.sha256(self.manifest()).hexdigest() != said["manifest"]:
            raise SystemExit("app: the tree is not what its sentinel says (seq %d): not writing" % self.seq)
        return " ".join(sentinel)

    def round(self):
        self.seq += 1
        for number in self.rng.sample(range(FILES), 20):
            self.write_small(number)
        if self.seq % 4 == 0:
            self.write_large_part()
        self.move_about()
        self.seal()


def run(args):
    tree = Tree(os.path.realpath(args.data), args.region, args.manifests)
    with open(args.lock, "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print("app: took stock: " + tree.take_stock(), flush=True)
        fcntl.flock(lock, fcntl.LOCK_UN)
        if args.pid:  # from now on it serves: the service manager waits for this file
            replace(args.pid, b"%d\n" % os.getpid())
        while args.gate and not os.path.exists(args.gate):
            time.sleep(0.05)
        print("app: writing from seq %d on" % (tree.seq + 1), flush=True)
        while True:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tree.round()
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(args.pause)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["create", "run"])
    parser.add_argument("data")
    parser.add_argument("--region", required=True)
    parser.add_argument("--manifests", required=True)
    parser.add_argument("--lock")
    parser.add_argument("--gate")
    parser.add_argument("--pause", type=float, default=0.2)
    parser.add_argument("--pid")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if args.verb == "create":
        Tree(args.data, args.region, args.manifests).create()
    else:
        run(args)


if __name__ == "__main__":
    main()
