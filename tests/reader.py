#!/usr/bin/env python3
"""reader.py: reads drctl snapshots with the Python standard library and the zstd command.

Written from backup/FORMAT.md alone, to show that the page is enough: it shares no line and no idea with
the C sources. It checks everything the page says can be checked (signature, digests, limits,
agreement of heads and records), and refuses what deviates, naming it.

    reader.py list BUCKET                        snapshots in a bucket (a directory)
    reader.py list BUCKET SNAPSHOT               entries, one a line
    reader.py verify BUCKET SNAPSHOT             every piece, both ways to the stream, every digest
    reader.py restore BUCKET SNAPSHOT TARGET     into an absent or empty directory

    --key ed25519:BASE64    the writer to trust; without it the signature is checked against the key in
                            the object, and a line says that nothing vouches for that key

Exit code 0, 1 (damaged, refused), 2 (usage), 8 (restored, but some attributes could not be set).
"""
import base64
import errno
import hashlib
import json
import os
import re
import stat
import struct
import subprocess
import sys

KIND_BUNDLE, KIND_HEAD, KIND_CHUNK, KIND_OVERLAY, KIND_DIRS, KIND_LINKS, KIND_TOC, KIND_LIST, KIND_PATCH = (
    0, 1, 2, 3, 4, 5, 16, 17, 18)
MAX_PIECE = 32 << 20
MAX_SEGMENT = 256 << 20
MAX_PATCH = 4 << 20
MAX_PACK = 1 << 30
MAX_PATH = 65535
MAX_OBJECT = 64 << 20
MAX_SEALED = 16 << 20
BATCH = 48 << 20  # raw bytes given to one run of zstd
MAGIC_DIGESTS = 0x184D2A5E
MAGIC_TABLE = 0x184D2A5D


class Damaged(Exception):
    """Bytes are not what the page says."""


def need(condition, what):
    if not condition:
        raise Damaged(what)


# -- Ed25519 (RFC 8032, section 6), verification only ----------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def point_add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def point_mul(s, point):
    out = (0, 1, 1, 0)
    while s:
        if s & 1:
            out = point_add(out, point)
        point = point_add(point, point)
        s >>= 1
    return out


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P:
        return None
    return P - x if (x & 1) != sign else x


def point_read(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def signature_good(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = point_read(public), point_read(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = point_mul(s, BASE), point_add(r, point_mul(h, a))
    return ((left[0] * right[2] - right[0] * left[2]) % P == 0
            and (left[1] * right[2] - right[1] * left[2]) % P == 0)


# -- bytes -------------------------------------------------------------------------------------------

class Bytes:
    """A cursor over a segment."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def take(self, n):
        need(self.at + n <= len(self.data), f"{self.what}: ends too early")
        out = self.data[self.at:self.at + n]
        self.at += n
        return out

    def varint(self):
        value = shift = 0
        for i in range(10):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                need(i == 0 or byte != 0, f"{self.what}: a number is longer than needed")
                need(value < 1 << 64, f"{self.what}: a number is too large")
                return value
            shift += 7
        raise Damaged(f"{self.what}: a number has no end")

    def svarint(self):
        n = self.varint()
        return (n >> 1) ^ -(n & 1)

    def bytes(self, most):
        n = self.varint()
        need(n <= most, f"{self.what}: a text is too long")
        return self.take(n)


def path_key(path):
    """Path order: the end lowest, then '/', then all other bytes by value."""
    return [0 if b == 0x2F else b + 1 for b in path]


def check_path(path, what):
    need(len(path) <= MAX_PATH and b"\0" not in path, f"{what}: not a path")
    if path == b"":
        return
    parts = path.split(b"/")
    need(len(parts) <= 4096, f"{what}: too deep")
    for part in parts:
        need(part not in (b"", b".", b"..") and len(part) <= 255, f"{what}: not a path: {path!r}")


# -- objects of a bucket ----------------------------------------------------------------------------------

def parse_json(line, what):
    def pairs(items):
        need(len({k for k, _ in items}) == len(items), f"{what}: a member stands twice")
        return dict(items)

    def no_real(_):
        raise Damaged(f"{what}: not an integer")
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=pairs, parse_float=no_real,
                           parse_constant=no_real)
    except ValueError as e:
        raise Damaged(f"{what}: {e}") from e
    need(isinstance(value, dict), f"{what}: not an object")
    return value


def two_lines(data, what):
    lines = data.split(b"\n")
    need(len(lines) == 3 and lines[2] == b"", f"{what}: not exactly two lines")
    return lines[0], parse_json(lines[1], what)


class Bucket:
    def __init__(self, path):
        self.path = path
        line = self.sealed("repository", "drctl-repository")
        need(line.get("encryption") == "none", "repository: encrypted: needs a newer version")
        need(line.get("needs") == [], f"repository: needs {line.get('needs')}")
        self.id = line["id"]

    def read(self, name, most):
        try:
            with open(os.path.join(self.path, name), "rb") as f:
                data = f.read(most + 1)
        except OSError as e:
            raise Damaged(f"{name}: {e.strerror}") from e
        need(len(data) <= most, f"{name}: too large")
        return data

    def range(self, name, offset, length):
        try:
            with open(os.path.join(self.path, name), "rb") as f:
                f.seek(offset)
                data = f.read(length)
        except OSError as e:
            raise Damaged(f"{name}: {e.strerror}") from e
        need(len(data) == length, f"{name}: ends too early")
        return data

    def sealed(self, name, form):
        data = self.read(name, MAX_SEALED)
        first, second = two_lines(data, name)
        need(second.get("sha256") == hashlib.sha256(first + b"\n").hexdigest(),
             f"{name}: digest differs")
        body = parse_json(first, name)
        need(body.get("format") == form and body.get("version") == 1,
             f"{name}: not {form} version 1")
        return body

    def snapshots(self):
        folder = os.path.join(self.path, "snapshots")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def expired(self):
        out = set()
        folder = os.path.join(self.path, "gc")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            out |= set(self.sealed("gc/" + name, "drctl-gc")["snapshots"])
        return out


def unzstd(frames, total):
    """Decompress concatenated frames; windows above 8 MiB are refused."""
    run = subprocess.run(["zstd", "-dcq", "-M8MiB"], input=frames, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, check=False)
    need(run.returncode == 0, "zstd: " + run.stderr.decode("utf-8", "replace").strip())
    need(len(run.stdout) == total, "frames do not have the raw length that was said")
    return run.stdout


PACK_NAME = re.compile(r"packs/([0-9a-f]{2})/([0-9a-f]{64})\Z")


def number(text, what):
    need(re.fullmatch(r"0|[1-9][0-9]{0,18}", text) is not None, f"{what}: not a number: {text!r}")
    return int(text)


class Frame:
    """A frame line: packs/AB/PACK OFFSET STORED RAW ID."""

    def __init__(self, fields, what, most):
        need(len(fields) >= 5, f"{what}: not a frame line")
        check_pack_name(fields[0], what)
        self.pack = fields[0]
        self.offset, self.stored, self.raw = (number(f, what) for f in fields[1:4])
        need(re.fullmatch(r"[0-9a-f]{64}", fields[4]) is not None, f"{what}: not an id")
        self.id = bytes.fromhex(fields[4])
        check_lengths(self.offset, self.stored, self.raw, most, what)


def check_pack_name(name, what):
    match = PACK_NAME.match(name)
    need(match is not None and match.group(2).startswith(match.group(1)),
         f"{what}: not a pack: {name!r}")


def check_lengths(offset, stored, raw, most, what):
    need(raw <= most and stored <= raw + 65536 and offset + stored <= MAX_PACK,
         f"{what}: a length is out of its limit")


def read_frames(bucket, frames):
    """Raw bytes of each frame, digest checked, a batch at a time."""
    batch, size = [], 0
    for frame in frames:
        batch.append(frame)
        size += frame.raw
        if size >= BATCH:
            yield from read_batch(bucket, batch)
            batch, size = [], 0
    yield from read_batch(bucket, batch)


def read_batch(bucket, batch):
    if not batch:
        return
    stored = b"".join(bucket.range(f.pack, f.offset, f.stored) for f in batch)
    at = 0
    for f in batch:  # every frame must be one zstd frame, not something that zstd skips
        need(stored[at:at + 4] == b"\x28\xb5\x2f\xfd", f"{f.pack} at {f.offset}: not a frame")
        at += f.stored
    raw = unzstd(stored, sum(f.raw for f in batch))
    at = 0
    for f in batch:
        piece = raw[at:at + f.raw]
        at += f.raw
        need(hashlib.sha256(piece).digest() == f.id, f"{f.pack} at {f.offset}: digest differs")
        yield f, piece


def list_bytes(bucket, node, what):
    """The text of a list of depth above 0."""
    lines, depth = node["lines"], node["depth"]
    need(isinstance(depth, int) and 0 < depth <= 3, f"{what}: depth {depth}")
    while True:
        frames = [Frame(line.split(" "), what, MAX_PIECE) for line in lines]
        text = b"".join(raw for _, raw in read_frames(bucket, frames))
        depth -= 1
        if depth == 0:
            return text
        need(text.endswith(b"\n"), f"{what}: an unfinished line")
        lines = text.decode("ascii").split("\n")[:-1]


def list_lines(bucket, node, what):
    need(isinstance(node, dict) and isinstance(node.get("lines"), list), f"{what}: not a list")
    if node["depth"] == 0:
        lines = node["lines"]
    else:
        text = list_bytes(bucket, node, what)
        need(text == b"" or text.endswith(b"\n"), f"{what}: an unfinished line")
        lines = text.decode("ascii").split("\n")[:-1]
    for line in lines:
        need(len(line) <= 200000 and re.fullmatch(r"[ -~]*", line) is not None
             and not set(line) & set("\",[]\\"), f"{what}: not a line: {line!r}")
    return lines


# -- the snapshot object ----------------------------------------------------------------------------------

class Snapshot:
    def __init__(self, bucket, name, key):
        self.bucket, self.name = bucket, name
        what = "snapshots/" + name
        first, second = two_lines(bucket.read(what, MAX_OBJECT), what)
        body = parse_json(first, what)
        need(body.get("format") == "drctl-snapshot" and body.get("version") == 1,
             f"{what}: not a snapshot of version 1")
        need(body.get("needs") == [], f"{what}: needs {body.get('needs')}")
        need(body.get("encryption") == "none" and body.get("index") is None
             and body.get("recipients") is None, f"{what}: encrypted: needs a newer version")
        need(body.get("id") == name, f"{what}: is of another name")
        need(body.get("repository") == bucket.id, f"{what}: is of another repository")
        self.key = second.get("key", "")
        need(self.key.startswith("ed25519:"), f"{what}: unsigned")
        try:
            public = base64.b64decode(self.key[8:], validate=True)
            signature = base64.b64decode(second.get("signature", ""), validate=True)
        except ValueError as e:
            raise Damaged(f"{what}: signature is not base64") from e
        need(signature_good(public, first + b"\n", signature), f"{what}: signature is wrong")
        need(key is None or key == self.key, f"{what}: signed by {self.key}, which is not trusted")
        self.body = body

    def segments(self):
        """(frame, its base or None, entries, first path) of each toc line."""
        for line in list_lines(self.bucket, self.body["toc"], "toc"):
            fields = line.split(" ")
            need(len(fields) in (7, 12), "toc: not a line of a segment")
            first = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes.fromhex(m.group(1).decode()),
                           fields[6].encode("ascii"))
            need(first.startswith(b"/"), "toc: first path without '/'")
            base = Frame(fields[7:], "toc", MAX_PATCH) if len(fields) == 12 else None
            frame = Frame(fields[:5], "toc", MAX_PATCH if base else MAX_SEGMENT)
            yield (frame, base, number(fields[5], "toc"), first[1:])


class Row:
    """A row of a piece table."""
    __slots__ = ("kind", "id", "pack", "offset", "stored", "raw", "superseded")


class Record:
    __slots__ = ("path", "type", "mode", "uid", "gid", "sec", "nsec", "piece", "block", "size", "nhead",
                 "nchunk", "digest", "link", "major", "minor")


def read_rows(b, count, packs):
    rows = []
    for _ in range(count):
        row = Row()
        row.kind = b.take(1)[0]
        need(row.kind <= KIND_LINKS, f"{b.what}: unknown kind {row.kind}")
        row.id = b.take(32)
        pack = b.varint()
        need(pack < len(packs), f"{b.what}: no such pack")
        row.pack = packs[pack]
        row.offset, row.stored, row.raw, row.superseded = (b.varint() for _ in range(4))
        check_lengths(row.offset, row.stored, row.raw, MAX_PIECE, b.what)
        need(row.raw > 0, f"{b.what}: an empty piece")
        need(row.kind == KIND_CHUNK or row.raw % 512 == 0, f"{b.what}: a piece is not of whole blocks")
        rows.append(row)
    return rows


def read_record(b, before, owners, rows):
    r = Record()
    prefix = b.varint()
    need(prefix <= len(before.path if before else b""), f"{b.what}: prefix too long")
    r.path = (before.path[:prefix] if before else b"") + b.bytes(MAX_PATH)
    check_path(r.path, b.what)
    r.type = chr(b.take(1)[0])
    need(r.type in "0123456", f"{b.what}: unknown type {r.type!r}")
    owner = b.varint()
    need(owner < len(owners), f"{b.what}: no such owner")
    r.mode, r.uid, r.gid = owners[owner]
    r.sec = (before.sec if before else 0) + b.svarint()
    r.nsec = b.varint()
    need(r.nsec < 10**9, f"{b.what}: nanoseconds")
    r.piece, r.block = b.varint(), b.varint()
    need(r.piece < len(rows), f"{b.what}: no such piece")
    r.size = r.nhead = r.nchunk = r.major = r.minor = 0
    r.digest, r.link = None, b""
    if r.type == "0":
        r.size, r.nhead, r.nchunk = b.varint(), b.varint(), b.varint()
        need(r.size < 1 << 63, f"{b.what}: size")
        if r.nhead:
            r.digest = b.take(32)
        else:
            need(r.nchunk == 0, f"{b.what}: chunks without a head")
        need(r.piece + r.nhead + r.nchunk <= len(rows), f"{b.what}: pieces beyond the table")
    elif r.type in "12":
        r.link = b.bytes(MAX_PATH)
        need(r.link != b"" and b"\0" not in r.link, f"{b.what}: link")
        if r.type == "1":
            check_path(r.link, b.what)
    elif r.type in "34":
        r.major, r.minor = b.varint(), b.varint()
    return r


class Segment:
    def __init__(self, frame, raw, entries, first):
        what = f"segment at {frame.pack} {frame.offset}"
        b = Bytes(raw, what)
        need(b.take(4) == b"DTC1", f"{what}: not a segment")
        npack, npiece, nowner, nrange, nrecord = (b.varint() for _ in range(5))
        need(npack <= 65536 and npiece <= 4194304 and nowner <= 65536 and nrange <= 65536
             and nrecord <= 65536, f"{what}: a count is out of its limit")
        packs = []
        for _ in range(npack):
            name = b.take(32)
            packs.append(frame.pack if name == bytes(32) else f"packs/{name.hex()[:2]}/{name.hex()}")
        self.rows = read_rows(b, npiece, packs)
        owners = [(b.varint(), b.varint(), b.varint()) for _ in range(nowner)]
        need(all(mode < 4096 for mode, _, _ in owners), f"{what}: mode")
        for _ in range(nrange):
            need(b.varint() <= nrecord and b.varint() <= npiece, f"{what}: range")
        self.records = []
        before = None
        for _ in range(nrecord):
            before = read_record(b, before, owners, self.rows)
            self.records.append(before)
        need(b.at == len(raw), f"{what}: bytes behind the records")
        need(nrecord == entries and nrecord > 0 and self.records[0].path == first,
             f"{what}: is not what the toc line says")


def patched(frame, patch, base_frame, base):
    """The segment that a patch makes of its base."""
    what = f"patch at {frame.pack} {frame.offset}"
    b = Bytes(patch, what)
    need(b.take(4) == b"DTD1", f"{what}: not a patch")
    need(b.take(32) == base_frame.id, f"{what}: is of another base")
    length, out, at = b.varint(), bytearray(), 0
    need(length <= MAX_PATCH, f"{what}: makes too much")
    while b.at < len(patch):
        fresh, copied, distance = b.bytes(length), b.varint(), b.svarint()
        need(len(fresh) + copied > 0, f"{what}: a step that gives nothing")
        out += fresh
        at += distance
        need(0 <= at <= at + copied <= len(base), f"{what}: copies what is not there")
        out += base[at:at + copied]
        at += copied
        need(len(out) <= length, f"{what}: makes more than it says")
    need(len(out) == length, f"{what}: makes less than it says")
    return bytes(out)


def read_segments(snapshot, segments):
    """(frame, raw bytes, entries, first path) of each segment, patches applied."""
    frames = [f for frame, base, _, _ in segments for f in ((base, frame) if base else (frame,))]
    raws = read_frames(snapshot.bucket, frames)
    for frame, base, entries, first in segments:
        under = next(raws)[1] if base else None
        raw = next(raws)[1]
        yield frame, patched(frame, raw, base, under) if base else raw, entries, first


def read_toc(snapshot):
    """All segments, with the rules that hold over all of them."""
    segments = list(snapshot.segments())
    types = {}
    last = None
    for frame, raw, entries, first in read_segments(snapshot, segments):
        segment = Segment(frame, raw, entries, first)
        for r in segment.records:
            key = path_key(r.path)
            need(last is None or last < key, f"paths do not ascend at {r.path!r}")
            need(last is not None or (r.path == b"" and r.type == "5"), "the root is not first")
            last = key
            if r.path:
                parent = r.path.rpartition(b"/")[0]
                need(types.get(parent) == "5", f"{r.path!r}: its parent is no directory")
            if r.type == "1":
                need(types.get(r.link, "1") not in "15", f"{r.path!r}: links to what it may not")
            types[r.path] = r.type
        yield segment
    need(len(types) == snapshot.body["entries"], "entries: total differs")


# -- tar heads ----------------------------------------------------------------------------------------------

class Head:
    __slots__ = ("path", "type", "mode", "uid", "gid", "sec", "nsec", "size", "link", "xattrs", "acl_access",
                 "acl_default", "sparse", "realsize", "major", "minor", "length")


def octal(field, what):
    text = field.rstrip(b"\0 ")
    need(re.fullmatch(rb"[0-7]*", text) is not None, f"{what}: a number is not octal")
    return int(text or b"0", 8)


def pax_records(data, what):
    out, at = {}, 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        need(space > 0 and data[at:space].isdigit(), f"{what}: pax record without a length")
        length = int(data[at:space])
        need(length > space - at + 2 and at + length <= len(data)
             and data[at + length - 1:at + length] == b"\n", f"{what}: pax record of wrong length")
        key, eq, value = data[space + 1:at + length - 1].partition(b"=")
        need(eq == b"=" and key not in out, f"{what}: pax record {key!r}")
        out[key] = value
        at += length
    return out


def ustar(data, at, what):
    block = data[at:at + 512]
    need(len(block) == 512 and block[257:265] == b"ustar\x0000", f"{what}: not a ustar header")
    total = sum(block) - sum(block[148:156]) + 8 * 32
    need(octal(block[148:156], what) == total, f"{what}: header checksum differs")
    return block


def pax_time(text, what):
    match = re.fullmatch(rb"(-?)([0-9]+)(?:\.([0-9]{9}))?", text)
    need(match is not None, f"{what}: mtime {text!r}")
    total = int(match.group(2)) * 10**9 + int(match.group(3) or b"0")
    return divmod(-total if match.group(1) else total, 10**9)


def parse_head(data, at, what):
    """The head of the entry at data[at:]; length tells where its map or data begin."""
    start, records = at, {}
    block = ustar(data, at, what)
    if block[156:157] == b"x":
        size = octal(block[124:136], what)
        need(size <= 8 << 20, f"{what}: pax records too long")
        records = pax_records(data[at + 512:at + 512 + size], what)
        at += 512 + (size + 511) // 512 * 512
        block = ustar(data, at, what)
    h = Head()
    h.type = block[156:157].decode("latin-1")
    h.path = records.get(b"path", block[0:100].rstrip(b"\0"))
    h.link = records.get(b"linkpath", block[157:257].rstrip(b"\0"))
    h.mode = octal(block[100:108], what)
    h.uid = int(records.get(b"uid", octal(block[108:116], what)))
    h.gid = int(records.get(b"gid", octal(block[116:124], what)))
    h.size = int(records.get(b"size", octal(block[124:136], what)))
    h.sec, h.nsec = octal(block[136:148], what), 0
    if b"mtime" in records:
        h.sec, h.nsec = pax_time(records[b"mtime"], what)
    h.major, h.minor = octal(block[329:337], what), octal(block[337:345], what)
    h.acl_access = records.get(b"SCHILY.acl.access")
    h.acl_default = records.get(b"SCHILY.acl.default")
    h.xattrs = [(unescape(k[13:]), v) for k, v in records.items() if k.startswith(b"SCHILY.xattr.")]
    h.sparse = b"GNU.sparse.major" in records
    h.realsize = h.size
    for key in records:
        need(not key.startswith(b"GNU.sparse.")
             or key[11:] in (b"major", b"minor", b"name", b"realsize"), f"{what}: unknown {key!r}")
    if h.sparse:
        need(records[b"GNU.sparse.major"] == b"1" and records.get(b"GNU.sparse.minor") == b"0",
             f"{what}: sparse format")
        h.path = records[b"GNU.sparse.name"]
        h.realsize = int(records[b"GNU.sparse.realsize"])
    h.length = at + 512 - start
    return h


def unescape(name):
    return name.replace(b"%3D", b"=").replace(b"%25", b"%")


def parse_map(data, at, realsize, what):
    """GNU 1.0 sparse map: extents, and where the data begin."""
    start = at

    def line():
        nonlocal at
        end = data.find(b"\n", at, at + 24)
        need(end > at and data[at:end].isdigit(), f"{what}: sparse map")
        value = int(data[at:end])
        at = end + 1
        return value
    count = line()
    need(count <= 1048576, f"{what}: too many extents")
    extents, last = [], 0
    for _ in range(count):
        offset, length = line(), line()
        need(offset >= last and offset + length <= realsize, f"{what}: extents")
        last = offset + length
        extents.append((offset, length))
    return extents, (at - start + 511) // 512 * 512


def entry_path(head):
    if head.type == "5":
        need(head.path.endswith(b"/"), "a directory's name without '/'")
        return b"" if head.path == b"./" else head.path[:-1]
    return head.path


def check_agree(record, head):
    what = f"{record.path!r}: head and record differ"
    need(entry_path(head) == record.path and head.type == record.type, what)
    need((head.mode, head.uid, head.gid) == (record.mode, record.uid, record.gid), what)
    need((head.sec, head.nsec) == (record.sec, record.nsec), what)
    if record.type == "0":
        need(head.realsize == record.size, what)
    elif record.type in "12":
        need(head.link == record.link, what)
    elif record.type in "34":
        need((head.major, head.minor) == (record.major, record.minor), what)


class Entry:
    """One entry as it lies in a piece of whole entries."""
    __slots__ = ("head", "extents", "data")


def piece_entries(raw, what):
    """offset in blocks -> Entry, for kinds 0, 3, 4, 5."""
    out, at = {}, 0
    while at < len(raw):
        e = Entry()
        e.head = parse_head(raw, at, what)
        begin, at = at, at + e.head.length
        length = e.head.size if e.head.type == "0" else 0
        e.extents = [(0, length)]
        if e.head.sparse:
            e.extents, skip = parse_map(raw, at, e.head.realsize, what)
            need(skip <= length, f"{what}: sparse map longer than its entry")
            at, length = at + skip, length - skip
        need(sum(n for _, n in e.extents) == length and at + length <= len(raw),
             f"{what}: an entry ends behind its piece")
        e.data = raw[at:at + length]
        at += (length + 511) // 512 * 512
        out[begin // 512] = e
    need(at == len(raw), f"{what}: an entry ends behind its piece")
    return out


def check_digests(bucket, row, entries, what):
    """The digest frame behind a bundle or overlay."""
    files = [e for _, e in sorted(entries.items()) if e.head.type == "0"]
    if not files:
        return
    frame = bucket.range(row.pack, row.offset + row.stored, 8 + 32 * len(files))
    magic, length = struct.unpack("<II", frame[:8])
    need(magic == MAGIC_DIGESTS and length == 32 * len(files), f"{what}: no digest frame behind it")
    for i, e in enumerate(files):
        need(hashlib.sha256(e.data).digest() == frame[8 + 32 * i:40 + 32 * i],
             f"{what}: digest of {e.head.path!r} differs")


# -- walking through a snapshot ----------------------------------------------------------------------------------

class Large:
    """A large file while its pieces come by."""

    def __init__(self, record):
        self.record, self.heads, self.left = record, b"", record.nhead + record.nchunk
        self.head, self.todo, self.digest = None, 0, hashlib.sha256()

    def feed(self, row, raw, sink):
        r = self.record
        if self.head is None:
            need(row.kind == KIND_HEAD, f"{r.path!r}: a piece is no head")
            self.heads += raw
            if self.left == r.nchunk + 1:
                self.begin(sink)
        else:
            need(row.kind == KIND_CHUNK, f"{r.path!r}: a piece is no chunk")
            part = raw[:self.todo]
            need(len(raw) - len(part) < 512 and (len(raw) == len(part) or self.left == 1),
                 f"{r.path!r}: padding in the middle")
            self.todo -= len(part)
            self.digest.update(row.id)
            sink.more(part)
        self.left -= 1
        if self.left == 0:
            need(self.todo == 0, f"{r.path!r}: data are missing")
            need(self.digest.digest() == r.digest, f"{r.path!r}: digest differs")
            sink.end(r, self.head)
        return self.left == 0

    def begin(self, sink):
        what = repr(self.record.path)
        self.head = parse_head(self.heads, 0, what)
        check_agree(self.record, self.head)
        extents, at = [(0, self.head.size)], self.head.length
        if self.head.sparse:
            extents, skip = parse_map(self.heads, at, self.head.realsize, what)
            at += skip
        need(at == len(self.heads), f"{what}: its head has a wrong length")
        self.todo = sum(n for _, n in extents)
        sink.begin(self.record, extents)


def walk(snapshot, sink):
    """Every piece of the snapshot once, in stream order but for the order of segments' directories."""
    for segment in read_toc(snapshot):
        wanted, large = {}, {}
        for r in segment.records:
            sink.record(r)
            if r.nhead:
                need(r.block == 0, f"{r.path!r}: a large file does not begin its piece")
                for i in range(r.nhead + r.nchunk):
                    need(r.piece + i not in large, f"{r.path!r}: shares a row with another file")
                    large[r.piece + i] = r
            else:
                wanted.setdefault(r.piece, []).append(r)
        state = None
        for at, (row, raw) in enumerate(read_frames(snapshot.bucket, segment.rows)):
            what = f"{row.pack} at {row.offset}"
            sink.piece(row, raw)
            if row.kind in (KIND_HEAD, KIND_CHUNK):
                need(at not in wanted, f"{what}: an entry where a large file is")
                if at in large:
                    state = state or Large(large[at])
                    need(state.record is large[at], f"{what}: pieces of two files mixed")
                    state = None if state.feed(row, raw, sink) else state
                continue
            entries = piece_entries(raw, what)
            if row.kind in (KIND_BUNDLE, KIND_OVERLAY):
                check_digests(snapshot.bucket, row, entries, what)
            for r in wanted.get(at, []):
                need(r.block in entries, f"{r.path!r}: no entry at its offset")
                check_agree(r, entries[r.block].head)
                check_kind(r, row, what)
                sink.entry(r, entries[r.block])
        need(state is None, "a large file has no end")


def check_kind(record, row, what):
    kinds = {"5": (KIND_DIRS,), "1": (KIND_LINKS,)}.get(record.type, (KIND_BUNDLE, KIND_OVERLAY))
    need(row.kind in kinds, f"{what}: {record.path!r} lies in a piece of the wrong kind")


class Sink:
    """What a walk tells; the base class wants nothing."""

    def record(self, record):
        pass

    def piece(self, row, raw):
        pass

    def entry(self, record, entry):
        pass

    def begin(self, record, extents):
        pass

    def more(self, data):
        pass

    def end(self, record, head):
        pass


# -- verify ----------------------------------------------------------------------------------------------------

class Verify(Sink):
    def __init__(self):
        self.stream, self.dirs, self.files, self.bytes = hashlib.sha256(), [], 0, 0

    def piece(self, row, raw):
        if row.kind == KIND_DIRS:
            self.dirs.append(raw)
        else:
            self.stream.update(raw)

    def record(self, record):
        self.files += record.type == "0"
        self.bytes += record.size


def check_pack(bucket, name):
    data = bucket.read(name, MAX_PACK)
    what = name
    need(hashlib.sha256(data).hexdigest() == name[-64:], f"{what}: digest differs from its name")
    need(len(data) >= 40 and data[-4:] == b"1PTD", f"{what}: no table at its end")
    total = struct.unpack("<I", data[-8:-4])[0]
    need(total <= len(data), f"{what}: table")
    table = data[len(data) - total:]
    magic, length = struct.unpack("<II", table[:8])
    count = struct.unpack("<I", table[28:32])[0]
    need(magic == MAGIC_TABLE and length == total - 8 and table[8:12] == b"DTP1"
         and total == 32 + 48 * count + 8, f"{what}: table")
    end = 0
    for i in range(count):
        offset, stored, raw, kind = struct.unpack("<IIII", table[64 + 48 * i:80 + 48 * i])
        need(offset >= end and offset + stored <= len(data) - total, f"{what}: rows")
        need(kind in (0, 1, 2, 3, 4, 5, 16, 17, 18), f"{what}: kind {kind}")
        end = offset + stored


def verify(snapshot):
    bucket, body = snapshot.bucket, snapshot.body
    packs = list_lines(bucket, body["packs"], "packs")
    need(packs == sorted(set(packs)), "packs: not sorted")
    for pack in packs:
        check_pack(bucket, f"packs/{pack[:2]}/{pack}")
    sink = Verify()
    walk(snapshot, sink)
    for raw in sink.dirs:
        sink.stream.update(raw)
    need((sink.files, sink.bytes) == (body["files"], body["bytes"]), "totals differ")
    runs = hashlib.sha256()
    with subprocess.Popen(["zstd", "-dcq", "-M8MiB"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        if os.fork() == 0:
            child.stdout.close()
            for line in list_lines(bucket, body["recipe"], "recipe"):
                pack, offset, length = line.split(" ")
                child.stdin.write(bucket.range(pack, int(offset), int(length)))
            child.stdin.close()
            os._exit(0)
        child.stdin.close()
        while True:
            part = child.stdout.read(1 << 20)
            if not part:
                break
            runs.update(part)
        os.wait()
    need(runs.digest() == sink.stream.digest(), "recipe: is not the stream of the segments")
    print(f"good: {body['entries']} entries, {sink.files} files, {sink.bytes} bytes, {len(packs)} packs")


# -- restore ----------------------------------------------------------------------------------------------------

ACL_TAGS = {("user", False): 1, ("user", True): 2, ("group", False): 4, ("group", True): 8,
            ("mask", False): 16, ("other", False): 32}


def acl_bytes(text):
    """The kernel's form of an ACL (linux/posix_acl_xattr.h)."""
    rows = []
    for part in text.decode("ascii").split(","):
        tag, who, perm = part.split(":")
        bits = sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in perm)
        rows.append((ACL_TAGS[(tag, who != "")], int(who) if who else 0xFFFFFFFF, bits))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, bits, who)
                                           for tag, who, bits in sorted(rows))


class Restore(Sink):
    def __init__(self, target):
        self.target, self.root = target, os.geteuid() == 0
        self.warnings, self.dirs, self.links, self.symlinks, self.out = 0, [], [], [], None

    def at(self, path):
        return os.path.join(self.target, path) if path else self.target

    def warn(self, path, what):
        self.warnings += 1
        print(f"warning: {path!r}: {what}", file=sys.stderr)

    def record(self, record):
        if record.type == "5" and record.path:
            os.mkdir(self.at(record.path), 0o700)
        elif record.type == "1":
            self.links.append(record)

    def attributes(self, record, head):
        path = self.at(record.path)
        mode = record.mode
        try:
            os.lchown(path, record.uid, record.gid)
        except OSError as e:
            if e.errno not in (errno.EPERM, errno.EINVAL):
                raise
            self.warn(record.path, f"owner not kept: {e.strerror}")
        if not self.root:
            mode &= 0o1777
        for name, value in head.xattrs:  # before the mode: a read-only file takes none
            self.xattr(record, name, value)
        if record.type != "2":
            os.chmod(path, mode)
        if head.acl_access is not None:
            self.xattr(record, b"system.posix_acl_access", acl_bytes(head.acl_access))
        if head.acl_default is not None:
            self.xattr(record, b"system.posix_acl_default", acl_bytes(head.acl_default))
        os.utime(path, ns=(record.sec * 10**9 + record.nsec,) * 2, follow_symlinks=False)

    def xattr(self, record, name, value):
        if not self.root and name.split(b".")[0] in (b"trusted", b"security"):
            self.warn(record.path, f"attribute {name!r} not kept")
            return
        try:
            os.setxattr(self.at(record.path), name, value, follow_symlinks=False)
        except OSError as e:
            self.warn(record.path, f"attribute {name!r} not kept: {e.strerror}")

    def entry(self, record, entry):
        if record.type == "0":
            self.begin(record, entry.extents)
            self.more(entry.data)
            self.end(record, entry.head)
        elif record.type == "5":
            self.dirs.append((record, entry.head))
        elif record.type == "2":
            self.symlinks.append((record, entry.head))
        elif record.type in "346":
            self.special(record, entry.head)

    def special(self, record, head):
        kind = {"3": stat.S_IFCHR, "4": stat.S_IFBLK, "6": stat.S_IFIFO}[record.type]
        try:
            os.mknod(self.at(record.path), kind | 0o600, os.makedev(record.major, record.minor))
        except PermissionError as e:
            self.warn(record.path, f"not made: {e.strerror}")
            return
        self.attributes(record, head)

    def begin(self, record, extents):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self.out = os.open(self.at(record.path), flags, 0o600)
        os.ftruncate(self.out, record.size)
        self.extents = [e for e in extents if e[1] > 0]

    def more(self, data):
        while data:
            offset, length = self.extents[0]
            n = os.pwrite(self.out, data[:length], offset)
            data = data[n:]
            self.extents[0] = (offset + n, length - n)
            if n == length:
                self.extents.pop(0)

    def end(self, record, head):
        os.close(self.out)
        self.attributes(record, head)

    def finish(self):
        for record, head in self.symlinks:
            os.symlink(record.link, self.at(record.path))
            self.attributes(record, head)
        for record in self.links:
            try:
                os.link(self.at(record.link), self.at(record.path), follow_symlinks=False)
            except FileNotFoundError as e:
                self.warn(record.path, f"not linked: {e.strerror}")
        for record, head in sorted(self.dirs, key=lambda d: path_key(d[0].path), reverse=True):
            self.attributes(record, head)


def restore(snapshot, target):
    os.makedirs(target, exist_ok=True)
    if os.listdir(target):
        raise Damaged(f"'{target}' is not empty")
    sink = Restore(os.fsencode(os.path.abspath(target)))
    walk(snapshot, sink)
    sink.finish()
    return 8 if sink.warnings else 0


# -- the program ----------------------------------------------------------------------------------------------------

class Lister(Sink):
    def record(self, record):
        name = record.path.decode("utf-8", "backslashreplace") or "."
        print(f"{record.type} {record.mode:04o} {record.uid}/{record.gid} {record.size} "
              f"{record.sec}.{record.nsec:09d} {name}")


def list_bucket(bucket, key):
    expired = bucket.expired()
    for name in bucket.snapshots():
        try:
            body = Snapshot(bucket, name, key).body
            word = "expired" if name in expired else "good"
            print(f"{name} {word} {body['source']} {body['kind']} {body['files']} {body['bytes']}")
        except Damaged as e:
            print(f"{name} refused: {e}")


def main(argv):
    key = None
    if "--key" in argv[:-1]:
        at = argv.index("--key")
        key = argv[at + 1]
        del argv[at:at + 2]
    shape = (argv[0] if argv else "", len(argv))
    if shape not in (("list", 2), ("list", 3), ("verify", 3), ("restore", 4)):
        print(__doc__, file=sys.stderr)
        return 2
    bucket = Bucket(argv[1])
    if shape == ("list", 2):
        list_bucket(bucket, key)
        return 0
    snapshot = Snapshot(bucket, argv[2], key)
    if key is None:
        print(f"note: signed by {snapshot.key}; nothing vouches for this key", file=sys.stderr)
    if argv[0] == "list":
        for segment in read_toc(snapshot):
            for record in segment.records:
                Lister().record(record)
        return 0
    if argv[0] == "verify":
        verify(snapshot)
        return 0
    return restore(snapshot, argv[3])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Damaged as damage:
        print(f"error: {damage}", file=sys.stderr)
        sys.exit(1)
