"""Settings: flags over environment over file, and errors that name key and place."""

from pathlib import Path

import pytest

from firstmate.settings import ClusterSettings, default_path, load
from firstmate_tools.errors import ConfigurationError


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own settings."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.delenv("FIRSTMATE_CONFIG", raising=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "firstmate.toml"
    path.write_text(text)
    return path


def failure(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(written(folder, text))
    return str(caught.value)


def test_without_a_file_there_are_defaults() -> None:
    settings = load()
    assert (settings.config, settings.clusters, settings.http.host, settings.http.port) == (None, {}, "127.0.0.1", 8765)


def test_the_file_at_the_default_place_is_read() -> None:
    default_path().parent.mkdir(parents=True)
    default_path().write_text('default_cluster = "a"\n[clusters.a]\ncontext = "kind"\n')
    assert load().clusters == {"a": ClusterSettings(context="kind")}


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, 'default_cluster = "file"\ncontext = "file"\n[http]\nport = 1\nhost = "::1"\n')
    monkeypatch.setenv("FIRSTMATE_CONFIG", str(path))
    monkeypatch.setenv("FIRSTMATE_CONTEXT", "environment")
    monkeypatch.setenv("FIRSTMATE_HTTP__PORT", "2")
    settings = load(context="flag")
    assert (settings.context, settings.default_cluster) == ("flag", "file")
    assert (settings.http.port, settings.http.host) == (2, "::1")
    assert load().context == "environment"


def test_a_flag_for_another_kind_of_source_silences_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTMATE_CONTEXT", "prod")
    assert load(snapshot="demo").context is None
    monkeypatch.setenv("FIRSTMATE_SNAPSHOT", "demo")
    assert load(context="prod").snapshot is None


def test_paths_in_the_file_are_meant_from_its_folder(tmp_path: Path) -> None:
    text = '[clusters.a]\nsnapshot = "x.tar.gz"\n[clusters.b]\nsnapshot = "demo"\n[clusters.c]\nkubeconfig = "~/k"\n'
    clusters = load(written(tmp_path, text)).clusters
    assert clusters["a"].snapshot == str(tmp_path / "x.tar.gz")
    assert clusters["b"].snapshot == "demo"
    assert clusters["c"].kubeconfig == str(tmp_path / "home" / "k")


def test_clusters_of_file_and_environment_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTMATE_CLUSTERS__EXTRA__CONTEXT", "kind-extra")
    assert set(load(written(tmp_path, '[clusters.a]\ncontext = "x"\n')).clusters) == {"a", "extra"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defalt_cluster = 'x'", "Unknown key `defalt_cluster` in {path}. Did you mean `default_cluster`?"),
        ("[clusters.a]\nsnapshto = 'x'", "Unknown key `clusters.a.snapshto` in {path}. Did you mean `snapshot`?"),
        ("[http]\nzzzz = 1", "Unknown key `http.zzzz` in {path}. Known here: access_log,"),
        ("[http]\nhots = 'x'", "Unknown key `http.hots` in {path}. Did you mean `host`?"),
        ("[http.oauth]\nisuer = 'https://x'", "`http.oauth"),
        ("[http.limits]\nper_seccond = 1", "Unknown key `http.limits.per_seccond` in {path}. Did you mean `per_sec"),
        (
            "[http.oauth]\nissuer = 'http://idp.example'",
            "`http.oauth.issuer` in {path} is wrong: it must be an https://",
        ),
        ("[http]\nimpersonate = 'user'", "Setting `http` in {path} is wrong: impersonate needs tokens_file or oauth"),
        ("[http]\ntls_cert = 'x'", "Setting `http` in {path} is wrong: tls_cert and tls_key belong together"),
        ("[http]\ntrusted_proxies = ['0.0.0.0/0']", "0.0.0.0/0 trusts everybody"),
        (
            "[http]\nport = 70000",
            "Setting `http.port` in {path} is wrong: Input should be less than or equal to 65535.",
        ),
        (
            "[clusters.a]\ncontext = 'x'\nsnapshot = 'y'",
            "Setting `clusters.a` in {path} is wrong: a cluster has either",
        ),
        ("[clusters]\na = 3", "Setting `clusters.a` in {path} is wrong"),
        ("clusters = 3", "Setting `clusters` in {path} is wrong"),
        ("config = 'x'", "Unknown key `config` in {path}."),
        ("a = ", "The configuration file {path} is not TOML"),
    ],
)
def test_errors_name_key_and_file(tmp_path: Path, text: str, words: str) -> None:
    assert words.format(path=tmp_path / "firstmate.toml") in failure(tmp_path, text)


def test_an_error_of_the_environment_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTMATE_HTTP__PORT", "many")
    assert "FIRSTMATE_HTTP__PORT" in failure(tmp_path, "[http]\nport = 1")
    monkeypatch.setenv("FIRSTMATE_CLUSTERS", "{")
    assert "FIRSTMATE_" in failure(tmp_path, "")


def test_other_variables_of_the_prefix_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTMATE_REQUIRE_LAB", "1")
    load()


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no configuration file"):
        load(tmp_path / "nope.toml")
