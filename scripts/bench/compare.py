#!/usr/bin/env python3
"""Compares Gradus with PyTorch on a CPU and prints the tables of docs/performance.md.

    cargo build --release -p gradus -p gradus-bench
    python scripts/bench/compare.py --write docs/performance.md          (the Python that has torch)

For every workload, in every round, it runs one process after another: Gradus, then PyTorch in its modes, then Gradus
again. A ratio is the mean of Gradus' two medians over PyTorch's, within a round; what is printed is the median over
rounds. Each reading is kept in `--out` as soon as it is there, so that an interrupted run goes on where it stopped:
readings in that folder are never made anew. A process that takes longer than `--timeout` is ended and recorded.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from tables import report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Settings under which the allocator of the C library keeps what it freed.
KEEP = {
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}
# Arguments and environment of PyTorch's modes.
MODES = {
    "eager": (["eager"], {}),
    "malloc kept": (["eager"], KEEP),
    "fused optimiser": (["eager", "--fused"], {}),
    "channels-last": (["eager", "--channels-last"], {}),
    "compile": (["compile"], {}),
}
# Modes that change only one of the phases, or only nets of pictures: elsewhere they would be eager once more.
ONLY_TRAIN = {"fused optimiser"}
PICTURES = (
    "w03", "w04", "w05", "w08", "w11", "w12",
    "m05", "m06", "m07", "m08", "m09", "m10", "m12", "m15", "m17", "m18", "m23", "m24",
)  # fmt: skip


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workloads", nargs="*", default=["core"], help="beginnings of names, or core, more (core)")
    p.add_argument("--ours", type=Path, default=ROOT / "target/release/gradus-bench", help="the program gradus-bench")
    p.add_argument("--binary", type=Path, help="the program gradus, for its size (beside gradus-bench)")
    p.add_argument("--python", default=sys.executable, help="the Python that has torch (this one)")
    p.add_argument("--program", type=Path, default=HERE / "torch_bench.py", help="another PyTorch program like ours")
    p.add_argument("--modes", default=",".join(MODES), help="PyTorch's modes, by commas (all)")
    p.add_argument("--phase", choices=["train", "infer"], help="only this one")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--simd", choices=["avx2"], help="hold Gradus to this instruction set")
    p.add_argument("--seconds", type=float, default=3.0, help="for each workload and phase (3)")
    p.add_argument("--timeout", type=float, default=240.0, help="seconds a process may take (240)")
    p.add_argument("--quick", action="store_true", help="one round of one second, eager only, no scaling")
    p.add_argument("--out", type=Path, help="where readings are kept (target/bench-compare/THREADS[-SIMD])")
    p.add_argument("--no-scaling", action="store_true", help="without the tables of growing sizes")
    p.add_argument("--write", type=Path, help="put the tables into this file, between its marks for these settings")
    p.add_argument("--report", action="store_true", help="measure nothing, print what is there")
    a = p.parse_args()
    if a.quick:
        a.rounds, a.seconds, a.modes, a.no_scaling = 1, 1.0, "eager", True
    a.modes = [m.strip() for m in a.modes.split(",") if m.strip()]
    if unknown := [m for m in a.modes if m not in MODES]:
        p.error(f"unknown mode {unknown[0]}; there are {', '.join(MODES)}")
    if not a.ours.exists():
        p.error(f"no {a.ours}: build it with `cargo build --release -p gradus -p gradus-bench`, or name it with --ours")
    a.binary = a.binary or a.ours.with_name("gradus")
    a.settings = "-".join([str(a.threads)] + [a.simd] * bool(a.simd))
    a.out = a.out or ROOT / "target/bench-compare" / a.settings
    return a


class Readings:
    """The lines of a file, by what they are readings of."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "readings.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        # A line that was being written when the program ended is dropped.
        self.all = [r for line in lines if (r := parse(line)) is not None]

    def has(self, **key):
        return any(all(r.get(k) == v for k, v in key.items()) for r in self.all)

    def add(self, reading):
        self.all.append(reading)
        with self.path.open("a") as file:
            file.write(json.dumps(reading) + "\n")


def parse(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


class Runner:
    """Runs one process at a time, each alone."""

    def __init__(self, args, readings):
        self.args, self.readings = args, readings

    def run(self, command, environment, timeout=None):
        """Lines of JSON the process printed, and why it ended early if it did."""
        env = {**os.environ, **environment}
        for name in ("GRADUS_SIMD", *KEEP):
            if name not in environment:
                env.pop(name, None)
        process = subprocess.Popen(
            [str(c) for c in command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            out, err = process.communicate(timeout=timeout or self.args.timeout)
            problem = None if process.returncode == 0 else f"exit code {process.returncode}: {err.strip()[-200:]}"
        except BaseException as e:
            # It may have started compilers: the whole group goes.
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            if not isinstance(e, subprocess.TimeoutExpired):
                raise
            problem = f"no result within {timeout or self.args.timeout:.0f} s"
        return [r for line in out.splitlines() if (r := parse(line)) is not None], problem

    def limits(self):
        seconds = self.args.seconds
        return {"BENCH_MIN_S": str(seconds), "BENCH_CAP_S": str(seconds * 8 / 3)}

    def ours(self, *more):
        simd = {"GRADUS_SIMD": self.args.simd} if self.args.simd else {}
        environment = {"GRADUS_THREADS": str(self.args.threads), **self.limits(), **simd}
        return self.run([self.args.ours, *more], environment)

    def theirs(self, mode, *more):
        words, environment = MODES[mode]
        environment = {"BENCH_THREADS": str(self.args.threads), **self.limits(), **environment}
        return self.run([self.args.python, self.args.program, *words, *more], environment)

    def slot(self, round_, slot, mode, workload):
        """One reading of each phase of a workload, unless they are there already."""
        key = {"round": round_, "slot": slot, "workload": workload}
        phases = [self.args.phase] if self.args.phase else ["infer", "train"]
        if mode in ONLY_TRAIN:
            phases = [p for p in phases if p == "train"]
        if mode == "channels-last" and not workload.startswith(PICTURES):
            return
        phases = [p for p in phases if not self.readings.has(phase=p, **key)]
        # What failed once is not tried again.
        same = [r for r in self.readings.all if (r.get("workload"), r.get("mode")) == (workload, mode)]
        failed = [r["phase"] for r in same if "error" in r]
        phases = [p for p in phases if p not in failed]
        # Compiling may take forever in one phase only.
        for group in [[p] for p in phases] if mode == "compile" else [phases]:
            if not group:
                continue
            say(f"round {round_} {workload} {mode} {' '.join(group)}")
            only = ["--phase", group[0]] if len(group) == 1 else []
            found, problem = self.ours(*only, workload) if mode == "gradus" else self.theirs(mode, *only, workload)
            for phase in group:
                reading = next((r for r in found if r.get("phase") == phase), None)
                if reading is None:
                    error = next((r["error"] for r in found if "error" in r), problem or "nothing printed")
                    reading = {"phase": phase, "error": error}
                    say(f"  {phase}: {error}")
                self.readings.add({**reading, **key, "mode": mode})

    def machine(self, round_):
        if not self.readings.has(kind="machine", round=round_):
            found, problem = self.ours("--peak")
            if not found:
                sys.exit(f"{self.args.ours} --peak: {problem}")
            self.readings.add({"kind": "machine", "round": round_, **found[0]})

    def cold_starts(self):
        """Seconds from starting a process to its end after one training step."""
        for mode in ["gradus", *[m for m in ("eager", "compile") if m in self.args.modes]]:
            for round_ in range(3):
                if self.readings.has(kind="start", mode=mode, round=round_):
                    continue
                start = time.perf_counter()
                if mode == "gradus":
                    _, problem = self.ours("--coldstart")
                else:
                    _, problem = self.theirs(mode, "--coldstart")
                seconds = time.perf_counter() - start
                self.readings.add({"kind": "start", "mode": mode, "round": round_, "seconds": seconds, "error": problem})

    def scaling(self):
        if not self.readings.has(kind="scaling"):
            say("growing sizes")
            # Many short readings: what counts is their growth.
            self.args.seconds, kept = min(self.args.seconds, 1.0), self.args.seconds
            found, problem = self.ours("--scaling")
            self.args.seconds = kept
            for r in found:
                self.readings.add({"kind": "scaling", **r})
            if problem:
                say(problem)

    def counts(self):
        """Parameters and operations of the twins, if the program counts them."""
        names = [n for n in workload_names(self.args) if not self.readings.has(kind="count", workload=n)]
        if names and self.args.program.name == "torch_bench.py" and self.args.program.parent == HERE:
            say("counting parameters and operations")
            found, _ = self.run([self.args.python, self.args.program, "--count", *names], {}, timeout=600)
            for r in found:
                self.readings.add({"kind": "count", **r})


def say(text):
    print(text, file=sys.stderr, flush=True)


def workload_names(args):
    """All workloads that are wanted, in the order of `gradus-bench`, which lists them when asked for nonsense."""
    usage = subprocess.run([args.ours, "--help"], stderr=subprocess.PIPE, text=True).stderr
    names = usage.rsplit("workloads:", 1)[1].split()
    groups = {"core": "w", "more": "m"}
    chosen = [n for n in names if n.startswith(tuple(groups.get(w, w) for w in args.workloads))]
    if not chosen:
        sys.exit(f"no workload begins with {' or '.join(args.workloads)}")
    return chosen


def about(args):
    """What a reader must know of the machine and the versions."""
    def output(*command):
        try:
            return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT).stdout.strip()
        except OSError:
            return ""

    size = args.binary.stat().st_size / 1e6 if args.binary.exists() else None
    return {
        "date": datetime.date.today().isoformat(),
        "commit": output("git", "rev-parse", "--short", "HEAD"),
        "torch": output(args.python, "-c", "import torch; print(torch.__version__)"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "binary_mb": size,
        "rounds": args.rounds,
        "seconds": args.seconds,
        "threads": args.threads,
        "simd": args.simd,
        "command": " ".join(["python scripts/bench/compare.py", *map(shlex.quote, sys.argv[1:])]),
    }


def write(path, settings, text):
    """Replaces what stands between the marks of these settings."""
    begin, end = f"<!-- measured {settings}: begin -->", f"<!-- measured {settings}: end -->"
    before, mark, rest = path.read_text().partition(begin)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        sys.exit(f"{path} has no lines {begin} and {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def main():
    args = arguments()
    # Ended from outside, it takes the running process with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    readings = Readings(args.out)
    names = workload_names(args)
    if not args.report:
        runner = Runner(args, readings)
        readings.add({"kind": "about", **about(args)})
        runner.counts()
        for round_ in range(args.rounds):
            runner.machine(round_)
            for name in names:
                for slot, mode in enumerate(["gradus", *args.modes, "gradus"]):
                    runner.slot(round_, "last" if slot == len(args.modes) + 1 else mode, mode, name)
        if not args.quick:
            runner.cold_starts()
        if not args.no_scaling:
            runner.scaling()
    text = report(readings.all, names, list(MODES))
    print(text)
    if args.write:
        write(args.write, args.settings, text)


if __name__ == "__main__":
    main()
