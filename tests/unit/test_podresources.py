"""Requests and limits of a pod in all, as the scheduler and quotas count them."""

import pytest
from builders import container, pod

from firstmate_tools.podresources import pod_limits, pod_requests


def asks(cpu: str, **rest: object) -> dict[str, object]:
    return container(resources={"requests": {"cpu": cpu}}, **rest)


def of(*apps: dict[str, object], init: list[dict[str, object]] | None = None, **spec: object) -> dict[str, int]:
    return pod_requests(pod("p", containers=list(apps), init=init, spec=dict(spec)))


def test_containers_add_up() -> None:
    assert of(asks("250m"), asks("1")) == {"cpu": 1250}


def test_an_init_container_counts_only_where_it_asks_for_more_than_all_others_together() -> None:
    assert of(asks("1"), asks("1"), init=[asks("1500m")]) == {"cpu": 2000}
    assert of(asks("1"), asks("1"), init=[asks("3")]) == {"cpu": 3000}


def test_init_containers_run_one_after_another() -> None:
    assert of(asks("100m"), init=[asks("1"), asks("2"), asks("1")]) == {"cpu": 2000}


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ([asks("1", restartPolicy="Always")], 3000),
        ([asks("1", restartPolicy="Always"), asks("4")], 5000),
        ([asks("4"), asks("1", restartPolicy="Always")], 4000),
        ([asks("1", restartPolicy="Always"), asks("2", restartPolicy="Always")], 5000),
    ],
)
def test_native_sidecars_count_beside_what_starts_after_them(init: list[dict[str, object]], expected: int) -> None:
    assert of(asks("2"), init=init) == {"cpu": expected}


def test_resources_of_the_pod_as_a_whole_replace_the_sum() -> None:
    assert of(asks("1"), asks("1"), resources={"requests": {"cpu": "500m"}}) == {"cpu": 500}


def test_pod_limits_stand_in_for_requests_that_nobody_states() -> None:
    assert of(container(), resources={"limits": {"memory": "1Gi"}}) == {"memory": 1024**3 * 1000}
    assert of(asks("1"), resources={"limits": {"cpu": "4"}}) == {"cpu": 1000}


def test_overhead_comes_on_top() -> None:
    assert of(asks("1"), overhead={"cpu": "250m"}) == {"cpu": 1250}


def test_limits_stand_in_for_requests_as_the_api_server_fills_them_in() -> None:
    limited = container(resources={"limits": {"cpu": "2"}})
    assert of(limited) == {"cpu": 2000}
    assert pod_limits(pod("p", containers=[limited, limited])) == {"cpu": 4000}


@pytest.mark.parametrize("resources", [None, [], "x", {"requests": None}, {"requests": {"cpu": None, "memory": "?"}}])
def test_absurd_resources_ask_for_nothing(resources: object) -> None:
    assert of(container(resources=resources)) == {}
