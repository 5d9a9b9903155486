"""Secrets in places that the canaries found: logins before a host, command lines printed as lists, password files."""

import pytest
from contract.snapshot_doubles import obj

from firstmate_tools.cluster.masking import masked
from firstmate_tools.kinds import CONFIG_MAP, PERSISTENT_VOLUME, POD, STORAGE_CLASS
from firstmate_tools.text import redact

TOKEN = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("robot:S3cretPassw0rd@registry.example/app:1", "robot:[redacted:password]@registry.example/app:1"),
        ("pull robot$ci:S3cretPassw0rd@r.example:5000/a", "pull robot$ci:[redacted:password]@r.example:5000/a"),
        ("argv ['-c', '--token', 'vi8ZAqe3VYNk']", "argv ['-c', '--token', '[redacted:value]']"),
        ('["app","--db-password","hunter2x"]', '["app","--db-password","[redacted:value]"]'),
    ],
)
def test_logins_and_printed_command_lines_are_redacted(text: str, kept: str) -> None:
    assert redact(text) == kept
    assert redact(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "registry.example/app:1.25@sha256:" + "ab" * 32,
        "nginx:1.25-alpine@sha256:" + "0f" * 32,
        "git@github.com:shop/cart.git",
        "mailto:somebody@shop.example/x",
        "user:latest@host",
        "GET /a:b@c.example/d",
        "['--token', '--verbose']",
        '["--token-file","/var/run/token"]',
        '["--use-token", "true"]',
        "at 12:30:45@worker.example/x",
    ],
)
def test_images_digests_and_flags_without_secrets_stay(text: str) -> None:
    assert redact(text) == text


def test_a_password_file_keeps_all_but_its_passwords() -> None:
    content = "# host:port:db:user:password\ndb.shop:5432:orders:svc:hunter2\n*:*:*:admin:a b c\n"
    found = masked(obj("a", "shop", data={".pgpass": content, "hosts": "a:1:b:c:d"}), CONFIG_MAP)["data"]
    hidden = "[redacted:password]"
    assert found[".pgpass"] == f"# host:port:db:user:password\ndb.shop:5432:orders:svc:{hidden}\n*:*:*:admin:{hidden}\n"
    assert found["hosts"] == "a:1:b:c:d"


def test_parameters_are_judged_by_their_names() -> None:
    parameters = {
        "password": "hunter2",
        "csi.storage.k8s.io/node-stage-secret-name": "creds",
        "csi.storage.k8s.io/node-stage-secret-namespace": "kube-system",
        "type": "gp3",
    }
    made = masked(obj("fast", parameters=parameters), STORAGE_CLASS)["parameters"]
    assert made == {**parameters, "password": "[redacted:value]"}
    volume = obj("v", spec={"csi": {"volumeAttributes": {"secretKey": "hunter2", "server": "nfs"}}})
    found = masked(volume, PERSISTENT_VOLUME)["spec"]["csi"]["volumeAttributes"]
    assert found == {"secretKey": "[redacted:value]", "server": "nfs"}


@pytest.mark.parametrize(
    ("args", "kept"),
    [
        (["-p", "RT3FfR2KXX2A9g7K"], ["-p", "[redacted:value]"]),
        (["-p", "8080"], ["-p", "8080"]),
        (["-p", "8080:80"], ["-p", "8080:80"]),
        (["-p", "/etc/app"], ["-p", "/etc/app"]),
        (["-p", "team-cart-2026"], ["-p", "team-cart-2026"]),
        (["-p", "production"], ["-p", "production"]),
    ],
)
def test_a_short_flag_means_a_password_only_where_its_word_is_generated(args: list[str], kept: list[str]) -> None:
    made = masked(obj("a", "shop", spec={"containers": [{"name": "app", "args": args}]}), POD)
    assert made["spec"]["containers"][0]["args"] == kept


def test_a_token_by_which_objects_are_matched_is_hidden_alike_everywhere() -> None:
    labels = {"example.com/key": TOKEN, "app": "cart"}
    hidden = {"example.com/key": "[redacted:token]", "app": "cart"}
    spec = {"nodeSelector": labels, "containers": [{"name": "app", "image": f"robot:{TOKEN}@registry.example/app:1"}]}
    made = masked(obj("a", "shop", metadata={"labels": labels}, spec=spec), POD)
    assert made["metadata"]["labels"] == made["spec"]["nodeSelector"] == hidden
    assert TOKEN not in str(made)
