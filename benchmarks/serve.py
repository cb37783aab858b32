"""The command `filmgate`, whose service speaks one more dialect: constant answers."""

from pathlib import Path

from filmgate.api import dialects
from filmgate.cli import main

if __name__ == "__main__":
    dialects.__path__.append(str(Path(__file__).parent / "dialects"))
    main()
