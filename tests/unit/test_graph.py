"""The object graph: who is reached by whose trouble."""

from builders import container, deployment, facts_of, pod, replica_set, service

from firstmate_tools.refs import Ref


def shop():
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container()]}}
    return facts_of(
        deployment("cart", template=template),
        replica_set("cart-1", of="cart", template=template),
        pod("cart-1-a", owned_by=("ReplicaSet", "cart-1"), labels={"app": "cart"}),
        pod("search-1", labels={"app": "search"}),
        service("cart"),
        service("both", selector={"tier": "web"}),
    )


def test_workload_is_the_topmost_controller():
    facts = shop()
    assert facts.workload(Ref("Pod", "shop", "cart-1-a")) == Ref("Deployment", "shop", "cart")
    assert facts.workload(Ref("Pod", "shop", "search-1")) == Ref("Pod", "shop", "search-1")


def test_service_is_reached_from_the_workload_even_without_pods():
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container()]}}
    facts = facts_of(deployment("cart", template=template), service("cart"))
    assert Ref("Service", "shop", "cart") in facts.graph.reach([Ref("Deployment", "shop", "cart")], "selects")


def test_question_about_a_deployment_takes_in_its_service_and_not_its_neighbours():
    family = shop().graph.related(Ref("Deployment", "shop", "cart"))
    assert Ref("Service", "shop", "cart") in family
    assert Ref("Pod", "shop", "cart-1-a") in family
    assert Ref("Pod", "shop", "search-1") not in family
    assert Ref("Node", "", "n1") not in family


def test_question_about_a_service_takes_in_its_backends():
    family = shop().graph.related(Ref("Service", "shop", "cart"))
    assert {Ref("Deployment", "shop", "cart"), Ref("Pod", "shop", "cart-1-a")} <= family
    assert Ref("Service", "shop", "both") not in family


def test_configuration_is_reached_through_volumes_environment_and_pull_secrets():
    spec = {
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [
            {"name": "a", "configMap": {"name": "settings"}},
            {"name": "b", "projected": {"sources": [{"secret": {"name": "certs"}}]}},
        ],
    }
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "x"}}}]
    facts = facts_of(pod("cart-1", spec=spec, containers=[container(env=env, envFrom=[{"secretRef": {"name": "db"}}])]))
    mounted = {str(ref) for ref in facts.graph.before(Ref("Pod", "shop", "cart-1"), "mounts")}
    assert mounted == {
        "configmap/settings",
        "configmap/flags",
        "secret/certs",
        "secret/db",
        "secret/registry",
        "serviceaccount/default",
    }
