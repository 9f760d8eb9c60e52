#!/usr/bin/env python3
"""Times the workloads of `gradus-bench` in PyTorch on a CPU.

    torch_bench.py [eager|compile] [--fused] [--channels-last] [--phase train|infer] [w01 m03 core more ...]

prints one JSON line a (workload, phase), as `gradus-bench` does; without names, the core workloads. Names may be
shortened. `BENCH_THREADS` sets the threads (2), `BENCH_MIN_S` and `BENCH_CAP_S` (3 and 8) how long each is measured.

A training step is zero_grad, forward pass, loss, backward pass, optimiser step and reading the loss; an inference step
is the forward pass in evaluation mode without gradients, with the output read. Three steps (four when compiled) warm
up. `--fused` takes PyTorch's fused optimisers, `--channels-last` its memory format for pictures. `--count` prints
parameters and operations instead of timing, `--coldstart` makes one training step of the first workload and ends.
"""

import contextlib
import gc
import json
import os
import resource
import statistics
import sys
import time

import torch

from torch_workloads import SPARSE, WORKLOADS

MIN_S = float(os.environ.get("BENCH_MIN_S", "3"))
CAP_S = float(os.environ.get("BENCH_CAP_S", "8"))


def peak_rss_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def timed(step, warm_up):
    """Milliseconds of each step, the very first result and the last, page faults a step."""
    first = step()
    for _ in range(warm_up - 1):
        step()
    times, faults, start = [], page_faults(), time.perf_counter()
    while True:
        t = time.perf_counter()
        last = step()
        now = time.perf_counter()
        times.append((now - t) * 1e3)
        n, elapsed = len(times), now - start
        if n >= 5 and ((elapsed >= MIN_S and n >= 10) or elapsed >= CAP_S):
            return {"times": times, "first": first, "last": last, "faults_step": (page_faults() - faults) / n}


def reading(found):
    times = sorted(found.pop("times"))
    q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
    return {
        "ms_median": round(median, 4), "ms_min": round(times[0], 4), "ms_q1": round(q1, 4), "ms_q3": round(q3, 4),
        "n": len(times), "peak_rss_mb": round(peak_rss_mb(), 1), **found,
    }  # fmt: skip


def run(name, options, phases):
    made = [WORKLOADS[name]] + ([lambda: SPARSE[name](sparse=True)] if name in SPARSE else [])
    warm_up = 4 if options["compile"] else 3
    best = {}
    for make in made:
        torch.manual_seed(0)
        task = make()
        if options["channels_last"]:
            task.channels_last()
        try:
            task.prepare(torch.compile if options["compile"] else lambda f: f, options["fused"])
            for phase in phases:
                task.model.train(phase == "train")
                step = task.train_step if phase == "train" else task.infer_step
                found = reading(timed(step, warm_up))
                found["params"] = sum(p.numel() for p in task.model.parameters())
                if phase not in best or found["ms_median"] < best[phase]["ms_median"]:
                    best[phase] = found
        except Exception as e:  # a mode that does not work for a workload is a result, too
            if not best:
                return print(json.dumps({**label(name, options), "error": f"{type(e).__name__}: {e}"[:300]}), flush=True)
    for phase, found in best.items():
        print(json.dumps({**label(name, options), "phase": phase, **found}), flush=True)


def label(name, options):
    words = ["torch", "compile" if options["compile"] else "eager"]
    words += ["fused"] * options["fused"] + ["channels-last"] * options["channels_last"]
    return {"framework": "-".join(words), "workload": name}


class WholeModel(contextlib.nullcontext):
    parents = {"Global"}


def count(name):
    """Parameters, and billions of operations of the products in a forward pass and in a training step."""
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    task = WORKLOADS[name]()
    task.prepare(lambda f: f, False)
    task.model.train()
    gflop = task.products
    if gflop is None:
        def operations(step):
            counter = FlopCounterMode(display=False)
            # It would also attribute operations to layers, which fails where gradients are taken of gradients.
            counter.mod_tracker = WholeModel()
            with counter:
                step()
            return counter.get_total_flops() / 1e9

        # Fused attention is not counted everywhere, so it is taken apart.
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            gflop = operations(task.infer_step), operations(task.train_step)
    params = sum(p.numel() for p in task.model.parameters())
    print(json.dumps({"workload": name, "params": params, "gflop": [float(f"{g:.5g}") for g in gflop]}), flush=True)


def cold_start(options):
    torch.manual_seed(0)
    task = WORKLOADS["w01_mlp_b64"]()
    task.prepare(torch.compile if options["compile"] else lambda f: f, options["fused"])
    print("STEP", task.train_step(), flush=True)


def main(arguments):
    options = {"compile": False, "fused": False, "channels_last": False}
    phases, wanted, counting, cold = ["infer", "train"], [], False, False
    arguments = iter(arguments)
    for a in arguments:
        if a in ("eager", "compile"):
            options["compile"] = a == "compile"
        elif a in ("--fused", "--channels-last"):
            options[a[2:].replace("-", "_")] = True
        elif a == "--phase":
            phases = [next(arguments, "")]
            if phases[0] not in ("train", "infer"):
                sys.exit("torch_bench.py: --phase takes train or infer")
        elif a == "--count":
            counting = True
        elif a == "--coldstart":
            cold = True
        elif a.startswith("-"):
            sys.exit(f"torch_bench.py: unknown option {a}\n{__doc__}")
        else:
            wanted.append(a)
    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", "2")))
    if cold:
        return cold_start(options)
    groups = {"core": "w", "more": "m"}
    beginnings = [groups.get(w, w) for w in wanted or ["core"]]
    names = [name for name in WORKLOADS if name.startswith(tuple(beginnings))]
    if not names:
        sys.exit(f"torch_bench.py: no workload begins with {' or '.join(wanted)}")
    for name in names:
        count(name) if counting else run(name, options, phases)
        if options["compile"]:
            torch._dynamo.reset()
        gc.collect()


if __name__ == "__main__":
    main(sys.argv[1:])
