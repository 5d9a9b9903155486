"""Makes sessions for AWS: the one place in this project that does. Each stands under the guard from its first moment.

`reader.py` and `tokens.py` ask for them by profile, region and role. It also says how AWS is spoken to: user agent,
timeouts, retries. Finding credentials may itself take a call to AWS, so all of this runs off the event loop. Must never
write to the AWS configuration, and never keep a credential outside botocore.
"""

import os
import threading
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import botocore.session  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.credentials import (  # pyright: ignore[reportMissingTypeStubs]
    AssumeRoleCredentialFetcher,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError  # pyright: ignore[reportMissingTypeStubs]

from .guard import Guard, GuardedHttp
from .place import Place

CONNECT_S, READ_S, ATTEMPTS = 3.0, 10.0, 2
ROLE_SESSION = "firstmate"
_KEPT = 32
_making = threading.Lock()
"""Sessions and clients are not made by several threads at once (boto3 guide, "Multithreading"); clients are shared."""


_Session: Any = botocore.session.Session  # botocore has no types


class GuardedSession(_Session):
    """A botocore session whose clients send listed reads alone.

    Args:
        profile: "" for AWS_PROFILE or the default one.
        roles: further roles that may be assumed, beside those that the AWS configuration names.
    """

    def __init__(self, profile: str = "", roles: tuple[str, ...] = ()) -> None:
        parent: Any = super()
        parent.__init__(profile=profile or None)
        self._named_roles = roles
        Guard(self._roles).watch(self.get_component("event_emitter"))

    def _roles(self) -> set[str]:
        profiles: Mapping[str, Mapping[str, str]] = self.full_config.get("profiles", {})
        named = {role for profile in profiles.values() if (role := profile.get("role_arn"))}
        # A pod's own role, by web identity (IRSA), is named in its environment.
        web = os.environ.get("AWS_ROLE_ARN")
        return {*named, *self._named_roles, *([web] if web else [])}

    def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        """As botocore's, for the services that are listed, with our manners."""
        Guard.check_service(service_name)
        given = kwargs.pop("config", None)
        manners = config()
        parent: Any = super()
        client: Any = parent.create_client(
            service_name, *args, config=given.merge(manners) if given else manners, **kwargs
        )
        client._endpoint.http_session = GuardedHttp(client._endpoint.http_session)
        return client

    def act_with(self, credentials: Any) -> None:
        """Signs with these from now on."""
        self._credentials = credentials


def config() -> Any:
    """How AWS is spoken to."""
    return Config(
        user_agent_extra=_user_agent(),
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        parameter_validation=True,
    )


def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"firstmate/{version('firstmate')}"
    except PackageNotFoundError:
        return "firstmate"


def open_session(
    place: Place, settings: Mapping[str, str] | None = None, *, roles: tuple[str, ...] = ()
) -> GuardedSession:
    """A new session.

    Args:
        place: profile, and the role to act in; the region is for clients.
        settings: botocore settings that go before those of the process, by botocore's names.
        roles: further roles that may be assumed with it.

    Raises:
        botocore.exceptions.BotoCoreError: the profile does not exist, or has no credentials to assume the role with.
    """
    with _making:
        session = GuardedSession(place.profile, (*roles, *([place.role] if place.role else [])))
        for name, value in (settings or {}).items():
            session.set_config_variable(name, value)
        if place.role:
            _assume(session, place)
        return session


def _assume(session: GuardedSession, place: Place) -> None:
    """Makes the session act in a role, which is assumed when first needed and again before it expires."""
    own = session.get_credentials()
    if own is None:
        raise NoCredentialsError
    fetcher: Any = AssumeRoleCredentialFetcher(
        client_creator=partial(session.create_client, region_name=place.region or None),
        source_credentials=own,
        role_arn=place.role,
        extra_args={"RoleSessionName": ROLE_SESSION},
    )
    session.act_with(DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role"))


@lru_cache(maxsize=_KEPT)
def shared_session(place: Place) -> GuardedSession:
    """The session of a place, made once for this process."""
    return open_session(place)


@lru_cache(maxsize=4 * _KEPT)
def shared_client(place: Place, service: str) -> Any:
    """The client of a service at a place, made once for this process.

    Raises:
        botocore.exceptions.BotoCoreError: no profile or no region of that name.
        RefusedError: nothing is listed of that service.
    """
    session = shared_session(place)
    with _making:
        return session.create_client(service, region_name=place.region or None)


def forget() -> None:
    """Lets go of all sessions and clients: the AWS configuration, or the environment, has changed."""
    shared_client.cache_clear()
    shared_session.cache_clear()
