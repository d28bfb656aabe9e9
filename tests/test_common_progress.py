"""Parts and stages of a work report as one."""

from __future__ import annotations

from aqreanalysis.common.progress import part_of, stage_of


def test_equal_parts_go_on_in_the_units_of_the_work():
    calls: list[tuple[int, int, str]] = []
    second = part_of(lambda *call: calls.append(call), 1, 4, "member 2, ")
    second(3, 10, "step")
    assert calls == [(13, 40, "member 2, step")]


def test_stages_count_the_same_whatever_each_counts_itself():
    calls: list[tuple[int, int, str]] = []
    for number, total in enumerate((5, 0, 70_000)):
        stage = stage_of(lambda *call: calls.append(call), number, 3, "fold: ")
        stage(total, total, "done")
    assert [done / total for done, total, _ in calls] == [1 / 3, 1 / 3, 1.0]
    assert {note for *_, note in calls} == {"fold: done"}


def test_for_nobody_there_is_nothing_to_call():
    assert part_of(None, 0, 2) is None and stage_of(None, 0, 2) is None
