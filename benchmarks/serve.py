"""The command `filmgate`, with one more dialect, of constant answers, and one more provider, an upstream."""

from pathlib import Path

from filmgate import providers
from filmgate.api import dialects
from filmgate.cli import main

if __name__ == "__main__":
    dialects.__path__.append(str(Path(__file__).parent / "dialects"))
    providers.__path__.append(str(Path(__file__).parent / "providers"))
    main()
