"""Where strangers' pictures are decoded: `python -m apps.mime.picture_worker`, run by `blobs.thumbnails`.

Pillow is imported here and in no process that has a secret.
"""

from apps.mime.pictures import NoPicture, make_thumbnail
from apps.mime.worker import main

Answer = tuple[bytes, int, int] | str


def thumbnail(data: bytes) -> Answer:
    """The picture with its width and height, or the code of why there is none."""
    try:
        return make_thumbnail(data)
    except NoPicture as refusal:
        return str(refusal)
    except MemoryError:
        return "too_many_pixels"
    except Exception:  # noqa: BLE001 - Pillow raises anything for damaged pictures: struct.error, SyntaxError, OSError
        return "damaged"


if __name__ == "__main__":
    main({"thumbnail": thumbnail})
