"""What is recorded can be read back, and says what is not in it."""

import json
import os
import stat
import tarfile
from pathlib import Path

import pytest
from contract.snapshot_doubles import NOW, MemoryCluster, obj, pod

from firstmate_tools.cluster.base import LogRequest
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    NotCollectedError,
    NotInstalledError,
    ObjectNotFoundError,
    TimedOutError,
    UsageError,
)
from firstmate_tools.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    SERVICE,
    Kind,
)
from firstmate_tools.reads import Grant, Read
from firstmate_tools.recorder import record

pytestmark = pytest.mark.anyio
LOGS = Read(POD, ("get",), "log")
KINDS = (POD, NODE, NAMESPACE, CONFIG_MAP, SERVICE, DEPLOYMENT, EVENT)
READS = [*(Read(kind) for kind in KINDS), LOGS]
GRANT = Grant.of([*READS, Read(SECRET)])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def cluster(**more: object) -> MemoryCluster:
    objects = {
        POD: [pod("cart-1"), pod("cart-2", restarts=7, waiting="CrashLoopBackOff"), pod("pay-1", "pay")],
        NODE: [obj("b"), obj("a")],
        NAMESPACE: [obj("shop"), obj("pay"), obj("empty")],
        CONFIG_MAP: [],
        SERVICE: [obj("cart", "shop")],
    }
    return MemoryCluster(objects, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["prod.tar.gz", "prod.tgz", "prod"])
async def test_what_was_recorded_reads_back_equal(tmp_path: Path, name: str) -> None:
    live = cluster()
    report = await record(live, tmp_path / name, reads=READS)
    assert report.objects == 9
    source = SnapshotSource("then", tmp_path / name)
    async with source.open(GRANT) as then:
        for kind in (POD, NODE, NAMESPACE, CONFIG_MAP, SERVICE):
            for namespace in (None, "shop", "pay", "empty", "nowhere"):
                if kind.namespaced or namespace is None:
                    expected = (await live.list(kind, namespace=namespace)).items
                    assert (await then.list(kind, namespace=namespace)).items == expected
        assert then.now == NOW
        assert then.identity.server == "https://10.0.0.1:6443"
        assert then.identity.version == "v1.36.1"
        assert then.recorded_namespaces is None
    await source.close()
