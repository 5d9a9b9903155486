"""Turns the crank of a run: step after step, with a clock, as long as it may.

The tool `run_runbook` and `firstmate runbooks run` call `drive`. Between two looks of a verify, and for a wait, it
sleeps where there is time for it; otherwise the run stands still, and says until when.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from firstmate.runbooks.outcome import End, Visited
from firstmate.runbooks.runner import Call, Run, advance

Sleep = Callable[[float], Awaitable[None]]


def _now() -> datetime:
    return datetime.now(UTC)


async def drive(
    run: Run,
    call: Call,
    sleep: Sleep,
    *,
    one_step: bool = False,
    within_s: float | None = None,
    told: Callable[[Visited], None] | None = None,
    now: Callable[[], datetime] = _now,
) -> None:
    """Carries a run on until it ends, stands still or has used up its time.

    Args:
        run: changed in place.
        call: asks a tool.
        sleep: lets seconds pass.
        one_step: stop after one step.
        within_s: seconds after which no further step is begun; None for as long as it takes.
        told: hears of each step when it was taken.
        now: the clock.
    """
    last = now() + timedelta(seconds=within_s) if within_s is not None else None
    while run.end is None:
        if run.not_before is not None and run.not_before > now():
            if last is not None and run.not_before > last:
                until = run.not_before
                run.end = End(ended="waiting", because=f"step {run.at} goes on later", until=until)
                return
            await sleep((run.not_before - now()).total_seconds())
        if last is not None and now() > last:
            run.end = End(ended="waiting", because=f"this call's time is used up before step {run.at}", until=now())
            return
        taken = len(run.visited)
        await advance(run, call, now())
        for one in run.visited[taken:]:
            if told is not None:
                told(one)
        if one_step and len(run.visited) > taken:
            return
