"""Packs the studio's drawings and words from two npm packages into one data file.

Run it from the repository root when the cast changes: `python tools/vendor_studio_data.py`.
It needs `npm`; the packages go to a temporary directory and nothing but the data file is kept.
"""

import json
import lzma
import re
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

_DATA: Final = Path(__file__).parent.parent / "src/filmgate/providers/studio/data"
_DRAWINGS: Final = "@iconify-json/noto@1.2.9"
_WORDS: Final = "emojibase-data@17.0.0"
_SOURCES: Final = (
    {
        "package": _DRAWINGS,
        "what": "Noto Emoji vector drawings",
        "author": "Google Inc.",
        "licence": "Apache-2.0",
    },
    {
        "package": _WORDS,
        "what": "emoji names by language, from Unicode CLDR",
        "author": "Miles Johnson",
        "licence": "MIT",
    },
)
_LANGUAGES: Final = tuple("da de en es fi fr hi hu it ja ko nb nl pl pt ru sv th uk vi zh zh-hant".split())
_KINDS: Final = tuple("boat fly space swim walk person building plant vehicle furniture object".split())


def main() -> None:
    """Fetch both packages, keep what the cast needs, write the data file."""
    cast = tomllib.loads((_DATA / "cast.toml").read_text(encoding="utf-8"))
    figures = {name for table in cast["figures"].values() for name in table}
    names = sorted(name for kind in _KINDS for name in cast[kind])
    labelled = {name: name for name in names} | {emoji: name for name, emoji in cast["named"].items()}
    with tempfile.TemporaryDirectory() as scratch:
        drawings_root = _fetch(_DRAWINGS, Path(scratch) / "drawings")
        words_root = _fetch(_WORDS, Path(scratch) / "words")
        packed = {
            "sources": _SOURCES,
            "drawings": _drawings(drawings_root, [name for name in names if name not in figures]),
            "words": _words(words_root, _codes(drawings_root, labelled)),
        }
    text = json.dumps(packed, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    (_DATA / "studio.json.xz").write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def _fetch(package: str, where: Path) -> Path:
    where.mkdir()
    subprocess.run(["npm", "pack", "--silent", package], cwd=where, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(where.glob("*.tgz"))) as archive:
        archive.extractall(where, filter="data")
    return where / "package"


def _read(path: Path) -> Any:  # noqa: ANN401  (JSON of another project)
    return json.loads(path.read_text(encoding="utf-8"))


def _drawings(root: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Keep the drawings of the cast, but where we drew our own: each its size and its SVG body."""
    icons = _read(root / "icons.json")
    width, height = icons.get("width", 128), icons.get("height", 128)
    return {
        name: {
            "width": icons["icons"][name].get("width", width),
            "height": icons["icons"][name].get("height", height),
            "body": icons["icons"][name]["body"],
        }
        for name in names
        if name in icons["icons"] and not (_DATA / "drawings" / f"{name}.svg").exists()
    }


def _codes(root: Path, labelled: dict[str, str]) -> dict[str, str]:
    """Tell the subject of each code point, as emojibase writes it."""
    return {
        _plain(code): labelled[name] for code, name in _read(root / "chars.json").items() if name in labelled
    }


def _plain(code: str) -> str:
    return code.lower().replace("-fe0f", "")


def _words(root: Path, codes: dict[str, str]) -> dict[str, dict[str, str]]:
    """Per language, the drawing each word or phrase names: labels only, tags are too loose."""
    return {
        language: {
            _cleaned(entry["label"]): codes[_plain(entry["hexcode"])]
            for entry in _read(root / language / "compact.json")
            if _plain(entry["hexcode"]) in codes
        }
        for language in _LANGUAGES
    }


def _cleaned(label: str) -> str:
    return re.sub(r"\s+", " ", label.lower()).strip()


if __name__ == "__main__":
    main()
