"""A real Prometheus over samples that a test writes: blocks made by promtool, served on 127.0.0.1.

    samples = Samples(now).counter("container_cpu_cfs_periods_total", 10, namespace="shop", pod="cart-1")
    with serving(samples, tmp_path) as url: ...

The programs lie on PATH, or come from `make prometheus`. Without them `serving` skips the test, loudly. The process is
ended by its id.
"""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.prometheus_install import programs

STEP_S = 60
START_S = 20.0
STOP_S = 10.0
_CONFIG = "global: {scrape_interval: 1m}\n"


class Samples:
    """What Prometheus has scraped: one sample a minute of each series, up to now.

    Args:
        now: the newest sample's moment.
        hours: how far back they go.
    """

    def __init__(self, now: datetime, hours: float = 1.0) -> None:
        end = int(now.timestamp())
        self._times = range(end - int(hours * 3600), end + 1, STEP_S)
        self._lines: dict[str, list[str]] = {}

    def counter(self, name: str, per_second: float, *, start: float = 0.0, **labels: str) -> "Samples":
        """A counter that grows evenly."""
        began = self._times[0]
        return self._series(name, [start + (at - began) * per_second for at in self._times], labels)

    def jumps(self, name: str, by: dict[float, float], **labels: str) -> "Samples":
        """A counter that stands still, but for so much at so many minutes before now."""
        end = self._times[-1]
        grown = [sum(more for ago, more in by.items() if end - ago * 60 <= at) for at in self._times]
        return self._series(name, [100.0 + more for more in grown], labels)

    def gauge(self, name: str, value: float, *, per_hour: float = 0.0, **labels: str) -> "Samples":
        """A gauge that has a value now, and changed by so much an hour until then."""
        end = self._times[-1]
        return self._series(name, [value - (end - at) / 3600 * per_hour for at in self._times], labels)

    def _series(self, name: str, values: list[float], labels: dict[str, str]) -> "Samples":
        shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        lines = self._lines.setdefault(name, [])
        lines += [f"{name}{{{shown}}} {value!r} {at}" for at, value in zip(self._times, values, strict=True)]
        return self

    def text(self) -> str:
        """The OpenMetrics exposition, without types: these do not outlive the scrape."""
        blocks = ["\n".join([f"# TYPE {name} unknown", *lines]) for name, lines in self._lines.items()]
        return "\n".join([*blocks, "# EOF\n"])


@contextmanager
def serving(samples: Samples, folder: Path, *options: str) -> Generator[str]:
    """The address of a Prometheus that holds these samples.

    Args:
        folder: where its files go.
        options: further flags of `prometheus`.
    """
    if (found := programs()) is None:
        pytest.skip("NO TESTS WITH A REAL PROMETHEUS: prometheus and promtool are missing; `make prometheus`")
    server, tool = map(str, found)
    folder.mkdir(parents=True, exist_ok=True)
    text, data, config = folder / "samples.txt", folder / "data", folder / "prometheus.yml"
    text.write_text(samples.text())
    config.write_text(_CONFIG)
    made = [tool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(made, check=True, capture_output=True)
    port = _free_port()
    arguments = [
        server,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, folder / "prometheus.log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"prometheus did not start: {log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
