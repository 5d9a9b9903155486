# ruff: noqa: E501, S108 - a table is read by its rows; its paths stand in error texts
"""Error texts of Kubernetes, its add-ons and AWS, and the causes that produce them. Pure.

The `explain` tool asks `match`. A text is matched against patterns of what its author writes, most specific first; one
text may have several causes, and a cause several texts. Texts change between versions, so that patterns hold on to the
words that have stayed: kubelet and controllers v1.29 to v1.36, containerd 1.7 and 2, Karpenter 1, AWS Load Balancer
Controller 2 and the VPC CNI 1. No rule of a diagnosis may decide by these: it looks at objects.
"""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Text:
    """One text: who writes it, how it reads, which causes it may have (likeliest first)."""

    author: str
    pattern: str
    causes: tuple[str, ...]


def _texts(author: str, *rows: tuple[str, str]) -> list[Text]:
    return [Text(author, pattern, tuple(causes.split())) for pattern, causes in rows]


TEXTS: tuple[Text, ...] = (
    *_texts(
        "kube-scheduler, in the event FailedScheduling",
        (r"Insufficient (?:nvidia|amd|gpu)[\w.]*/|Insufficient \S+/gpu", "gpu-not-advertised insufficient-node-resources"),
        (r"Insufficient vpc\.amazonaws\.com/pod-eni", "branch-eni-exhausted"),
        (r"Insufficient [\w.-]+", "insufficient-node-resources pod-larger-than-any-node"),
        (r"Too many pods", "node-pod-limit-reached"),
        (r"didn't match Pod's node affinity", "node-selector-unmatched node-affinity-unmatched"),
        (r"untolerated taint|had taint", "taint-not-tolerated nodes-cordoned kubelet-not-reporting"),
        (r"node\(s\) were unschedulable", "nodes-cordoned"),
        (r"anti-affinity rules", "pod-anti-affinity-unsatisfiable"),
        (r"didn't match pod affinity rules", "pod-affinity-unmatched"),
        (r"topology spread constraints", "topology-spread-unsatisfiable"),
        (r"free ports for the requested pod ports", "host-port-conflict"),
        (r"PersistentVolume's node affinity|volume node affinity conflict|no available volume zone", "volume-zone-mismatch"),
        (r"exceed max volume count", "node-volume-limit-reached"),
        (r"ReadWriteOncePod access mode already in-use", "rwop-volume-in-use"),
        (
            r"unbound immediate PersistentVolumeClaims",
            "storageclass-missing no-default-storageclass static-pv-mismatch csi-provisioner-not-running "
            "pv-claimed-by-another-pvc csi-provisioner-unauthorized",
        ),
        (r'persistentvolumeclaim "[^"]*" not found', "object-quota-exceeded"),
        (r"waiting for scheduling gates", "scheduling-gate-not-removed"),
    ),
    *_texts(
        "the API server's admission, as answer to a request or in the event FailedCreate",
        (r"exceeded quota: .*requested: pods|exceeded quota: .*(?:requests|limits)\.", "quota-exceeded"),
        (r"exceeded quota", "quota-exceeded object-quota-exceeded"),
        (r"failed quota: .*must specify", "quota-requires-requests"),
        (r"(?:maximum|minimum) \S+ usage per|limit to request ratio per", "limitrange-violation"),
        (r"error looking up service account", "service-account-missing"),
        (r"violates PodSecurity", "pod-security-violation"),
        (r"no PriorityClass with name", "priority-class-missing"),
        (r"failed calling webhook.*x509", "webhook-tls-invalid"),
        (r"failed calling webhook.*(?:context deadline exceeded|Client\.Timeout)", "webhook-unavailable webhook-timeouts-cumulative"),
        (r"failed calling webhook", "webhook-unavailable webhook-tls-invalid"),
        (r"ValidatingAdmissionPolicy '[^']*'|admission webhook \"[^\"]*\" denied the request", "policy-denied"),
        (r"did not complete within requested timeout", "webhook-timeouts-cumulative"),
        (r"because it is being terminated", "namespace-content-finalizer-stuck"),
        (r"field is immutable|updates to statefulset spec for fields other than", "immutable-field-changed"),
        (r"no matches for kind", "removed-api-in-manifest"),
        (r"cannot \w+ resource \"[^\"]*\" in API group", "rbac-forbidden"),
        (r"You must be logged in to the server|the server has asked for the client to provide credentials", "cluster-access-entry-missing"),
        (r"Too many requests, please try again later", "api-server-overloaded"),
        (r"violate the pod's disruption budget", "pdb-blocks-eviction"),
        (r"MultiplePodDisruptionBudgets|more than one PodDisruptionBudget", "pdb-overlapping"),
        (r"(?:unable to handle the request|ServiceUnavailable).*\bapi|FailedDiscoveryCheck|MissingEndpoints", "apiservice-unavailable"),
    ),
    *_texts(
        "kubelet and container runtime, in events and container states",
        (r"ErrImageNeverPull|not present with pull policy of Never", "image-never-pull-absent"),
        (r"InvalidImageName|Failed to apply default image tag|invalid reference format", "image-name-invalid"),
        (r"429 Too Many Requests|toomanyrequests", "image-pull-rate-limited"),
        (r"no match for platform|exec format error", "image-architecture-mismatch"),
        (r"(?:failed to authorize|pull access denied|unexpected status.*(?:401|403)|no basic auth credentials)", "image-pull-unauthorized image-pull-secret-missing image-not-found"),
        (r"Unable to retrieve some image pull secrets", "image-pull-secret-missing"),
        (r"(?:pull|resolve reference|registry|manifests?).*(?:no such host|i/o timeout|connection refused|connection reset|TLS handshake)", "image-registry-unreachable"),
        (r"failed to (?:pull|register|extract).*no space left on device|ImageGCFailed|FreeDiskSpaceFailed", "image-filesystem-full node-disk-pressure"),
        (r"manifest unknown|NotFound.*resolve reference|(?:pull|image|reference).*not found", "image-not-found"),
        (r"ImagePullBackOff|ErrImagePull|Back-off pulling image", "image-not-found image-pull-unauthorized image-pull-secret-missing image-registry-unreachable image-pull-rate-limited"),
        (r"memory limit too low|container init was OOM-killed", "memory-limit-too-low-to-start"),
        (r"OOMKilled|exit(?:ed with)? code:? 137|Memory cgroup out of memory", "oom-killed-container-limit node-out-of-memory liveness-probe-misconfigured"),
        (r"System OOM encountered", "node-out-of-memory"),
        (r"image will run as root|non-numeric user", "run-as-non-root-violation"),
        (r"couldn't find key|(?:secret|configmap) \"[^\"]*\" not found", "config-reference-missing volume-config-reference-missing"),
        (r"CreateContainerConfigError", "config-reference-missing run-as-non-root-violation"),
        (r"executable file not found|no such file or directory.*exec|permission denied: unknown|StartError|RunContainerError", "container-command-not-found memory-limit-too-low-to-start"),
        (r"PostStartHookError|FailedPostStartHook", "post-start-hook-failing"),
        (r"failed startup probe|Startup probe failed", "startup-probe-never-passes"),
        (r"failed to connect service .* within|probe.*command.*timed out|probe errored.*timed out", "exec-probe-timeout"),
        (r"failed liveness probe|Liveness probe failed", "liveness-probe-misconfigured liveness-probe-too-aggressive exec-probe-timeout"),
        (r"Readiness probe failed", "readiness-probe-misconfigured application-exits-on-error"),
        (r"CrashLoopBackOff|Back-off restarting failed container", "application-exits-on-error oom-killed-container-limit liveness-probe-misconfigured container-process-completes container-command-not-found init-container-failing"),
        (r"Multi-Attach error", "volume-multi-attach"),
        (r"Attachment limit exceeded", "volume-attach-limit-exceeded"),
        (r"Volume \"[^\"]*\" not found|InvalidVolume\.NotFound", "volume-missing-in-cloud"),
        (r"mount\.nfs|nfs.*timed out|DeadlineExceeded.*efs|fs-[0-9a-f]+.*(?:resolve|timeout|timed out)", "efs-mount-unreachable"),
        (r"Unable to attach or mount volumes", "volume-mount-timeout volume-multi-attach volume-config-reference-missing efs-mount-unreachable"),
        (r"MountVolume\.SetUp failed", "volume-config-reference-missing efs-mount-unreachable volume-mount-timeout"),
        (r"failed to assign an IP address|no available IP|InsufficientFreeAddressesInSubnet", "cni-ip-exhaustion cni-prefix-fragmentation"),
        (r"InsufficientCidrBlocks", "cni-prefix-fragmentation"),
        (r"NetworkPluginNotReady|cni plugin not initialized|network is not ready", "cni-not-initialized"),
        (r"MissingIAMPermissions", "cni-iam-permissions-missing"),
        (r"FailedCreatePodSandBox|failed to create pod sandbox", "pod-sandbox-creation-failed cni-ip-exhaustion cni-not-initialized memory-limit-too-low-to-start"),
        (r"exceeds the (?:total )?limit|exceeded its local ephemeral storage limit", "ephemeral-storage-limit-exceeded"),
        (r"The node was low on resource: memory", "node-memory-pressure"),
        (r"The node was low on resource: (?:ephemeral-storage|inodes|nodefs|imagefs)", "node-disk-pressure"),
        (r"The node was low on resource: pids", "node-pid-pressure"),
        (r"SysctlForbidden", "unsafe-sysctl-forbidden"),
        (r"OutOf(?:cpu|memory|pods)|UnexpectedAdmissionError|Predicate \w+ failed|NodeAffinity", "kubelet-admission-rejected gpu-device-unhealthy"),
        (r"Kubelet stopped posting node status|NodeStatusUnknown", "kubelet-not-reporting"),
        (r"container runtime is down|PLEG is not healthy|pleg was last seen active", "container-runtime-down"),
        (r"remote error: tls: internal error", "kubelet-serving-csr-pending"),
        (r"DNSConfigForming|Search Line limits|Nameserver limits", "pod-dns-config-invalid"),
        (r"Xid[= ]?\d*|XidCriticalError", "gpu-device-unhealthy"),
    ),
    *_texts(
        "controllers, in events and conditions",
        (r"storageclass\S* \"[^\"]*\" not found", "storageclass-missing"),
        (r"no storage class is set", "no-default-storageclass static-pv-mismatch"),
        (r"Cannot bind to requested volume|VolumeMismatch", "static-pv-mismatch"),
        (r"already bound to a different claim", "pv-claimed-by-another-pvc"),
        (r"Waiting for a volume to be created", "csi-provisioner-not-running csi-provisioner-unauthorized"),
        (r"ProvisioningFailed.*(?:UnauthorizedOperation|AccessDenied|not authorized)", "csi-provisioner-unauthorized"),
        (r"WaitForFirstConsumer|WaitForPodScheduled|waiting for first consumer", "pvc-waiting-for-unschedulable-pod"),
        (r"VolumeResizeFailed|FileSystemResizePending", "volume-expansion-stuck"),
        (r"ProgressDeadlineExceeded|has timed out progressing", "rollout-new-revision-failing"),
        (r"BackoffLimitExceeded|DeadlineExceeded.*Job|Job has reached the specified backoff limit|PodFailurePolicy", "job-retries-or-deadline-exceeded"),
        (r"MissSchedule|TooManyMissedTimes|JobAlreadyActive|UnknownTimeZone|too many missed start times", "cronjob-schedule-missed"),
        (r"unable to fetch metrics from resource metrics API|FailedGetResourceMetric", "hpa-metrics-unavailable hpa-missing-requests"),
        (r"missing request for", "hpa-missing-requests"),
        (r"TooManyReplicas", "hpa-at-max-replicas"),
        (r"AmbiguousSelector|InvalidSelector|FailedGetScale|ScalingDisabled", "hpa-target-invalid"),
        (r"SyncLoadBalancerFailed|Error syncing load balancer|UnAvailableLoadBalancer", "load-balancer-not-provisioned"),
        (r"unable to resolve at least one subnet", "aws-lbc-subnet-not-found"),
        (r"FailedDeployModel.*AccessDenied|AccessDenied.*elasticloadbalancing", "aws-lbc-access-denied"),
        (r"expected exactly one securityGroup tagged", "aws-lbc-security-group-ambiguous"),
        (r"target-health\.elbv2", "load-balancer-target-unhealthy"),
        (r"ConflictingIngressClass", "ingress-class-invalid"),
        (r"SomeResourcesRemain|SomeFinalizersRemain|NamespaceContentRemaining", "namespace-content-finalizer-stuck finalizer-owner-missing"),
        (r"another operation \(install/upgrade/rollback\) is in progress", "helm-release-pending"),
        (r"exceed limits for nodepool", "karpenter-nodepool-limit-reached"),
        (r"no instance type met|NoCompatibleInstanceTypes", "karpenter-requirements-unsatisfiable"),
        (r"NodeClassNotReady|SubnetsNotFound|SecurityGroupsNotFound|AMINotFound", "karpenter-nodeclass-not-ready"),
        (r"InsufficientCapacityError|InsufficientInstanceCapacity", "instance-capacity-insufficient"),
        (r"VcpuLimitExceeded|InstanceLimitExceeded", "aws-service-quota-reached"),
        (r"DisruptionBlocked|Unconsolidatable", "karpenter-disruption-blocked"),
        (r"SpotInterrupted|TerminatingOnInterruption", "spot-instance-interrupted"),
        (r"didn't trigger scale-up|NotTriggerScaleUp", "autoscaler-scale-up-impossible"),
        (r"ComparisonError|InvalidSpecError|SyncError", "argocd-sync-failed"),
        (r"DependencyNotReady|ReconciliationFailed|HealthCheckFailed|ArtifactFailed|BuildFailed", "flux-not-reconciled"),
        (r"ACK\.(?:Terminal|Recoverable|ReferencesResolved)", "ack-resource-not-synced"),
    ),
    *_texts(
        "a program, in its log",
        (r"client-side throttling", "client-side-throttling"),
        (r"address already in use|EADDRINUSE", "container-port-conflict"),
        (r"too many open files|EMFILE|inotify", "open-file-limit-reached"),
        (r"/dev/shm.*(?:no space|ENOSPC)", "shared-memory-too-small"),
        (r"no space left on device|ENOSPC", "volume-full image-filesystem-full ephemeral-storage-limit-exceeded"),
        (r"permission denied|EACCES", "volume-permission-denied container-command-not-found"),
        (r"no such host|NXDOMAIN|Temporary failure in name resolution|could not resolve host|server misbehaving", "service-host-reference-invalid coredns-not-running coredns-config-invalid networkpolicy-blocks-traffic pod-dns-config-invalid"),
        (r"AssumeRoleWithWebIdentity", "irsa-trust-policy-mismatch irsa-oidc-provider-missing"),
        (r"No OpenIDConnect provider found", "irsa-oidc-provider-missing"),
        (r"AssumeRoleForPodIdentity", "pod-identity-agent-unauthorized pod-identity-association-missing"),
        (r"Unable to locate credentials|NoCredentialProviders|EC2 IMDS.*(?:timeout|exceeded)", "irsa-not-injected pod-identity-association-missing imds-hop-limit-blocks-pod"),
        (r"plugin/errors|Loop .* detected|SERVFAIL", "coredns-config-invalid"),
        (r"mvcc: database space exceeded", "etcd-space-exceeded"),
        (r"etcdserver: (?:request timed out|leader changed|no leader)", "etcd-degraded"),
        (r"request is too large|trying to send message larger than max", "etcd-object-too-large"),
        (r"certificate has expired or is not yet valid", "control-plane-certificate-expired webhook-tls-invalid ingress-certificate-expired node-clock-skew"),
        (r"certificate signed by unknown authority", "webhook-tls-invalid"),
        (r"connection refused|ECONNREFUSED", "service-endpoints-not-ready service-target-port-mismatch service-selector-mismatch application-exits-on-error"),
        (r"i/o timeout|context deadline exceeded|ETIMEDOUT|Connection timed out|no route to host", "networkpolicy-blocks-traffic security-group-blocks-traffic kube-proxy-not-running service-protocol-mismatch"),
        (r"\b50[234]\b.*(?:Bad Gateway|Service (?:Temporarily )?Unavailable|Gateway Time-?out)|upstream connect error|no healthy upstream", "service-endpoints-not-ready ingress-backend-missing pod-stops-before-deregistration"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Match:
    """A known text found in an error: the part that was recognised, and which text it is."""

    text: Text
    part: str


@cache
def _compiled() -> tuple[tuple[Text, re.Pattern[str]], ...]:
    return tuple((text, re.compile(text.pattern, re.IGNORECASE)) for text in TEXTS)


MOST = 20_000
"""Characters of an error that are looked at: its beginning and its end."""


def match(error: str) -> list[Match]:
    """Known texts in an error, in the order of the table: who stands first within an author is the more specific."""
    shown = error if len(error) <= MOST else f"{error[: MOST // 2]}\n{error[-MOST // 2 :]}"
    lines = [line for line in shown.splitlines() if line.strip()]
    found: dict[str, Match] = {}
    for text, pattern in _compiled():
        for line in lines:
            hit = pattern.search(line[:4000])
            if hit is not None:
                found.setdefault(text.pattern, Match(text, hit.group()))
                break
    return list(found.values())


def likely(matches: list[Match]) -> dict[str, Match]:
    """The causes of some matches, likeliest first: those of the first text of each author, then those of further texts.

    Args:
        matches: as `match` gives them.
    """
    ordered: dict[str, Match] = {}
    for found in matches:
        for cause in found.text.causes:
            ordered.setdefault(cause, found)
    return ordered
