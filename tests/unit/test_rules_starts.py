"""Findings about containers that never start, or that end as soon as they have, for a reason that their spec shows."""

from typing import Any

import pytest
from builders import ago, container, event, node, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.fields import Obj

CART = "deployment/cart"
COMMAND, COMPLETES = "container-command-not-found", "container-process-completes"
HOOK, ROOT, LOW, ARCH = (
    "post-start-hook-failing",
    "run-as-non-root-violation",
    "memory-limit-too-low-to-start",
    "image-architecture-mismatch",
)
RUNC = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
NO_FILE = (
    RUNC + 'unable to start container process: error during container init: exec: "srv": executable file not found'
)
TOO_LOW = RUNC + "unable to start container process: container init was OOM-killed (memory limit too low?): unknown"
SMALL = container(resources={"limits": {"memory": "4Mi"}})


def end(code: int, reason: str = "Error", message: str = "") -> Obj:
    return {"exitCode": code, "reason": reason, "message": message, "startedAt": ago(12), "finishedAt": ago(10)}


def looping(code: int, reason: str = "Error", message: str = "", **more: Any) -> list[Obj]:
    back_off = {"waiting": "CrashLoopBackOff", "message": "back-off 40s restarting failed container=app"}
    return app(**{**back_off, "last": end(code, reason, message), "restarts": 5, "ready": False, **more})


def waiting(reason: str, message: str, **more: Any) -> list[Obj]:
    return app(waiting=reason, message=message, phase="Pending", ready=False, **more)


def log(text: str, container_name: str = "app") -> dict[tuple[str, str, str, bool], str]:
    return {("shop", "cart-1-0", container_name, True): text}


@pytest.mark.parametrize(
    "objects",
    [
        looping(128, "StartError", NO_FILE),
        looping(127, "ContainerCannotRun", 'exec: "srv": executable file not found in $PATH'),
        waiting("RunContainerError", NO_FILE),
        waiting("CreateContainerError", "container create failed: executable file `srv` not found in $PATH"),
        waiting("CreateContainerError", 'failed to generate container "a" spec: no command specified'),
        looping(128, "StartError", RUNC + 'exec: "/srv.sh": permission denied: unknown'),
    ],
)
def test_a_command_that_the_runtime_does_not_find_is_certain(objects: list[Obj]) -> None:
    found = finding(*objects)
    assert (found.cause, str(found.object), found.confidence) == (COMMAND, CART, "certain")


def test_the_command_of_the_spec_is_named() -> None:
    spec = container(command=["/srv/run", "--fast"])
    found = finding(*looping(128, "StartError", NO_FILE, spec=spec))
    assert "'/srv/run'" in found.summary and any(e.field.endswith(".command") for e in found.evidence)


def test_the_event_tells_where_the_state_is_silent() -> None:
    objects = looping(128, "StartError")
    assert roots(*objects) == []
    assert roots(*objects, event(objects[-1], "Failed", f"Error: {NO_FILE}", path="spec.containers{app}")) == [
        (COMMAND, CART)
    ]


@pytest.mark.parametrize(
    ("code", "text", "confidence"),
    [
        (127, "sh: 1: srv: not found", "certain"),
        (126, "/srv.sh: Permission denied", "certain"),
        (127, "", "likely"),
        (1, "exec /entrypoint.sh: no such file or directory", "certain"),
    ],
)
def test_a_shell_tells_by_its_exit_code(code: int, text: str, confidence: str) -> None:
    found = finding(*looping(code), logs=log(text))
    assert (found.cause, found.confidence) == (COMMAND, confidence)


@pytest.mark.parametrize(
    "message",
    [
        RUNC + 'error mounting "/x" to rootfs at "/etc/x": mount: not a directory: unknown',
        RUNC + 'chdir to cwd ("/app") set in config.json failed: no such file or directory: unknown',
        "context deadline exceeded",
        "",
    ],
)
def test_other_failures_to_start_are_left_to_others(message: str) -> None:
    assert roots(*looping(128, "StartError", message)) == []


def test_a_failing_script_is_an_error_and_no_missing_command() -> None:
    text = "loading /etc/app.yaml: no such file or directory\npanic: no configuration"
    assert roots(*looping(1), logs=log(text)) == [("application-exits-on-error", CART)]


def test_a_process_that_ends_well_though_it_should_go_on() -> None:
    (root,) = linked(*looping(0, "Completed"), service("cart"), logs=log("migrated 3 tables\ndone"))
    assert (root.finding.cause, str(root.finding.object), root.finding.severity) == (COMPLETES, CART, "critical")
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


@pytest.mark.parametrize("policy", ["OnFailure", "Never"])
def test_what_may_end_is_well_when_it_does(policy: str) -> None:
    objects = app(terminated=end(0, "Completed"), ready=False, phase="Succeeded", body={"restartPolicy": policy})
    assert severe(*objects) == []


def test_an_orderly_end_that_is_over_is_history() -> None:
    last = {"exitCode": 0, "reason": "Completed", "startedAt": ago(90000), "finishedAt": ago(3000)}
    assert severe(*app(last=last, restarts=1, age=2900)) == []


def test_a_hook_that_fails_is_named_by_state_and_by_event() -> None:
    spec = container(lifecycle={"postStart": {"exec": {"command": ["register"]}}})
    stated = waiting("PostStartHookError", "command 'register' exited with 1: no route", spec=spec)
    found = finding(*stated)
    assert (found.cause, str(found.object), found.confidence) == (HOOK, CART, "certain")
    looped = looping(137, spec=spec)
    assert roots(*looped, event(looped[-1], "FailedPostStartHook", "PostStartHook failed", seconds_ago=11)) == [
        (HOOK, CART)
    ]


def test_a_hook_that_failed_once_and_passes_now_is_history() -> None:
    objects = app(spec=container(lifecycle={"postStart": {"exec": {}}}), last=end(137), restarts=1, age=8)
    assert severe(*objects, event(objects[-1], "FailedPostStartHook", "PostStartHook failed", seconds_ago=11)) == []


WILL = 'container has runAsNonRoot and image will run as root (pod: "cart_shop(1)", container: app)'
WORD = "container has runAsNonRoot and image has non-numeric user (node), cannot verify user is non-root"
BREAKS = 'container\'s runAsUser breaks non-root policy (pod: "cart_shop(1)", container: app)'


@pytest.mark.parametrize(
    ("message", "security", "words"),
    [
        (WILL, {}, "its image runs as root"),
        (WORD, {}, "names its user by a word"),
        (BREAKS, {"runAsUser": 0}, "runAsUser is 0, which is root"),
    ],
)
def test_a_user_that_must_not_be_root(message: str, security: Obj, words: str) -> None:
    body = {"securityContext": {"runAsNonRoot": True, **security}}
    found = finding(*waiting("CreateContainerConfigError", message, body=body))
    assert (found.cause, str(found.object), found.confidence) == (ROOT, CART, "certain")
    assert words in found.summary and "spec.securityContext.runAsNonRoot" in found.summary


def test_a_missing_config_map_is_not_about_the_user() -> None:
    body = {"securityContext": {"runAsNonRoot": True, "runAsUser": 1000}}
    assert ROOT not in {
        c for c, _ in roots(*waiting("CreateContainerConfigError", 'configmap "x" not found', body=body))
    }


@pytest.mark.parametrize(
    "objects",
    [
        looping(128, "StartError", TOO_LOW, spec=SMALL),
        waiting("RunContainerError", TOO_LOW, spec=SMALL),
        waiting(
            "CreateContainerError", "set memory limit 4194304 too low; should be at least 12582912 bytes", spec=SMALL
        ),
    ],
)
def test_a_limit_that_leaves_no_room_to_start(objects: list[Obj]) -> None:
    found = finding(*objects)
    assert (found.cause, str(found.object), found.confidence) == (LOW, CART, "certain")
    assert "4Mi" in found.summary


def test_a_sandbox_that_the_limit_kills_is_told_by_its_event() -> None:
    objects = waiting("ContainerCreating", "", spec=SMALL)
    failed = event(objects[-1], "FailedCreatePodSandBox", f"Failed to create pod sandbox: rpc error: {TOO_LOW}")
    assert roots(*objects, failed) == [(LOW, CART)]
    other = event(objects[-1], "FailedCreatePodSandBox", "plugin type=aws-cni failed: no address")
    assert LOW not in {c for c, _ in roots(*objects, other)}
    assert severe(*app(spec=SMALL), event(app()[-1], "FailedCreatePodSandBox", TOO_LOW)) == []


def test_an_oom_kill_of_a_program_that_ran_is_no_failure_to_start() -> None:
    assert roots(*looping(137, "OOMKilled", spec=SMALL)) == [("oom-killed-container-limit", CART)]


def arm(name: str = "n1", arch: str = "arm64") -> Obj:
    made = node(name, labels={"kubernetes.io/arch": arch})
    made["status"]["nodeInfo"] = {"architecture": arch}
    return made


@pytest.mark.parametrize(
    ("objects", "logs"),
    [
        (looping(1), log("exec /app: exec format error")),
        (looping(255), log("standard_init_linux.go:228: exec user process caused: exec format error")),
        (looping(128, "StartError", RUNC + 'exec: "/app": exec format error'), None),
        (waiting("ImagePullBackOff", "no match for platform in manifest sha256:abc: not found"), None),
    ],
)
def test_a_program_for_another_architecture(objects: list[Obj], logs: Any) -> None:
    found = finding(*objects, arm(), logs=logs)
    assert (found.cause, str(found.object)) == (ARCH, CART)
    assert "arm64 (node n1)" in found.summary


def test_an_image_that_runs_on_another_architecture_is_proof() -> None:
    objects = looping(1)
    well = app(pods=2)[-1]
    well["spec"]["nodeName"] = "n2"
    found = finding(*objects, well, arm(), arm("n2", "amd64"), logs=log("exec /app: exec format error"))
    assert (found.cause, found.confidence, found.severity) == (ARCH, "certain", "warning")
    assert "runs on amd64" in found.summary


def test_one_log_tells_of_all_pods_of_a_workload() -> None:
    found = finding(*looping(1, pods=4), arm(), logs=log("exec /app: exec format error"))
    assert len([ref for ref in found.affects if ref.kind == "Pod"]) == 4


CASES = [
    looping(128, "StartError", NO_FILE),
    looping(0, "Completed"),
    waiting("CreateContainerConfigError", WILL, body={"securityContext": {"runAsNonRoot": True}}),
    looping(128, "StartError", TOO_LOW, spec=SMALL),
    waiting("PostStartHookError", "x"),
    [*waiting("ImagePullBackOff", "no match for platform in manifest"), arm()],
]


@settings(max_examples=15, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects in CASES:
        assert roots(*shuffled([*objects, *(bystanders() if crowded else [])], seed)) == roots(*objects)


@settings(max_examples=10, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in CASES:
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name))]
        assert found == roots(*objects)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged), st.text(max_size=200))
def test_absurd_fields_never_raise(objects: list[Obj], text: str) -> None:
    linked(*objects, logs=log(text))
