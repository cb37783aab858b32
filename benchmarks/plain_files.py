"""Starlette's FileResponse of one file, on the uvicorn, event loop and parser that Filmgate uses."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route


def main() -> None:
    """Serve the file that the command line names, at the port that it names."""
    film, port = sys.argv[1:]

    async def answer(_: Request) -> FileResponse:
        return FileResponse(film, media_type="video/mp4")

    app = Starlette(routes=[Route("/film.mp4", answer)])
    uvicorn.run(app, port=int(port), http="httptools", loop="uvloop", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
