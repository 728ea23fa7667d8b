"""Pictures from elsewhere: fetched by us, drawn anew, kept for a while, and nothing but pictures."""

import io
import uuid
from concurrent.futures import CancelledError

import pytest
from django.core.cache import cache
from PIL import Image
from pytest_django import Settings

from apps.fetching.turns import TurnPolicy, Turns
from apps.reading import remote_pictures
from apps.reading.errors import NothingToSee, NotNow
from tests.fetching.far_server import FarServer
from tests.people import House
from tests.pictures import bomb_png, photograph_held_upright, picture

A_MAIL = uuid.uuid4()
SOON = 20  # seconds: a deadline for a busy machine


def picture_at(organisation_id: uuid.UUID, url: str) -> bytes:
    return remote_pictures.picture_at(organisation_id, A_MAIL, url).result(SOON)


def code_of(house: House, url: str) -> str:
    with pytest.raises(NothingToSee) as caught:
        picture_at(house.organisation.pk, url)
    return caught.value.code


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF"])
def test_what_the_browser_gets_was_drawn_by_us(house: House, far: FarServer, kind: str) -> None:
    sent = picture(kind=kind) + b"<script>alert(1)</script>"
    got = picture_at(house.organisation.pk, far.serve("/a", sent))
    with Image.open(io.BytesIO(got)) as image:
        assert (image.format, image.size) == ("WEBP", (640, 480))
    assert b"script" not in got


def test_nothing_of_the_original_but_its_pixels_comes_along(house: House, far: FarServer) -> None:
    got = picture_at(house.organisation.pk, far.serve("/a.jpg", photograph_held_upright()))
    with Image.open(io.BytesIO(got)) as image:
        assert image.height > image.width
        assert dict(image.getexif()) == {}


def test_a_short_animation_stays_one(house: House, far: FarServer) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    written = io.BytesIO()
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:], duration=80)
    got = picture_at(house.organisation.pk, far.serve("/a.gif", written.getvalue()))
    with Image.open(io.BytesIO(got)) as image:
        assert getattr(image, "n_frames", 1) == 3


def test_it_is_fetched_once_and_each_organisation_has_its_own(
    house: House, stranger: House, far: FarServer
) -> None:
    url = far.serve("/a.png", picture())
    assert picture_at(house.organisation.pk, url) == picture_at(house.organisation.pk, url)
    assert len(far.asked) == 1
    picture_at(stranger.organisation.pk, url)
    assert len(far.asked) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<html><script>alert(1)</script></html>", "not_a_picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "not_a_picture"),
        (b"", "not_a_picture"),
        (picture()[:200], "damaged"),
        (bomb_png(), "too_many_pixels"),
    ],
)
def test_what_is_no_picture_is_never_passed_on(
    house: House, far: FarServer, content: bytes, code: str
) -> None:
    assert code_of(house, far.serve("/a.png", content)) == code


def test_a_dead_server_is_not_asked_at_each_look(house: House, far: FarServer) -> None:
    url = far.url("/nothing.png")
    assert [code_of(house, url), code_of(house, url)] == ["refused", "refused"]
    assert len(far.asked) == 1


def test_the_inside_is_not_asked(house: House, settings: Settings, far: FarServer) -> None:
    settings.FETCH_ALLOWED_NETWORKS = ()
    assert code_of(house, far.serve("/a.png", picture())) == "address_forbidden"
    assert far.asked == []


def test_a_redirect_to_the_inside_is_not_followed(house: House, far: FarServer) -> None:
    assert code_of(house, far.redirect("/a.png", "http://169.254.169.254/latest")) == "address_forbidden"


def test_a_slow_server_is_left_at_the_deadline(
    house: House, far: FarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_pictures, "DEADLINE_SECONDS", 0.5)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    assert code_of(house, far.drip("/a.png", head)) == "timed_out"


def test_who_waits_too_long_for_a_turn_comes_again(
    house: House, far: FarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    policy = TurnPolicy(at_once=1, patience_seconds=10)
    monkeypatch.setattr(remote_pictures, "_turns", Turns(policy, clock=lambda: now[0]))
    over = far.hold("/held.png", picture())
    slow = remote_pictures.picture_at(house.organisation.pk, A_MAIL, far.url("/held.png"))
    url = far.serve("/a.png", picture())
    late = remote_pictures.picture_at(house.organisation.pk, A_MAIL, url)
    now[0] = 10.1
    over.set()
    assert slow.result(SOON)
    with pytest.raises(CancelledError):
        late.result(SOON)
    assert picture_at(house.organisation.pk, url)


def test_two_who_look_at_once_fetch_it_once(house: House, far: FarServer) -> None:
    over = far.hold("/held.png", picture())
    both = [
        remote_pictures.picture_at(house.organisation.pk, A_MAIL, far.url("/held.png")) for _look in range(2)
    ]
    over.set()
    assert both[0].result(SOON) == both[1].result(SOON)
    assert len(far.asked) == 1


def test_a_mail_whose_pictures_take_for_ever_is_left_alone_for_a_while(
    house: House, far: FarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_pictures, "SECONDS_OF_A_MAIL", 0.2)
    monkeypatch.setattr(remote_pictures, "DEADLINE_SECONDS", 0.3)
    assert code_of(house, far.drip("/slow.png")) == "timed_out"
    url = far.serve("/a.png", picture())
    with pytest.raises(NotNow):
        picture_at(house.organisation.pk, url)
    assert [one.path for one in far.asked] == ["/slow.png"]
    another = remote_pictures.picture_at(house.organisation.pk, uuid.uuid4(), url)
    assert another.result(SOON)


def test_no_more_is_kept_than_there_is_room_for(
    house: House, far: FarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_pictures, "BOUND_BYTES", 1)
    url = far.serve("/a.png", picture())
    picture_at(house.organisation.pk, url)
    picture_at(house.organisation.pk, url)
    assert len(far.asked) == 2
    cache.clear()


@pytest.mark.usefixtures("far", "unreachable_cache")
def test_without_redis_pictures_are_fetched_each_time(house: House, far: FarServer) -> None:
    assert picture_at(house.organisation.pk, far.serve("/a.png", picture()))
