"""`cratedig evaluate labels`: are the captions of a crate true of their clips."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cratedig.evaluating.shared import add_out_options, cache, write_page
from cratedig.options import add_command, add_engine_options, engine

if TYPE_CHECKING:
    from labeling.evaluation.known import Known
    from labeling.evaluation.label_sample import LabelSample
    from labeling.evaluation.labels import EmbedderJudge, LabelEvaluation, SlotEvaluation
    from pipeline.crate.crate import Crate

__all__ = ["add_parser"]

_EXAMPLE = """\
  cratedig evaluate labels demo/crate --facts examples/demo_music/facts.json
  cratedig evaluate labels crates/mine --judge models/larger_clap_music --tagger musicnn.csv

a tagger's table has the columns clip_id (or path), tag, score; musicnn's is made by
  python -m benchmarks.tag_crate crates/mine --musicnn musicnn-0.1.0-py3-none-any.whl -o musicnn.csv"""
_CSS = ("a", "b", "c", "d")


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "labels",
        help="are the captions of a crate true",
        about="Judges what was drawn, slot by slot: similarity against the same captions on other tracks' clips, by "
        "the model that chose them and by others; agreement with facts that are known and with an independent tagger, "
        "as the mean rank of a caption's own clip with an interval by track; whether a higher score is more often "
        "right; how much of the vocabulary is used, and how evenly.",
        example=_EXAMPLE,
        run=_run,
    )
    parser.add_argument("crate", metavar="CRATE", help="folder or URL of a labelled crate")
    parser.add_argument("--labels", default="", metavar="RUN", help="label run (default: the newest finished one)")
    parser.add_argument(
        "--judge", action="append", default=[], metavar="EMBEDDER",
        help="a second joint model: a ClapModel folder, muq:FOLDER, msclap:FILE, bundled; again for more",
    )  # fmt: skip
    parser.add_argument(
        "--facts", action="append", default=[], metavar="FILE",
        help="what is true: the demo's facts.json, or a table with clip_id, track_id or path, and facts or tags",
    )  # fmt: skip
    parser.add_argument(
        "--tagger", action="append", default=[], metavar="FILE", help="a table of clip_id (or path), tag, score"
    )
    parser.add_argument("--clips", type=int, default=2_000, metavar="N", help="clips to judge, about (default: 2000)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    add_out_options(parser, "CRATE/evaluation/labels-RUN")
    add_engine_options(parser)


def _run(args: argparse.Namespace) -> int:
    from labeling.evaluation.known import known_by_tags, read_facts, read_tagger
    from labeling.evaluation.label_sample import read_labels, sampled_share
    from labeling.evaluation.labels import evaluate_labels
    from labeling.evaluation.page import render
    from labeling.report.runs import choose_run
    from pipeline.crate.crate import Crate
    from pipeline.errors import BadInput
    from pipeline.storage import Storage

    if args.clips < 2:
        raise BadInput(f"--clips {args.clips}: expected 2 or more")
    crate = Crate.open(args.crate)
    crate.require_clips()
    run = choose_run(crate, args.labels)
    if run is None:
        raise BadInput(f"{crate.storage.url} has no labels; make some: cratedig label {crate.storage.url}")
    share = sampled_share(crate, args.clips)
    sample = read_labels(crate, run, share)
    if len(sample.clips) < 2:
        raise BadInput(
            f"{crate.storage.url} has {sample.total} clips, {len(sample.clips)} of them chosen; judging by rank needs "
            "at least 2, and dozens to mean much: raise --clips"
        )
    known: list[Known] = [read_facts(path, sample.clips) for path in args.facts]
    known += [read_tagger(path, sample.clips) for path in args.tagger]
    if own := known_by_tags(sample.clips):
        known.append(own)
    judges = _judges(args, crate, sample, share)
    found = evaluate_labels(crate.storage.url, run, sample, judges, known)
    default = args.out == "CRATE/evaluation/labels-RUN"
    out = Storage(f"{crate.storage.url}/evaluation/labels-{run.name}" if default else args.out)
    title = crate.storage.url.rstrip("/").rpartition("/")[2]
    page = render("labels.html.j2", what="labels", title=title, e=found, slots=[_context(s) for s in found.slots])
    where = write_page(out, page, found.as_dict())
    _say(found)
    print(f"page: {where}")
    return 0


def _judges(args: argparse.Namespace, crate: Crate, sample: LabelSample, share: float) -> list[EmbedderJudge]:
    """The crate's own embedder by its stored embeddings, and each --judge by the audio."""
    from beam_jobs.encode import encode_set
    from cratedig.view import JobView
    from labeling.embedders.by_name import embedder_card, load_embedder
    from labeling.evaluation.clip_sets import open_set
    from labeling.evaluation.encoded import vectors_of
    from labeling.evaluation.labels import EmbedderJudge
    from pipeline.errors import IndexMismatch

    judges = []
    if embedder_card(crate.embedder_source).weights_hash != crate.embedder.weights_hash:
        raise IndexMismatch(
            f"{crate.storage.url} was embedded by {crate.embedder.name} ({crate.embedder.weights_hash[:12]}), and "
            f"{crate.embedder_source} is another model now; put that one back to judge by it"
        )
    own = load_embedder(crate.embedder_source, device=args.device)
    judges.append(
        EmbedderJudge(name=own.card.name, clips_BD=sample.embedding_BD, embed_text=own.embed_text, labelled=True)
    )
    clips = open_set(crate.storage.url, share=share)
    with engine(args) as work, JobView() as view:
        for name in args.judge:
            card = embedder_card(name)
            if card.weights_hash == crate.embedder.weights_hash:
                continue
            encoded = encode_set(clips, cache(args), encoder=name, device=args.device, engine=work, watch=view.watch)
            vectors = vectors_of(encoded, [clip["clip_id"] for clip in sample.clips])
            judge = load_embedder(name, device=args.device)
            judges.append(EmbedderJudge(name=card.name, clips_BD=vectors, embed_text=judge.embed_text, labelled=False))
    return judges


def _context(slot: SlotEvaluation) -> dict[str, Any]:
    from labeling.evaluation.charts import Points, plot
    from labeling.report.charts import histogram_chart

    series = [
        Points(
            name=c.judge,
            css=_CSS[i % len(_CSS)],
            points=[(score, rank.mean, rank.low, rank.high) for score, rank, _ in c.bins],
        )
        for i, c in enumerate(slot.calibrations)
    ]
    label = "; ".join(f"{c.judge} {', '.join(f'{rank.mean:.2f}' for _, rank, _ in c.bins)}" for c in slot.calibrations)
    histograms = [
        {"judge": h.judge, "drawn_mean": h.drawn_mean, "shuffled_mean": h.shuffled_mean, "chart": histogram_chart(h)}
        for h in slot.histograms
    ]
    return {
        "figures": slot,
        "histograms": histograms,
        "calibration": plot(series, chance=0.5) if series else None,
        "calibration_series": series,
        "calibration_label": label,
    }


def _say(found: LabelEvaluation) -> None:
    from cratedig.evaluating.shared import figure

    print(f"labels {found.run}: {found.sampled:,} of {found.clips:,} clips judged, of {found.tracks:,} tracks")
    for slot in found.slots:
        print(
            f"{slot.name}: {slot.drawn:,} captions, {slot.balance.distinct:,} different in the crate; entropy "
            f"{slot.balance.entropy_share:.1%} of the possible"
        )
        for v in slot.verdicts:
            cosine = ""
            if v.similarity is not None:
                numbers = [figure(x, 3) for x in (v.similarity, v.similarity_shuffled, v.wins)]
                cosine = "; cosine {}, shuffled {}, wins {}".format(*numbers)
            true = f"; facts true {figure(v.true.mean, 3)}, shuffled {figure(v.true_shuffled, 3)}" if v.true else ""
            print(
                f"  {v.judge}: rank {figure(v.rank.mean, 3)} ({figure(v.rank.low, 3)} to {figure(v.rank.high, 3)}), "
                f"shuffled {figure(v.shuffled, 3)}{cosine}{true}"
            )
        for c in slot.calibrations:
            print(f"  score and {c.judge}'s rank: Spearman {figure(c.correlation, 2)}")
    for note in found.notes:
        print(f"note: {note}")
