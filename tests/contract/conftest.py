"""Fixtures of the contract tests: a fake API server, and a source that looks at it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract.fake_api import FakeApi, fake_api

from firstmate_tools.cluster.live import LiveSource


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
