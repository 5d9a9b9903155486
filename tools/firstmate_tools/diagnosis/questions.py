"""The questions that rules put to Prometheus, with the thresholds above which something is worth a look.

Each is one request, gives few series however large the cluster, and takes what cAdvisor, the kubelet, the API server,
CoreDNS and node_exporter call their metrics. Parts of one answer are told apart by the label `of`. Windows are long
enough for scrapes a minute apart and for the alerts' own waiting times (`for:`).

The alerts meant below are those of github.com/kubernetes-monitoring/kubernetes-mixin, unless another source is named.
"""

from firstmate_tools.reads import PrometheusRead

THROTTLED_SHARE = 0.25
"""CPUThrottlingHigh: a quarter of the periods in which the container wanted to run, for 15 minutes."""
WINDOW_S = 900
ROOM_LEFT, ROOM_SHRINKING = 0.03, 0.15
"""KubePersistentVolumeFillingUp, its critical and its warning form; the second counts where the trend of six hours
leads to nothing within four days. KubePersistentVolumeInodesFillingUp has the same numbers."""
_LIMITED = "namespace, pod, container"
_CLAIM = "namespace, persistentvolumeclaim"


def _tagged(expression: str, of: str) -> str:
    """An expression whose series bear the label `of`, so that one question may hold several."""
    return f'label_replace({expression}, "of", "{of}", "", "")'


def _cpu(metric: str, of: str = "increase", only: str = 'container!=""') -> str:
    return f"sum by ({_LIMITED}) ({of}({metric}{{{only},$scope}}[15m]))"


_PERIODS = _cpu("container_cpu_cfs_periods_total")
_SHARE = f"({_cpu('container_cpu_cfs_throttled_periods_total')} / {_PERIODS} > {THROTTLED_SHARE})"
_USED = _cpu("container_cpu_usage_seconds_total", "rate", 'container!="",image!=""')  # not the kubelet's own copy
CPU_THROTTLED = PrometheusRead(
    "cpu-throttled",
    " or ".join(
        (
            _tagged(_SHARE, "share"),
            _tagged(f"({_PERIODS} and on ({_LIMITED}) {_SHARE})", "periods"),
            _tagged(f"({_USED} and on ({_LIMITED}) {_SHARE})", "used"),
        )
    ),
    ("container_cpu_cfs_periods_total",),
    namespaced=True,
)


def _room(free: str, all_of: str) -> str:
    """The free share of volumes that are full, or on their way to it."""
    share = f"min by ({_CLAIM}) ({free}{{$scope}} / {all_of}{{$scope}})"
    trend = f"min by ({_CLAIM}) (predict_linear({free}{{$scope}}[6h], 4 * 24 * 3600)) < 0"
    return f"({share} < {ROOM_LEFT} or ({share} < {ROOM_SHRINKING} and on ({_CLAIM}) {trend}))"


VOLUME_ROOM = PrometheusRead(
    "volume-room",
    " or ".join(
        (
            _tagged(_room("kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"), "bytes"),
            _tagged(_room("kubelet_volume_stats_inodes_free", "kubelet_volume_stats_inodes"), "inodes"),
        )
    ),
    ("kubelet_volume_stats_available_bytes",),
    namespaced=True,
)

ALLOWANCES = ("bw_in", "bw_out", "pps", "conntrack", "linklocal")
"""What an EC2 instance's network is held to; each has a counter of packets that were held back or dropped.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-network-performance-ena.html
"""
_WHERE = "instance, node, nodename, kubernetes_node, device"


def _allowance(name: str) -> str:
    """By node_exporter's ethtool collector, or by the exporter that AWS shows for EKS (one metric, told by `type`)."""
    own = f"increase(node_ethtool_{name}_allowance_exceeded{{$scope}}[15m])"
    other = f'increase(node_net_ethtool{{type="{name}_allowance_exceeded",$scope}}[15m])'
    return _tagged(f"(sum by ({_WHERE}) ({own} or {other}) > 0)", name)


NETWORK_ALLOWANCES = PrometheusRead(
    "network-allowances",
    " or ".join(map(_allowance, ALLOWANCES)),
    ("node_ethtool_conntrack_allowance_exceeded", "node_net_ethtool"),
)

_REJECTED = "rate(apiserver_flowcontrol_rejected_requests_total{$scope}[10m])"
_DISPATCHED = "rate(apiserver_flowcontrol_dispatched_requests_total{$scope}[10m])"
_BY_LEVEL = "sum by (priority_level)"
API_REJECTS = PrometheusRead(
    "api-server-rejects",
    " or ".join(
        (
            _tagged(f"(sum by (priority_level, flow_schema, reason) ({_REJECTED}) > 0)", "rejected"),
            _tagged(
                f"({_BY_LEVEL} ({_REJECTED}) / ({_BY_LEVEL} ({_REJECTED}) + {_BY_LEVEL} ({_DISPATCHED})) > 0)", "share"
            ),
        )
    ),
    ("apiserver_flowcontrol_dispatched_requests_total", "apiserver_flowcontrol_rejected_requests_total"),
)

_SIZES = (
    "apiserver_storage_size_bytes",
    "apiserver_storage_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_bytes",
)
"""Since v1.28, before that, and etcd's own."""
ETCD_SIZE = PrometheusRead(
    "etcd-size",
    " or ".join(
        (
            _tagged(f"max({' or '.join(f'{name}{{$scope}}' for name in _SIZES)})", "size"),
            _tagged("max(etcd_mvcc_db_total_size_in_use_in_bytes{$scope})", "used"),
            _tagged("min(etcd_server_quota_backend_bytes{$scope})", "quota"),
        )
    ),
    _SIZES,
)

_DNS_TIME = "coredns_dns_request_duration_seconds_bucket"
DNS_ANSWERS = PrometheusRead(
    "dns-answers",
    " or ".join(
        (
            _tagged("sum by (rcode) (rate(coredns_dns_responses_total{$scope}[15m]))", "answers"),
            _tagged(
                f"histogram_quantile(0.99, sum by (le) (rate({_DNS_TIME}{{$scope}}[15m])))",
                "slowest",
            ),
        )
    ),
    ("coredns_dns_responses_total",),
)

HOUR_S = 3600
_FAILED = 'status=~"502|503|504"'
GATEWAY_ERRORS = PrometheusRead(
    "gateway-errors",
    "(sum by (exported_namespace, namespace, exported_service, service) "
    f"(increase(nginx_ingress_controller_requests{{{_FAILED},$scope}}[2m])) > 0) or "
    "(sum by (destination_service_namespace, destination_service_name) "
    f'(increase(istio_requests_total{{reporter="source",response_code=~"502|503|504",$scope}}[2m])) > 0)',
    ("nginx_ingress_controller_requests", "istio_requests_total"),
    window_s=HOUR_S,
    step_s=60,
)
"""Requests that found no backend, minute by minute, of the two proxies that tell for which Service. ingress-nginx says
so in labels that Prometheus renames where its own targets have them too."""

_EVERY = (CPU_THROTTLED, VOLUME_ROOM, NETWORK_ALLOWANCES, API_REJECTS, ETCD_SIZE, DNS_ANSWERS, GATEWAY_ERRORS)
_NAMES = "|".join(dict.fromkeys(metric for read in _EVERY for metric in read.metrics))
METRICS_KNOWN = PrometheusRead("metrics-known", f'group by (__name__) ({{__name__=~"{_NAMES}",$scope}})', ())
"""Which of the metrics above Prometheus has at all: an empty answer about one that nobody collects tells nothing."""
