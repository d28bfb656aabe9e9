"""Formats are found, and guessed with a reason. That they survive damage: test_fuzz_observations.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import read
from station_formats import Made, make_files

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import list_formats
from aqreanalysis.observations.files import list_sources
from aqreanalysis.observations.formats.registry import find_format, guess_format
from aqreanalysis.observations.read_context import read_head

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return make_files(tmp_path_factory.mktemp("formats"))


def test_every_format_has_a_name_a_document_and_a_test_file() -> None:
    for form in list_formats():
        assert form.title and form.document
        if form.name != "table":
            assert (HERE / f"test_observations_formats_{form.name.replace('-', '_')}.py").is_file(), form.name


def test_each_made_up_file_is_guessed_right_and_says_why(made: dict[str, Made]) -> None:
    for each in made.values():
        if each.format is not None:
            guessed, reason = guess_format(read_head(list_sources(each.path)[0]), ColumnsConfig())
            assert guessed.name == each.format and len(reason) > 10, (each, guessed.name)


def test_an_unknown_name_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match=r"no format 'eae'; did you mean 'eea'"):
        find_format("eae")
    path = tmp_path / "notes.csv"
    path.write_text("when,what\n1,2\n")
    with pytest.raises(ObservationsError, match=r"looks like no known format \(its columns are when, what\)"):
        read(path)
