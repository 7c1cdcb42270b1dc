"""posehg predict at work: frames come in ahead, the network is asked about them, and files are written behind."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from types import FrameType

from posehg import distributed
from posehg.cli import predict_account, terminal
from posehg.cli.predict_account import Account
from posehg.cli.predict_files import moving
from posehg.cli.predict_frames import Frames, runs
from posehg.cli.predict_progress import PredictProgress
from posehg.cli.predict_request import Request
from posehg.cli.predict_results import Outcome, Results
from posehg.distributed import World
from posehg.errors import InputError
from posehg.inference.estimator import Estimator
from posehg.inference.finding import heatmaps_of
from posehg.io import Frame, Source
from posehg.io.sources import too_large
from posehg.io.writers import Found, Result, heatmaps
from posehg.io.writers.behind import behind
from posehg.io.writers.plan import Plan
from posehg.poses import Pose

_ROUND = 16
"""Of several processes: photos of each between two times that the first one prints. Waiting for each other costs."""


def run(request: Request, frames: Frames, estimator: Estimator) -> None:
    """Raises typer.Exit or an error where not all went well."""
    if request.plan.draws_heatmaps:
        heatmaps.joints(estimator.config.skeleton, request.shown.look.heatmaps)  # refuses what is no joint
    # Nobody is past this line before all have found that their targets are not there yet.
    with distributed.joined(estimator.device) as world, terminal.fail_together(world):
        batch = estimator.batch
        plan = request.plan if request.todo else Plan()  # a file of all that is there already is not begun anew
        with ExitStack() as stack:
            # What only the first process does may fail there only, and then all have to end.
            results = distributed.alike(lambda: stack.enter_context(Results(plan, request.shown, world.first)))
            work = _shared if world.size > 1 else _alone
            account = work(request, frames, estimator, results, world)
            distributed.alike(stack.close)
        if estimator.batch < batch:
            terminal.note(f"Memory ran out, so crops were looked at by {estimator.batch} at a time instead of {batch}.")
        if world.first:
            predict_account.tell(request, account)
        predict_account.check(request, account)


def _alone(request: Request, frames: Frames, estimator: Estimator, results: Results, world: World) -> Account:
    account = Account()
    prints = request.shown.json or request.plan == Plan()
    with PredictProgress(len(request.todo), request.span[1], prints) as progress, behind() as later:

        def finish(source: Source, write: Callable[[], Outcome]) -> None:
            account.add(outcome := write())
            results.deliver(outcome)
            if outcome.ended:
                progress.source(source)

        try:
            with closing(_worked(request, request.todo, frames, estimator, results)) as worked:
                for source, frame, write in worked:
                    later(partial(finish, source, write))
                    if isinstance(frame, Frame):
                        progress.frame(source, frame)
        except KeyboardInterrupt:
            if request.plan.folder is not None and not request.plan.run:
                terminal.note(f"{account.written:,} files are written; --skip-existing goes on from there.")
            raise
    return account


def _shared(request: Request, frames: Frames, estimator: Estimator, results: Results, world: World) -> Account:
    """Every photo by one process; the first prints what all have to say, in order."""
    account = Account()
    step = _ROUND * world.size
    for start in range(0, len(request.todo), step):
        mine = [_alone_only(source) for source in distributed.share(request.todo[start : start + step], world)]

        def outcomes(mine: Sequence[Source] = mine) -> list[Outcome]:
            made = [write() for _, _, write in _worked(request, mine, frames, estimator, results)]
            return [outcome for outcome in made if not outcome.is_only_the_end]

        together = distributed.interleaved(distributed.agreed(outcomes))
        for outcome in together:
            account.add(outcome)
        distributed.alike(partial(_delivered, together, results, world))
    return account


def _delivered(outcomes: Sequence[Outcome], results: Results, world: World) -> None:
    with terminal.ignore_closed_stdout():
        for outcome in outcomes if world.first else ():
            results.deliver(outcome)


def _alone_only(source: Source) -> Source:
    if not moving(source):
        return source
    problem = InputError(f"{source.name} is a video, which one process follows.", "Start posehg without torchrun.")
    return Source(source.name, source.kind, source.relative, source.problem or problem)


_Worked = tuple[Source, Frame | InputError | None, Callable[[], Outcome]]


def _worked(
    request: Request, sources: Sequence[Source], frames: Frames, estimator: Estimator, results: Results
) -> Generator[_Worked]:
    """Each frame, or what is wrong with it, and what writes its results; at the end of a source None."""
    for together in runs(sources):
        with closing(frames.of(together)) as items, _ended_by_ctrl_c(together[0]) as ended:
            for source, of_source in groupby(items, key=itemgetter(0)):
                find = request.who.finder(estimator, source)
                for _, frame in of_source:
                    yield source, frame, _answered(request, estimator, results, source, frame, find)
                    if ended() or results.given_up == source.name:
                        break
                yield source, None, partial(results.end, source, _nothing(request, estimator, source))
                if moving(source):
                    break  # what is left of its frames


def _answered(
    request: Request,
    estimator: Estimator,
    results: Results,
    source: Source,
    frame: Frame | InputError,
    find: Callable[[Frame], list[Pose]],
) -> Callable[[], Outcome]:
    """What writes the results of a frame about which the network has been asked."""
    nothing = _nothing(request, estimator, source)
    if isinstance(frame, InputError):
        return partial(results.failed, source, nothing, frame)
    empty = replace(nothing, frame=frame.index, time=frame.time)
    try:
        poses = find(frame)
        maps = heatmaps_of(estimator, frame.image, poses) if request.plan.draws_heatmaps else ()
    except (InputError, MemoryError) as error:
        told = error if isinstance(error, InputError) else too_large(source)
        return partial(results.failed, source, empty, told)
    found = replace(empty, shape=frame.image.shape, poses=poses)
    return partial(results.write, source, Result(found, frame.image, request.shown.look, maps), frame)


def _nothing(request: Request, estimator: Estimator, source: Source) -> Found:
    return Found(source.name, None, [], request.shown.model, estimator.config.skeleton)


@contextmanager
def _ended_by_ctrl_c(source: Source) -> Iterator[Callable[[], bool]]:
    """Whether a camera, which has no end of its own, was told to end; its files are finished then."""
    if source.kind != "camera":
        yield lambda: False
        return
    asked: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
