# Two stages: the first fetches what constraints.txt pins and checks every hash; the image itself gets only what a server needs.
FROM python:3.13-slim AS wheels
WORKDIR /src
COPY constraints.txt ./
RUN pip download --no-cache-dir --require-hashes --dest /wheels -r constraints.txt \
 && pip install --no-cache-dir --upgrade --no-index --find-links /wheels setuptools
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.13-slim
RUN useradd --system --create-home --home-dir /home/flower flower
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels flower-workflow
USER flower
WORKDIR /home/flower
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
# Only an exec form: the server is process 1 and gets SIGTERM itself. It ends within its --grace of 25 s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "flower"]
CMD ["serve", "--host", "0.0.0.0"]
