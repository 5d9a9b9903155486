"""What search makes of text: names whole and in parts, ids dropped, slips of the keyboard mended."""

import pytest

from firstmate.runbooks.search.analysis import MOST_CHARACTERS, plain, telling, terms
from firstmate.runbooks.search.corpus import Document, literal, sections
from firstmate.runbooks.search.lexical import ELSEWHERE, LexicalIndex


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("CrashLoopBackOff", {"crashloopbackoff", "crash", "loop", "back"}),
        ("sts:AssumeRoleWithWebIdentity", {"sts:assumerolewithwebidentity", "sts", "assumerolewithwebidentity", "web"}),
        ("0/3 nodes are available", {"nodes", "available"}),
        ("nvidia.com/gpu", {"nvidia.com/gpu", "nvidia", "gpu"}),
        ("v1beta1.metrics.k8s.io", {"v1beta1.metrics.k8s.io", "metrics"}),
        ("exit code 137, HTTP 503", {"137", "503"}),
    ],
)
def test_a_name_is_found_whole_and_in_parts(text: str, wanted: set[str]) -> None:
    assert wanted <= set(terms(text))


@pytest.mark.parametrize("text", ["cart-7d9c5b6f4-x2x8l", "2026-11-21T10:00:00Z", "10.0.13.7", "9f8e7d6c5b4a"])
def test_ids_times_and_addresses_are_no_terms(text: str) -> None:
    assert not {term for term in terms(text) if any(c.isdigit() for c in term)} - {"x2x8l"}


def test_plain_speech_stands_beside_the_fields_own_words() -> None:
    assert "+node" in terms("the box is dead") and "+node" in terms("node NotReady")


def test_what_every_pasted_event_says_is_left_out() -> None:
    said = "0/5 nodes are available: 5 Insufficient cpu. preemption: 0/5 nodes are available: 5 No preemption victims."
    assert "preemption" not in telling(terms(plain(said))) and "insufficient" in terms(plain(said))


def test_a_long_paste_is_looked_at_by_its_beginning_and_its_end() -> None:
    text = "first " + "x" * 60_000 + " last"
    assert len(plain(text)) <= MOST_CHARACTERS + 1 and plain(text).startswith("first") and plain(text).endswith("last")


def test_a_pattern_is_searched_by_its_words() -> None:
    assert literal(r"(?i)no such host|EAI_AGAIN").split() == ["no", "such", "host", "EAI_AGAIN"]
    assert literal(r"Corefile:\d+ - Error \(x\)").split() == ["Corefile:", "-", "Error", "(x)"]


def test_sections_leave_commands_out() -> None:
    found = sections("# T\n\nintro\n\n## Fix\n\n1. do\n\n   ```bash\n   rm -rf /\n   ```\n\n## Verify\n\nlook\n")
    assert "rm -rf" not in found["Fix"] and found["Verify"].strip() == "look"


def document(slug: str, title: str, *asked: str) -> Document:
    return Document(slug, title, "", (), (), (), (), asked, (), "", "")


@pytest.fixture
def index() -> LexicalIndex:
    books = [
        document("dns", "Names do not resolve", "lookup fails", "no such host"),
        document("disk", "A volume is full", "no space left on device"),
        document("oom", "Killed at its memory limit", "OOMKilled exit 137"),
    ]
    return LexicalIndex.build(books, {"Cooking": ["recipe for a cake"]})


@pytest.mark.parametrize(
    "hostile",
    [
        '" OR 1=1 --',
        "NEAR(a b)",
        "a AND NOT b",
        "title:dns",
        "*",
        "^dns",
        "(((",
        "'; DROP TABLE runbook;",
        "\x00",
        "{}",
    ],
)
def test_nothing_of_a_question_is_syntax(index: LexicalIndex, hostile: str) -> None:
    index.search(hostile)
    assert max((found := index.search(f"{hostile} no such host").phrases), key=lambda slug: found[slug]) == "dns"


def test_a_question_without_words_finds_nothing(index: LexicalIndex) -> None:
    for empty in ("", "   ", "🙂", "\u202e", "the of and"):
        found = index.search(empty)
        assert not found.documents and not found.phrases and not found.known


def test_a_slip_of_the_keyboard_is_mended_and_told(index: LexicalIndex) -> None:
    found = index.search("lokup fails")
    assert found.corrected == {"lokup": "lookup"} and max(found.phrases, key=lambda s: found.phrases[s]) == "dns"


def test_what_has_no_runbook_is_told_apart(index: LexicalIndex) -> None:
    found = index.search("a recipe please")
    assert found.topics["Cooking"] > 0 and found.foreign == {"recipe"} and ELSEWHERE + "Cooking" not in found.phrases


def test_an_index_is_the_same_when_it_is_opened_again(index: LexicalIndex) -> None:
    again = LexicalIndex.opened(index.content())
    assert again.search("volume full") == index.search("volume full")
