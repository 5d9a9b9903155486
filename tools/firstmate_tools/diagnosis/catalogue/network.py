"""Causes of traffic that does not arrive: Services, DNS, load balancers, Ingresses, policies, the network itself."""

from firstmate_tools.diagnosis.cause import causes, victims

CAUSES = (
    *causes(
        "service-no-endpoints",
        workload_scaled_to_zero="A workload that others need is scaled to zero",
        service_selector_mismatch="A Service selects no pod",
        service_selector_too_broad="A Service selects pods of another workload as well",
        service_target_port_mismatch="A Service sends to a port on which no container listens",
        service_protocol_mismatch="A Service speaks another protocol than the container's port",
    ),
    *victims("service-no-endpoints", service_endpoints_not_ready="None of a Service's pods is ready"),
    *causes(
        "service-no-endpoints",
        source="logs",
        service_host_reference_invalid="A client is configured with the name of a Service that does not exist",
    ),
    *causes(
        "kube-proxy-service-routing",
        traffic_policy_local_no_endpoint="A Service keeps traffic on its node, where it has no pod",
        kube_proxy_not_running="A node has no working kube-proxy",
    ),
    *causes("load-balancer-not-provisioned", load_balancer_not_provisioned="A Service gets no load balancer"),
    *causes(
        "aws-lbc-subnet-discovery",
        source="aws-load-balancer-controller",
        aws_lbc_subnet_not_found="The AWS Load Balancer Controller finds no subnet that it can use",
    ),
    *causes(
        "aws-lbc-permissions",
        source="aws-load-balancer-controller",
        aws_lbc_access_denied="AWS refuses the AWS Load Balancer Controller what it needs",
        aws_lbc_security_group_ambiguous="A network interface has none, or several, of the cluster's tagged groups",
    ),
    *causes(
        "target-group-unhealthy",
        source="aws-load-balancer-controller",
        load_balancer_target_unhealthy="The load balancer's health check fails for ready pods",
    ),
    *causes(
        "nlb-hairpin-timeout", nlb_hairpin_client_ip="A pod calls its own load balancer, which keeps client addresses"
    ),
    *causes("ingress-not-reconciled", ingress_class_invalid="No controller takes the Ingress, because of its class"),
    *causes(
        "ingress-5xx-upstream", ingress_backend_missing="An Ingress points to a Service, port or Secret that is missing"
    ),
    *causes(
        "ingress-5xx-upstream",
        source="prometheus",
        pod_stops_before_deregistration="Pods stop while the load balancer still sends to them",
    ),
    *causes(
        "cert-manager-issuance",
        source="cert-manager",
        ingress_certificate_expired="The certificate that is served has expired",
        cert_manager_issuance_failed="cert-manager cannot get a certificate",
    ),
    *causes(
        "external-dns-records", source="logs", external_dns_record_missing="external-dns does not write a DNS record"
    ),
    *causes(
        "coredns-resolution-failure",
        coredns_not_running="The cluster's DNS has no running server",
        coredns_config_invalid="The cluster's DNS is configured wrongly, or its upstream fails",
        pod_dns_config_invalid="A pod's own DNS settings are wrong or beyond the limits",
    ),
    *causes(
        "dns-latency-ndots-conntrack",
        source="prometheus",
        dns_search_amplification="Search domains multiply every DNS query",
        dns_packet_limit_exceeded="A node sends more DNS packets than its interface may",
    ),
    *causes("networkpolicy-blocking", networkpolicy_blocks_traffic="Network policies forbid traffic that is needed"),
    *causes("tenant-isolation", tenant_network_not_isolated="Tenants can reach each other's pods"),
    *causes(
        "pod-network-connectivity",
        source="aws",
        security_group_blocks_traffic="Security groups or network ACLs drop traffic that is needed",
    ),
    *causes(
        "pod-network-connectivity", network_mtu_mismatch="Large packets are lost, because MTUs differ along the path"
    ),
    *causes(
        "pod-egress-snat",
        source="aws",
        pod_egress_snat_misconfigured="Pods' addresses are not translated on the way out",
    ),
    *causes("conntrack-exhaustion", conntrack_table_full="A node's connection tracking table is full"),
    *causes(
        "conntrack-exhaustion",
        source="prometheus",
        conntrack_allowance_exceeded="An instance tracks as many connections as its type may",
    ),
    *causes(
        "instance-network-allowance",
        source="prometheus",
        node_bandwidth_allowance_exceeded="An instance sends more than its type may, in bursts",
    ),
    *causes("cross-az-cost", source="flows", cross_az_traffic_cost="Much traffic crosses availability zones"),
)
