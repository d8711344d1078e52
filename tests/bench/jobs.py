"""jobs.py - what is measured, by whom, and the goals.

A job is run in rounds. In a round every side runs once, neighbours close in time; the order is turned round
every other time. Sides are listed so that drctl stands beside what its goal is about.
"""
from world import Failed

MIB = 1 << 20

BACKUP = ["restic", "borg", "borg-repokey", "tar-zstd-sync", "drctl", "tar-zstd"]
AGAIN = ["restic", "borg", "borg-repokey", "drctl", "find"]
CHANGE = ["restic", "borg", "drctl", "drctl-nochange"]
RESTORE = ["restic", "borg", "borg-repokey", "tar-zstd", "cp-sync", "drctl", "cp"]
VERIFY = ["restic", "borg", "drctl", "tar-zstd"]
CHECK = ["restic", "borg", "drctl"]

# name: (kind, data set, sides); in the order in which they are run.
JOBS = {
    "first-src": ("first", "SRC", BACKUP),
    "first-small": ("first", "SMALL", BACKUP),
    "first-big": ("first", "BIG", BACKUP),
    "restore-src": ("restore", "SRC", RESTORE),
    "restore-small": ("restore", "SMALL", RESTORE),
    "restore-big": ("restore", "BIG", RESTORE),
    "verify-src": ("verify", "SRC", VERIFY),
    "check-small": ("check", "SMALL", CHECK),
    "nochange-src": ("again", "SRC", AGAIN),
    "nochange-small": ("again", "SMALL", AGAIN),
    "nochange-conf": ("again", "CONF", AGAIN),
    "prune-small": ("prune", "SMALL", CHECK),
    "change-src": ("change", "SRC", CHANGE),
    "change-small": ("change", "SMALL", CHANGE),
    "change-big": ("change", "BIG", CHANGE),
}

# Only when named: 2,000,000 files take 8 GB and minutes to make.
MEMORY = ["drctl", "drctl-nochange", "drctl-restore"]
JOBS_ASKED = {
    "memory-20k": ("memory", "SMALL20K", MEMORY),
    "memory-200k": ("memory", "SMALL", MEMORY),
    "memory-2m": ("memory", "SMALL2M", MEMORY),
}
ALL_JOBS = {**JOBS, **JOBS_ASKED}

# (job, figure, compared with, goal, stage). Stage 1 is marked (1) in the goals; 2 is for later. Compared with
# a side: the ratio of medians; with another job: with drctl there; with None: the figure itself. "stored" is
# what the bucket grew by, compared with the changed entries under zstd -3; "read" is what the run read beyond
# a run without changes, compared with the changed files' bytes.
GOALS = [
    ("first-src", "wall_s", "tar-zstd", 1.1, 1),
    ("first-small", "wall_s", "tar-zstd", 1.2, 1),
    ("first-big", "wall_s", "tar-zstd", 1.1, 1),
    ("nochange-src", "wall_s", "find", 1.5, 1),
    ("nochange-small", "wall_s", "find", 1.5, 1),
    ("nochange-conf", "wall_s", None, 0.050, 1),
    ("change-src", "wall_s", "drctl-nochange", 3.0, 1),
    ("change-small", "wall_s", "drctl-nochange", 3.0, 1),
    ("change-src", "stored", "changed entries", 1.4, 1),
    ("change-small", "stored", "changed entries", 1.4, 1),
    ("change-src", "read", "changed files", 1.0, 1),
    ("change-small", "read", "changed files", 1.0, 1),
    ("restore-src", "wall_s", "cp", 0.7, 1),
    ("restore-small", "wall_s", "cp", 0.7, 1),
    ("restore-big", "wall_s", "cp", 0.7, 1),
    ("first-small", "rss_anon", None, 96 * MIB, 1),
    ("nochange-small", "rss_anon", None, 64 * MIB, 1),
    ("restore-small", "rss_anon", None, 64 * MIB, 1),
    ("memory-200k", "rss_first", "memory-20k", 1.1, 1),
    ("memory-2m", "rss_first", "memory-20k", 1.1, 1),
    ("memory-200k", "rss_nochange", "memory-20k", 1.1, 1),
    ("memory-2m", "rss_nochange", "memory-20k", 1.1, 1),
    ("memory-200k", "rss_restore", "memory-20k", 1.1, 1),
    ("memory-2m", "rss_restore", "memory-20k", 1.1, 1),
    ("first-src", "size", "restic", 0.80, 2),
    ("first-small", "size", "restic", 0.65, 2),
    ("first-big", "size", "restic", 1.0, 2),
    ("first-src", "wall_s", "restic", 1 / 4, 2),
    ("first-small", "wall_s", "restic", 1 / 5, 2),
    ("first-big", "wall_s", "restic", 1 / 2.5, 2),
    ("nochange-src", "wall_s", "restic", 1 / 20, 2),
    ("nochange-src", "wall_s", "borg", 1 / 20, 2),
    ("change-src", "wall_s", "restic", 1 / 12, 2),
    ("change-small", "wall_s", "restic", 1 / 12, 2),
    ("change-src", "grown", "restic", 0.5, 2),
    ("change-small", "grown", "restic", 0.5, 2),
    ("change-big", "wall_s", "restic", 1 / 3, 2),
    ("verify-src", "wall_s", "tar-zstd", 1.0, 2),
    ("verify-src", "wall_s", "restic", 1 / 3, 2),
    ("check-small", "wall_s", None, 0.3, 2),
    ("prune-small", "wall_s", None, 0.3, 2),
]

# Goals count against the plain program. Beside each stands the same program made durable, as drctl is when it
# returns: measured in the same rounds, told, never judged.
BESIDE = {"cp": "cp-sync"}


def sides_of(job, peers):
    """The sides that run: all, the ones named, or "goal": those that a goal of stage 1 is about, and restic."""
    _, _, sides = ALL_JOBS[job]
    if peers == "all":
        return sides
    if peers == "goal":
        wanted = {goal[2] for goal in GOALS if goal[0] == job and goal[4] == 1} | {"restic"}
        wanted |= {BESIDE[side] for side in wanted if side in BESIDE}
    else:
        wanted = set(peers.split())
    return [side for side in sides if side in wanted or side.startswith("drctl")]


class Round:
    """The runs of one job, a list for each side, and for changes their yardsticks."""

    def __init__(self, world, all_tools, job, sides):
        self.world, self.tools, self.job, self.sides = world, all_tools, job, sides
        self.kind, self.set, _ = ALL_JOBS[job]
        self.runs = {side: [] for side in sides}
        self.changed = []  # {"entries", "bytes", "compressed"} for each round of changes
        self.expected = world.count(world.tree(self.set))

    def go(self, pairs, say):
        for pair in range(pairs):
            order = self.sides if pair % 2 == 0 else self.sides[::-1]
            steps = {"first": self.first, "restore": self.restore, "change": self.change,
                     "memory": self.memory, "prune": self.prune}
            steps.get(self.kind, self.plain)(order, pair)
            say(pair)

    def keep(self, side, figures, name):
        wrote = self.kind in ("first", "change", "prune")
        figures["size"] = self.tools[name].stored(self.set) if wrote else 0
        self.runs[side].append(figures)

    def first(self, order, _):
        for side in order:
            tool = self.tools[side]
            tool.reset(self.set)
            self.keep(side, tool.run("first", self.set), side)

    def plain(self, order, _):
        """again, verify, check: on a repository that has one backup, or for again at least one."""
        for side in order:
            tool = self.tools[side]
            tool.ready(self.set, fresh=self.kind != "again")
            self.keep(side, tool.run(self.kind, self.set), side)

    def restore(self, order, pair):
        files, links, size = self.expected
        for side in order:
            tool = self.tools[side]
            tool.ready(self.set, fresh=True)
            with self.world.fresh_fs(size, files + links) as target:
                figures = tool.run("restore", self.set, target)
                if pair == 0 and (found := self.world.count(f"{target}/out")) != self.expected:
                    raise Failed(f"{side} restored {found} files, links and bytes, not {self.expected}")
            self.keep(side, figures, side)

    def prune(self, order, pair):
        """Each run starts from the same repository, which has four backups of a tree that changed."""
        for side in order if pair == 0 else ():
            self.tools[side].ready(self.set, fresh=True)
        for _ in range(3 if pair == 0 else 0):
            self.world.mutate(self.set)
            for side in order:
                self.tools[side].run("again", self.set)
        for side in order:
            tool = self.tools[side]
            if pair == 0:
                tool.keep_as_it_is(self.set)
            tool.back_as_it_was(self.set)
            self.keep(side, tool.run("prune", self.set), side)

    def change(self, order, pair):
        """One more hundredth is changed; every side sees it once. The run without changes comes after that
        or before it, in turn."""
        backups = [side for side in order if side != "drctl-nochange"]
        before = {}
        for side in backups:
            self.tools[side].ready(self.set, fresh=False)
            before[side] = self.tools[side].stored(self.set)
        if pair % 2 == 1:
            self.keep("drctl-nochange", self.tools["drctl"].run("again", self.set), "drctl")
            before["drctl"] = self.tools["drctl"].stored(self.set)
        changed = self.world.mutate(self.set)
        raw, compressed = self.world.yardstick(self.set, changed)
        self.changed.append({"entries": len(changed), "bytes": raw, "compressed": compressed})
        for side in backups:
            figures = self.tools[side].run("again", self.set)
            self.keep(side, figures, side)
            figures["grown"] = figures["size"] - before[side]
        if pair % 2 == 0:
            self.keep("drctl-nochange", self.tools["drctl"].run("again", self.set), "drctl")


    def memory(self, *_):
        """First backup, nothing changed, restore: of drctl alone."""
        files, links, size = self.expected
        tool = self.tools["drctl"]
        tool.reset(self.set)
        self.keep("drctl", tool.run("first", self.set), "drctl")
        self.keep("drctl-nochange", tool.run("again", self.set), "drctl")
        with self.world.fresh_fs(size, files + links) as target:
            self.keep("drctl-restore", tool.run("restore", self.set, target), "drctl")


def column(job_round, figure, side):
    """The values of a goal's figure for one side, one a round."""
    runs = job_round.runs[side]
    if figure == "stored":
        return [run["grown"] for run in runs]
    if figure == "read":
        idle = job_round.runs["drctl-nochange"]
        return [max(0, run["rchar"] - none["rchar"]) for run, none in zip(runs, idle)]
    if figure == "rss_anon":
        return [1024 * max(run["rss_anon_kib"] for run in runs)]
    return [run[figure] for run in runs]


SIDE_OF = {"rss_first": "drctl", "rss_nochange": "drctl-nochange", "rss_restore": "drctl-restore"}


def goal_columns(rounds, job, figure, against):
    """(drctl's values, the others' values or None), or None when one of them did not run."""
    job_round = rounds.get(job)
    if job_round is None:
        return None
    if figure in SIDE_OF:
        other = rounds.get(against)
        return other and tuple(column(which, "rss_anon", SIDE_OF[figure]) for which in (job_round, other))
    if against == "changed entries":
        theirs = [change["compressed"] for change in job_round.changed]
    elif against == "changed files":
        theirs = [change["bytes"] for change in job_round.changed]
    elif against is None:
        theirs = None
    elif job_round.runs.get(against):
        theirs = column(job_round, figure, against)
    else:
        return None
    return column(job_round, figure, "drctl"), theirs
