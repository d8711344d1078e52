"""tools.py - the programs that are compared, each with the command lines of its jobs.

A peer does the job of drctl as its users would have it do it: default options, default caches, a repository
on the same file system, the password known. A tool answers command(action, name, to) with an argument
vector, or None where it has no such job:

    first    back a tree up into an empty repository        again    back it up once more
    restore  bring the newest backup back below TO          verify   read and check all data
    check    check the repository without reading data      walk     visit every entry
    prune    forget all backups but the newest, free what they held
"""
import os
import shutil
import subprocess

BASH = ["bash", "-o", "pipefail", "-c"]


def tree_size(path):
    """The bytes of all files at or below PATH."""
    total = 0
    for folder, _, names in os.walk(path):
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return total


class Tool:
    """Home, set-up and size; the commands are the subclass's."""

    name = "?"
    program = "?"
    version_words = ["--version"]

    def __init__(self, world):
        self.world = world
        self.runs = 0
        self.seen = {}  # set -> (rounds of changes its newest backup has seen, how many backups there are)

    def home(self, name, *parts):
        return self.world.path("repos", self.name, name, *parts)

    def missing(self):
        return shutil.which(self.program) is None

    def version(self):
        done = subprocess.run([self.program, *self.version_words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "?"

    def reset(self, name):
        """An empty repository; not measured."""
        shutil.rmtree(self.home(name), ignore_errors=True)
        os.makedirs(self.home(name))
        self.seen.pop(name, None)
        self.create(name)

    def create(self, name):
        pass

    def keep_as_it_is(self, name):
        """Remember the repository, with its caches."""
        shutil.rmtree(self.home(name) + ".kept", ignore_errors=True)
        subprocess.run(["cp", "-a", self.home(name), self.home(name) + ".kept"], check=True)

    def back_as_it_was(self, name):
        shutil.rmtree(self.home(name))
        subprocess.run(["cp", "-a", self.home(name) + ".kept", self.home(name)], check=True)
        self.seen.pop(name, None)

    def stored(self, name):
        """What is in the repository, in bytes."""
        return tree_size(self.home(name))

    def reads(self, action, name):
        """What a run is about to read."""
        return [self.world.tree(name)] if action in ("first", "again", "walk") else [self.home(name)]

    def command(self, action, name, to=None):
        raise NotImplementedError

    def run(self, action, name, to=None):
        """Measure one run and remember what the repository has seen."""
        self.runs += 1
        self.world.warm(*self.reads(action, name))
        figures = self.world.measure(self.command(action, name, to), cwd=to)
        if action in ("first", "again"):
            self.seen[name] = (self.world.rounds(name), self.seen.get(name, (0, 0))[1] + 1)
        return figures

    def ready(self, name, fresh):
        """A repository that has seen the tree as it is; if FRESH, with one backup."""
        rounds, backups = self.seen.get(name, (-1, 0))
        if rounds == self.world.rounds(name) and (backups == 1 or not fresh):
            return
        if fresh or backups == 0:
            self.reset(name)
        self.run("first" if fresh or backups == 0 else "again", name)


class Drctl(Tool):
    """One directory bucket, unencrypted."""

    name = "drctl"

    def __init__(self, world, program):
        super().__init__(world)
        self.program = program

    def create(self, name):
        os.makedirs(self.home(name, "bucket"))
        with open(self.home(name, "dr.yaml"), "w", encoding="utf-8") as f:
            f.write("disaster_recovery:\n  backup_policy:\n"
                    "    full_backup: {frequency: daily, retention: 30d}\n"
                    "    incremental_backup: {frequency: 5m, retention: 7d}\n"
                    f"sources:\n  - {{name: bench, path: \"{self.world.tree(name)}\", class: data}}\n"
                    "buckets:\n"
                    f"  - {{name: one, url: \"file://{self.home(name, 'bucket')}\", region: here}}\n"
                    f"state_dir: \"{self.home(name, 'state')}\"\n")
        subprocess.run([*self._with(name), "init"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def _with(self, name):
        return [self.program, "-q", "-c", self.home(name, "dr.yaml")]

    def stored(self, name):
        return tree_size(self.home(name, "bucket"))

    def command(self, action, name, to=None):
        words = {"first": ["backup", "--kind", "full"], "again": ["backup", "--kind", "incremental"],
                 "restore": ["restore", "latest", "--to", f"{to}/out"], "verify": ["verify", "--data"],
                 "check": ["verify"]}.get(action)
        if action == "prune":
            return [*BASH, '"$@" forget --source bench --keep-last 1 && "$@" prune', "bash",
                    *self._with(name), "--yes"]
        return words and [*self._with(name), *words]

    def can(self, words):
        """Whether this version knows the words, asked with a configuration of nothing."""
        empty = self.world.path("data", "EMPTY-1")
        os.makedirs(empty, exist_ok=True)
        self.world.divisors["EMPTY"] = 1
        self.reset("EMPTY")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        subprocess.run([*self._with("EMPTY"), "backup", "--kind", "full"], **quiet)
        return subprocess.run([*self._with("EMPTY"), *words], **quiet).returncode == 0


class Restic(Tool):
    name = program = "restic"
    version_words = ["version"]

    def _with(self, name):
        return ["restic", "-q", "-r", self.home(name, "repo")]

    def create(self, name):
        subprocess.run([*self._with(name), "init"], check=True, stdout=subprocess.DEVNULL)

    def stored(self, name):
        return tree_size(self.home(name, "repo"))

    def command(self, action, name, to=None):
        words = {"first": ["backup", self.world.tree(name)], "again": ["backup", self.world.tree(name)],
                 "restore": ["restore", "latest", "--target", f"{to}/out"],
                 "verify": ["check", "--read-data"], "check": ["check"],
                 "prune": ["forget", "--keep-last", "1", "--prune"]}.get(action)
        return words and [*self._with(name), *words]


class Borg(Tool):
    program = "borg"

    def __init__(self, world, name, encryption):
        super().__init__(world)
        self.name, self.encryption, self.newest = name, encryption, {}

    def _borg(self, name):
        return ["env", f"BORG_BASE_DIR={self.home(name, 'base')}", "borg"]

    def create(self, name):
        subprocess.run([*self._borg(name), "init", "-e", self.encryption, self.home(name, "repo")],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stored(self, name):
        return tree_size(self.home(name, "repo"))

    def command(self, action, name, to=None):
        repo, now = self.home(name, "repo"), f"{self.home(name, 'repo')}::{self.name}-{self.runs}"
        if action in ("first", "again"):
            self.newest[name] = now
            return [*self._borg(name), "create", "--compression", "zstd,3", now, self.world.tree(name)]
        if action == "restore":
            return [*BASH, 'mkdir out && cd out && exec "$@"', "bash", *self._borg(name), "extract",
                    self.newest[name]]
        if action == "prune":
            return [*BASH, '"${@:2}" prune --keep-last 1 "$1" && "${@:2}" compact "$1"', "bash", repo,
                    *self._borg(name)]
        words = {"verify": ["check", "--verify-data", repo],
                 "check": ["check", "--repository-only", repo]}.get(action)
        return words and [*self._borg(name), *words]


class TarZstd(Tool):
    """tar | zstd -3 -T2 to a file; SYNC makes it durable, as drctl's buckets are when drctl says done."""

    program = "zstd"

    def __init__(self, world, name, sync):
        super().__init__(world)
        self.name, self.sync = name, sync

    def command(self, action, name, to=None):
        archive = self.home(name, "archive.tar.zst")
        if action in ("first", "again"):
            return [*BASH, 'tar -C "$0" -cf - . | zstd -3 -T2 -q -f -o "$1"'
                    + (' && sync "$1"' if self.sync else ""), self.world.tree(name), archive]
        if action == "restore":
            return [*BASH, 'mkdir out && zstd -dcq "$0" | tar -C out -xpf -'
                    + (" && sync -f out" if self.sync else ""), archive]
        return ["zstd", "-t", "-q", archive] if action == "verify" else None


class Copy(Tool):
    """cp -a of the tree itself; SYNC as above."""

    program = "cp"

    def __init__(self, world, name, sync):
        super().__init__(world)
        self.name, self.sync = name, sync

    def ready(self, name, fresh):
        pass

    def reads(self, action, name):
        return [self.world.tree(name)]

    def command(self, action, name, to=None):
        if action != "restore":
            return None
        plain = ["cp", "-a", self.world.tree(name), f"{to}/out"]
        return [*BASH, '"$@" && sync -f .', "bash", *plain] if self.sync else plain


class Find(Tool):
    name = program = "find"

    def ready(self, name, fresh):
        pass

    def command(self, action, name, to=None):
        return ["find", self.world.tree(name), "-printf", "%p %s %T@ %C@ %i %m %U %G\\n"]


def all_tools(world, drctl):
    """Every program by name."""
    tools = [Drctl(world, drctl), Restic(world), Borg(world, "borg", "none"),
             Borg(world, "borg-repokey", "repokey"), TarZstd(world, "tar-zstd", False),
             TarZstd(world, "tar-zstd-sync", True), Copy(world, "cp", False), Copy(world, "cp-sync", True),
             Find(world)]
    return {tool.name: tool for tool in tools}
