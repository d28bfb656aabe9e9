from __future__ import annotations

from aqreanalysis.evaluation.tables import aligned, table_rows


def _metrics(key: str, **overall: float | None) -> dict:
    scores = {"n": 10, "mae": 1.0, "rmse": 2.0, "r2": 0.5, "bias": -0.1, "crps": 0.7, "coverage": 0.9, "width": 5.0}
    method = {"title": "AQ-Net", "overall": scores | overall}
    return {"species": {key: {"hidden-tenth": {"methods": {"aq-net": method}}}}}


def test_carbon_monoxide_keeps_digits_that_mean_something() -> None:
    _, rows = table_rows(_metrics("co", mae=0.1234, width=0.4321))
    assert rows[0][0] == "CO (mg m-3)"
    assert "0.1234" in rows[0] and "0.432" in rows[0]
    _, rows = table_rows(_metrics("pm25", mae=12.345))
    assert "12.35" in rows[0] or "12.34" in rows[0]


def test_a_score_that_is_not_known_is_a_dash() -> None:
    header, rows = table_rows(_metrics("pm25", r2=None, crps=float("nan")))
    assert dict(zip(header, rows[0], strict=True))["R2"] == "-"
    assert dict(zip(header, rows[0], strict=True))["CRPS"] == "-"


def test_columns_line_up() -> None:
    lines = aligned(["a", "b"], [["x", "1"], ["longer", "100"]], left=1)
    assert lines == ["a         b", "------  ---", "x         1", "longer  100"]
