"""From a kubeconfig context, or a pod's service account, to a `Connection`.

`LiveSource` calls it when a cluster is first asked. The official client reads and merges the files and resolves
certificates, proxy and server name; who to be is ours (`auth.py`), since the client's own loaders go on without
credentials when a plugin fails and read a token file once. Must never change a kubeconfig.
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from firstmate_tools import fields
from firstmate_tools.errors import ConfigurationError
from firstmate_tools.fields import Obj
from firstmate_tools.text import shorten, untrusted

from . import eks_token, exec_plugin
from .auth import Connection, Credentials, Fixed, Presented, Renewed, TokenFile

_CA = "certificate-authority-data"
_CERTIFICATE = "client-certificate-data"
_KEY = "client-key-data"

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's own token, CA and namespace."""


def connection_of(kubeconfig: Path | str | None, context: str | None) -> Connection:
    """The connection that a kubeconfig context describes. Reads files, sends nothing.

    Args:
        kubeconfig: one path, or several joined as in KUBECONFIG; None for KUBECONFIG or the default place.
        context: its name, None for the current one.

    Raises:
        ConfigurationError: a file or the context is missing, or cannot be used.
    """
    import yaml
    from kubernetes.aio.config.config_exception import ConfigException

    paths = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    try:
        return _loaded(paths, context)
    except ConfigException as error:
        words = shorten(untrusted(str(error)), 300)
        raise ConfigurationError(f"The kubeconfig {paths} cannot be used: {words}.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The kubeconfig {paths} is not YAML.") from error
    except OSError as error:
        raise ConfigurationError(f"The kubeconfig {paths} cannot be read: {error}.") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The client takes a kubeconfig's shape on trust.
        raise ConfigurationError(f"The kubeconfig {paths} is not shaped like one: {error}.") from error


def _loaded(paths: str, context: str | None) -> Connection:
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

    if not any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path):
        raise ConfigurationError(f"There is no kubeconfig at {paths}.", "Check --kubeconfig or KUBECONFIG.")
    merged: Any = KubeConfigMerger(paths)
    name = context or fields.text(merged.config.value, "current-context")
    _check_context(merged.config.value, name, paths)
    make: Any = KubeConfigLoader  # typed as if config_base_path could not be None, its own default in the client
    loader: Any = make(merged.config, active_context=name, config_base_path=None)
    user_node, cluster_node = loader._user, loader._cluster
    folder = Path(user_node.path).parent if user_node is not None and user_node.path else Path()
    user = cast("Obj", user_node.value) if user_node is not None else {}
    cluster = cast("Obj", cluster_node.value)
    server = _server(cluster, name)
    # What the kubeconfig holds itself stays in memory: the client would write it, keys too, to files that outlive us.
    authority, certificate = _decoded(cluster, _CA), (_decoded(user, _CERTIFICATE), _decoded(user, _KEY))
    node = cast("Any", type(merged.config))
    loader._cluster = node("cluster", fields.without(cluster, _CA), cluster_node.path)
    inline = (_CERTIFICATE, _KEY) if all(certificate) else ()
    loader._user = node("user", fields.without(user, *inline), user_node.path if user_node is not None else None)
    loader._load_cluster_info()
    configuration: Any = Configuration()
    loader._set_config(configuration)
    configuration.ca_cert_data = authority or None
    _relax(configuration)
    inner = fields.mapping(loader.current_context, "context")
    return Connection(
        server,
        name,
        fields.text(inner, "namespace") or "default",
        credentials_of(user, folder, _cluster_info(cluster, server)),
        configuration,
        certificate if inline else None,
        impersonation(user),
    )


def _server(cluster: Obj, context: str) -> str:
    server = fields.text(cluster, "server").rstrip("/")
    parts = urlsplit(server)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise ConfigurationError(f"The server address of context {context!r} is none, or holds a password.")
    return server


def _decoded(holder: Obj, key: str) -> str:
    """A `-data` field of the kubeconfig as PEM, "" where there is none."""
    try:
        return base64.b64decode(fields.text(holder, key), validate=False).decode("ascii")
    except ValueError as error:
        raise ConfigurationError(f"The kubeconfig's {key} is not base64 of PEM.") from error


def configured(server: str, authority: str) -> Any:
    """The official client's configuration for an address and its CA in PEM."""
    from kubernetes.aio.client.configuration import Configuration

    configuration: Any = Configuration()
    configuration.host = server
    configuration.ca_cert_data = authority
    _relax(configuration)
    return configuration


def _relax(configuration: Any) -> None:
    # From Python 3.13 on, X509_STRICT refuses certificates that Go, and so kubectl, accepts: those of many clusters.
    configuration.disable_strict_ssl_verification = True


def _check_context(config: object, name: str, paths: str) -> None:
    nodes = cast("list[Any]", fields.mapping({"config": config}, "config").get("contexts") or [])
    known = [fields.text(getattr(one, "value", one), "name") for one in nodes]
    listed = ", ".join(known[:20]) or "none"
    if not name:
        raise ConfigurationError(f"The kubeconfig {paths} has no current context.", f"Contexts: {listed}.")
    if name not in known:
        raise ConfigurationError(f"There is no context {name!r} in {paths}.", f"Contexts: {listed}.")


def _cluster_info(cluster: Obj, server: str) -> Obj:
    """What a plugin with `provideClusterInfo` is told (client.authentication.k8s.io Cluster)."""
    names = ("tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    found = {name: cluster[name] for name in names if name in cluster}
    for one in fields.items(cluster, "extensions"):
        if one.get("name") == "client.authentication.k8s.io/exec":
            found["config"] = one.get("extension")
    return {"server": server, **found}


def credentials_of(user: Obj, folder: Path, cluster: Obj) -> Credentials:
    """Who to be, in kubectl's order of precedence.

    Args:
        user: the `user` of a kubeconfig.
        folder: the kubeconfig's folder, from which its relative paths start.
        cluster: what a plugin may be told of the cluster.

    Raises:
        ConfigurationError: the user's settings cannot be used.
    """
    if token_file := fields.text(user, "tokenFile"):
        return TokenFile(folder / token_file)
    if token := fields.text(user, "token"):
        return Fixed(Presented(f"Bearer {token}"))
    if "username" in user:
        pair = f"{fields.text(user, 'username')}:{fields.text(user, 'password')}"
        return Fixed(Presented(f"Basic {base64.b64encode(pair.encode()).decode()}"))
    if spec := fields.mapping(user, "exec"):
        entry = exec_plugin.entry_of(spec, folder, cluster)
        if (token := eks_token.wanted(entry)) is not None:
            return Renewed(lambda: eks_token.fetch(token))
        return Renewed(lambda: exec_plugin.run(entry))
    if provider := fields.mapping(user, "auth-provider"):
        return Fixed(_from_provider(provider))
    return Fixed()


def _from_provider(provider: Obj) -> Presented:
    name, token = fields.text(provider, "name"), fields.text(provider, "config", "id-token")
    advice = "Use a credential plugin (exec) in its place."
    if name != "oidc" or not token:
        raise ConfigurationError(f"The kubeconfig's auth-provider {name!r} is not supported.", advice)
    return Presented(f"Bearer {token}")  # not renewed here: an expired one ends in a 401 that says so


def impersonation(user: Obj) -> tuple[tuple[str, str], ...]:
    """The headers of a user who acts as another (`as`, `as-uid`, `as-groups`, `as-user-extra`).

    Without them the answer would be that of a user with other, most often greater, rights.
    Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
    """
    headers = [("Impersonate-User", fields.text(user, "as")), ("Impersonate-Uid", fields.text(user, "as-uid"))]
    headers += [("Impersonate-Group", group) for group in fields.strings(user, "as-groups")]
    for key in fields.mapping(user, "as-user-extra"):
        headers += [(f"Impersonate-Extra-{key}", value) for value in fields.strings(user, "as-user-extra", key)]
    return tuple((name, value) for name, value in headers if value)


def in_cluster_connection(folder: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] | None = None) -> Connection:
    """The connection of a pod by its service account; the token is read anew every minute.

    Raises:
        ConfigurationError: this process runs in no pod, or the pod has no token.
    """
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.config.config_exception import ConfigException
    from kubernetes.aio.config.incluster_config import InClusterConfigLoader

    configuration: Any = Configuration()
    try:
        loader: Any = InClusterConfigLoader(
            token_filename=str(folder / "token"),
            cert_filename=str(folder / "ca.crt"),
            try_refresh_token=False,
            environ=os.environ if environ is None else environ,
        )
        loader.load_and_set(configuration)
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
    except (ConfigException, OSError) as error:
        raise ConfigurationError(
            f"No service account of a pod to use: {error}.", "Outside a cluster, name a kubeconfig."
        ) from error
    _relax(configuration)
    return Connection(configuration.host, "", namespace or "default", TokenFile(folder / "token"), configuration)
