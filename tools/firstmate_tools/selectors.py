"""Label selectors over plain objects, with the semantics of k8s.io/apimachinery pkg/labels (v1.36)."""

from firstmate_tools import fields
from firstmate_tools.fields import Obj


def matches_map(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """A Service's selector: every pair must be there. An empty selector selects nothing (Services without one)."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def matches(selector: object, labels: dict[str, str]) -> bool:
    """A LabelSelector (`matchLabels`, `matchExpressions`); null selects nothing, {} selects everything."""
    if selector is None:
        return False
    wanted = fields.string_map(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(expression_holds(e, labels) for e in fields.items(selector, "matchExpressions"))


def expression_holds(expression: Obj, labels: dict[str, str]) -> bool:
    """One requirement of a label selector or node selector term: In, NotIn, Exists, DoesNotExist, Gt, Lt."""
    key, operator = fields.text(expression, "key"), fields.text(expression, "operator")
    values, here = fields.strings(expression, "values"), labels.get(key)
    if operator == "In":
        return here in values
    if operator == "NotIn":
        return here not in values
    if operator == "Exists":
        return here is not None
    if operator == "DoesNotExist":
        return here is None
    if operator in {"Gt", "Lt"} and here is not None and len(values) == 1:
        try:
            left, right = int(here), int(values[0])
        except ValueError:
            return False
        return left > right if operator == "Gt" else left < right
    return False


_OPERATORS = {"In": "in", "NotIn": "notin"}


def as_query(selector: object) -> str:
    """A LabelSelector as the text that a list request takes: `app=cart,tier in (web,api),!legacy`.

    Returns:
        "" where it selects by nothing, or by something that has no such text (an unknown operator).
    """
    terms = [f"{key}={value}" for key, value in sorted(fields.string_map(selector, "matchLabels").items())]
    for expression in fields.items(selector, "matchExpressions"):
        key, operator = fields.text(expression, "key"), fields.text(expression, "operator")
        if operator in _OPERATORS:
            terms.append(f"{key} {_OPERATORS[operator]} ({','.join(fields.strings(expression, 'values'))})")
        elif operator in {"Exists", "DoesNotExist"}:
            terms.append(key if operator == "Exists" else f"!{key}")
        else:
            return ""
    return ",".join(terms)
