#!/usr/bin/env bash
# install.sh : the client programs with which the tests open cubes, as small Debian packages (some 60 MB):
#   ncdump (netcdf-bin), NCO, CDO, GDAL, ncview under Xvfb;
#   and Chromium with its driver (some 300 MB), which opens the page that 'aqreanalysis view' writes.
# Without root or apt-get it says what is missing; the tests of a missing client are skipped with its name.
set -u
wanted="ncdump:netcdf-bin ncks:nco cdo:cdo gdalinfo:gdal-bin ncview:ncview Xvfb:xvfb xwininfo:x11-utils xwd:x11-apps
  chromium:chromium chromedriver:chromium-driver"
missing() { for pair in $wanted; do command -v "${pair%%:*}" > /dev/null || echo "${pair##*:}"; done; }

packages=$(missing | sort -u | tr '\n' ' ')
[ -n "$packages" ] || { echo "clients: all there"; exit 0; }
run=
if [ "$(id -u)" != 0 ]; then
  if sudo -n true 2> /dev/null; then run="sudo -n"; else run=no; fi
fi
if [ "$run" = no ] || ! command -v apt-get > /dev/null; then
  echo "clients: missing ${packages}(no apt-get, or no root); their tests will be skipped"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of packages
$run apt-get update -q > /dev/null && $run apt-get install -y -q --no-install-recommends $packages > /dev/null
left=$(missing | sort -u | tr '\n' ' ')
[ -z "$left" ] && echo "clients: all there" || echo "clients: still missing ${left}; their tests will be skipped"
