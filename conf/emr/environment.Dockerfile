# The Python environment of driver and executors, as dist/environment.tar.gz. On Amazon Linux 2023
# and for the machines' kind of processor, as the archive has no interpreter of its own:
#   docker build --file conf/emr/environment.Dockerfile --output dist .
FROM amazonlinux:2023 AS build
RUN dnf install -y gcc python3.11 python3.11-pip tar gzip
COPY dist/*.whl /wheels/
RUN python3.11 -m venv --copies /environment
ENV PATH=/environment/bin:$PATH
# mira_spark itself comes with each job, as mira_spark.zip.
RUN wheel=$(ls /wheels/*.whl) && pip install "$wheel[student,judge,report]" venv-pack \
    && pip uninstall --yes mira-spark
RUN venv-pack --prefix /environment --output /environment.tar.gz
FROM scratch
COPY --from=build /environment.tar.gz /
