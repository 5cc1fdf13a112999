"""The catalogue of what findings mean holds every code that a finding can carry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gander.doctor
from gander.doctor.codes import codes
from gander.recipe.read import nameable

WRITTEN = "\n".join(path.read_text("utf-8") for path in Path(gander.doctor.__file__).parent.glob("[dfr]*.*"))


def test_every_code_of_a_fact_is_explained():
    said = set(re.findall(r'(?:code = |fact\(\s*|for code.*|\(")"?([a-z]+-[a-z-]+)"', WRITTEN))
    said |= {f"{which}-{end}" for which in ("g-rate", "d-rate", "rates") for end in ("high", "low")}
    said |= {"g-frozen", "d-frozen", "rates-apart", "g-too-small", "d-too-small", "channels-swapped"}
    assert len(said) > 30
    assert said <= codes().keys()


@pytest.mark.parametrize("name", codes())
def test_a_code_says_what_is_seen_and_why_in_whole_sentences(name: str):
    code = codes()[name]
    assert code.title[0].isupper()
    assert not code.title.endswith(".")
    for _, text in code.about():
        assert text[0].isupper()
        assert text.endswith(".")


def test_no_code_has_the_name_of_a_technique():
    assert not codes().keys() & {kind for kinds in nameable().values() for kind in kinds}
