"""The Umweltbundesamt: quoted stamps, averages told by the columns' names, running means left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from station_files import raw, read, write_list


def test_only_means_of_an_hour_are_read(tmp_path: Path) -> None:
    head = 'Stationscode;Datum;"Feinstaub (PM₁₀) stündlich gleitendes Tagesmittel in µg/m³";'
    head += '"Ozon (O₃) Ein-Stunden-Mittelwert in µg/m³";"Stickstoffdioxid (NO₂) Ein-Stunden-Mittelwert in µg/m³";'
    lines = [head + "Luftqualitätsindex"]
    lines += [f"DENW074;'01.07.2020 {h:02d}:00';29;{h};-;gut" for h in range(1, 24)] + [
        "DENW074;'02.07.2020 00:00';29;24;8;gut"
    ]
    path = tmp_path / "Luftqualitaet.csv"
    path.write_text("\n".join([*lines, "Quelle: Umweltbundesamt"]) + "\n", encoding="utf-8")
    observations = read(path, write_list(tmp_path, ["DENW074"]))
    assert observations.species == ("no2", "o3")
    assert raw(observations, "o3", "DENW074", "2020-07-01 00:00") == 1  # 01:00 MEZ
    assert np.isnan(raw(observations, "no2", "DENW074", "2020-07-01 00:00"))
    assert raw(observations, "no2", "DENW074", "2020-07-01 23:00") == 8
    assert any("no mean of one hour" in note for note in observations.report.notes)
