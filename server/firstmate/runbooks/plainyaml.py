"""YAML of runbooks, read so that no file of a user's folder can do more than be wrong.

`document.py` and `stepyaml.py` read with it. Refuses aliases (a few lines of them hold more than memory) and deep
nesting, and says of values that Python cannot hold that they are no YAML. Imports the parser when first used.
"""

from typing import Any, cast

DEEPEST = 40
"""Levels of lists and mappings."""


class NotYamlError(ValueError):
    """A text is no YAML that a runbook may hold.

    Attributes:
        line: where, counted from 0 within the text.
    """

    def __init__(self, words: str, line: int = 0) -> None:
        super().__init__(words)
        self.line = line


def load(content: str) -> object:
    """The value of a text.

    Raises:
        NotYamlError: it has none.
    """
    import yaml

    _check(content)
    try:
        return cast("object", yaml.safe_load(content))
    except yaml.YAMLError as error:
        raise _told(error) from error
    except ValueError as error:  # the 13th month, a number of five thousand digits
        raise NotYamlError(str(error)) from error


def compose(content: str) -> Any:
    """The tree of nodes of a text, with their places.

    Raises:
        NotYamlError: there is none.
    """
    import yaml

    _check(content)
    try:
        return cast("Any", yaml).compose(content, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _told(error) from error


def _check(content: str) -> None:
    """Reads the text piece by piece, which takes no more than its own length."""
    import yaml

    deep = 0
    try:
        for event in cast("Any", yaml).parse(content, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise NotYamlError("aliases (*name) are not taken", event.start_mark.line)
            deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if deep > DEEPEST:
                raise NotYamlError(f"nested more than {DEEPEST} levels deep", event.start_mark.line)
    except yaml.YAMLError as error:
        raise _told(error) from error


def _told(error: Any) -> NotYamlError:
    mark = getattr(error, "problem_mark", None)
    return NotYamlError(str(getattr(error, "problem", None) or error), mark.line if mark is not None else 0)
