"""Make a small picture of a picture. Only ever called in a process that can be killed (`picture_worker`).

The few formats that mail really has are opened and no others: each decoder is C code that strangers feed. How large a
picture is, is read from its header before a pixel is decoded, and what is too large is refused; a JPEG is decoded at a
fraction of its size. The answer is WebP, turned as the camera was held, with nothing of the original in it but its
pixels: no place, no name, no profile.

`redraw` makes a whole picture anew in the same way, for pictures from elsewhere: what a browser gets was drawn by us.

Limits: the first picture of an animation in small; of a long one also in large. Colours are taken for sRGB.
"""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "AVIF")
BOX = (480, 360)
MAX_PIXELS = 64_000_000
# Phones take 200 million pixels; `draft` decodes an eighth in each direction.
MAX_JPEG_PIXELS = 256_000_000
QUALITY = 78
# As large as a reading column is wide, on a screen with three dots to the point.
LARGE_BOX = (2400, 2400)
MAX_FRAMES = 150
MAX_FRAME_PIXELS = 24_000_000
FEW_PIXELS = 200_000

# Pillow's own guard would warn at half of its bound only; ours stands before it.
Image.MAX_IMAGE_PIXELS = None


class NoPicture(Exception):
    """There is no thumbnail of this; the text is a code."""


def make_thumbnail(data: bytes) -> tuple[bytes, int, int]:
    """A WebP picture that fits into `BOX`, its width and its height. Raises NoPicture, and whatever Pillow raises."""
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise NoPicture("not_a_picture") from error
    with opened as picture:
        pixels = picture.width * picture.height
        if pixels > (MAX_JPEG_PIXELS if picture.format == "JPEG" else MAX_PIXELS):
            raise NoPicture("too_many_pixels")
        # Twice the box: `thumbnail` makes better pictures out of more pixels.
        picture.draft("RGB", (BOX[0] * 2, BOX[1] * 2))
        turned = picture.getexif().get(0x0112, 1) in range(5, 9)
        picture.thumbnail(BOX[::-1] if turned else BOX, Image.Resampling.BILINEAR)
        small = ImageOps.exif_transpose(picture)
        has_alpha = small.has_transparency_data
        plain = small.convert("RGBA" if has_alpha else "RGB")
        # A fresh one: `info` would be written along.
        clean = Image.new(plain.mode, plain.size)
        clean.paste(plain)
        written = io.BytesIO()
        clean.save(written, "WEBP", quality=QUALITY, method=4)
        return written.getvalue(), clean.width, clean.height


def redraw(data: bytes, box: tuple[int, int] = LARGE_BOX) -> tuple[bytes, int, int]:
    """A picture made anew as WebP, with its width and height; short animations stay so. Raises as `make_thumbnail`."""
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise NoPicture("not_a_picture") from error
    with opened as picture:
        pixels = picture.width * picture.height
        if pixels > MAX_PIXELS:
            raise NoPicture("too_many_pixels")
        count = getattr(picture, "n_frames", 1)
        if not 1 < count <= MAX_FRAMES or pixels * count > MAX_FRAME_PIXELS:
            count = 1
        frames, durations = [], []
        for n in range(count):
            picture.seek(n)
            durations.append(min(max(int(picture.info.get("duration", 100)), 20), 60_000))
            frames.append(_clean(picture, box))
        written = io.BytesIO()
        first, *rest = frames
        few = first.width * first.height <= FEW_PIXELS and picture.format in {"PNG", "GIF"}
        animated = {"save_all": True, "append_images": rest, "duration": durations, "loop": 0} if rest else {}
        first.save(written, "WEBP", quality=82, method=2, lossless=few and not rest, **animated)
        return written.getvalue(), first.width, first.height


def _clean(picture: Image.Image, box: tuple[int, int]) -> Image.Image:
    """The pixels of what is in sight now, turned as it was held, and nothing else."""
    turned = ImageOps.exif_transpose(picture)
    plain = turned.convert("RGBA" if turned.has_transparency_data else "RGB")
    plain.thumbnail(box, Image.Resampling.BILINEAR)
    clean = Image.new(plain.mode, plain.size)
    clean.paste(plain)
    return clean
