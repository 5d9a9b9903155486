"""How many objects the API server holds of each resource: one request that saves one for every product without any.

Called by `observe` where a cluster serves more kinds of products than one question may list. Must never be the reason
for an error: where the API server may not say, everything is listed as if nobody had asked.

apiserver_resource_objects: k8s.io/apiserver pkg/storage/etcd3/metrics, v1.34 and later; polled once a minute.
"""

import re

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import ReadError
from firstmate_tools.reads import NonResource

_METRICS, _OBJECTS = "/metrics", "apiserver_resource_objects"
_COUNT = re.compile(
    rf'^{_OBJECTS}\{{group="([a-z0-9.-]{{0,253}})",resource="([a-z0-9.-]{{1,253}})"\}} (\d{{1,18}})(?:\.\d*)?\s*$',
    re.MULTILINE,
)

Resource = tuple[str, str]
"""Group and plural."""


async def stored(cluster: Cluster) -> dict[Resource, int]:
    """The number of objects of each resource that was counted in the last minute; {} where that is not to be had."""
    try:
        (access,) = await cluster.access([NonResource(_METRICS, optional=True)], None)
        content = await cluster.text(_METRICS, only=_OBJECTS) if access.allowed else ""
    except ReadError:
        return {}
    return {(group, plural): int(count) for group, plural, count in _COUNT.findall(content)}
