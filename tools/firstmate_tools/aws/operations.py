"""The AWS operations that may be sent, by botocore's names of service and operation: the whole list, and pure.

`guard.py` lets nothing else out; `iam.py` makes the least policy of those that tools declare; a test holds every name
against botocore's models. Listed is what reads, and what starts or stops a query that only reads. Left out on purpose:
whatever hands out a secret or a right (`secretsmanager`, `ssm`, `ecr:GetAuthorizationToken`, `sts:GetSessionToken`),
a document of all users (`iam:GetCredentialReport`, `iam:GetAccountAuthorizationDetails`), or a stream
(`logs:StartLiveTail`). Must never be added to by a caller.
"""

from collections.abc import Mapping


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


READS: Mapping[str, frozenset[str]] = {
    "autoscaling": _named(
        "DescribeAutoScalingGroups DescribeAutoScalingInstances DescribeLifecycleHooks DescribeScalingActivities"
    ),
    "backup": _named(
        "DescribeBackupJob DescribeProtectedResource DescribeRecoveryPoint DescribeRestoreJob ListBackupJobs "
        "ListBackupPlans ListBackupSelections ListProtectedResources ListRecoveryPointsByResource ListRestoreJobs"
    ),
    "bcm-data-exports": _named("GetExport ListExports"),
    "cloudtrail": _named("DescribeTrails LookupEvents"),
    "cloudwatch": _named("DescribeAlarms DescribeAlarmsForMetric GetMetricData GetMetricStatistics ListMetrics"),
    "cur": _named("DescribeReportDefinitions"),
    "ec2": _named(
        "DescribeAddresses DescribeAvailabilityZones DescribeCapacityReservations DescribeDhcpOptions DescribeFlowLogs "
        "DescribeImages DescribeInstanceStatus DescribeInstanceTypeOfferings DescribeInstanceTypes DescribeInstances "
        "DescribeInternetGateways DescribeLaunchTemplateVersions DescribeLaunchTemplates DescribeManagedPrefixLists "
        "DescribeNatGateways DescribeNetworkAcls DescribeNetworkInterfaces DescribePrefixLists DescribeRouteTables "
        "DescribeSecurityGroupRules DescribeSecurityGroups DescribeSnapshots DescribeSpotInstanceRequests "
        "DescribeSubnets DescribeTransitGatewayAttachments DescribeVolumeStatus DescribeVolumes "
        "DescribeVolumesModifications DescribeVpcAttribute DescribeVpcEndpoints DescribeVpcs GetSubnetCidrReservations"
    ),
    "ecr": _named(
        "BatchGetRepositoryScanningConfiguration DescribeImageScanFindings DescribeImages "
        "DescribePullThroughCacheRules DescribeRegistry DescribeRepositories GetLifecyclePolicy GetRegistryPolicy "
        "GetRegistryScanningConfiguration GetRepositoryPolicy ListImages ValidatePullThroughCacheRule"
    ),
    "eks": _named(
        "DescribeAccessEntry DescribeAddon DescribeAddonConfiguration DescribeAddonVersions DescribeCapability "
        "DescribeCertificateAuthority DescribeCluster DescribeClusterVersions DescribeFargateProfile "
        "DescribeIdentityProviderConfig DescribeInsight DescribeInsightsRefresh DescribeNodegroup "
        "DescribePodIdentityAssociation DescribeUpdate ListAccessEntries ListAccessPolicies ListAddons "
        "ListAssociatedAccessPolicies ListCapabilities ListCertificateAuthorities ListClusters ListFargateProfiles "
        "ListIdentityProviderConfigs ListInsights ListNodegroups ListPodIdentityAssociations ListTagsForResource "
        "ListUpdates"
    ),
    "elbv2": _named(
        "DescribeAccountLimits DescribeListenerCertificates DescribeListeners DescribeLoadBalancerAttributes "
        "DescribeLoadBalancers DescribeRules DescribeTags DescribeTargetGroupAttributes DescribeTargetGroups "
        "DescribeTargetHealth"
    ),
    "iam": _named(
        "GetContextKeysForPrincipalPolicy GetInstanceProfile GetOpenIDConnectProvider GetPolicy GetPolicyVersion "
        "GetRole GetRolePolicy GetServiceLastAccessedDetails ListAttachedRolePolicies ListInstanceProfilesForRole "
        "ListOpenIDConnectProviders ListPolicyVersions ListRolePolicies ListRoleTags ListRoles SimulatePrincipalPolicy"
    ),
    "inspector2": _named(
        "BatchGetAccountStatus BatchGetFindingDetails GetClustersForImage GetConfiguration ListCoverage "
        "ListCoverageStatistics ListFindingAggregations ListFindings"
    ),
    "logs": _named(
        "DescribeDeliveries DescribeDeliverySources DescribeFieldIndexes DescribeLogGroups DescribeLogStreams "
        "DescribeQueries DescribeSubscriptionFilters FilterLogEvents GetDelivery GetDeliverySource GetLogEvents "
        "GetLogGroupFields GetLogRecord GetQueryResults ListLogGroupsForQuery StartQuery StopQuery"
    ),
    "networkflowmonitor": _named(
        "GetMonitor GetMonitorScopeSuggestions GetPerformanceMonitor GetQueryResultsMonitorTopContributors "
        "GetQueryResultsPerformanceMonitor GetQueryResultsWorkloadInsightsTopContributors "
        "GetQueryResultsWorkloadInsightsTopContributorsData GetQueryStatusMonitorTopContributors "
        "GetQueryStatusPerformanceMonitor GetQueryStatusWorkloadInsightsTopContributors "
        "GetQueryStatusWorkloadInsightsTopContributorsData GetScope ListMonitors ListPerformanceMonitors ListScopes "
        "StartQueryMonitorTopContributors StartQueryPerformanceMonitor StartQueryWorkloadInsightsTopContributors "
        "StartQueryWorkloadInsightsTopContributorsData StopQueryMonitorTopContributors StopQueryPerformanceMonitor "
        "StopQueryWorkloadInsightsTopContributors StopQueryWorkloadInsightsTopContributorsData"
    ),
    "securityhub": _named("DescribeHub GetEnabledStandards GetFindings GetFindingsV2 GetResourcesV2"),
    "service-quotas": _named(
        "GetAWSDefaultServiceQuota GetServiceQuota ListAWSDefaultServiceQuotas "
        "ListRequestedServiceQuotaChangeHistory ListServiceQuotas"
    ),
    "sts": _named("GetCallerIdentity"),
}

CREDENTIALS: Mapping[str, frozenset[str]] = {
    "sso": _named("GetRoleCredentials"),
    "sso-oidc": _named("CreateToken"),
    "signin": _named("CreateOAuth2Token"),
    "sts": _named("AssumeRole AssumeRoleWithWebIdentity"),
}
"""What botocore itself sends to get or renew credentials, as the configuration says. No tool can ask for these, and a
role is assumed only where the AWS configuration, or firstmate's own, names it."""


def is_read(service: str, operation: str) -> bool:
    """Whether an operation may be sent for a tool."""
    return operation in READS.get(service, ())
