"""Where PostgreSQL goes when root starts it from a home that nobody else can enter."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplatform.embedded import place
from mailplatform.embedded.log import Log

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs everything in place")


@pytest.fixture
def shared_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mailplatform-"))
    folder.chmod(0o755)
    monkeypatch.setattr(place, "SHARED_ROOT", folder / "shared")
    yield folder / "shared"
    shutil.rmtree(folder)


def test_data_that_nobody_could_reach_are_placed_elsewhere_and_found_again(
    tmp_path: Path, shared_root: Path
) -> None:
    log = Log(tmp_path / "logs", screen=False)
    first = place.place_postgres(tmp_path, log)
    assert first.data_dir.parent == shared_root
    assert first.data_dir.owner() == "nobody"
    assert stat.S_IMODE(first.data_dir.stat().st_mode) == 0o700
    assert (tmp_path / "postgres").resolve() == first.data_dir == place.find_data(tmp_path)
    assert place.place_postgres(tmp_path, log).data_dir == first.data_dir
    log.close()


def test_a_link_whose_data_are_gone_begins_anew(tmp_path: Path, shared_root: Path) -> None:
    (tmp_path / "postgres").symlink_to(shared_root / "gone")
    log = Log(tmp_path / "logs", screen=False)
    assert place.place_postgres(tmp_path, log).data_dir.is_dir()
    log.close()


def test_binaries_that_nobody_could_reach_are_copied_and_run(
    tmp_path: Path, shared_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = place._find_package()
    hidden = tmp_path / "site-packages"
    shutil.copytree(installed / "pginstall", hidden / installed.name / "pginstall", symlinks=True)
    shutil.copytree(f"{installed}.libs", hidden / f"{installed.name}.libs", symlinks=True)
    subprocess.run(["chmod", "-R", "go-rwx", hidden], check=True)
    monkeypatch.setattr(place, "_find_package", lambda: hidden / installed.name)
    log = Log(tmp_path / "logs", screen=False)
    chosen = place.place_postgres(tmp_path, log)
    log.close()
    assert chosen.user
    assert chosen.binaries.is_relative_to(shared_root)
    version = subprocess.run(
        [chosen.binaries / "postgres", "--version"],
        user=chosen.user.pw_uid,
        group=chosen.user.pw_gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.startswith("postgres (PostgreSQL) 18")


def test_a_folder_everybody_may_enter_is_used_in_place(shared_root: Path) -> None:
    data_dir = shared_root.parent / "data"
    data_dir.mkdir(mode=0o700)
    log = Log(data_dir / "logs", screen=False)
    assert place.place_postgres(data_dir, log).data_dir == data_dir / "postgres"
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o711  # others pass through, and see nothing
    assert not shared_root.exists()
    log.close()
