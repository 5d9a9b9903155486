"""A declared question filled in for one cluster and namespace. Pure.

https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals: a string in double quotes takes Go's
escapes, so that a backslash and a quote are the only characters that could end it or change it.
"""

from collections.abc import Mapping

from firstmate_tools.reads import PrometheusRead

SCOPE = "$scope"


def filled(read: PrometheusRead, labels: Mapping[str, str], namespace: str | None) -> str:
    """The PromQL to send.

    Args:
        labels: what the series of this cluster bear.
        namespace: the one that is asked about, None for all; counts only where the question is `namespaced`.
    """
    asked = dict(labels)
    if read.namespaced and namespace is not None:
        asked["namespace"] = namespace
    matchers = ",".join(f'{name}="{escaped(value)}"' for name, value in asked.items())
    return read.query.replace(SCOPE, matchers)


def escaped(value: str) -> str:
    """A text as it stands between double quotes."""
    plain = value.replace("\\", "\\\\").replace('"', '\\"')
    return plain.replace("\n", "\\n").replace("\r", "\\r")
