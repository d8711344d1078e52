#!/usr/bin/env python3
"""tree.py: a tree with everything odd in it, and an exact comparison of two trees.

    tree.py make DIR            what an ordinary user can make; as root owners, devices, capabilities too
    tree.py same A B            every name, type, mode, owner, time, size, content, hole, link and attribute;
                                prints each difference, exit code 1 if there is one
"""
import hashlib
import os
import random
import stat
import struct
import subprocess
import sys


def put(path, data, mtime_ns=None):
    with open(path, "wb") as f:
        f.write(data)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def sparse(path, size, extents):
    with open(path, "wb") as f:
        for offset, data in extents:
            f.seek(offset)
            f.write(data)
        f.truncate(size)


def make(top):
    rng = random.Random(4711)
    top = os.fsencode(top)
    os.makedirs(top, exist_ok=True)

    def at(*parts):
        return os.path.join(top, *parts)

    for name in (b"empty-dir", b"many", b"large", b"odd", b"sparse", b"links", b"modes"):
        os.mkdir(at(name))
    put(at(b"plain.txt"), b"hello\n", 1600000000_123456789)
    put(at(b"empty"), b"")
    for i in range(400):
        put(at(b"many", b"file-%03d" % i), rng.randbytes(rng.choice((0, 1, 511, 512, 513, 2000, 9000))))
    for name, size in ((b"at-limit", 262144), (b"below", 262143), (b"above", 262145), (b"chunks", 9 << 20)):
        put(at(b"large", name), rng.randbytes(size))
    put(at(b"large", b"text"), b"the same line again and again\n" * 100000)
    put(at(b"large", b"chunks-twin"), open(at(b"large", b"chunks"), "rb").read())

    odd = [b"new\nline", b" leading", b"trailing ", b"-dash", b"a=b", b"back\\slash", b"\xc3\xa9t\xc3\xa9",
           b"e\xcc\x81 decomposed", b"invalid-\xff\xfe", b"quote'\"", b"star*?", b"\x01\x1b[2J", b"x" * 255,
           b"percent%41"]
    for i, name in enumerate(odd):
        put(at(b"odd", name), b"%d\n" % i)
    deep = at(b"odd")
    for i in range(12):
        deep = os.path.join(deep, b"d%02d-" % i + b"y" * 120)
        os.mkdir(deep)
    put(os.path.join(deep, b"bottom"), b"deep\n")
    os.mkdir(at(b"a"))
    put(at(b"a", b"b"), b"1")
    put(at(b"a.b"), b"2")
    put(at(b"a-b"), b"3")

    sparse(at(b"sparse", b"start"), 1 << 20, [((1 << 20) - 4096, b"s" * 4096)])
    sparse(at(b"sparse", b"end"), 1 << 20, [(0, b"e" * 5000)])
    sparse(at(b"sparse", b"both"), 3 << 20, [(1 << 20, b"b" * 4096)])
    sparse(at(b"sparse", b"all"), 123456789, [])
    sparse(at(b"sparse", b"huge"), 1 << 42, [(1 << 41, b"far")])
    sparse(at(b"sparse", b"many"), 64 << 20, [(i * 65536, b"%08d" % i) for i in range(0, 1000, 2)])

    os.symlink(b"../plain.txt", at(b"links", b"good"))
    os.symlink(b"/nowhere/at/all", at(b"links", b"dangling"))
    os.symlink(b"z" * 3000, at(b"links", b"long"))
    os.symlink(b"\xff\xfe", at(b"links", b"binary"))
    os.mkfifo(at(b"links", b"fifo"))
    os.link(at(b"plain.txt"), at(b"links", b"hard-to-plain"))
    os.link(at(b"large", b"chunks"), at(b"links", b"hard-to-large"))
    os.link(at(b"links", b"fifo"), at(b"links", b"hard-to-fifo"))
    os.link(at(b"links", b"good"), at(b"links", b"hard-to-symlink"), follow_symlinks=False)
    os.link(at(b"many", b"file-007"), at(b"zz-hard"))

    for mode in (0o400, 0o444, 0o644, 0o755, 0o600):
        put(at(b"modes", b"%04o" % mode), b"m")
        os.chmod(at(b"modes", b"%04o" % mode), mode)
    for name, ns in ((b"old", -1), (b"older", -625776832_750000000), (b"future", 10413792000_000000001),
                     (b"zero", 0), (b"whole-negative", -5 * 10**9)):
        put(at(b"modes", name), b"t", ns)
    os.setxattr(at(b"plain.txt"), b"user.comment", b"binary \0\xff\n value")
    os.setxattr(at(b"plain.txt"), b"user.empty", b"")
    os.setxattr(at(b"plain.txt"), b"user.a=b%c", b"x")
    os.setxattr(at(b"many"), b"user.dir", b"on a directory")
    os.setxattr(at(b"large", b"text"), b"user.large", b"v" * 2000)
    subprocess.run(["setfacl", "-m", "u:1234:rwx,g:99:r", at(b"modes", b"0644")], check=True)
    subprocess.run(["setfacl", "-m", "u:1234:rx", "-d", "-m", "u:77:rwx", at(b"empty-dir")], check=True)
    if os.geteuid() == 0:
        make_as_root(at)
    os.utime(at(b"many"), ns=(1500000000_000000007, 1500000000_000000007))
    os.utime(at(), ns=(1400000000_000000009, 1400000000_000000009))


def make_as_root(at):
    os.mknod(at(b"links", b"char"), stat.S_IFCHR | 0o660, os.makedev(1, 3))
    os.mknod(at(b"links", b"block"), stat.S_IFBLK | 0o660, os.makedev(259, 1048575))
    put(at(b"modes", b"owned"), b"o")
    os.chown(at(b"modes", b"owned"), 4000000000, 12345)
    put(at(b"modes", b"setuid"), b"s")
    os.chown(at(b"modes", b"setuid"), 1, 2)
    os.chmod(at(b"modes", b"setuid"), 0o6755)
    put(at(b"modes", b"none"), b"n")
    os.chmod(at(b"modes", b"none"), 0)
    os.lchown(at(b"links", b"dangling"), 33, 33)
    os.setxattr(at(b"modes", b"owned"), b"trusted.secret", b"\0\1\2")
    os.setxattr(at(b"links", b"dangling"), b"trusted.onlink", b"l", follow_symlinks=False)
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service, effective
    put(at(b"modes", b"capable"), b"c")
    os.chmod(at(b"modes", b"capable"), 0o755)
    os.setxattr(at(b"modes", b"capable"), b"security.capability", capability)
    os.chmod(at(b"empty-dir"), 0o1777)


BLOCK = 1 << 16


def content(path, st):
    """A digest of the bytes, whatever lies in holes and whatever in zeros."""
    digest, fd, done = hashlib.sha256(), os.open(path, os.O_RDONLY | os.O_NOFOLLOW), -1
    try:
        at = 0
        while at < st.st_size:
            try:
                data = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(fd, data, os.SEEK_HOLE)
            for block in range(max(data // BLOCK, done + 1), (at + BLOCK - 1) // BLOCK):
                part = os.pread(fd, BLOCK, block * BLOCK)
                if part.strip(b"\0"):
                    digest.update(b"%d:" % block + part)
                done = block
    finally:
        os.close(fd)
    return digest.hexdigest()


def describe(path, inodes, name):
    st = os.lstat(path)
    out = {"type": stat.S_IFMT(st.st_mode), "mode": stat.S_IMODE(st.st_mode), "uid": st.st_uid,
           "gid": st.st_gid, "mtime": st.st_mtime_ns}
    if stat.S_ISREG(st.st_mode):
        out["size"] = st.st_size
        out["content"] = content(path, st)
        out["sparse"] = st.st_blocks * 512 < st.st_size // 2
    elif stat.S_ISLNK(st.st_mode):
        out["target"] = os.readlink(path)
        del out["mode"]
    elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        out["rdev"] = st.st_rdev
    if not stat.S_ISDIR(st.st_mode):
        out["link"] = inodes.setdefault((st.st_dev, st.st_ino), name)
    names = os.listxattr(path, follow_symlinks=False)
    out["xattrs"] = {n: os.getxattr(path, n, follow_symlinks=False) for n in sorted(names)}
    return out


def read_tree(top):
    top, out, inodes, todo = os.fsencode(top), {}, {}, [b""]
    while todo:
        name = todo.pop(0)
        path = os.path.join(top, name) if name else top
        out[name] = describe(path, inodes, name)
        if out[name]["type"] == stat.S_IFDIR:
            todo += [os.path.join(name, n) for n in sorted(os.listdir(path))]
    return out


def same(a, b):
    left, right, bad = read_tree(a), read_tree(b), 0
    for name in sorted(set(left) | set(right)):
        if name not in left or name not in right:
            print(f"{name!r}: only in {a if name in left else b}")
            bad += 1
            continue
        for key in sorted(set(left[name]) | set(right[name])):
            if left[name].get(key) != right[name].get(key):
                print(f"{name!r}: {key}: {left[name].get(key)!r} != {right[name].get(key)!r}")
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"] and len(sys.argv) == 3:
        make(sys.argv[2])
    elif sys.argv[1:2] == ["same"] and len(sys.argv) == 4:
        sys.exit(same(sys.argv[2], sys.argv[3]))
    else:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
