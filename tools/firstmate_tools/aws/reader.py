"""AWS as one tool call sees it: `await aws.call("eks", "DescribeCluster", name="prod")`.

A tool that asks AWS is given an `Aws` with the operations that it declared (`AwsRead`), its deadline and a place
(profile, region). botocore blocks, so each call runs in a thread, a few at a time; whoever waits stops at the deadline,
while the thread ends by its own timeouts (`session.py`). Must never be the only thing between a tool and a write: the
guard is.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from firstmate_tools import fields
from firstmate_tools.errors import FirstmateError, NotConfiguredError, RefusedError, TimedOutError
from firstmate_tools.fields import Obj
from firstmate_tools.reads import AwsRead, Grant

from .place import Place

AT_ONCE = 8
T = TypeVar("T")


@cache
def _threads() -> ThreadPoolExecutor:
    """Of our own: AWS that does not answer must not keep the rest of this process from its threads."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="firstmate-aws")


class Aws:
    """Reads of one place in AWS, for one tool call.

    Args:
        place: profile, region and role.
        grant: the operations that the call declared.
        deadline_s: seconds after which every further read raises TimedOutError.
    """

    def __init__(self, place: Place, grant: Grant, *, deadline_s: float = 30.0) -> None:
        self.place = place
        self._grant = grant
        self._until = time.monotonic() + deadline_s

    async def call(self, service: str, operation: str, **parameters: Any) -> Obj:
        """One operation.

        Args:
            service: botocore's name.
            operation: as in the model, `DescribeCluster`.
            parameters: as in the model.

        Returns:
            The answer, without its metadata.

        Raises:
            RefusedError: it is no read, or nobody declared it.
            ReadError: no answer; NotConfiguredError without credentials or region.
            ObjectNotFoundError: AWS knows no such resource.
            UsageError: AWS finds the question malformed.
        """
        answer = await self._run(
            AwsRead(service, operation), lambda client: getattr(client, _method(client, operation))(**parameters)
        )
        return fields.without(answer, "ResponseMetadata")

    async def collect(
        self, service: str, operation: str, key: str, *, most: int = 1000, **parameters: Any
    ) -> tuple[list[Any], bool]:
        """What a paged operation gives under a key, pages joined.

        Returns:
            At most `most` of them, and whether there are more.

        Raises:
            As `call`.
        """

        def gather(client: Any) -> tuple[list[Any], bool]:
            found: list[Any] = []
            for page in client.get_paginator(_method(client, operation)).paginate(**parameters):
                found += page.get(key) or []
                if len(found) > most:
                    break
            return found[:most], len(found) > most

        return await self._run(AwsRead(service, operation), gather)

    async def region(self) -> str:
        """The region that is asked, by name or as the AWS configuration says.

        Raises:
            NotConfiguredError: nobody names one.
        """
        if self.place.region:
            return self.place.region
        found = await self._in_thread(AwsRead("sts", "GetCallerIdentity"), self._configured_region)
        if not found:
            raise NotConfiguredError("No AWS region is named or configured.", "Name a region, or set AWS_REGION.")
        return found

    async def account(self) -> str:
        """The account that answers. Needs no permission, but has to be declared."""
        return fields.text(await self.call("sts", "GetCallerIdentity"), "Account")

    def _configured_region(self) -> str:
        from .session import shared_session

        return str(shared_session(self.place).get_config_variable("region") or "")

    async def _run(self, read: AwsRead, ask: Callable[[Any], T]) -> T:
        self._check(read)

        def work() -> T:
            from .session import shared_client

            return ask(shared_client(self.place, read.service))

        return await self._in_thread(read, work)

    def _check(self, read: AwsRead) -> None:
        from .operations import is_read

        if not is_read(read.service, read.operation):
            raise RefusedError(f"The request to AWS was not sent: {read.service}:{read.operation} is not a read.")
        if not self._grant.allows_aws(read.service, read.operation):
            raise RefusedError(
                f"The request to AWS was not sent: nobody declared {read.service}:{read.operation}.",
                "Add AwsRead to the declaration of the tool that makes it.",
            )

    async def _in_thread(self, read: AwsRead, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                return await asyncio.get_running_loop().run_in_executor(_threads(), _translated, read, work)
        except TimeoutError as error:
            raise TimedOutError(
                f"AWS did not answer {read.service}:{read.operation} before the deadline of this call.",
                "Ask for less, or check the network.",
            ) from error


def ask_now(place: Place, read: AwsRead, **parameters: Any) -> Obj:
    """One operation, at once and blocking: for what has to be known before there is a call, such as an endpoint.

    Raises:
        As `Aws.call`.
    """

    def ask() -> Obj:
        from .session import shared_client

        client = shared_client(place, read.service)
        return fields.without(getattr(client, _method(client, read.operation))(**parameters), "ResponseMetadata")

    return _translated(read, ask)


def _translated(read: AwsRead, work: Callable[[], T]) -> T:
    from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

    from .failures import error_of

    try:
        return work()
    except FirstmateError:
        raise
    except (BotoCoreError, ClientError) as error:
        raise error_of(error, read) from error


def _method(client: Any, operation: str) -> str:
    """The client's name for an operation: `describe_cluster`."""
    names: dict[str, str] = client.meta.method_to_api_mapping
    return next((method for method, api in names.items() if api == operation), operation)
