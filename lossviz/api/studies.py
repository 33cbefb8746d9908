"""What is asked of a problem beside its surface: paths of optimizers, curvature, sharpness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from lossviz.api.calls import WARNING, reference
from lossviz.api.spectrum import Spectrum
from lossviz.api.surface import Surface
from lossviz.errors import UsageError
from lossviz.hessian.measure import Depth, measure_spectrum
from lossviz.hessian.operator import Operator
from lossviz.run.settings import Settings
from lossviz.store.surface_file import read_surface
from lossviz.studies.point import PointWords, load_point
from lossviz.studies.project import project as run_project
from lossviz.studies.sharpness import Balls, measure_sharpness
from lossviz.studies.trace import trace as run_trace
from lossviz.trajectory.descent import Descent


def trace(
    model: Any, data: Any = None, loss: Any = None, *, out: str | Path, optimizer: str = "sgd", lr: float = 0.1,
    settings: Mapping[str, Any] | None = None, start: str = "checkpoint", split: str = "train",
    samples: int | None = None, precision: str = "float32", device: str = "auto",
    checkpoint: str | Path | None = None, model_args: Mapping[str, Any] | None = None, **descent: Any,
) -> Path:  # fmt: skip
    """Run an optimizer on a copy of the model and record its path as snapshots in ``out``.

    Args:
        model: As for :func:`lossviz.compute`, like data, loss, checkpoint and model_args.
        data: The examples.
        loss: A criterion or ``loss(model, batch)``.
        out: Folder for the snapshots, to be named as ``snapshots`` of a plane or of :func:`project`.
        optimizer: Any class of ``torch.optim``.
        lr: Learning rate.
        settings: Other settings of the optimizer, such as ``{"momentum": 0.9}``.
        start: ``"checkpoint"``, ``"fresh"``, or a point of a run's plane, ``"net.h5@0.5,-1"``.
        split: Examples to train on.
        samples: Use a fixed random subset of this many.
        precision: ``"float32"`` or ``"float64"``.
        device: Where to run.
        checkpoint: With a problem file: the trained parameters.
        model_args: With a problem file: keyword arguments of its ``model()``.
        descent: ``steps``, ``batch_size``, ``every``, ``seed``, ``scheduler``, ``average`` …, as
            :class:`~lossviz.trajectory.descent.Descent` has them.

    Returns:
        The folder.

    Raises:
        LossvizError: For bad input.
    """
    ref = reference(model, data, loss, (split,), checkpoint, model_args)
    told = Descent(optimizer, {"lr": lr, **(settings or {})}, **descent)
    how = {"start": start, "split": split, "samples": samples, "precision": precision}
    run_trace(ref, told, out, **how, settings=Settings(device), watch=WARNING)
    return Path(out)


def project(
    surface: Surface | str | Path, snapshots: str | Path | Sequence[str | Path], *,
    names: Sequence[str] | None = None, snapshot_order: str = "", force: bool = False, device: str = "auto",
    trust_problem: bool = False,
) -> Surface:  # fmt: skip
    """See training runs on the plane of a surface that is in a file, and store the paths there.

    Args:
        surface: One with a file, or the file.
        snapshots: A folder or pattern of snapshots for each run.
        names: Of the runs, in the same order; None takes the folders' names.
        snapshot_order: ``"name"``, ``"time"`` or a regular expression, where snapshots do not say their steps.
        force: Store a path even if the plane shows it as a single dot.
        device: Where losses are evaluated.
        trust_problem: Run the code named in the file, even though this user did not compute it here.

    Returns:
        The surface with its paths.

    Raises:
        LossvizError: For bad input.
    """
    file = surface.file if isinstance(surface, Surface) else Path(surface)
    if file is None:
        raise UsageError("This surface has no file whose plane is known: compute it with out='net.h5'.")
    sources = [snapshots] if isinstance(snapshots, (str, Path)) else list(snapshots)
    called = names or [Path(source).name or str(source) for source in sources]
    if len(called) != len(sources):
        raise UsageError(f"There are {len(called)} names for {len(sources)} runs; give one for each.")
    runs = dict(zip(called, sources, strict=True))
    problem = surface.problem if isinstance(surface, Surface) else None
    run_project(
        file, runs, Settings(device), WARNING, problem=problem, snapshot_order=snapshot_order, force=force,
        trust_problem=trust_problem,
    )  # fmt: skip
    return Surface.of(read_surface(file), file, problem)


def curvature(
    model: Any, data: Any = None, loss: Any = None, *, out: str | Path | None = None,
    operator: Literal["hessian", "gauss-newton"] = "hessian", method: Any = "auto", quantity: str = "loss",
    batch_size: int | None = None, checkpoint: str | Path | None = None,
    model_args: Mapping[str, Any] | None = None, **words: Any,
) -> Spectrum:  # fmt: skip
    """Measure leading eigenvalues with residuals, trace and density of the Hessian or Gauss–Newton matrix.

    Arguments are the options of ``lossviz curvature``, ``words`` those of
    :class:`~lossviz.studies.point.PointWords` and :class:`~lossviz.hessian.measure.Depth`. With ``out`` every
    finished part is saved, and a call with the same arguments goes on.

    Raises:
        LossvizError: For bad input.
    """
    point, depth = _divided(words, PointWords, Depth)
    problem = load_point(reference(model, data, loss, (point.split,), checkpoint, model_args), point)
    matrix = Operator(problem, point.split, kind=operator, method=method, quantity=quantity, batch_size=batch_size)
    file = None if out is None else Path(out)
    return Spectrum.of(measure_spectrum(matrix, depth, out=file, warn=WARNING.warn))


def sharpness(
    model: Any, data: Any = None, loss: Any = None, *, quantity: str = "loss", batch_size: int | None = None,
    checkpoint: str | Path | None = None, model_args: Mapping[str, Any] | None = None, **words: Any,
) -> dict[str, Any]:  # fmt: skip
    """Measure how sharply the loss rises around a model: worst case in a ball, average, and radius of a rise.

    Arguments are the options of ``lossviz sharpness``, ``words`` those of :class:`~lossviz.studies.point.PointWords`
    and :class:`~lossviz.studies.sharpness.Balls`. Only numbers of equal settings compare.

    Raises:
        LossvizError: For bad input.
    """
    point, balls = _divided(words, PointWords, Balls)
    problem = load_point(reference(model, data, loss, (point.split,), checkpoint, model_args), point)
    return measure_sharpness(problem, point.split, balls, quantity=quantity, batch_size=batch_size)


def plot(surfaces: Surface | str | Path | Sequence[Surface | str | Path], kind: str | None = None, **words: Any) -> Any:
    """Draw surfaces, or the files that hold them, on one scale.

    Args:
        surfaces: One, or several, which share scale, levels and camera.
        kind: As for :meth:`lossviz.Surface.plot`.
        words: The same.

    Returns:
        A matplotlib figure; for ``"html"`` the interactive page.

    Raises:
        LossvizError: For files that cannot be read, or words that make no sense.
    """
    several = [surfaces] if isinstance(surfaces, (Surface, str, Path)) else list(surfaces)
    read = [one if isinstance(one, Surface) else Surface.of(read_surface(one), Path(one)) for one in several]
    if len(read) == 1:
        return read[0].plot(kind, **words)
    return read[0].beside(read[1:], kind, **words)


def _divided(words: Mapping[str, Any], *kinds: Any) -> list[Any]:
    """Records of these kinds, each made of the words that are its fields; a seed is for all.

    Raises:
        UsageError: For a word that is nobody's.
    """
    own = [{field.name for field in fields(kind)} for kind in kinds]
    if unknown := set(words) - set().union(*own):
        raise UsageError(f"{sorted(unknown)[0]} is no option here; there are {', '.join(sorted(set().union(*own)))}.")
    return [kind(**{n: v for n, v in words.items() if n in mine}) for kind, mine in zip(kinds, own, strict=True)]
