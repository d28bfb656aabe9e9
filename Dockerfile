# docker build -t aqreanalysis . && docker run --rm -v "$PWD:/data" aqreanalysis map mine.csv ...
# The versions are those of constraints.txt; torch is the CPU build.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN python -m venv /opt/aqreanalysis \
 && /opt/aqreanalysis/bin/pip install --no-cache-dir --no-deps -c constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu torch \
 && /opt/aqreanalysis/bin/pip install --no-cache-dir -c constraints.txt '.[vector,stac,check,s3,xlsx]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/aqreanalysis /opt/aqreanalysis
ENV PATH=/opt/aqreanalysis/bin:$PATH NUMBA_CACHE_DIR=/home/user/.cache/numba
RUN useradd --create-home user
USER user
WORKDIR /data
ENTRYPOINT ["aqreanalysis"]
CMD ["--help"]
