"""`cratedig evaluate sweep`: quality against guidance, schedule and cost, and a setting to use."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cratedig.evaluating.model import add_model_options, device_of, open_reference, settings_of
from cratedig.evaluating.points import Point, Recommendation, points_of, recommend
from cratedig.evaluating.shared import add_encoder_options, add_out_options, cache, sound_words, write_page
from cratedig.options import add_command, add_engine_options, engine

if TYPE_CHECKING:
    from cratedig.evaluating.scores import Scored
    from diffusion.evaluation.sound_figures import SoundFigures

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig evaluate sweep runs/gpu80 --set musiccaps --list musiccaps-public.csv --prompts 200 --reference CRATE \\
      --guidance 1,2,5,10,15 --schedule front_heavy,uniform,back_heavy --steps 125,250,500,1000
  cratedig evaluate sweep runs/tiny --set prompts.txt --seconds 7.68 --reference demo/crate --guidance 1,3,5,10 \\
      --schedule front_heavy,uniform --steps 10,25,100"""
_CSS = ("a", "b", "c", "d")
_COLUMNS = (
    "point", "stage", "setting", "value", "similarity", "similarity_low", "similarity_high", "shuffled", "rank",
    "frechet", "kernel", "coverage", "measure", "distance", "seconds", "cpu_seconds", "calls", "flatness_db",
    "onsets_per_s", "partials", "pulse", "clips", "left_out",
)  # fmt: skip


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "sweep",
        help="how to sample: guidance, schedule, steps",
        about="The paper's Figures 2 and 3 of your run: similarity and distance as guidance and step schedule of one "
        "stage at a time are changed, and against the seconds that more or fewer steps cost. Each point is kept: the "
        "same command goes on where it was stopped. A setting is recommended by a stated rule.",
        example=_EXAMPLE,
        run=_run,
    )
    add_model_options(parser)
    sweep = parser.add_argument_group("what is changed, one at a time (values parted by commas)")
    sweep.add_argument("--guidance", default="", metavar="W,W", help="classifier-free guidance, such as 1,2,5,10,15")
    sweep.add_argument(
        "--schedule",
        default="",
        metavar="NAME,NAME",
        help="front_heavy, uniform, back_heavy, back_heavy_eval, even_log_snr",
    )
    sweep.add_argument("--steps", default="", metavar="N,N", help="denoising steps")
    sweep.add_argument("--stage", action="append", default=[], metavar="STAGE", help="(default: both up to 16 kHz)")
    add_out_options(parser, "RUN/evaluation/sweep-SET")
    add_encoder_options(parser)
    add_engine_options(parser)


def _run(args: argparse.Namespace) -> int:
    from cratedig.cascade.train import _quiet
    from cratedig.evaluating.generated import generate_set
    from cratedig.evaluating.scores import open_judge, score_generated, sound_of
    from cratedig.view import JobView
    from diffusion.evaluation.prompt_sets import read_prompts
    from labeling.encoders.by_name import encoder_card
    from pipeline.errors import BadInput
    from pipeline.ids import content_hash
    from pipeline.storage import Storage

    _quiet()
    prompts = read_prompts(args.set, args.list, args.ontology, args.label_set).some(args.prompts)
    base, cascade = settings_of(args)
    stages = [stage.config.stage for stage in cascade.stages]
    if unknown := [stage for stage in args.stage if stage not in stages]:
        raise BadInput(f"--stage {unknown[0]}: the {base.cascade} cascade up to 16 kHz has {', '.join(stages)}")
    values = {
        "guidance": _numbers("--guidance", args.guidance, float, 0.0),
        "schedule": [name for name in args.schedule.split(",") if name],
        "steps": _numbers("--steps", args.steps, int, 1),
    }
    points = points_of(args.stage or stages, values, {s.config.stage: s.config.uses_text for s in cascade.stages})
    if len(points) < 2:
        raise BadInput("nothing to change: give --guidance, --schedule or --steps, such as --guidance 1,3,5")
    settings = [
        replace(base, sampling=cascade.sampling(point.changes)) for point in points
    ]  # a wrong value is refused now
    default = args.out == "RUN/evaluation/sweep-SET"
    out = Storage(args.run_folder / "evaluation" / f"sweep-{prompts.name}" if default else args.out)
    device, reference, names = device_of(args), open_reference(args), args.encoder or ["bundled"]
    rows: list[dict[str, Any]] = []
    measure = "frechet" if len(prompts.prompts) > encoder_card(names[0]).dimension else "kernel"
    with engine(args) as work, JobView() as view:
        judges = [
            open_judge(name, reference, cache(args), device=args.device, engine=work, watch=view.watch)
            for name in names
        ]
        if not any(judge.embed_text for judge in judges):
            raise BadInput("none of the encoders reads text; a sweep needs one that does, such as bundled")
        for number, (point, setting) in enumerate(zip(points, settings, strict=True)):
            root = Storage(f"{out.url}/points/{content_hash(setting.identity())}")
            made = generate_set(
                prompts, setting, root, device=device, engine=work, watch=view.watch,
                title=f"point {number + 1} of {len(points)}, {point.name}",
            )  # fmt: skip
            scored = score_generated(
                made.folder, [p.text for p in prompts.prompts], judges, cache(args), clip_s=setting.middle_s,
                device=args.device, engine=work, watch=view.watch,
            )  # fmt: skip
            calls = sum(stage.calls(setting.sampling[stage.config.stage]) for stage in cascade.stages)
            rows.append(_row(point, scored, made.seconds_a_clip, made.cpu_seconds_a_clip, calls, measure))
            _write_csv(out, rows)
            view.say(_line(rows[-1]))
    chosen = recommend(rows)
    heard = sound_of(reference) if reference is not None else None
    where = _write(out, args, points, rows, chosen, base.sampling, heard)
    print(f"recommended: {points[chosen.point].name}: {chosen.why}")
    print(_agreement(rows, heard))
    print(f"page: {where}; figures: {out.url}/sweep.csv")
    return 0


def _numbers(option: str, given: str, read: Callable[[str], Any], least: float) -> list[Any]:
    from pipeline.errors import BadInput

    try:
        found = [read(part) for part in given.split(",") if part]
    except ValueError:
        raise BadInput(f"{option} {given}: expected numbers parted by commas, such as 1,3,5") from None
    if any(value < least for value in found):
        raise BadInput(f"{option} {given}: expected {least:g} or more")
    return found


def _row(point: Point, scored: Scored, seconds: float, cpu_seconds: float, calls: int, measure: str) -> dict[str, Any]:
    """measure: `frechet` where there are more clips than dimensions, else `kernel`, which needs no covariance."""
    matched = scored.matched[0]
    distance = scored.distances[0] if scored.distances else None
    return {
        "point": point.name,
        "stage": point.stage,
        "setting": point.setting,
        "value": point.value,
        "similarity": matched.similarity.mean,
        "similarity_low": matched.similarity.low,
        "similarity_high": matched.similarity.high,
        "shuffled": matched.shuffled,
        "rank": matched.rank.mean,
        "frechet": None if distance is None else round(distance.frechet, 6),
        "kernel": None if distance is None or distance.kernel is None else round(distance.kernel, 6),
        "coverage": None if distance is None else distance.coverage,
        "measure": measure,
        "distance": None if distance is None else round(getattr(distance, measure) or 0.0, 6),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "calls": calls,
        **asdict(scored.sound),
        "clips": scored.clips,
        "left_out": sum(scored.left_out.values()),
    }


def _line(row: Mapping[str, Any]) -> str:
    distance = "" if row["distance"] is None else f", Fréchet {row['frechet']:.4f}, kernel {row['kernel']:.4f}"
    return (
        f"{row['point']}: similarity {row['similarity']:.3f}, rank {row['rank']:.3f}{distance}, "
        f"{row['seconds']:.2f} s a clip, {sound_words(row)}"
    )


def _write_csv(out: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    out.write_bytes("sweep.csv", text.getvalue().encode())


def _agreement(rows: Sequence[Mapping[str, Any]], heard: SoundFigures | None) -> str:
    """Whether what sounds most like the reference in plain figures is what the encoders prefer."""
    if heard is None:
        return "no reference: flatness, onsets, partials and pulse are not compared"
    names = {"flatness": "flatness_db", "onset rate": "onsets_per_s", "partials": "partials", "pulse": "pulse"}
    nearest = {
        **{said: min(rows, key=lambda row: abs(row[key] - getattr(heard, key))) for said, key in names.items()},
        "similarity": max(rows, key=lambda row: row["similarity"]),
        "distance": min(rows, key=lambda row: row["distance"] if row["distance"] is not None else 0.0),
    }
    said = "; ".join(f"{name} {row['point']}" for name, row in nearest.items())
    return f"best by each measure (reference: {sound_words(asdict(heard))}): {said}"


def _write(
    out: Any, args: argparse.Namespace, points: Sequence[Point], rows: Sequence[dict[str, Any]],
    chosen: Recommendation, sampling: Mapping[Any, Any], heard: SoundFigures | None,
) -> str:  # fmt: skip
    from labeling.evaluation.page import render

    page = render(
        "sweep.html.j2", folder=Path(__file__).parent, what="sweep", title=f"{args.run_folder.name}: how to sample",
        rows=rows, chosen=chosen, name=points[chosen.point].name, figures=_figures(rows), base=sampling,
        agreement=_agreement(rows, heard), clips=rows[0]["clips"],
    )  # fmt: skip
    result = {
        "rows": list(rows),
        "recommended": {"point": points[chosen.point].name, "why": chosen.why},
        "reference": None if heard is None else asdict(heard),
    }
    return write_page(out, page, result)


def _figures(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Figure 2: each measure over guidance and over schedule; Figure 3: over seconds, as steps are changed."""
    from labeling.evaluation.charts import Points, plot

    base = rows[0]
    stages = list(dict.fromkeys(row["stage"] for row in rows if row["stage"]))
    measures = [("similarity", "similarity", ("similarity_low", "similarity_high"))]
    if base["distance"] is not None:
        name = {"frechet": "Fréchet distance", "kernel": "kernel distance"}[base["measure"]]
        measures.append(("distance", name, ("distance", "distance")))
    figures = []
    for setting, title in (("guidance", "guidance"), ("schedule", "step schedule"), ("steps", "seconds a clip")):
        chosen = [row for row in rows if row["setting"] == setting]
        names = list(dict.fromkeys(row["value"] for row in chosen)) if setting == "schedule" else []
        for key, label, (low, high) in measures if chosen else ():
            series = []
            for stage, css in zip(stages, _CSS, strict=False):
                mine = [row for row in chosen if row["stage"] == stage]
                points = sorted((_place(row, names), row[key], row[low], row[high]) for row in mine)
                if points:
                    series.append(Points(name=stage, css=css, points=points, line=setting != "schedule"))
            figures.append(
                {
                    "title": f"{label} over {title}",
                    "series": series,
                    "plot": plot(series, names=names, log_x=setting == "steps"),
                    "x": title,
                    "y": label,
                }
            )
    return figures


def _place(row: Mapping[str, Any], names: Sequence[str]) -> float:
    """On the x axis of its figure."""
    if row["setting"] == "schedule":
        return float(names.index(row["value"]))
    return float(row["value"]) if row["setting"] == "guidance" else max(float(row["seconds"]), 1e-3)
