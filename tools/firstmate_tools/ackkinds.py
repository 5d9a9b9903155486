"""Resources of AWS Controllers for Kubernetes (ACK) that a diagnosis reads: those that teams use most.

ACK has a CRD for most things in AWS. Reading them all would cost a request for each kind that is installed, whether it
is used or not; these are the ones on which workloads depend. Secrets of Secrets Manager are left out on purpose. Kinds
and plurals are those of the CRDs in github.com/aws-controllers-k8s/<service>-controller (config/crd/bases);
the version is whatever the cluster serves.
"""

from .kinds import Kind

_SERVICES: dict[str, dict[str, str]] = {
    "acm": {"Certificate": "certificates"},
    "dynamodb": {"Table": "tables"},
    "ec2": {"SecurityGroup": "securitygroups", "Subnet": "subnets", "VPC": "vpcs"},
    "ecr": {"Repository": "repositories"},
    "efs": {"FileSystem": "filesystems"},
    "eks": {"Addon": "addons", "Nodegroup": "nodegroups", "PodIdentityAssociation": "podidentityassociations"},
    "elasticache": {"ReplicationGroup": "replicationgroups", "CacheSubnetGroup": "cachesubnetgroups"},
    "iam": {"Role": "roles", "Policy": "policies"},
    "kafka": {"Cluster": "clusters"},
    "kms": {"Key": "keys"},
    "lambda": {"Function": "functions"},
    "memorydb": {"Cluster": "clusters"},
    "mq": {"Broker": "brokers"},
    "opensearchservice": {"Domain": "domains"},
    "rds": {"DBInstance": "dbinstances", "DBCluster": "dbclusters", "DBSubnetGroup": "dbsubnetgroups"},
    "route53": {"HostedZone": "hostedzones", "RecordSet": "recordsets"},
    "s3": {"Bucket": "buckets"},
    "sns": {"Topic": "topics", "Subscription": "subscriptions"},
    "sqs": {"Queue": "queues"},
}

ACK: tuple[Kind, ...] = tuple(
    Kind(kind, plural, f"{service}.services.k8s.aws", "v1alpha1")
    for service, kinds in _SERVICES.items()
    for kind, plural in kinds.items()
)
