"""The catalogue's page is what the code says."""

from evals.causes import PAGE, page


def test_the_page_of_causes_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m evals.causes`"
