"""Small pictures: made once, in a process that can be killed, with nothing of the original but its pixels."""

import io
import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone
from PIL import Image

from apps.blobs import thumbnails
from apps.blobs.models import Blob, OutOfTime, Thumbnail
from apps.blobs.selectors import read
from apps.blobs.services import put, stage
from apps.blobs.thumbnails import AGAIN_AFTER, NotYet, thumbnail_of
from apps.mime.pictures import BOX
from tests.people import House
from tests.pictures import bomb_png, photograph_held_upright, picture, windows_program


def kept(house: House, content: bytes) -> Blob:
    return put(house.organisation.pk, stage(content))


def opened(row: Thumbnail) -> Image.Image:
    assert row.image is not None, row.refused_because
    return Image.open(io.BytesIO(read(row.image)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF"])
def test_a_picture_becomes_a_small_one(house: House, kind: str) -> None:
    small = thumbnail_of(kept(house, picture(size=(1600, 1200), kind=kind)))
    with opened(small) as image:
        assert image.format == "WEBP"
        assert image.size == BOX == (small.width, small.height)


def test_a_small_picture_stays_as_it_is(house: House) -> None:
    with opened(thumbnail_of(kept(house, picture(size=(20, 10))))) as image:
        assert image.size == (20, 10)


def test_a_transparent_picture_stays_transparent(house: House) -> None:
    with opened(thumbnail_of(kept(house, picture(mode="RGBA", colour="#ff000000")))) as image:
        assert image.convert("RGBA").getpixel((5, 5)) in {(255, 0, 0, 0), (0, 0, 0, 0)}


def test_it_stands_as_the_camera_was_held_and_tells_nothing_else(house: House) -> None:
    small = thumbnail_of(kept(house, photograph_held_upright()))
    with opened(small) as image:
        assert image.height > image.width
        assert image.height <= BOX[1]
        assert dict(image.getexif()) == {}
    assert small.image is not None
    assert b"kitchen" not in read(small.image)


def test_it_is_made_once_for_each_content(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = kept(house, picture())
    first = thumbnail_of(blob)
    monkeypatch.setattr(thumbnails, "_make", lambda _content: pytest.fail("made again"))
    assert thumbnail_of(blob) == first


HOSTILE = {
    "a bomb": (bomb_png(), "too_many_pixels"),
    "pixels that are not there": (bomb_png(4000, 4000), "damaged"),
    "cut": (picture(size=(800, 600), mode="RGB", kind="JPEG")[:400], "damaged"),
    "a program": (windows_program(), "not_a_picture"),
    "a drawing": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_a_picture"),
    "a kind that is not opened": (picture(kind="TIFF"), "not_a_picture"),
    "nothing but a head": (b"\x89PNG\r\n\x1a\n", "not_a_picture"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_shown_is_refused_for_a_reason_and_once(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, because = HOSTILE[name]
    blob = kept(house, content)
    refused = thumbnail_of(blob)
    assert (refused.image, refused.refused_because) == (None, because)
    monkeypatch.setattr(thumbnails, "_make", lambda _content: pytest.fail("tried again"))
    assert thumbnail_of(blob) == refused


def test_a_picture_that_takes_too_long_is_given_up_and_the_next_is_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "DECODING_SECONDS", 0.0)
    assert thumbnail_of(kept(house, picture(size=(4000, 4000)))).refused_because == "took_too_long"
    monkeypatch.undo()
    assert thumbnail_of(kept(house, picture())).image is not None


def refused_so_far(blob: Blob) -> Thumbnail:
    """Looked at again after so long a time that it may be tried again."""
    Thumbnail.objects.filter(source=blob).update(made_at=timezone.now() - AGAIN_AFTER)
    return thumbnail_of(blob)


def test_a_picture_for_which_there_was_no_time_is_tried_again_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = kept(house, picture(size=(4000, 4000)))
    monkeypatch.setattr(thumbnails, "DECODING_SECONDS", 0.0)
    first = thumbnail_of(blob)
    monkeypatch.undo()
    assert not first.is_refused_for_good
    assert thumbnail_of(blob) == first, "not at once: who scrolls up and down would ask each time"
    assert refused_so_far(blob).image is not None
    assert Thumbnail.objects.get().refused_because == ""


def test_a_picture_is_tried_three_times_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = kept(house, picture(size=(4000, 4000)))
    monkeypatch.setattr(thumbnails, "DECODING_SECONDS", 0.0)
    told = [thumbnail_of(blob), refused_so_far(blob), refused_so_far(blob)]
    assert [one.refused_because for one in told] == list(OutOfTime)
    assert [one.is_refused_for_good for one in told] == [False, False, True]
    monkeypatch.setattr(thumbnails, "_make", lambda _content: pytest.fail("a fourth time"))
    assert refused_so_far(blob).refused_because == OutOfTime.THRICE


@pytest.fixture
def every_turn_taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(thumbnails, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(thumbnails, "_TURNS", threading.BoundedSemaphore(1))
    with thumbnails._TURNS:
        yield


def test_who_would_wait_behind_others_is_told_to_come_again(house: House, every_turn_taken: None) -> None:
    blob = kept(house, picture())
    with pytest.raises(NotYet):
        thumbnail_of(blob)
    assert not Thumbnail.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_who_look_at_the_same_time_see_the_same(house: House) -> None:
    blob = kept(house, picture())
    seen: list[Thumbnail] = []

    def look() -> None:
        seen.append(thumbnail_of(blob))
        connection.close()

    threads = [threading.Thread(target=look) for _n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(seen) == 4
    assert len({one.pk for one in seen}) == 1
