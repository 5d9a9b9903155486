"""Who firstmate is to a cluster: kubeconfig users of every kind, plugins that fail, and TLS that does not fit."""

import base64
import json
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from contract.fake_api import FakeApi, Reply, Seen, fake_api, listing, named, status
from contract.throwaway_pki import Pki

from firstmate_tools.cluster.auth import TokenFile
from firstmate_tools.cluster.kubeconfig import connection_of, in_cluster_connection
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.transport import _proxy_of_environment
from firstmate_tools.errors import ConfigurationError, DeniedError, UnreachableError
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Grant, Read

pytestmark = pytest.mark.anyio

GRANT = Grant.of([Read(POD)])
PODS = "/api/v1/namespaces/shop/pods"
V1 = "client.authentication.k8s.io/v1"


def plugin(folder: Path, script: str, name: str = "plugin") -> Path:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def credential(**fields: Any) -> str:
    return f"print({json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': fields})!r})"


def user(command: Path | str, **more: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": V1, "command": str(command), "interactiveMode": "Never", **more}}


async def ask(api: FakeApi, folder: Path, who: dict[str, Any], **cluster: Any) -> dict[str, str]:
    """Lists pods as this user; the headers that came."""
    api.on(PODS, listing(*named("a")))
    source = LiveSource("fake", api.kubeconfig(folder, who, **cluster))
    try:
        async with source.open(GRANT) as opened:
            await opened.list(POD, namespace="shop")
    finally:
        await source.close()
    return api.asked(PODS)[-1].headers


@pytest.mark.parametrize(
    ("who", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "me", "password": "pw"}, "Basic " + base64.b64encode(b"me:pw").decode()),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "a.b.c"}}}, "Bearer a.b.c"),
        ({}, None),
    ],
)
async def test_a_user_of_the_kubeconfig_is_taken_as_written(
    api: FakeApi, tmp_path: Path, who: dict[str, Any], header: str | None
) -> None:
    assert (await ask(api, tmp_path, who)).get("Authorization") == header


async def test_a_netrc_file_is_not_asked_for_passwords(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password pw\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert "Authorization" not in await ask(api, tmp_path, {})


async def test_a_context_that_acts_as_another_user_says_so(api: FakeApi, tmp_path: Path) -> None:
    who = {"token": "t", "as": "jane", "as-groups": ["dev"], "as-uid": "7", "as-user-extra": {"team": ["a"]}}
    headers = await ask(api, tmp_path, who)
    assert {name: value for name, value in headers.items() if name.startswith("Impersonate")} == {
        "Impersonate-User": "jane",
        "Impersonate-Group": "dev",
        "Impersonate-Uid": "7",
        "Impersonate-Extra-team": "a",
    }


async def test_a_user_who_acts_for_several_groups_names_each(tmp_path: Path, api: FakeApi) -> None:
    seen: list[str] = []

    def answer(one: Seen) -> Reply:
        seen.extend(one.groups)
        return listing()

    api.on(PODS, answer)
    who = {"token": "t", "as": "jane", "as-groups": ["dev", "ops"]}
    source = LiveSource("fake", api.kubeconfig(tmp_path, who))
    async with source.open(GRANT) as cluster:
        await cluster.list(POD, namespace="shop")
    await source.close()
    assert seen == ["dev", "ops"]


async def test_a_token_file_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    credentials = TokenFile(file)
    assert (await credentials.present()).authorization == "Bearer one"
    file.write_text("two")
    assert (await credentials.present()).authorization == "Bearer one"
    credentials._read_at -= 61
    assert (await credentials.present()).authorization == "Bearer two"
    file.write_text("three")
    assert credentials.refused(await credentials.present())
    assert (await credentials.present()).authorization == "Bearer three"


@pytest.mark.parametrize("content", [None, "", "\n"])
async def test_a_token_file_that_gives_none_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(ConfigurationError, match="token file"):
        await TokenFile(tmp_path / "token").present()


async def test_a_plugin_is_run_once_and_told_what_it_asks_for(api: FakeApi, tmp_path: Path) -> None:
    note = tmp_path / "told"
    script = (
        f"open({str(note)!r}, 'a').write(os.environ['KUBERNETES_EXEC_INFO'] + os.environ['MINE'] + sys.stdin.read())\n"
    )
    script += credential(token="from-plugin")
    plugin(tmp_path, script)
    who = user("./plugin", env=[{"name": "MINE", "value": "x"}], provideClusterInfo=True)
    assert (await ask(api, tmp_path, who))["Authorization"] == "Bearer from-plugin"
    told = note.read_text()
    assert told.endswith("}x")  # nothing came from our own standard input
    assert json.loads(told[:-1])["spec"] == {"interactive": False, "cluster": {"server": api.url}}


async def test_a_plugins_token_is_used_until_it_expires(api: FakeApi, tmp_path: Path) -> None:
    count = tmp_path / "count"
    late = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    script = f"open({str(count)!r}, 'a').write('x')\n" + credential(token="t", expirationTimestamp=late)
    await ask(api, tmp_path, user(plugin(tmp_path, script)))
    assert count.read_text() == "x"
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    script = f"open({str(count)!r}, 'a').write('x')\n" + credential(token="t", expirationTimestamp=soon)
    await ask(api, tmp_path, user(plugin(tmp_path, script)))
    assert count.read_text() == "xxx"


async def test_a_401_runs_the_plugin_once_more(api: FakeApi, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"open({str(count)!r}, 'a').write('x')\nprint(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential',"
    script += f" 'status': {{'token': open({str(count)!r}).read()}}}}))"

    def only_second(seen: Seen) -> Reply:
        return (
            listing(*named("a")) if seen.headers["Authorization"] == "Bearer xx" else status(401, "Unauthorized", "no")
        )

    source = LiveSource("fake", api.kubeconfig(tmp_path, user(plugin(tmp_path, script))))
    api.on(PODS, only_second)
    async with source.open(GRANT) as cluster:
        assert len((await cluster.list(POD, namespace="shop")).items) == 1
        api.on(PODS, status(401, "Unauthorized", "no"))
        with pytest.raises(DeniedError, match="expired"):
            await cluster.list(POD, namespace="shop")
    await source.close()
    assert count.read_text() == "xxx"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.stderr.write('Token has expired; password=hunter2\\x1b[31m\\n'); sys.exit(7)", "exit code 7: Token has"),
        ("sys.exit(1)", "printed no reason"),
        ("print('<html>')", "no ExecCredential"),
        ("print('[]')", "no ExecCredential"),
        (credential(), "neither a token nor a certificate"),
        (credential(clientCertificateData="x"), "neither a token nor a certificate"),
        (credential(token="t").replace("/v1", "/v1beta1"), "no ExecCredential of"),
    ],
)
async def test_a_plugin_that_fails_is_a_configuration_error(
    api: FakeApi, tmp_path: Path, script: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match="plugin 'plugin'") as caught:
        await ask(api, tmp_path, user(plugin(tmp_path, script)))
    text = str(caught.value)
    assert words in text
    assert "hunter2" not in text
    assert "\x1b" not in text
    assert not api.seen


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (user("no-such-plugin", installHint="Install it from here."), "Install it from here"),
        (user("x", interactiveMode="Always"), "terminal"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}, "v1alpha1"),
        ({"exec": {"apiVersion": V1}}, "no command"),
        ({"auth-provider": {"name": "gcp"}}, "'gcp' is not supported"),
        ({"tokenFile": "absent"}, "absent"),
    ],
)
async def test_a_user_that_cannot_be_used_says_what_to_do(
    api: FakeApi, tmp_path: Path, who: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await ask(api, tmp_path, who)
    assert words in str(caught.value)


@pytest.mark.parametrize("server", ["", "10.0.0.1:6443", "https://me:pw@host", "ftp://host", "https://"])
async def test_a_server_address_that_is_none_is_a_configuration_error(tmp_path: Path, server: str) -> None:
    api = FakeApi()
    api.url = server
    with pytest.raises(ConfigurationError, match="server address") as caught:
        connection_of(api.kubeconfig(tmp_path), None)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "a: [", "contexts: 1", "current-context: x\ncontexts: [{name: x}]", "\x00", "clusters: {a: b}", "- a"],
)
async def test_a_kubeconfig_that_is_none_is_a_configuration_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="kubeconfig"):
        connection_of(path, None)


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no kubeconfig at"):
        connection_of(tmp_path / "absent", None)


async def test_a_socks_proxy_is_refused_in_words(api: FakeApi, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="socks5://p:1") as caught:
        await ask(api, tmp_path, {}, **{"proxy-url": "socks5://me:pw@p:1"})
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "no_proxy", "proxied"),
    [
        ("https://api.example:6443", "", True),
        ("https://api.example:6443", "other.example", True),
        ("https://api.example:6443", ".example", False),
        ("https://10.1.2.3", "10.0.0.0/8, x", False),
        ("https://11.1.2.3", "10.0.0.0/8", True),
        ("https://127.0.0.1:6443", "", False),
        ("https://localhost", "", False),
        ("https://[::1]:6443", "", False),
    ],
)
async def test_the_proxy_of_the_environment_is_used_as_kubectl_uses_it(
    monkeypatch: pytest.MonkeyPatch, server: str, no_proxy: str, proxied: bool
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert _proxy_of_environment(server) == ("http://proxy:3128" if proxied else None)


async def test_an_http_proxy_is_used_and_named_without_its_password(api: FakeApi, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"proxy http://127\.0\.0\.1:1") as caught:
        await ask(api, tmp_path, {}, **{"proxy-url": "http://me:pw@127.0.0.1:1"})
    assert "pw" not in str(caught.value)


async def test_a_pod_uses_its_service_account(api: FakeApi, tmp_path: Path) -> None:
    for name, content in (("token", "sa-token\n"), ("ca.crt", "ca"), ("namespace", "ops")):
        (tmp_path / name).write_text(content)
    found = in_cluster_connection(tmp_path, {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"})
    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "ops")
    assert (await found.credentials.present()).authorization == "Bearer sa-token"
    with pytest.raises(ConfigurationError, match="service account"):
        in_cluster_connection(tmp_path, {})


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@pytest.fixture
async def secure(pki: Pki, anyio_backend: str) -> AsyncIterator[FakeApi]:
    async with fake_api(pki.server("api.example", "localhost")) as api:
        yield api


async def test_tls_server_name_is_honoured(secure: FakeApi, pki: Pki, tmp_path: Path) -> None:
    trusted = {"certificate-authority-data": base64.b64encode(pki.ca_pem).decode(), "tls-server-name": "api.example"}
    await ask(secure, tmp_path, {"token": "t"}, **trusted)


async def test_keys_of_the_kubeconfig_are_not_left_in_files(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = pki.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca_path)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    certificate, key = (base64.b64encode(one).decode() for one in pki.pair("jane"))
    async with fake_api(context) as api:
        who = {"client-certificate-data": certificate, "client-key-data": key}
        await ask(api, tmp_path, who, **{"certificate-authority-data": base64.b64encode(pki.ca_pem).decode()})
    assert not list((tmp_path / "scratch").iterdir())


async def test_a_client_certificate_in_files_is_presented(pki: Pki, tmp_path: Path) -> None:
    context = pki.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca_path)
    for name, content in zip(("jane.crt", "jane.key"), pki.pair("jane"), strict=True):
        (tmp_path / name).write_bytes(content)
    async with fake_api(context) as api:
        who = {"client-certificate": "jane.crt", "client-key": "jane.key"}
        await ask(api, tmp_path, who, **{"certificate-authority": "throwaway-ca.pem"})


async def test_a_certificate_for_another_name_is_said_to_be_one(secure: FakeApi, pki: Pki, tmp_path: Path) -> None:
    trusted = {"certificate-authority": str(pki.ca_path)}
    with pytest.raises(UnreachableError, match="No trusted TLS connection") as caught:
        await ask(secure, tmp_path, {"token": "t"}, **trusted)
    assert "127.0.0.1" in caught.value.message
    assert "tls-server-name" in caught.value.hint
    assert not secure.seen


async def test_an_unknown_authority_is_said_to_be_one(secure: FakeApi, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No trusted TLS connection"):
        await ask(secure, tmp_path, {"token": "t"})
    assert not secure.seen


async def test_verification_can_be_switched_off_by_the_kubeconfig_alone(secure: FakeApi, tmp_path: Path) -> None:
    await ask(secure, tmp_path, {"token": "t"}, **{"insecure-skip-tls-verify": True})


async def test_plain_http_where_tls_is_spoken_is_no_traceback(secure: FakeApi, tmp_path: Path) -> None:
    secure.url = secure.url.replace("https", "http")
    with pytest.raises(UnreachableError):
        await ask(secure, tmp_path, {"token": "t"})


async def test_tls_where_plain_http_is_spoken_is_no_traceback(api: FakeApi, tmp_path: Path) -> None:
    api.url = api.url.replace("http", "https")
    with pytest.raises(UnreachableError, match="TLS"):
        await ask(api, tmp_path, {"token": "t"})


async def test_a_ca_file_that_is_none_is_a_configuration_error(secure: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="certificates"):
        await ask(secure, tmp_path, {"token": "t"}, **{"certificate-authority": "ca"})


async def test_a_plugins_client_certificate_is_presented(pki: Pki, tmp_path: Path) -> None:
    context = pki.server("localhost", "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca_path)
    certificate, key = pki.pair("jane")
    script = credential(clientCertificateData=certificate.decode(), clientKeyData=key.decode())
    trusted = {"certificate-authority": str(pki.ca_path)}
    async with fake_api(context) as api:
        headers = await ask(api, tmp_path, user(plugin(tmp_path, script)), **trusted)
        assert "Authorization" not in headers
        with pytest.raises(UnreachableError):
            await ask(api, tmp_path, {"token": "t"}, **trusted)
