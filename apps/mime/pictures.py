"""Make a small picture of a picture. Only ever called in a process that can be killed (`picture_worker`).

The few formats that mail really has are opened and no others: each decoder is C code that strangers feed. How large a
picture is, is read from its header before a pixel is decoded, and what is too large is refused; a JPEG is decoded at a
fraction of its size. The answer is WebP, turned as the camera was held, with nothing of the original in it but its
pixels: no place, no name, no profile.

Limits: the first picture of an animation. Colours are taken for sRGB.
"""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "AVIF")
BOX = (480, 360)
MAX_PIXELS = 64_000_000
# Phones take 200 million pixels; `draft` decodes an eighth in each direction.
MAX_JPEG_PIXELS = 256_000_000
QUALITY = 78

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
