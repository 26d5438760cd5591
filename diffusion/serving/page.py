"""The page, with Gradio: a form, a queue that says where one is, four players, and every stage to hear."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError

from diffusion.model.config import SolverName
from diffusion.process.solvers import SOLVERS
from diffusion.serving.studio import Request, Studio, Ticket
from pipeline.errors import CratedigError

__all__ = ["add_page"]

_CLIPS = 4
_LOOK_S = 0.2


def add_page(app: FastAPI, studio: Studio) -> FastAPI:
    """The page at `/` of an app that has the API already."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(studio.folder / "page")  # goes with what was made
    import gradio as gr

    names = list(studio.cascades)
    stages = {name: [stage.config.stage for stage in studio.cascades[name].stages] for name in names}

    async def make(
        prompt: str, negative: str, seconds: float, seed: float | None, clips: float, cascade: Any, steps: float | None,
        guidance: float | None, solver: SolverName | None,
    ) -> AsyncIterator[list[Any]]:  # fmt: skip
        try:
            request = Request(
                prompt=prompt or "", negative=negative or "", seconds=seconds, seed=int(seed or 0), clips=int(clips),
                cascade=cascade, steps=int(steps or 0) or None, guidance=guidance or None, solver=solver or None,
            )  # fmt: skip
            ticket = await asyncio.to_thread(studio.submit, request)
        except ValidationError as error:
            first = error.errors()[0]
            said = f"{first['loc'][0]} {first['input']!r:.50}: {first['msg']}"
            raise gr.Error(said, print_exception=False) from error
        except CratedigError as error:
            raise gr.Error(str(error), print_exception=False) from error
        try:
            while not ticket.ended:
                yield [_status(studio, ticket), None, gr.skip(), *[gr.skip()] * (2 * _CLIPS)]
                await asyncio.sleep(_LOOK_S)
        finally:  # Cancel, or the page was left
            studio.cancel(ticket)
        if ticket.state == "failed":
            raise gr.Error(ticket.error, print_exception=False)
        last = stages[ticket.request.cascade][-1]
        hear = gr.Radio(choices=list(stages[ticket.request.cascade]), value=last, visible=True)
        yield [_status(studio, ticket), ticket.id, hear, *shown(ticket, last)]

    def shown(ticket: Ticket | None, stage: str) -> list[Any]:
        """Players and pictures of one stage; without a result, none."""
        clips = ticket.clips if ticket is not None else []
        out: list[Any] = []
        for i in range(_CLIPS):
            wav: Any = clips[i].wav.get(stage) if i < len(clips) else None  # type: ignore[call-overload]
            png: Any = clips[i].png.get(stage) if i < len(clips) else None  # type: ignore[call-overload]
            label = f"clip {i + 1}, seed {clips[i].seed}" if i < len(clips) else f"clip {i + 1}"
            out.append(gr.Audio(value=wav and str(wav), label=label, visible=i < max(1, len(clips))))
            out.append(gr.Image(value=png and str(png), visible=png is not None))
        return out

    def hear(key: str | None, stage: str) -> list[Any]:
        return shown(studio.ticket(key) if key else None, stage)

    with gr.Blocks(title="cratedig", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        gr.Markdown("# cratedig\nText to music, by the cascade that was trained here.")
        with gr.Row():
            with gr.Column(scale=2):
                prompt = gr.Textbox(label="Prompt", lines=2, placeholder="slow solo piano", elem_id="prompt")
                negative = gr.Textbox(label="Negative prompt", placeholder="drums", elem_id="negative")
                with gr.Row():
                    seconds = gr.Number(min(10.0, studio.max_seconds), label=f"Seconds (up to {studio.max_seconds:g})",
                                        elem_id="seconds")  # fmt: skip
                    seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
                    clips = gr.Slider(1, _CLIPS, _CLIPS, step=1, label="Clips", elem_id="clips")
                cascade = gr.Radio(names, value=names[0], label="Cascade", elem_id="cascade")
                with gr.Row():
                    steps = gr.Number(0, label="Steps a stage (0: as trained)", precision=0, elem_id="steps")
                    guidance = gr.Number(0, label="Guidance (0: as trained)", elem_id="guidance")
                    solver = gr.Dropdown(
                        [("as trained", ""), *((name, name) for name in SOLVERS)], value="", label="Solver",
                        elem_id="solver",
                    )  # fmt: skip
                with gr.Row():
                    start = gr.Button("Generate", variant="primary", elem_id="generate")
                    stop = gr.Button("Cancel", elem_id="cancel")
            with gr.Column(scale=3):
                status = gr.HTML("", elem_id="status")
                stage = gr.Radio([], label="Stage to hear", visible=False, elem_id="stage")
                players: list[Any] = []
                for i in range(_CLIPS):
                    players.append(
                        gr.Audio(
                            type="filepath",
                            interactive=False,
                            label=f"clip {i + 1}",
                            visible=i == 0,
                            buttons=["download"],
                            elem_id=f"clip-{i}",
                        )
                    )
                    players.append(
                        gr.Image(
                            interactive=False,
                            show_label=False,
                            visible=False,
                            buttons=["download"],
                            elem_id=f"picture-{i}",
                        )
                    )
        held = gr.State(None)
        wanted = [prompt, negative, seconds, seed, clips, cascade, steps, guidance, solver]
        event = gr.on(
            [start.click, prompt.submit], make, wanted, [status, held, stage, *players], concurrency_limit=None,
            api_name="generate", show_progress="hidden", trigger_mode="once",
        )  # fmt: skip
        stop.click(lambda: "cancelled", None, status, cancels=[event], queue=False, api_visibility="private")
        stage.input(hear, [held, stage], players, api_visibility="private", concurrency_limit=None)

    return gr.mount_gradio_app(
        app, blocks, path="/", allowed_paths=[str(studio.folder)], footer_links=["api"], ssr_mode=False, pwa=False,
        mcp_server=False, enable_monitoring=False,
    )  # fmt: skip


def _status(studio: Studio, ticket: Ticket) -> str:
    if ticket.state == "waiting":
        before = studio.place(ticket)
        return f"waiting, {before} before this" if before else "waiting, next"
    if ticket.state == "running":
        return f'{ticket.stage} <progress value="{ticket.done}" max="{ticket.total}" style="width:100%"></progress>'
    return ticket.state
