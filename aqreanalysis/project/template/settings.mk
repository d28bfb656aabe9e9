# W,S,E,N@step in degrees (centres of the outermost cells), or a named grid; empty: around the stations.
GRID    :=
# Pollutants, joined by commas; empty: all that the records hold.
SPECIES :=
# UTC, 2024-01-31 or 2024-01-31T06:00; empty: from the first reading to the last.
START   :=
END     :=
# pretrained or train; empty: train where there are files in covariates/.
WAY     :=
# The program, as it was called when this was laid: a clock knows no virtual environment.
AQ      ?= aqreanalysis
