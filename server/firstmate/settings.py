"""The configuration, in one place: flags win over environment (`FIRSTMATE_*`), environment over a TOML file.

    default_cluster = "prod-eu"

    [clusters.prod-eu]
    context = "arn:aws:eks:eu-central-1:111122223333:cluster/prod"

    [clusters.last-night]
    snapshot = "~/incidents/last-night.tar.gz"

The command line calls `load` once. Unknown keys are errors that name the key and where it stands. Must never read a
kubeconfig or a snapshot: it only knows where they are.
"""

import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from firstmate.httpsettings import AuditSettings, HttpSettings, LimitSettings, OAuthSettings, ScopeSettings
from firstmate.nearest import nearest
from firstmate.prometheussettings import PrometheusSettings
from firstmate.toolsets import DEFAULT, names_of
from firstmate_tools.errors import ConfigurationError

PREFIX = "FIRSTMATE_"
NESTED = "__"


def _folders_of(given: object) -> object:
    """Folders as the environment has them, or a list."""
    return tuple(one for one in given.split(os.pathsep) if one) if isinstance(given, str) else given


class ClusterSettings(BaseModel):
    """One cluster: a kubeconfig context, an EKS cluster by name, the one that this process runs in, or a snapshot.

    Attributes:
        eks: its name in EKS: endpoint and CA come from there and tokens are signed here; it needs no kubeconfig.
        region, profile, role_arn: for `eks`; left out, they are as the AWS CLI would take them. The role is assumed.
        whole: says of a snapshot that it holds all namespaces, where its layout cannot tell.
        prometheus: where its metrics are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    context: str | None = None
    kubeconfig: str | None = None
    in_cluster: bool = False
    eks: str | None = Field(default=None, pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")
    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    snapshot: str | None = None
    whole: bool = False
    prometheus: PrometheusSettings | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "ClusterSettings":
        live = self.context is not None or self.kubeconfig is not None
        if live + self.in_cluster + (self.snapshot is not None) + (self.eks is not None) != 1:
            raise ValueError("a cluster has either context (with or without kubeconfig), eks, in_cluster or snapshot")
        if self.eks is None and (self.region or self.profile or self.role_arn):
            raise ValueError("region, profile and role_arn go with eks")
        if self.prometheus is not None and self.snapshot is not None:
            raise ValueError("prometheus goes with a live cluster: a snapshot holds the answers that it recorded")
        return self


class Settings(BaseSettings):
    """Everything that can be configured. Make it with `load`.

    Attributes:
        config: the file that was read, None when there is none.
        context: the kubeconfig context, or configured cluster, that answers by default.
        kubeconfig: a kubeconfig in place of the configured clusters.
        snapshot: a snapshot in place of the configured clusters; `demo` is the bundled one.
        clusters: clusters by name; empty for every context of the kubeconfig.
        default_cluster: which of them answers where a call names none.
        toolsets: the sets of tools that are served; in the environment with commas between them.
        runbooks: folders of further runbooks, of which the later ones win; in the environment parted like PATH.
        handle_key: seals the handles of runs, at least 32 bytes; the same for all replicas. Left out, each process
            has one of its own. Several, parted by blanks: the first one seals, every one opens.
        http: the HTTP transport.
        audit: the audit trail.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=NESTED, env_ignore_empty=True, extra="forbid", frozen=True
    )

    config: Path | None = None
    context: str | None = None
    kubeconfig: str | None = None
    snapshot: str | None = None
    clusters: dict[str, ClusterSettings] = Field(default_factory=dict[str, ClusterSettings])
    default_cluster: str | None = None
    toolsets: Annotated[tuple[str, ...], NoDecode, BeforeValidator(names_of)] = (DEFAULT,)
    runbooks: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_folders_of)] = ()
    handle_key: SecretStr | None = None
    http: HttpSettings = HttpSettings()
    audit: AuditSettings = AuditSettings()


def keys_of(settings: Settings) -> tuple[bytes, ...]:
    """The keys that seal the handles of runs; none where each process makes its own."""
    given = settings.handle_key
    return tuple(key.encode() for key in given.get_secret_value().split()) if given is not None else ()


_TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    ("clusters",): ClusterSettings,
    ("clusters", "prometheus"): PrometheusSettings,
    ("http",): HttpSettings,
    ("http", "scopes"): ScopeSettings,
    ("http", "oauth"): OAuthSettings,
    ("http", "limits"): LimitSettings,
    ("audit",): AuditSettings,
}
_FILES = (
    ("http", "tokens_file"),
    ("http", "tls_cert"),
    ("http", "tls_key"),
    ("http", "oauth", "jwks_file"),
    ("audit", "file"),
)
_PROMETHEUS_FILES = ("token_file", "password_file", "ca_file")
"""Settings that name a file, meant from the folder of the configuration."""


def default_path() -> Path:
    """Where the file lies when nobody names one: the platform's folder for configuration."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "firstmate" / "config.toml"


def load(config: Path | str | None = None, **flags: Any) -> Settings:
    """The settings of this process.

    Args:
        config: the file that `--config` names; None for FIRSTMATE_CONFIG or the default place.
        flags: settings that flags gave; None means not given.

    Raises:
        ConfigurationError: the file is named but absent, is no TOML, or something in it (or in the environment) is
            unknown or wrong.
    """
    named = config or os.environ.get(f"{PREFIX}CONFIG") or None
    path = Path(named).expanduser() if named else default_path()
    content = _read(path) if named or path.is_file() else {}
    given = {name: value for name, value in flags.items() if value is not None}
    given.update(_instead(given))
    if named or content:
        given["config"] = path
    try:
        return _over(content)(**given)
    except ValidationError as error:
        raise _explained(error.errors(), content, path) from error
    except SettingsError as error:
        raise ConfigurationError(f"An environment variable {PREFIX}… cannot be read: {error}.") from error


def _instead(flags: Mapping[str, Any]) -> dict[str, None]:
    """A flag that names another kind of source silences what the environment or the file say of the first."""
    live = [name for name in ("context", "kubeconfig") if name in flags]
    if "snapshot" not in flags:
        return {"snapshot": None} if live else {}
    if live:
        raise ConfigurationError(f"--snapshot and --{live[0]} exclude each other.", "Give one of them.")
    return {"context": None, "kubeconfig": None}


def _over(content: dict[str, Any]) -> type[Settings]:
    """The settings with the file's content as their last source. Read beforehand, so that errors can name the file."""

    class Configured(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, content)

    return Configured


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no configuration file {path}.", "Check --config.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration file {path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"The configuration file {path} is not TOML: {error}.") from error
    if "config" in content:
        raise ConfigurationError(f"Unknown key `config` in {path}.")
    for cluster in _tables(content.get("clusters")):
        for key in ("kubeconfig", "snapshot"):
            if isinstance(value := cluster.get(key), str):
                cluster[key] = _beside(path, value)
        beside = cluster.get("prometheus")
        for key in _PROMETHEUS_FILES:
            if isinstance(beside, dict) and isinstance(value := cast("dict[str, Any]", beside).get(key), str) and value:
                beside[key] = _beside(path, value)
    if isinstance(folders := content.get("runbooks"), list):
        every = cast("list[object]", folders)
        content["runbooks"] = [_beside(path, one) if isinstance(one, str) else one for one in every]
    for *above, key in _FILES:
        table: Any = content
        for step in above:
            table = cast("dict[str, Any]", table).get(step) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(value := cast("dict[str, Any]", table).get(key), str):
            table[key] = _beside(path, value)
    return content


def _tables(value: object) -> Iterable[dict[str, Any]]:
    every = cast("dict[str, object]", value).values() if isinstance(value, dict) else ()
    return [cast("dict[str, Any]", one) for one in every if isinstance(one, dict)]


def _beside(file: Path, value: str) -> str:
    """A path as meant from the folder of the file that names it. The bundled snapshot's name stays a name."""
    if value == "demo":
        return value
    return os.pathsep.join(str(file.parent.absolute() / Path(one).expanduser()) for one in value.split(os.pathsep))


def _explained(errors: list[ErrorDetails], content: Mapping[str, Any], path: Path) -> ConfigurationError:
    """The first error in words: which key, in the file or in which variable or flag, and what would be right."""
    error = errors[0]
    steps = [str(part) for part in error["loc"]]
    key = ".".join(steps)
    variable = PREFIX + NESTED.join(steps).upper()
    if variable in os.environ or not _stands_in(content, steps):
        where = f"(environment variable {variable}, or a flag)"
    else:
        where = f"in {path}"
    if error["type"] != "extra_forbidden":
        reason = error["msg"].removeprefix("Value error, ")
        return ConfigurationError(f"Setting `{key}` {where} is wrong: {reason}.")
    known = _known_beside(steps)
    near = nearest(steps[-1], known)
    hint = f"Did you mean `{near}`?" if near else f"Known here: {', '.join(known)}."
    return ConfigurationError(f"Unknown key `{key}` {where}.", hint)


def _stands_in(content: Mapping[str, Any], steps: list[str]) -> bool:
    here: object = content
    for step in steps:
        if not isinstance(here, Mapping) or step not in here:
            return False
        here = cast("Mapping[str, object]", here)[step]
    return True


def _known_beside(steps: list[str]) -> list[str]:
    table = tuple(steps[:-1])
    if steps[0] == "clusters" and len(steps) > 1:
        table = ("clusters", "prometheus") if steps[2:3] == ["prometheus"] and len(steps) > 3 else ("clusters",)
    return sorted(name for name in _TABLES.get(table, Settings).model_fields if name != "config")
