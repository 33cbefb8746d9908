"""Films as they are drawn and written: still grounds, true colours, files that decode to what was drawn."""

import json
import os
import sys

import numpy as np
import pytest
from colorspacious import cspace_convert
from PIL import Image

from lossviz.errors import MissingExtraError, UnwritableError, UsageError
from lossviz.records.trajectory import Trajectory
from lossviz.render.draw.height_field import Side, trace
from lossviz.render.draw.relief import picture_columns, shown_bounds
from lossviz.render.film.animation import Reel, animate
from lossviz.render.film.film import make_film
from lossviz.render.film.gif import encode_gif, make_palette, to_indices
from lossviz.render.film.video import encode_video
from lossviz.render.paper.layout import RELIEF_MARGINS_EM
from lossviz.render.values.terrain import HEIGHT
from lossviz.render.words.colours import colour_at

pytestmark = pytest.mark.usefixtures("coarse")


@pytest.fixture
def path_film(bowl):
    points = np.array([(-0.8, 0.6), (-0.2, 0.1), (0.5, -0.2), (0.0, 0.0)])
    own, beneath = {"train_loss": np.array([4.0, 2.0, 1.0, 0.05])}, {"train_loss": np.array([2.0, 1.0, 0.5, 0.05])}
    bowl.trajectories["sgd"] = Trajectory("sgd", [0, 10, 30, 40], points, [2.0, 1.0, 0.5, 0.0], own, beneath)
    return make_film([bowl], seconds=1, rate=6, dpi=60)


def pixels_of(film, box):
    dpi = film.plates[0].style.dpi
    height = round(film.plates[0].layout.height * dpi)
    return slice(height - int((box.bottom + box.height) * dpi), height - int(box.bottom * dpi)), slice(
        int(box.left * dpi), int((box.left + box.width) * dpi)
    )


def test_only_what_moves_changes(path_film):
    reel = Reel(path_film)
    first, later = reel.picture(0), reel.picture(4)
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0
    changed = (first != later).any(axis=-1)
    plane, surface = path_film.plates
    moving = np.zeros(changed.shape, bool)
    for box in (plane.layout.panels[0], surface.layout.panels[0], plane.layout.strips[0]):
        moving[pixels_of(path_film, box)] = True
    moving[: int(4.6 * plane.style.font_pt / 72 * plane.style.dpi)] = True  # the words above
    assert 0 < changed.sum() < 0.2 * changed.size
    assert (changed & ~moving).sum() < 40  # rims of signs at the edge
    np.testing.assert_array_equal(reel.picture(0), Reel(path_film).picture(0))  # and nothing of a frame stays behind


def test_nothing_of_an_earlier_frame_stays(path_film):
    reel = Reel(path_film)
    for i in (5, 3, 0):
        reel.picture(i)
    np.testing.assert_array_equal(reel.picture(2), Reel(path_film).picture(2))


def test_colours_of_the_floor_are_those_of_the_bar(path_film):
    picture = Reel(path_film).picture(0) / 255
    _, surface = path_film.plates
    layout, dpi = surface.layout, surface.style.dpi
    terrain, camera = surface.terrains[0], surface.camera
    buffer = trace(terrain, camera, columns=picture_columns(surface), floor=surface.floor)
    left, right, bottom, _ = shown_bounds(surface)
    em = surface.style.font_pt / 72
    box = layout.panels[0]
    scale = (box.width - (RELIEF_MARGINS_EM[0] + RELIEF_MARGINS_EM[1]) * em) / (right - left) * dpi
    rows, columns = np.nonzero(buffer.side == Side.FLOOR)
    t, s, v = buffer.t[rows, columns], buffer.s[columns], buffer.v[rows]
    x, y = s * camera.right[0] + t * camera.away[0], s * camera.right[1] + t * camera.away[1]
    column = (box.left + RELIEF_MARGINS_EM[0] * em) * dpi + (s - left) * scale
    row = picture.shape[0] - ((box.bottom + RELIEF_MARGINS_EM[2] * em) * dpi + (v - bottom) * scale)
    seen = picture[row.astype(int), column.astype(int)]
    bar = colour_at(surface.keys[0].colours, terrain.sample(terrain.height, x, y) / HEIGHT)
    distance = np.linalg.norm(
        cspace_convert(seen, "sRGB1", "CAM02-UCS") - cspace_convert(bar, "sRGB1", "CAM02-UCS"), axis=1
    )
    assert len(rows) > 1000 and np.median(distance) < 1.0  # lines, signs and edges are the rest


@pytest.mark.parametrize("subject", ["flight", "sequence"])
def test_other_subjects_are_drawn(bowl, subject):
    films = {"flight": ([bowl], {"seconds": 1}), "sequence": ([bowl, bowl], {"titles": ["a", "b"]})}
    surfaces, words = films[subject]
    film = make_film(surfaces, subject=subject, rate=4, dpi=50, **words)
    reel = Reel(film)
    pictures = [reel.picture(i) for i in range(len(film.frames))]
    assert all(picture.shape == pictures[0].shape for picture in pictures)
    assert (pictures[0] != pictures[1]).any()
    if subject == "flight":
        np.testing.assert_array_equal(pictures[0], pictures[-1])


def test_a_gif_decodes_to_the_frames_and_their_times(path_film, tmp_path):
    gif, poster, caption = animate(path_film, tmp_path / "x.gif", command="lossviz plot x.h5")
    reel = Reel(path_film)
    with Image.open(gif) as film:
        assert film.n_frames == len(path_film.frames) and film.info["loop"] == 0
        assert json.loads(film.info["comment"])["command"] == "lossviz plot x.h5"
        times = []
        for i in range(film.n_frames):
            film.seek(i)
            times.append(film.info["duration"] / 1000)
            seen, drawn = np.asarray(film.convert("RGB")).astype(int), reel.picture(i).astype(int)
            assert np.abs(seen - drawn).max(axis=-1).mean() < 4.0
            for colour in ((215, 38, 61), (255, 255, 255), (27, 31, 39)):  # path, paper and ink keep theirs exactly
                own = (drawn == colour).all(axis=-1)
                assert own.any() and (seen[own] == colour).all()
    np.testing.assert_allclose(times, [frame.seconds for frame in path_film.frames], atol=0.011)
    assert gif.stat().st_size < 200_000
    with Image.open(poster) as still:
        np.testing.assert_array_equal(np.asarray(still), reel.picture(path_film.poster))
    assert caption.read_text().startswith("Animation, ") and poster.name == "x.poster.png"


def test_the_same_film_gives_the_same_bytes(path_film, tmp_path):
    first, second = (animate(path_film, tmp_path / name)[0].read_bytes() for name in ("a.gif", "b.gif"))
    assert first == second


def test_unchanged_pixels_cost_nothing():
    still = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    one, many = (len(encode_gif(lambda _: still, [0.1] * n)) for n in (1, 20))
    assert many < one + 20 * 200


def test_reserved_colours_survive_a_palette_of_other_ones():
    ramp = np.stack([np.tile(np.arange(256, dtype=np.uint8), (64, 1))] * 3, axis=-1)
    ramp[10, 10] = (215, 38, 61)
    palette = make_palette(ramp, ["#d7263d"])
    assert tuple(palette[to_indices(ramp, palette, 1)[10, 10]]) == (215, 38, 61)
    assert np.abs(palette[to_indices(ramp, palette, 1)].astype(int) - ramp).max() < 8


# ---------------------------------------------------------------- video


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """A program that writes its words and the number of bytes it was fed into its last word."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, json\n"
        "if '-encoders' in sys.argv: print(' V....D libx264 x\\n V....D libvpx-vp9 x'); sys.exit()\n"
        "if 'fail' in ' '.join(sys.argv): print('no room', file=sys.stderr); sys.exit(3)\n"
        "json.dump([sys.argv[1:], len(sys.stdin.buffer.read())], open(sys.argv[-1], 'w'))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
@pytest.mark.parametrize("suffix, coder", [(".mp4", "libx264"), (".webm", "libvpx-vp9")])
def test_frames_are_fed_as_often_as_they_are_held(fake_ffmpeg, suffix, coder):
    picture = np.zeros((4, 6, 3), np.uint8)
    words, fed = json.loads(encode_video(lambda _: picture, [1.0, 0.1, 0.5], 10, suffix, about="a"))
    assert fed == (10 + 1 + 5) * 4 * 6 * 3
    assert coder in words and "6x4" in words and "comment=a" in words and "bt709" in words


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
def test_its_complaint_is_told(fake_ffmpeg):
    with pytest.raises(UnwritableError, match="no room"):
        encode_video(lambda _: np.zeros((4, 6, 3), np.uint8), [0.1], 10, ".mp4", about="fail")


def test_without_ffmpeg_the_message_says_what_to_do(path_film, tmp_path, monkeypatch):
    monkeypatch.setattr("lossviz.render.film.video.find_ffmpeg", lambda: None)
    with pytest.raises(MissingExtraError, match=r"lossviz\[video\].*x\.gif"):
        animate(path_film, tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())


def test_other_endings_are_refused(path_film, tmp_path):
    with pytest.raises(UsageError, match=r"\.gif, \.mp4, \.webm"):
        animate(path_film, tmp_path / "x.avi")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_real_ffmpeg_gives_a_film_of_the_right_length_and_colours(path_film, tmp_path, suffix):
    from lossviz.render.film.video import find_ffmpeg

    program = find_ffmpeg()
    if program is None:
        pytest.skip("no ffmpeg here")
    import subprocess

    film = animate(path_film, tmp_path / f"x{suffix}")[0]
    still = tmp_path / "still.png"
    subprocess.run([program, "-loglevel", "error", "-sseof", "-1", "-i", film, "-frames:v", "1", still], check=True)
    with Image.open(still) as image:
        seen = np.asarray(image.convert("RGB")).astype(int)
    drawn = Reel(path_film).picture(len(path_film.frames) - 1).astype(int)
    assert seen.shape == drawn.shape and np.abs(seen - drawn).mean() < 4
