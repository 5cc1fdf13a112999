"""A launcher that trains nothing: every trial ends at once, as its script says."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from gander.launch.trial import Job

PROTOCOL = {"n_fake": 100, "version": 2}


class Killed(BaseException):
    """The study's own process dies."""


class Fake:
    """Ends every trial at once, with a score that follows from arm and seed, or as `script` says."""

    def __init__(self, script=None, effects=None):
        self.script, self.effects = dict(script or {}), effects or {}
        self.workers, self.started, self.stopped = 2, [], False
        self.alive: set[str] = set()
        self.findings: dict[str, list[dict[str, Any]]] = {}  # of an arm's runs

    def __call__(self, workers, threads):
        self.workers = workers
        return self

    def start(self, job: Job):
        arm, seed = Path(job.run).parts[-2:]
        if arm == ".probe":
            self.finish(job, "done", score=1.0)
            return
        name = f"{arm}/{seed}"
        self.started.append(name)
        acts = self.script.get(name, [])
        act = acts.pop(0) if acts else "done"
        if act == "killed":
            raise Killed
        if act == "finished, then killed":
            self.finish(job, "done", self.score(arm, int(seed)))
            raise Killed
        if act == "Ctrl-C":
            self.alive.add(job.run)
            os.kill(os.getpid(), signal.SIGINT)
        elif act != "dies":
            state, _, error = act.partition(": ")
            self.finish(job, state, self.score(arm, int(seed)), error, job.attempt)

    def score(self, arm, seed):
        return 2.0 + 0.1 * seed + self.effects.get(arm, 0.0) + 0.01 * ((seed * 7 + len(arm)) % 3)

    def finish(self, job, state, score, error="", attempt=1):
        run = Path(job.run)
        run.mkdir(parents=True, exist_ok=True)
        (run / "recipe.toml").write_text(job.recipe)
        (run / "log.jsonl").write_text('{"images": 256}\n')
        (run / "metrics.jsonl").write_text(json.dumps({"fd-judge": score, "protocol": PROTOCOL}) + "\n")
        (run / "findings.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in self.findings.get(run.parent.name, ()))
        )
        outcome = {"attempt": job.attempt, "state": state, "seconds": 60.0, "memory": 2**20}
        outcome |= {"speed": 100.0, "score_took": 1.0, "notes": []}
        if error:
            outcome |= {"error": error, "traceback": f"Traceback ...\n{error}"}
        Path(f"{job.run}.json").write_text(json.dumps(outcome))

    def running(self):
        return {*self.alive}

    def stop(self):
        self.stopped = True
        for run in self.alive:
            name = "/".join(Path(run).parts[-2:])
            attempt = sum(each == name for each in self.started)
            outcome = {"attempt": attempt, "state": "stopped", "seconds": 9.0, "memory": 2**20}
            Path(run).parent.mkdir(parents=True, exist_ok=True)
            Path(f"{run}.json").write_text(json.dumps(outcome))
        self.alive.clear()

    def kill(self):
        self.alive.clear()
