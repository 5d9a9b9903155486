"""What is taken out of objects and logs before they are written to a file, and what must stay as it is."""

import copy
from typing import Any

import pytest
from contract.snapshot_doubles import obj
from hypothesis import given, settings
from hypothesis import strategies as st

from firstmate_tools.cluster.masking import masked, masked_log, masked_named, masked_text
from firstmate_tools.errors import FailedReadError
from firstmate_tools.kinds import CONFIG_MAP, CONTROLLER_REVISION, DEPLOYMENT, EVENT, POD, Kind
from firstmate_tools.text import untrusted

WIDGET = Kind("Widget", "widgets", "example.org")
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----"


def pod(**container: Any) -> dict[str, Any]:
    return obj("a", "shop", spec={"containers": [{"name": "app", **container}]})


def container_of(made: dict[str, Any]) -> dict[str, Any]:
    return made["spec"]["containers"][0]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("DB_PASSWORD", "hunter2", "[redacted:value]"),
        ("DB_PASSWORD", "two words", "[redacted:value]"),
        ("DB_PASSWORD", "", ""),
        ("USE_TOKEN", "true", "true"),
        ("TOKEN_PATH", "/var/run/token", "/var/run/token"),
        ("PASSWORD", "$(FROM)", "$(FROM)"),
        ("TIMEOUT", "30s", "30s"),
        ("DATABASE_URL", "postgres://u:hunter2@db/x", "postgres://u:[redacted:password]@db/x"),
        ("secret.yaml", "a: 1\npassword: hunter2\n", "a: 1\npassword: [redacted:value]\n"),
        ("PASSWORD", "[redacted:value]", "[redacted:value]"),
    ],
)
def test_a_value_is_judged_by_its_name(name: str, value: str, kept: str) -> None:
    assert masked_named(name, value) == kept
    made = masked(pod(env=[{"name": name, "value": value}]), POD)
    assert container_of(made)["env"] == [{"name": name, "value": kept}]
    assert masked(obj("a", "shop", data={name: value}), CONFIG_MAP)["data"] == {name: kept}


@pytest.mark.parametrize(
    "container",
    [
        {"image": "registry.example/token-service:v1.2"},
        {"env": [{"name": "A_TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "password"}}}]},
        {"volumeMounts": [{"name": "secret", "mountPath": "/secret=a"}]},
        {"args": ["--config=/etc/app.yaml", "--replicas=3"]},
        {"command": ["sh", "-c", "exec app"]},
    ],
)
def test_what_objects_are_matched_by_stays(container: dict[str, Any]) -> None:
    before = pod(**container)
    assert masked(copy.deepcopy(before), POD) == before


def test_names_and_labels_stay() -> None:
    metadata = {"labels": {"app": "token-a"}, "ownerReferences": [{"name": "secret:a"}], "annotations": {"k": "v"}}
    before = obj("password", "secret", metadata=metadata)
    assert masked(before, DEPLOYMENT) == before


def test_free_text_is_redacted_wherever_it_stands() -> None:
    made = masked(pod(args=["--password", "hunter2", "--token=hunter2"]), POD)
    assert container_of(made)["args"] == ["--password", "[redacted:value]", "--token=[redacted:value]"]
    event = masked(obj("e", "shop", message="login with password=hunter2 failed"), EVENT)
    assert event["message"] == "login with password=[redacted:value] failed"
    noted = masked(obj("d", "shop", metadata={"annotations": {"note": "token: hunter2x"}}), DEPLOYMENT)
    assert noted["metadata"]["annotations"] == {"note": "token: [redacted:value]"}
    template = {"template": {"metadata": {"annotations": {"note": "token: hunter2x"}}}}
    assert "hunter2x" not in str(masked(obj("d", "shop", spec=template), DEPLOYMENT))


def test_of_a_custom_resource_everything_but_its_names_is_free_text() -> None:
    spec = {
        "url": "https://u:hunter2@db/",
        "auth": {"password": "hunter2", "secretName": "db"},
        "image": {"password": "hunter2", "repository": "a"},
        "ref": {"name": "token:a"},
        "steps": [{"run": "curl -H 'Authorization: Bearer hunter2hunter2'"}],
    }
    made = masked(obj("w", "shop", spec=spec), WIDGET)
    assert "hunter2" not in str(made)
    assert made["spec"]["auth"]["secretName"] == "db"
    assert made["spec"]["ref"] == {"name": "token:a"}
    assert "hunter2" not in str(masked(obj("r", "shop", data={"spec": spec}), CONTROLLER_REVISION))


def test_binary_values_of_a_config_map_go() -> None:
    assert masked(obj("c", "shop", binaryData={"keystore": "aGk="}), CONFIG_MAP)["binaryData"] == {
        "keystore": "[redacted:binary]"
    }


def test_the_object_itself_is_not_changed() -> None:
    before = pod(env=[{"name": "PASSWORD", "value": "hunter2"}])
    kept = copy.deepcopy(before)
    masked(before, POD)
    assert before == kept


def test_absurd_nesting_is_refused() -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = {"a": [deep]}
    with pytest.raises(FailedReadError, match="nested"):
        masked(obj("w", "shop", spec=deep), WIDGET)


def test_a_secret_behind_colours_is_found() -> None:
    assert "hunter2" not in masked_text("pass\u200bword=hunter2 \x1b[31mtoken\x1b[0m=hunter2")


class TestLogs:
    """The times of lines are kept out of the search."""

    def test_times_stay(self) -> None:
        text = "2026-03-01T12:00:01Z password:\n2026-03-01T12:00:02Z   hunter2\n"
        kept = "2026-03-01T12:00:01Z password:\n2026-03-01T12:00:02Z   [redacted:value]\n"
        assert masked_log(text, stamped=True) == (kept, True)

    def test_but_not_where_a_secret_goes_over_lines(self) -> None:
        text = "2026-03-01T12:00:01Z password='hun\n2026-03-01T12:00:02Z ter2'\n2026-03-01T12:00:03Z x\n"
        assert masked_log(text, stamped=True) == ("password='[redacted:value]'\nx\n", False)

    def test_a_key_is_one_line_at_its_first_time(self) -> None:
        lines = ["before", *KEY.replace("-----BEGIN", "key: -----BEGIN").split("\n"), "after"]
        text = "".join(f"2026-03-01T12:00:0{i}Z {line}\n" for i, line in enumerate(lines))
        kept = ["2026-03-01T12:00:00Z before", "2026-03-01T12:00:01Z key: [redacted:private-key]"]
        assert masked_log(text, stamped=True) == ("\n".join([*kept, "2026-03-01T12:00:05Z after\n"]), True)

    def test_a_key_that_is_cut_off(self) -> None:
        text = "2026-03-01T12:00:00Z -----BEGIN PRIVATE KEY-----\n2026-03-01T12:00:01Z MIIE\n"
        assert masked_log(text, stamped=True) == ("2026-03-01T12:00:00Z [redacted:private-key]\n", True)

    def test_without_times(self) -> None:
        assert masked_log(f"a\n{KEY}\nb\n", stamped=False) == ("a\n[redacted:private-key]\nb\n", False)

    @pytest.mark.parametrize("text", ["", "\n", "2026-03-01T12:00:00Z \n"])
    def test_nothing_to_do(self, text: str) -> None:
        assert masked_log(text, stamped=True)[0] == text


PIECES = st.sampled_from(
    [
        *(
            "password",
            "token",
            "=",
            ": ",
            '"',
            "'",
            "\n",
            " ",
            "hunter2",
            "Bearer abcdefgh",
            "https://u:p@h",
            "\x1b[1m",
        ),
        *(
            "\u200b",
            "AKIAABCDEFGHIJKLMNOP",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "--secret x",
            "é",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_masking_twice_is_masking_once(text: str) -> None:
    assert masked_text(masked_text(text)) == masked_text(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_is_read_from_a_recording_is_what_the_cluster_would_have_given(text: str) -> None:
    assert untrusted(masked_text(text)) == untrusted(text)
