"""Pictures that come in: read with care, set upright, and made to fill a frame."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageCms
from PIL import Image as Pillow

from filmgate.providers.studio.order import Unusable
from filmgate.providers.studio.scene.pixels import Image, blurred, dither, resized

MARGIN: Final = 0.08  # of the frame, kept beyond each edge so that a camera can move
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO")
_MOST_PIXELS: Final = 100_000_000
_TOO_MANY: Final = f"has more than {_MOST_PIXELS // 1_000_000} million pixels"
_MOST_CROPPED: Final = 0.5  # a picture that would lose more is shown whole, on a blur of itself
_SPARE: Final = 2  # times the pixels a side that are needed: what is left for a good filter
_SOLID: Final = 250  # alpha
_LIGHT: Final = 140  # mean tone
_CUTOUT: Final = 0.02  # a picture with more clear pixels than this is shown whole, on a backdrop
_TURNS: Final = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
_SRGB: Final = ImageCms.createProfile("sRGB")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture that fills a frame: the frame lies `left` and `top` pixels inside `canvas`, opaque BGRA.

    Around it is what the frame cuts off, or its mirror image. `framed` means that the picture was put
    whole upon a background: it has no depth of its own.
    """

    canvas: Image
    left: int
    top: int
    framed: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame."""
        height, width = self.canvas.shape[:2]
        return width - 2 * self.left, height - 2 * self.top

    @property
    def frame(self) -> Image:
        """The frame itself, without what is around it."""
        width, height = self.size
        return np.ascontiguousarray(self.canvas[self.top : self.top + height, self.left : self.left + width])


def read_picture(path: Path, width: int, height: int) -> Pillow.Image:
    """Return the picture upright and in sRGB, RGB or RGBA, not much larger than a frame needs.

    Raises `Unusable` for whatever a decoder may make of a stranger's bytes.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it may be odd and still be a picture
            return _read(path, width, height)
    except Unusable:
        raise
    except Pillow.DecompressionBombError as error:
        raise Unusable(_TOO_MANY) from error
    except MemoryError as error:
        raise Unusable("is too large to be opened") from error
    except Exception as error:  # a decoder of many formats raises whatever it likes
        raise Unusable("is damaged, or no picture that the studio can read") from error


def fit(picture: Pillow.Image, width: int, height: int) -> Fitted:
    """Fill a frame with the picture: cropped about its middle, or whole where that would lose too much."""
    shown = picture.width * picture.height
    scale = max(width / picture.width, height / picture.height)
    if picture.mode == "RGBA":
        return _framed(picture, width, height)
    if 1 - width * height / (scale * scale * shown) > _MOST_CROPPED:
        return _framed(picture, width, height)
    return _cropped(picture, width, height, scale)


# --- reading ------------------------------------------------------------------------------------


def _read(path: Path, width: int, height: int) -> Pillow.Image:
    with Pillow.open(path, formats=_FORMATS) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise Unusable(_TOO_MANY)
        longest = _SPARE * max(width, height)
        image.draft(None, (longest, longest))  # a JPEG is decoded small: most of a large one is never made
        profile = image.info.get("icc_profile")
        picture = _eight_bit(image)
        spare = min(picture.width // width, picture.height // height) // _SPARE
        if spare > 1:
            picture = picture.reduce(spare)
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        if turn is not None:
            picture = picture.transpose(turn)
        return _opaque_or_not(_in_srgb(picture, profile))


def _eight_bit(image: Pillow.Image) -> Pillow.Image:
    """Return the picture in a mode of 8 bits a channel, alpha kept; a large one is not copied in vain."""
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.asarray(image)
        white = 65_535.0 if image.mode != "F" or levels.max() > 1 else 1.0
        return Pillow.fromarray(
            np.clip(levels * np.float32(255 / white) + np.float32(0.5), 0, 255).astype(np.uint8)
        )
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in {"RGB", "L", "CMYK"} else image.convert("RGB")


def _in_srgb(picture: Pillow.Image, profile: object) -> Pillow.Image:
    """Return the picture in the colours of a screen; a profile that makes no sense is passed over."""
    if isinstance(profile, bytes) and picture.mode in {"RGB", "L", "CMYK"}:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if not ImageCms.getProfileDescription(source).startswith("sRGB"):
                converted = ImageCms.profileToProfile(picture, source, _SRGB, outputMode="RGB")
                assert converted is not None
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass
    return picture if picture.mode == "RGBA" else picture.convert("RGB")


def _opaque_or_not(picture: Pillow.Image) -> Pillow.Image:
    """Return RGBA only where a good part of the picture is clear."""
    if picture.mode != "RGBA":
        return picture
    cover = np.asarray(picture.getchannel("A"))
    if float((cover < _SOLID).mean()) > _CUTOUT:
        return picture
    return picture.convert("RGB")


# --- filling a frame ----------------------------------------------------------------------------


def _margins(width: int, height: int) -> tuple[int, int]:
    return max(2, round(width * MARGIN)), max(2, round(height * MARGIN))


def _cropped(picture: Pillow.Image, width: int, height: int, scale: float) -> Fitted:
    left, top = _margins(width, height)
    whole_x, whole_y = (
        max(width, round(picture.width * scale)),
        max(height, round(picture.height * scale)),
    )
    cut_x, cut_y = (whole_x - width) // 2, (whole_y - height) // 2
    x0, x1 = max(0, cut_x - left), min(whole_x, cut_x + width + left)
    y0, y1 = max(0, cut_y - top), min(whole_y, cut_y + height + top)
    across, down = picture.width / whole_x, picture.height / whole_y
    part = picture.resize(
        (x1 - x0, y1 - y0),
        Pillow.Resampling.LANCZOS,
        box=(x0 * across, y0 * down, x1 * across, y1 * down),
        reducing_gap=3.0,
    )
    missing_left, missing_top = left - (cut_x - x0), top - (cut_y - y0)
    canvas = cv2.copyMakeBorder(
        _bgra(part),
        missing_top,
        height + 2 * top - (y1 - y0) - missing_top,
        missing_left,
        width + 2 * left - (x1 - x0) - missing_left,
        cv2.BORDER_REFLECT_101,
    )
    return Fitted(np.asarray(canvas, np.uint8), left, top)


def _framed(picture: Pillow.Image, width: int, height: int) -> Fitted:
    left, top = _margins(width, height)
    scale = min(width / picture.width, height / picture.height)
    if picture.mode == "RGBA":
        scale *= 0.86  # a cut-out wants air around it
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    card = picture.resize(size, Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    pixels = _bgra(card.convert("RGB"))
    extent = (width + 2 * left, height + 2 * top)
    cover: NDArray[np.float32] = np.ones(pixels.shape[:2], np.float32)
    if card.mode == "RGBA":
        cover = (np.asarray(card.getchannel("A")) / 255).astype(np.float32)
        canvas = _backdrop(pixels, cover, *extent)
    else:
        canvas = blurred_fill(pixels, *extent)
    x, y = (extent[0] - size[0]) // 2, (extent[1] - size[1]) // 2
    outline = np.zeros((extent[1], extent[0]), np.float32)
    outline[y : y + size[1], x : x + size[0]] = cover
    shade = 1 - 0.45 * blurred(outline, max(2.0, min(width, height) / 45))
    ground = canvas[..., :3] * shade[..., None]
    ground[y : y + size[1], x : x + size[0]] += (
        pixels[..., :3] - ground[y : y + size[1], x : x + size[0]]
    ) * cover[..., None]
    canvas[..., :3] = np.clip(ground + 0.5, 0, 255)
    return Fitted(canvas, left, top, framed=True)


def blurred_fill(picture: Image, width: int, height: int) -> Image:
    """Return a dim blur of the picture that fills a frame: a bed for the picture itself."""
    rows, columns = picture.shape[:2]
    share = min(columns / width, rows / height)
    across, down = max(1, round(width * share)), max(1, round(height * share))
    left, top = (columns - across) // 2, (rows - down) // 2
    middle = picture[top : top + down, left : left + across]
    small = resized(middle, max(2, width // 24), max(2, height // 24), cv2.INTER_AREA)
    soft = resized(blurred(small, 2.0), width, height, cv2.INTER_CUBIC)
    fill = np.asarray(cv2.convertScaleAbs(soft, alpha=0.62), np.uint8)
    fill[..., 3] = 255
    return fill


def _backdrop(pixels: Image, cover: NDArray[np.float32], width: int, height: int) -> Image:
    """Return a plain ground that a cut-out stands out from: light for a dark one, dark for a light one."""
    weight = cover.sum() + 1e-6
    mean = (pixels[..., :3] * cover[..., None]).sum(axis=(0, 1)) / weight
    dark_subject = float(mean.mean()) < _LIGHT
    towards = np.float32(238 if dark_subject else 26)
    share = np.linspace(0.10, 0.30, height, dtype=np.float32)[:, None]
    column = towards + (mean.astype(np.float32) - towards) * share
    plane = np.repeat(column[:, None], width, axis=1) + dither(height, width)[..., None]
    ground = np.empty((height, width, 4), np.uint8)
    ground[..., :3] = np.clip(plane + 0.5, 0, 255)
    ground[..., 3] = 255
    return ground


def _bgra(picture: Pillow.Image) -> Image:
    return np.asarray(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGRA), np.uint8)
