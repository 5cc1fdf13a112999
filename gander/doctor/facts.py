"""What is wrong before the first step, by the recipe and the counts of the data alone."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gander.doctor.case import Case
from gander.doctor.data import data_facts
from gander.doctor.finding import Finding, Severity, beyond, fact, in_order
from gander.schedule import Ramp

_RULES = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))["rule"]
_HOLDS = ("gradient_penalty", "r1", "r2")
"""Penalties that keep D from growing steep."""


def facts(case: Case) -> list[Finding]:
    """Give what is wrong by recipe and data alone, the worst first; the same at any moment of a run."""
    checks = (_settings, _objective, _rates, _moves, _layers, _widths, _averages, data_facts)
    return in_order(finding for check in checks for finding in check(case))


def _settings(case: Case) -> Iterator[Finding]:
    """Compare the settings that have bounds of their own."""
    for rule in _RULES:
        for where in rule["read"]:
            at, course = _course(case, where)
            other = f"{where.rsplit('.', 2)[0]}.{rule.get('unless')}"
            if not course or ("unless" in rule and _find(case, other)[1] is not None):
                continue
            value = _SUMMED[rule.get("of", "peak")](course)
            severity = beyond(value, rule.get("above", ()), rule.get("below", ()))
            memory, half = 1 / max(1 - value, 1e-6), max(case.total // 2, 1)
            known = {"value": value, "at": at, "memory": memory, "half": half}
            remedy = [tuple(edit.format(**known) for edit in patch) for patch in rule["remedy"]]
            if severity:
                says = rule["says"].format(**known)
                yield fact(rule["code"], severity, says, at, value, rule["healthy"], *remedy)


def _objective(case: Case) -> Iterator[Finding]:
    """Look at the loss, and at what it needs beside it."""
    path, loss = "objective", case.recipe.get("objective", {})
    while loss.get("inner"):
        if loss.get("kind") == "smooth":
            yield from _smooth(path, loss)
        path, loss = f"{path}.inner", loss["inner"]
    held = any(max(_course(case, f"penalties.{kind}.weight")[1], default=0) > 1e-3 for kind in _HOLDS)
    held |= _find(case, "rewires.discriminator.spectral_norm")[1] is not None
    clipped = max(_course(case, "rewires.discriminator.clip_weights.limit")[1], default=math.inf) <= 0.1
    remedy: list[tuple[str, ...]]
    match loss.get("kind"):
        case "saturating":
            says = "G minimises log(1 - D(fake)), whose slope is D(fake) itself: none where D is sure"
            remedy = [(f"{path}=non_saturating",)]
            yield fact("saturating-loss", "warning", says, path, "saturating", "non_saturating", *remedy)
        case "wasserstein" if not held and not clipped:
            says = "a Wasserstein critic grows without end where no penalty, norm or clipping holds it"
            remedy = [("penalties.+gradient_penalty.weight=10",), ("rewires.discriminator.+spectral_norm",)]
            yield fact("penalty-missing", "warning", says, path, "wasserstein", "with a penalty", *remedy)
        case "relativistic" if not held:
            says = "a relativistic loss without R1 and R2 need not settle"
            remedy = [("penalties.+r1.weight=0.1", "penalties.+r2.weight=0.1")]
            yield fact("penalty-missing", "note", says, path, "relativistic", "with r1 and r2", *remedy)


def _smooth(path: str, loss: Mapping[str, Any]) -> Iterator[Finding]:
    asked = [loss.get("real", 0.9), loss.get("fake", 0.0)]
    real, fake = (_mean(each if isinstance(each, list | tuple) else [each]) for each in asked)
    hard, says = (f"{path}.real=0.9", f"{path}.fake=0.0"), f"D is asked to say {real:g} of real images "
    if fake >= real:
        says += f"and {fake:g} of fakes: the wrong way round"
        yield fact("wrong-sign", "error", says, f"{path}.real", real, "above the fake label", hard)
    elif loss.get("inner", {}).get("kind") != "least_squares" and (real > 1.01 or fake < -0.01):
        says += f"and {fake:g} of fakes: no score is ever far enough out"
        yield fact("labels-unbounded", "warning", says, f"{path}.real", real, "0 to 1", hard)
    elif severity := beyond(fake, (0, 0.2)):
        says += f"and {fake:g} of fakes, which rewards G for what it makes already"
        yield fact("smoothing-two-sided", severity, says, f"{path}.fake", fake, "0", hard[1:])
    elif severity := beyond(real, below=(0.8, 0.65)):
        says += "and no more"
        yield fact("smoothing-heavy", severity, says, f"{path}.real", real, "0.9", hard[:1])


def _rates(case: Case) -> Iterator[Finding]:
    peaks = {side: max(_course(case, f"train.{side}_lr")[1], default=math.nan) for side in "gd"}
    said: dict[tuple[str, Severity], list[str]] = {}
    for side, rate in peaks.items():
        passed = {"high": beyond(rate, (3e-3, 1e-2, 1e-1)), "low": beyond(rate, below=(1e-5, 1e-6))}
        for end, severity in ({"frozen": "error"} if rate == 0 else passed).items():
            if severity:
                said.setdefault((end, severity), []).append(side)  # type: ignore[arg-type]
    for (end, severity), sides in said.items():
        code = "-frozen" if end == "frozen" else f"-rate-{end}" if len(sides) == 1 else f"rates-{end}"
        says = " and ".join(f"{side.upper()}'s learning rate is at most {peaks[side]:g}" for side in sides)
        edits = tuple(f"train.{side}_lr=2e-4" for side in sides)
        code = code if code.startswith("rates") else sides[0] + code
        yield fact(code, severity, says, f"train.{sides[0]}_lr", peaks[sides[0]], "1e-4 to 1e-3", edits)
    fast, slow = sorted(peaks, key=peaks.__getitem__, reverse=True)
    if peaks[slow] > 0 and peaks[fast] > 10.001 * peaks[slow]:
        says = f"{fast.upper()} learns {peaks[fast] / peaks[slow]:.0f} times as fast as {slow.upper()}"
        ends = [(fast, f"{fast}-rate-high", slow), (slow, f"{slow}-rate-low", fast)]
        ends.sort(key=lambda each: -abs(math.log(peaks[each[0]] / 3e-4)))  # the odd one out comes first
        remedy = [(f"train.{odd}_lr={peaks[other]:g}",) for odd, _, other in ends]
        where = f"train.{ends[0][0]}_lr"
        apart = fact("rates-apart", "warning", says, where, peaks[ends[0][0]], "within 4 times", *remedy)
        yield replace(apart, causes=tuple(cause for _, cause, _ in ends))


def _moves(case: Case) -> Iterator[Finding]:
    """Look at the length of the run, and at the images of a move."""
    d_steps, batch = int(case.setting("train.d_steps", 1)), int(case.setting("train.batch", 64))
    shown = batch // 2 if "separate" in str(case.setting("train.d_update")) else batch
    normed = _has_batch_norm(case, "generator") or _has_batch_norm(case, "discriminator")
    if severity := beyond(shown, below=(16, 8) if normed else (8,)):
        says = f"{'batch norm takes its statistics' if normed else 'every step learns'} from {shown} images"
        yield fact("batch-tiny", severity, says, "train.batch", shown, "32 to 256", ("train.batch=64",))
    steps = case.total // (d_steps * shown)
    if case.total and (severity := beyond(steps, below=(500, 50))):
        says = f"the whole run is {steps:,} steps of G, in which no GAN gets far"
        remedy = (f"train.images={2_000 * d_steps * shown}",)
        yield fact("run-short", severity, says, "train.images", case.total, "2,000 steps or more", remedy)
    kept = float(case.setting("generator.momentum", 0.9)) ** max(steps, 1)
    if steps >= 50 and kept > 0.05 and _has_batch_norm(case, "generator"):
        path = "generator.momentum"
        says = f"the statistics of G's batch norm are to {kept:.0%} those it began with when the run ends"
        value = float(case.setting(path))
        yield fact("batch-norm-statistics", "warning", says, path, value, "0.9", (f"{path}=0.9",))


def _layers(case: Case) -> Iterator[Finding]:
    """Look at the layers of a generator that is said layer by layer."""
    net = case.recipe.get("generator", {})
    ends = {"sigmoid": "makes images in [0, 1], of which D sees the bright half", "linear": "has no bounds"}
    ending, path = net.get("output", {}).get("activation"), "generator.output.activation"
    if ending in ends:
        says = f"G ends in {ending}, which {ends[ending]}"
        yield fact("output-range", "note", says, path, ending, "tanh", (f"{path}=tanh",))
    places = [(f"layers.{place}", layer) for place, layer in enumerate(net.get("layers", ()))]
    places += [("output", net["output"])] if "output" in net else []
    for place, (where, layer) in enumerate(places):
        kernel, stride = int(layer.get("kernel", 4)), int(layer.get("stride", 2))
        if layer.get("kind") != "transposed" or kernel % stride == 0:
            continue
        smoothed = any(after.get("kind") == "conv" for _, after in places[place + 1 :])
        severity: Severity = "note" if smoothed or kernel > 2 * stride else "warning"
        path, fitting = f"generator.{where}.kernel", stride * max(2, kernel // stride)
        says = f"a transposed layer of kernel {kernel} and stride {stride} paints some pixels more often"
        remedy = (f"{path}={fitting}",)
        yield fact("kernel-stride", severity, says, path, kernel, f"a multiple of {stride}", remedy)


def _widths(case: Case) -> Iterator[Finding]:
    widths = {name: _width(case.recipe.get(name, {})) for name in ("generator", "discriminator")}
    large, small = sorted(widths, key=widths.__getitem__, reverse=True)
    if widths[small] and (times := widths[large] / widths[small]) >= 8:
        says = f"the {small} is {times:.0f} times narrower than the {large}"
        net, factor = case.recipe[small], round(times / 2)
        parts = [(f"layers.{place}.width", each) for place, each in enumerate(net.get("layers", ()))]
        wider = [(path, each["width"]) for path, each in [*parts, ("width", net)] if "width" in each]
        remedy = [tuple(f"{small}.{path}={width * factor}" for path, width in wider)] if wider else []
        yield fact(f"{small[0]}-too-small", "warning", says, small, widths[small], "within 4 times", *remedy)


def _averages(case: Case) -> Iterator[Finding]:
    """Look at what is sampled from in the end: the first of the averages."""
    given = case.recipe.get("average", ())
    first = given if isinstance(given, Mapping) else next(iter(given), {})
    fresh = (f"average={{ kind = 'ema', half_life = {max(case.total // 20, 1)} }}",)
    if first.get("kind") == "latest":
        says = "images are drawn from the latest weights, which jitter; an average of them is better"
        yield fact("average-missing", "note", says, "average", "latest", "ema", fresh)
        return
    lag = min(first.get("half_life", 0.0), first.get("ramp", 0.0) * case.total)
    if case.total and (severity := beyond(lag / case.total, (0.1, 0.25))):
        says = f"the average forgets half in {lag:,.0f} images, {lag / case.total:.0%} of the run"
        yield fact("average-slow", severity, says, "average", lag, "at most 10 % of the run", fresh)


def _has_batch_norm(case: Case, name: str) -> bool:
    net = case.recipe.get(name, {})
    layers = [each for each in net.get("layers", ()) if each.get("kind") in ("dense", "conv", "transposed")]
    own = [net.get("batch_norm", False), (net.get("kind"), name) == ("residual", "generator")]
    said = [each.get("batch_norm") for each in layers]
    return any(own[0] if each is None else each for each in said) or own[1]


def _width(net: Mapping[str, Any]) -> float:
    """Give how wide a net is where it is widest; 0 where the recipe does not say."""
    layers = [each.get("width", 0) for each in net.get("layers", ())]
    return float(max([net.get("width", 0), *net.get("widths", ()), *layers]))


def _find(case: Case, path: str) -> tuple[str, Any]:
    """Read a setting, with its path as it is typed; kinds name parts of lists, and losses within losses."""
    value: Any = case.recipe
    typed: list[str] = []
    for name in path.split("."):
        if isinstance(value, list | tuple):
            value = next((each for each in value if each.get("kind") == name), None)
            typed.append(name)
            continue
        while isinstance(value, Mapping) and "inner" in value and name not in (*value, value["kind"]):
            value = value["inner"]
            typed.append("inner")
        if not isinstance(value, Mapping):
            return path, None
        if name in value or value.get("kind") != name:
            value = value.get(name)
            typed.append(name)
    return ".".join(typed), value


def _course(case: Case, path: str) -> tuple[str, list[float]]:
    """Read a number at the start, three places and the end of the run, with its path; [] where it is not."""
    typed, value = _find(case, path)
    if isinstance(value, Mapping) and "over" in value:
        ramp = Ramp.model_validate(value)
        return typed, [ramp.at(case.total * quarter / 4) for quarter in range(5)]
    return typed, [float(value)] if isinstance(value, int | float) else []


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


_SUMMED: dict[str, Callable[[Sequence[float]], float]] = {
    "peak": max,
    "least": min,
    "mean": _mean,
    "end": lambda values: values[-1],
}
