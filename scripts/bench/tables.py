"""Tables in Markdown from the readings of compare.py."""

import math
import statistics

# Burn's (0.22) and JAX's (jit) times over PyTorch eager's, read on another machine (2 cores, Zen 4, AVX-512) in one
# run there; neither is measured here, so Gradus is compared by its own ratio to eager.
OTHERS = {
    ("w01_mlp_b64", "train"): {"Burn": 0.375 / 0.91, "JAX": 0.409 / 0.91},
    ("w02_mlp_wide_b128", "train"): {"Burn": 19.5 / 16.4, "JAX": 8.75 / 16.4},
    ("w01_mlp_b64", "infer"): {"Burn": 0.138 / 0.124, "JAX": 0.173 / 0.124},
    ("w02_mlp_wide_b128", "infer"): {"Burn": 2.56 / 2.91, "JAX": 2.91 / 2.91},
}
# Workloads whose time should go into products.
COMPUTE_BOUND = ("w02", "w05", "w07")
# Optimisers other than Adam, whose step reads and writes a parameter, two moments and the gradient.
BYTES_A_PARAMETER = {"adam": 32, "momentum": 24, "sgd": 16}
OPTIMISER = {"w01": "sgd", "w15": "sgd", "m11": "sgd", "m20": "sgd", "m06": "momentum", "m10": "momentum", "m23": "momentum"}
# Of these tables only a few rows are touched in a step.
TOUCHED = {"w15": 512 * 7 * 128, "m20": 256 * 32 * 64}


class Table:
    def __init__(self, *header):
        self.rows = [header, tuple("---" for _ in header)]

    def add(self, *cells):
        self.rows.append(cells)

    def __str__(self):
        return "\n".join("| " + " | ".join(str(c) for c in row) + " |" for row in self.rows) + "\n"


def number(x, digits=3):
    """Three significant digits, without powers of ten."""
    if x is None:
        return "-"
    if x == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(x))))
    return f"{x:.{places}f}"


def ratio(x):
    return "-" if x is None else f"{x:.2f}"


def percent(x):
    return "-" if x is None else f"{100 * x:.0f} %"


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def geometric_mean(values):
    values = [v for v in values if v]
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


class Results:
    """Readings by round, mode, workload and phase."""

    def __init__(self, readings, names, modes):
        self.names, self.modes = names, modes
        self.readings = [r for r in readings if "mode" in r and "phase" in r]
        self.of_kind = lambda kind: [r for r in readings if r.get("kind") == kind]
        self.rounds = sorted({r["round"] for r in self.readings})

    def found(self, mode, workload, phase):
        wanted = (mode, workload, phase)
        return [r for r in self.readings if (r["mode"], r["workload"], r["phase"]) == wanted and "error" not in r]

    def error(self, mode, workload, phase):
        wanted = (mode, workload, phase)
        return next((r["error"] for r in self.readings if (r["mode"], r["workload"], r["phase"]) == wanted and "error" in r), None)

    def median(self, mode, workload, phase, field="ms_median"):
        return median([r.get(field) for r in self.found(mode, workload, phase)])

    def ratio(self, mode, workload, phase):
        """Median over rounds of ours over theirs within a round."""
        ratios = []
        for round_ in self.rounds:
            ours = [r["ms_median"] for r in self.found("gradus", workload, phase) if r["round"] == round_]
            theirs = [r["ms_median"] for r in self.found(mode, workload, phase) if r["round"] == round_]
            if ours and theirs:
                ratios.append(statistics.fmean(ours) / statistics.fmean(theirs))
        return median(ratios)

    def best(self, workload, phase):
        """The largest of our ratios: that to the fastest of the other's modes."""
        ratios = [(x, mode) for mode in self.modes if (x := self.ratio(mode, workload, phase)) is not None]
        return max(ratios, default=(None, None))


def report(readings, names, modes):
    results = Results(readings, names, modes)
    modes = [m for m in modes if any(r["mode"] == m for r in results.readings)]
    results.modes = modes
    parts = [head(results), ratios(results, "train", "Training step"), ratios(results, "infer", "Inference"), means(results)]
    parts += [others(results), memory(results), floors(results), starts(results), scaling(results), failures(results), twins(results)]
    return "\n".join(p for p in parts if p)


def head(results):
    about, machines = results.of_kind("about"), results.of_kind("machine")
    if not about or not machines:
        return ""
    # A resumed run keeps its first date and says its last.
    first, last, machine = about[0], about[-1], machines[-1]["machine"]
    dates = first["date"] if first["date"] == last["date"] else f"{first['date']} to {last['date']}"
    peak = median([m["fma_gflops"] for m in machines])
    lines = [
        f"{dates}, commit {last['commit']}: {machine['cpu']}, {machine['cores']} cores, Linux {last['kernel']}; "
        f"{last['threads']} thread{'s' if last['threads'] > 1 else ''}, Gradus with {machine['simd']}; "
        f"PyTorch {last['torch']}, Python {last['python']}.",
        f"{last['rounds']} rounds, {number(last['seconds'])} s a workload and phase. Measured peak: "
        f"{number(peak)} GFLOP/s of f32 multiply-adds; bandwidth "
        + ", ".join(f"{number(b['gb_s'])} GB/s over {b['mb']} MB" for b in machines[-1]["bandwidth"]) + ".",
        "",
        f"```\n{last['command']}\n```",
        "",
    ]
    return "\n".join(lines)


def ratios(results, phase, title):
    if not any(r["phase"] == phase for r in results.readings):
        return ""
    modes = [m for m in results.modes if any(results.found(m, n, phase) for n in results.names)]
    table = Table("workload", "Gradus, ms", *(f"{m}, ms" for m in modes), "ratio to eager", "ratio to the best", "best mode")
    for name in results.names:
        times = []
        for mode in modes:
            error = results.error(mode, name, phase)
            times.append("no result" if error else number(results.median(mode, name, phase)))
        best, mode = results.best(name, phase)
        ours = number(results.median("gradus", name, phase))
        table.add(f"`{name}`", ours, *times, ratio(results.ratio("eager", name, phase)), ratio(best), mode or "-")
    return f"### {title}\n\n{table}"


def means(results):
    table = Table("geometric mean of the ratios", "to eager", "to the best mode of each")
    for phase, title in (("train", "training step"), ("infer", "inference")):
        eager = [results.ratio("eager", n, phase) for n in results.names]
        best = [results.best(n, phase)[0] for n in results.names]
        if any(eager):
            table.add(title, ratio(geometric_mean(eager)), ratio(geometric_mean(best)))
    return str(table)


def others(results):
    rows = [(n, p) for n in results.names for p in ("train", "infer") if (n, p) in OTHERS and results.ratio("eager", n, p)]
    if not rows:
        return ""
    table = Table("workload", "phase", "Gradus", "Burn 0.22", "JAX jit")
    for name, phase in rows:
        other = OTHERS[name, phase]
        ours = results.ratio("eager", name, phase)
        table.add(f"`{name}`", phase, ratio(ours), ratio(other["Burn"]), ratio(other["JAX"]))
    return (
        "### Burn and JAX\n\nTimes over those of PyTorch eager. Burn and JAX were read on another machine (2 cores, "
        f"Zen 4), where only their ratio to eager was taken; they are not measured here.\n\n{table}"
    )


def memory(results):
    table = Table(
        "workload", "peak MB, Gradus", "PyTorch eager", "ratio", "page faults a training step, Gradus",
        "PyTorch eager", "inference, Gradus", "PyTorch eager",
    )  # fmt: skip
    # Peak of the process that ran both phases, as both programs do.
    for name in results.names:
        ours, theirs = (results.median(m, name, "train", "peak_rss_mb") for m in ("gradus", "eager"))
        faults = [results.median(m, name, p, "faults_step") for p in ("train", "infer") for m in ("gradus", "eager")]
        share = ratio(ours / theirs) if ours and theirs else "-"
        table.add(f"`{name}`", number(ours), number(theirs), share, *(number(f) for f in faults))
    return f"### Memory\n\n{table}"


def floors(results):
    machines = results.of_kind("machine")
    if not machines or not machines[-1]["fma_gflops"]:
        return ""
    peak = median([m["fma_gflops"] for m in machines])
    table = Table("workload", "phase", "GFLOP", "at peak, ms", "MB", "at bandwidth, ms", "Gradus, ms", "of peak", "floor reached")
    for name in results.names:
        for phase in ("train", "infer"):
            found = results.found("gradus", name, phase)
            if not found:
                continue
            ms, gflop, params = results.median("gradus", name, phase), found[0]["gflop"], found[0]["params"]
            mb, bandwidth = traffic(name, phase, params, machines)
            by_flop, by_bytes = gflop / peak * 1e3, mb / bandwidth
            mark = "**" if name.startswith(COMPUTE_BOUND) else ""
            table.add(
                f"`{name}`", phase, number(gflop), number(by_flop), number(mb), number(by_bytes), number(ms),
                f"{mark}{percent(by_flop / ms)}{mark}", percent(max(by_flop, by_bytes) / ms),
            )  # fmt: skip
    return (
        "### Floors\n\nOperations of products and directly counted convolutions at the measured peak, and bytes of "
        "parameters and optimiser state at the bandwidth measured over as many bytes, whichever takes longer. "
        f"Activations are not counted, so a floor is lower than what is possible.\n\n{table}"
    )


def traffic(name, phase, params, machines):
    """Megabytes of parameters and optimiser state that a step must move, and GB/s at that size."""
    short = name[:3]
    kind = OPTIMISER.get(short, "adam")
    if short in TOUCHED:
        # Rows looked up and their gradients; in training both are read and written once more.
        moved = TOUCHED[short] * (16 if phase == "train" else 4)
    else:
        # Forward and backward pass each read a parameter.
        moved = params * (4 if phase == "infer" else 8 + BYTES_A_PARAMETER[kind])
    held = params * (4 if phase == "infer" else BYTES_A_PARAMETER[kind] // 2) / 1e6
    sizes = machines[-1]["bandwidth"]
    nearest = min(sizes, key=lambda b: abs(math.log(b["mb"] / max(held, 1e-3))))["mb"]
    speeds = [b["gb_s"] for m in machines for b in m["bandwidth"] if b["mb"] == nearest]
    return moved / 1e6, median(speeds)


def starts(results):
    found = results.of_kind("start")
    if not found:
        return ""
    table = Table("", "Gradus", *(m for m in ("PyTorch eager", "PyTorch compile")))
    cells = []
    for mode in ("gradus", "eager", "compile"):
        seconds = median([r["seconds"] for r in found if r["mode"] == mode and not r.get("error")])
        cells.append("-" if seconds is None else f"{1e3 * seconds:.0f} ms")
    table.add("process with one training step of `w01`, start to end", *cells)
    sizes = [r["binary_mb"] for r in results.of_kind("about") if r.get("binary_mb")]
    if sizes:
        table.add("release binary `gradus`", f"{sizes[-1]:.1f} MB", "-", "-")
    return f"### Start and size\n\n{table}"


def scaling(results):
    found = results.of_kind("scaling")
    if not found:
        return ""
    parts = []
    for grows, unit in (("batch", "sample"), ("sequence", "step of the sequence")):
        rows = [r for r in found if r["grows"] == grows]
        sizes = sorted({r["size"] for r in rows})
        table = Table("net", "phase", *(f"{grows} {s}" for s in sizes), *(f"a {unit}, {s}" for s in sizes), "rises at")
        for net in dict.fromkeys(r["net"] for r in rows):
            for phase in ("train", "infer"):
                of = {r["size"]: r for r in rows if r["net"] == net and r["phase"] == phase}
                if not of:
                    continue
                rises = [str(b) for a, b in zip(sizes, sizes[1:]) if of[b]["ms_q1"] / of[b]["work"] > of[a]["ms_q3"] / of[a]["work"]]
                steps = [number(of[s]["ms_median"]) for s in sizes]
                units = [number(of[s]["ms_median"] / s) for s in sizes]
                table.add(net, phase, *steps, *units, ", ".join(rises) or "nowhere")
        parts.append(str(table))
    return (
        "### Growing sizes\n\nMilliseconds a step, and a unit of size. The last column names sizes where a unit of work "
        "takes longer than at the size before, beyond the quartiles of both readings (the work of attention grows with "
        "the square of the length).\n\n" + "\n".join(parts)
    )


def failures(results):
    failed = [r for r in results.readings if "error" in r and r["workload"] in results.names]
    if not failed:
        return ""
    lines = dict.fromkeys(f"- `{r['workload']}`, {r['phase']}, {r['mode']}: {' '.join(r['error'].split())}" for r in failed)
    return "### No result\n\n" + "\n".join(lines) + "\n"


def twins(results):
    """Whether both programs build the same nets."""
    lines = []
    counts = {r["workload"]: r for r in results.of_kind("count")}
    for name in results.names:
        ours = results.found("gradus", name, "train") + results.found("gradus", name, "infer")
        theirs = counts.get(name) or next(iter(results.found("eager", name, "train")), {})
        if not ours or "params" not in theirs:
            continue
        if ours[0]["params"] != theirs["params"]:
            lines.append(f"- `{name}`: {ours[0]['params']} parameters here, {theirs['params']} in PyTorch")
        for r in ours:
            counted = counts.get(name, {"gflop": [None, None]})["gflop"][r["phase"] == "train"]
            if counted and abs(r["gflop"] / counted - 1) > 0.001:
                lines.append(f"- `{name}`, {r['phase']}: {r['gflop']} GFLOP here, {counted} in PyTorch")
    if lines:
        return "### The programs differ\n\n" + "\n".join(dict.fromkeys(lines)) + "\n"
    return "Numbers of parameters and operations agree between both programs for every workload that was compared.\n" if counts else ""
