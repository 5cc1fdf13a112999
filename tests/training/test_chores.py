"""What is done between steps."""

from types import SimpleNamespace

from gander.training.loop import train
from gander.training.session import Session
from gander.training.trainer import Trainer
from tests.tiny import BATCH, tiny


def test_sheets_come_early_and_checkpoints_every_five_minutes(tmp_path, monkeypatch):
    now, saved, drawn = [0.0], [], []

    def step(self):
        now[0] += 200.0
        return work(self)

    work = Trainer.step
    monkeypatch.setattr("gander.training.chores.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("gander.training.chores._FIRST", 16)
    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(Session, "save", lambda self: saved.append(self.images_done))
    monkeypatch.setattr(Session, "draw_samples", lambda self: drawn.append(self.images_done))
    train(tiny(tmp_path, patch={"every.save": 10_000, "every.samples": 80}), tmp_path / "run")
    assert saved == [24, 40, 56, 72, 88, 96]
    assert drawn == [16, 32, 64, 80, 96]


def test_the_speed_is_that_of_steps_whatever_sheets_and_checkpoints_take(tmp_path, monkeypatch):
    now = [0.0]

    def taking(seconds, work):
        def slower(self):
            now[0] += seconds
            return work(self)

        return slower

    monkeypatch.setattr("gander.training.session.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Trainer, "step", taking(2.0, Trainer.step))
    monkeypatch.setattr(Session, "draw_samples", taking(100.0, Session.draw_samples))
    monkeypatch.setattr(Session, "save", taking(1000.0, Session.save))
    history = train(tiny(tmp_path), tmp_path / "run").history()
    assert history.column("speed/images_per_second") == [BATCH / 2] * 3
    assert history.last("seconds") > 1000
