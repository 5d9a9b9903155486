# ruff: noqa: E501 - a table is read by its rows
"""Words that people use for one another: plain speech, the field's own, product names. Pure data.

`analysis.py` adds the concept beside a word that stands for it, in documents and questions alike, so that "machine"
finds "node" without either losing its own weight. Only words that mean the same wherever trouble is told.
"""

_WORDS = """
node: node nodes machine machines box boxes server servers worker workers host hosts instance instances vm vms ec2
replica: replica replicas copy copies instance pod pods
volume: volume volumes disk disks pvc pvcs pv pvs claim claims storage drive ebs persistentvolumeclaim persistentvolume
full: full fills filling filled capacity exhausted exhaust space exceeded
rollout: rollout rollouts deploy deploys deployed deploying deployment deployments release released releases redeploy redeployed redeploying upgrade upgraded shipped
slow: slow slower sluggish latency lag lagging lags slowness laggy degraded
hang: hang hangs hanging hung stuck blocked blocks waiting waits forever endless never frozen freezes
die: die dies died dead crash crashes crashed crashing killed kill kills kill shot terminates exits exited
restart: restart restarts restarted restarting reboot reboots rebooted bounce bounces
gone: gone vanish vanished vanishes disappear disappeared disappears lost missing removed deleted absent
pending: pending unscheduled unschedulable unplaced placed place landed lands landing fit fits
reach: reach reached reaches reachable connect connects connection connections unreachable telnet ping curl
timeout: timeout timeouts timed times timing deadline
name: dns resolve resolves resolved resolver lookup lookups nslookup hostname hostnames nxdomain resolution
address: ip ips address addresses subnet subnets cidr
network: network networks networking
balancer: balancer balancers loadbalancer lb alb nlb elb elbv2
certificate: certificate certificates cert certs tls ssl x509 https
expired: expired expire expires expiry expiring outdated renewed renew renewal renewing
permission: permission permissions permitted denied deny denies forbidden unauthorized allowed allow rights privilege privileges access accessdenied 403 401 authorized
login: login log-in credentials credential password passwords logon sso
image: image images container-image registry tag
pull: pull pulls pulled pulling download downloads downloaded downloading
memory: memory ram mem heap oom
cpu: cpu cpus cores core vcpu vcpus
limit: limit limits limited quota quotas cap caps capped ceiling max maximum allowance
scale: scale scales scaled scaling autoscaler autoscaling autoscale autoscaled hpa
grow: grow grows growing bigger larger expand expanded expansion resize resized resizing enlarge
evict: evict evicted evicts eviction evictions drain drained draining drains emptied
cost: cost costs bill money expensive cheap cheaper pay paying finance finops price
namespace: namespace namespaces ns project environment
secret: secret secrets vault
config: config configuration configmap configmaps settings setting
job: job jobs cronjob cronjobs cron batch nightly scheduled
health: health healthy unhealthy healthcheck healthz probe probes liveness readiness
policy: policy policies rule rules
team: team teams tenant tenants customer customers
drop: drop drops dropped dropping loses packets packet
cve: cve cves vulnerability vulnerabilities vulnerable
gpu: gpu gpus nvidia cuda graphics
role: role roles iam
gitops: argocd argo flux gitops kustomization
clock: clock ntp chrony skew
start: start starts started starting startup boot boots booting
write: write writes writing written
delete: delete deletes deleting deletion remove removes removing uninstall uninstalled terminating
time-zone-of-cloud: az azs zone zones
"""

CONCEPTS: dict[str, tuple[str, ...]] = {}
"""The concepts that a word stands for."""

for _line in _WORDS.split("\n"):
    _concept, _, _members = _line.partition(": ")
    for _word in _members.split():
        CONCEPTS[_word] = (*CONCEPTS.get(_word, ()), f"+{_concept}")
