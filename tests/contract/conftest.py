"""Fixtures of the contract tests: a fake API server, and a source that looks at it."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract.fake_api import FakeApi, fake_api

from firstmate_tools.cluster.live import LiveSource

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and their children inherit it: no server of a test would hear an interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def api(anyio_backend: str) -> AsyncIterator[FakeApi]:
    async with fake_api() as server:
        yield server


@pytest.fixture
async def source(api: FakeApi, tmp_path: Path) -> AsyncIterator[LiveSource]:
    found = LiveSource("fake", api.kubeconfig(tmp_path), user_agent="firstmate/1.2.3")
    yield found
    await found.close()
