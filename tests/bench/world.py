"""world.py - where a benchmark happens: directories, data sets, file systems, and the measured run.

    BENCH_DIR/data/SET-DIVISOR/     a data set, with a stamp beside it; kept between benchmarks
    BENCH_DIR/repos/TOOL/SET/       what a tool wrote
    BENCH_DIR/fs/                   an image and its mount point, made afresh for each restore

A data set is made again when the sources of its generator changed. Its stamp also says how many rounds of
changes it has seen; a round is never repeated.
"""
import contextlib
import hashlib
import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """A command that is measured did not do its job."""


class World:
    """One benchmark's surroundings."""

    def __init__(self, directory, gen, meter, divisors):
        self.dir = directory
        self.gen, self.meter, self.divisors = gen, meter, divisors
        self.restores_to = None  # said in the result: what restores were written to
        for name in ("data", "repos", "fs"):
            os.makedirs(self.path(name), exist_ok=True)
        # The tools' own words for "here, and without questions"; their caches are theirs, by default on.
        os.environ.update(
            LC_ALL="C", RESTIC_PASSWORD="benchmark", RESTIC_CACHE_DIR=self.path("repos", "restic.cache"),
            BORG_PASSPHRASE="benchmark",
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes", BORG_RELOCATED_REPO_ACCESS_IS_OK="yes")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    # -- data sets -------------------------------------------------------------------------------------

    def tree(self, name):
        return self.path("data", f"{name}-{self.divisors[name]}")

    def _stamp(self, name):
        return self.tree(name) + ".stamp"

    def _recipe(self):
        digest = hashlib.sha256()
        for source in ("gen.c", "big.c", "text.c", "out.c"):
            with open(os.path.join(HERE, source), "rb") as f:
                digest.update(f.read())
        return digest.hexdigest()

    def _read_stamp(self, name):
        try:
            with open(self._stamp(name), encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError):
            return None

    def _write_stamp(self, name, rounds):
        with open(self._stamp(name), "w", encoding="utf-8") as f:
            json.dump({"recipe": self._recipe(), "rounds": rounds}, f)

    def need(self, name):
        """Make the data set NAME unless it is there."""
        stamp = self._read_stamp(name)
        if stamp and stamp["recipe"] == self._recipe():
            return
        if os.path.exists(self._stamp(name)):
            os.unlink(self._stamp(name))
        shutil.rmtree(self.tree(name), ignore_errors=True)
        subprocess.run([self.gen, "make", name, self.tree(name), str(self.divisors[name])], check=True)
        os.sync()
        self._write_stamp(name, 0)

    def rounds(self, name):
        return self._read_stamp(name)["rounds"]

    def mutate(self, name):
        """Change another hundredth; returns the changed files' relative paths."""
        number = self.rounds(name)
        self._write_stamp(name, number + 1)
        out = subprocess.run([self.gen, "mutate", name, self.tree(name), str(self.divisors[name]),
                              str(number)], check=True, stdout=subprocess.PIPE, text=True)
        return out.stdout.splitlines()

    def yardstick(self, name, changed):
        """(bytes of the changed files, bytes of their tar entries under zstd -3)."""
        tree = self.tree(name)
        raw = sum(os.lstat(os.path.join(tree, path)).st_size for path in changed)
        tar = subprocess.Popen(["tar", "-C", tree, "--null", "-T", "-", "-cf", "-"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        zstd = subprocess.Popen(["zstd", "-3", "-q", "-c"], stdin=tar.stdout, stdout=subprocess.PIPE)
        tar.stdout.close()
        tar.stdin.write(b"\0".join(os.fsencode(path) for path in changed))
        tar.stdin.close()
        small = 0
        while chunk := zstd.stdout.read(1 << 20):
            small += len(chunk)
        if tar.wait() != 0 or zstd.wait() != 0:
            raise Failed("tar | zstd of the changed files")
        return raw, small

    def count(self, path):
        """(regular files, links, bytes) at or below PATH."""
        out = subprocess.run([self.meter, "count", path], check=True, stdout=subprocess.PIPE, text=True)
        return tuple(int(word) for word in out.stdout.split())

    # -- one measured run --------------------------------------------------------------------------------

    def warm(self, *paths):
        """Let nothing of before disturb: dirty pages are written; then read what is about to be read."""
        os.sync()
        subprocess.run([self.meter, "warm", *[p for p in paths if os.path.lexists(p)]], check=True)

    def measure(self, argv, cwd=None):
        """Run ARGV once; the figures of bench_meter as a dict."""
        out, err = self.path("run.json"), self.path("run.err")
        with open(err, "wb") as talk:
            subprocess.run([self.meter, "run", out, *argv], cwd=cwd, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=talk, check=False)
        with open(out, encoding="utf-8") as f:
            figures = json.load(f)
        if figures["exit"] != 0:
            with open(err, encoding="utf-8", errors="replace") as f:
                raise Failed(f"{' '.join(argv[:6])} ...: exit {figures['exit']}: {f.read()[-600:].strip()}")
        figures["cpu_s"] = figures["user_s"] + figures["sys_s"]
        return figures

    # -- file systems --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def fresh_fs(self, size, entries):
        """A directory to restore into: the root of an ext4 made just now, where we may mount one."""
        image, mount = self.path("fs", "image"), self.path("fs", "mnt")
        os.makedirs(mount, exist_ok=True)
        if os.path.ismount(mount):  # a benchmark was killed here
            self._umount(mount)
        with contextlib.suppress(OSError):
            os.unlink(image)
        mounted = os.geteuid() == 0 and self._mount(image, mount, size, entries)
        self.restores_to = ("an ext4 on a loop device, made before each run" if mounted else
                            "a fresh directory (a file system of its own needs root and a loop device)")
        target = mount if mounted else self.path("fs", "dir")
        if not mounted:
            os.makedirs(target)
        try:
            yield target
        finally:
            if mounted:
                self._umount(mount)
                os.unlink(image)
            else:
                shutil.rmtree(target)

    @staticmethod
    def _umount(mount):
        if subprocess.run(["umount", mount], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            subprocess.run(["umount", "-l", mount], check=True)  # what we were stopped in still dies

    @staticmethod
    def _mount(image, mount, size, entries):
        with open(image, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, 2 * size + entries * 4096 + (512 << 20))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        made = subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(entries * 5 // 4 + 20000), "-E",
                               "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image], **quiet)
        return (made.returncode == 0 and
                subprocess.run(["mount", "-o", "loop", image, mount], **quiet).returncode == 0)
