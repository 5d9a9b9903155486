"""Static tokens: the file, the command that makes them, and what they open over HTTP."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contract.cli import run
from contract.throwaway_issuer import Issuer
from contract.web_doubles import LEGACY, MODERN, serving

from firstmate import tokenfile
from firstmate.httpsettings import ScopeSettings
from firstmate.tokenfile import TokenFile, digest
from firstmate_tools.errors import ConfigurationError

pytestmark = pytest.mark.anyio

SCOPES = ScopeSettings().families


def written(path: Path, *entries: str, mode: int = 0o600) -> Path:
    path.write_text("\n".join(entries))
    path.chmod(mode)
    return path


def entry(name: str, token: str, scopes: str = '"firstmate:read", "firstmate:logs"', more: str = "") -> str:
    return f'[[tokens]]\nname = "{name}"\nsha256 = "{digest(token)}"\nscopes = [{scopes}]\n{more}\n'


async def test_a_token_of_the_file_opens_what_its_scopes_say(tmp_path: Path) -> None:
    bot, reader = entry("bot", "t-bot", more='groups = ["sre"]'), entry("reader", "t-reader", '"firstmate:read"')
    path = written(tmp_path / "tokens.toml", bot, reader)
    async with serving(tokens_file=str(path)) as served:
        for version in (MODERN, LEGACY):
            session = {} if version == MODERN else {"mcp-session-id": await served.open_session("t-bot")}
            ok = await served.call("pod_status", {"namespace": "shop"}, token="t-bot", version=version, **session)
            assert ok.status_code == 200
        assert (await served.call("logs", token="t-reader")).status_code == 403
        nobody = await served.post()
        assert nobody.status_code == 401 and nobody.headers["www-authenticate"] == 'Bearer scope="firstmate:read"'
        assert (await served.post(token="t-other")).status_code == 401
        assert served.trail[0]["caller"]["user"] == "bot" and served.trail[0]["caller"]["groups"] == ["sre"]
        assert served.trail[0]["outcome"] == "ok" and served.trail[0]["requests"] >= 1


async def test_a_changed_file_holds_from_the_next_request_on(tmp_path: Path) -> None:
    path = written(tmp_path / "tokens.toml", entry("bot", "old"))
    async with serving(tokens_file=str(path)) as served:
        assert (await served.post(token="old")).status_code == 200
        written(path, entry("bot", "new-one"))
        assert (await served.post(token="old")).status_code == 401
        assert (await served.post(token="new-one")).status_code == 200
        path.chmod(0o644)
        assert (await served.post(token="new-one")).status_code == 401
        path.chmod(0o600)
        assert (await served.post(token="new-one")).status_code == 200
        path.unlink()
        assert (await served.post(token="new-one")).status_code == 401


async def test_static_and_access_tokens_are_taken_side_by_side(tmp_path: Path, anyio_backend: str) -> None:
    path = written(tmp_path / "tokens.toml", entry("bot", "t-bot"))
    async with Issuer().running() as issuer, serving(tokens_file=str(path), oauth={"issuer": issuer.url}) as served:
        assert (await served.post(token="t-bot")).status_code == 200
        assert (await served.post(token=issuer.token(served.url))).status_code == 200
        assert (await served.post(token="t-other")).status_code == 401


def test_an_expired_token_is_nobodys(tmp_path: Path) -> None:
    yesterday, tomorrow = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    past = entry("a", "t-a", more=f"expires = {yesterday.date().isoformat()}")
    file = TokenFile(
        written(tmp_path / "t", past, entry("b", "t-b", more=f"expires = {tomorrow.isoformat()}"), entry("c", "t-c")),
        SCOPES,
    )
    assert file.caller("t-a") is None
    assert [one.user for token in ("t-b", "t-c") if (one := file.caller(token))] == ["b", "c"]
    assert file.caller("") is None and file.caller("x" * 10_000) is None and file.caller("\udcff") is None


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (entry("a", "x"), 0o604, "open to every user"),
        (entry("a", "x"), 0o642, "open to every user"),
        (entry("a", "x", '"firstmate:raed"'), 0o600, "unknown scope 'firstmate:raed'"),
        (entry("a", "x") + entry("a", "y"), 0o600, "same name"),
        (entry("a", "x") + entry("b", "x"), 0o600, "same sha256"),
        (entry("a", "x", more="expires = 2030-01-01T00:00:00"), 0o600, "needs its zone"),
        ('[[tokens]]\nname = "a"\ntoken = "plain"', 0o600, "is wrong"),
        ("[[tokens", 0o600, "not TOML"),
        (entry("a b", "x"), 0o600, "`tokens.0.name`"),
    ],
)
def test_a_file_that_is_unsafe_or_wrong_is_refused(tmp_path: Path, content: str, mode: int, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TokenFile(written(tmp_path / "tokens.toml", content, mode=mode), SCOPES)
    assert words in str(caught.value) and "plain" not in str(caught.value)


def test_the_command_shows_a_token_once_and_adds_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    made = run(
        "token", "new", "bot", "--scopes", "read", "--groups", 'sre,on"call', "--expires", "30d", "--file", str(path)
    )
    token = made.out.strip()
    assert made.code == 0 and re.fullmatch(r"firstmate_[A-Za-z0-9_-]{43}", token)
    assert token not in path.read_text() + made.err and path.stat().st_mode & 0o777 == 0o600
    second = run("token", "new", "other", "--file", str(path)).out.strip()
    file = TokenFile(path, SCOPES)
    bot, other = file.caller(token), file.caller(second)
    assert bot is not None and (bot.user, bot.families, bot.groups) == ("bot", {"read"}, ("sre", 'on"call'))
    assert other is not None and other.families == {"read", "logs"}
    printed = run("token", "new", "third")
    shown, _, rest = printed.out.partition("\n\n")
    assert tokenfile.read(written(tmp_path / "t2", rest), SCOPES)[0].sha256 == digest(shown)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bot"], "has a token named bot already"),
        (["a b"], "no name for a token"),
        (["x", "--scopes", "all"], "There is no scope 'all'"),
        (["x", "--scopes", ""], "opens nothing"),
        (["x", "--expires", "soon"], "is no day"),
        (["x", "--expires", "2020-01-01"], "has passed"),
        (["x", "--groups", "a\tb"], "printable ASCII"),
    ],
)
def test_the_command_refuses_what_would_not_work(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = written(tmp_path / "tokens.toml", entry("bot", "x"))
    before = path.read_text()
    made = run("token", "new", *arguments, "--file", str(path))
    assert made.code == 2 and words in made.err and made.out == ""
    assert path.read_text() == before and [one.name for one in tmp_path.iterdir()] == ["tokens.toml"]
