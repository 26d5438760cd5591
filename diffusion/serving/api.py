"""The API: JSON over HTTP. Errors are {"error": one line}.

GET    /api                                  what is served, and its limits
POST   /api/requests                         a Request; answers its ticket, 202
GET    /api/requests/ID                      state, place, progress, clips
DELETE /api/requests/ID                      cancel
GET    /api/requests/ID/clips/N/STAGE.wav    sound of a stage; STAGE.png its spectrogram
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse

from diffusion.serving.studio import Full, Request, Studio, Ticket
from pipeline.errors import CratedigError

__all__ = ["make_api"]


def make_api(studio: Studio) -> FastAPI:
    app = FastAPI(title="cratedig serve", docs_url=None, redoc_url=None)

    @app.exception_handler(CratedigError)
    async def _refused(_: Any, error: CratedigError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 503 if isinstance(error, Full) else 400)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Any, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        given = f" {first['input']!r}"[:60] if where and first["type"] != "missing" else ""
        return JSONResponse({"error": f"{where or 'body'}{given}: {first['msg']}"}, 400)

    @app.exception_handler(HTTPException)
    async def _missing(_: Any, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.get("/api")
    def about() -> dict[str, Any]:
        stages = {name: [stage.config.stage for stage in cascade.stages] for name, cascade in studio.cascades.items()}
        return {"cascades": stages, "max_seconds": studio.max_seconds, "max_waiting": studio.max_waiting}

    @app.post("/api/requests", status_code=202)
    def submit(request: Request) -> dict[str, Any]:
        return _told(studio, studio.submit(request))

    @app.get("/api/requests/{key}")
    def look(key: str) -> dict[str, Any]:
        return _told(studio, _found(studio, key))

    @app.delete("/api/requests/{key}")
    def cancel(key: str) -> dict[str, Any]:
        ticket = _found(studio, key)
        studio.cancel(ticket)
        return _told(studio, ticket)

    @app.get("/api/requests/{key}/clips/{number}/{stage}.{kind}")
    def file(key: str, number: int, stage: str, kind: Literal["wav", "png"]) -> FileResponse:
        ticket = _found(studio, key)
        files = getattr(ticket.clips[number], kind) if 0 <= number < len(ticket.clips) else {}
        if stage not in files:
            raise HTTPException(404, f"request {key} has no {kind} of clip {number}, {stage}; it is {ticket.state}")
        return FileResponse(files[stage], filename=files[stage].name)

    return app


def _found(studio: Studio, key: str) -> Ticket:
    ticket = studio.ticket(key)
    if ticket is None:
        raise HTTPException(404, f"no request {key}; only the latest are kept")
    return ticket


def _told(studio: Studio, ticket: Ticket) -> dict[str, Any]:
    root = f"/api/requests/{ticket.id}/clips"
    clips = [
        {"seed": clip.seed, "stages": {s: {k: f"{root}/{i}/{s}.{k}" for k in ("wav", "png")} for s in clip.wav}}
        for i, clip in enumerate(ticket.clips)
    ]
    return {
        "id": ticket.id,
        "state": ticket.state,
        "before": studio.place(ticket),
        "stage": ticket.stage,
        "progress": round(ticket.done / ticket.total, 4),
        "error": ticket.error,
        "request": ticket.request.model_dump(),
        "clips": clips if ticket.state == "done" else [],
    }
