"""The prompt `triage`: something is broken, and somebody asks why."""

from firstmate.mcp.prompts.guide import CLUSTER, NAMESPACE, SCOPE, Asked, Guide, PromptSpec, arguments_of


def render(asked: Asked) -> str:
    guide = Guide(asked.calls, {CLUSTER.name: asked.cluster()})
    guide.say("Find out why this is broken, with firstmate's tools, and say what would mend it. Change nothing.")
    guide.step(
        "diagnose",
        arguments_of(asked.place()),
        "Check in `cluster` that the right one answered. `outcome` decides how to go on.",
    )
    guide.ask(
        "problems_found: take root_causes in their order. Follow each one's next[] where its evidence leaves a doubt; "
        "symptoms in explains[] need no work of their own."
    )
    if guide.offers("get_runbook"):
        guide.ask(
            "For each root cause call `get_runbook` with `runbook` = its `runbook`, before you propose a fix. Propose "
            "the runbook's fix, with its verification and roll back."
        )
    guide.ask(
        "inconclusive: say what could not be looked at (coverage.not_checked, with how_to_enable), and that it is not "
        "known to be healthy."
    )
    guide.ask(
        "nothing_found although somebody sees trouble: ask what they see and since when, then look closer with the "
        "other tools, narrowest scope first."
    )
    guide.say(
        "Answer with: the root cause in one sentence; the evidence, quoted with object, field and value; what it "
        "breaks; the fix and its risk; what was not checked."
    )
    return guide.written()


PROMPT = PromptSpec(
    "triage",
    "Find out why something is broken",
    "Diagnoses an object, a namespace or the whole cluster step by step: root cause, evidence, runbook, fix.",
    (SCOPE, CLUSTER, NAMESPACE),
    render,
)
