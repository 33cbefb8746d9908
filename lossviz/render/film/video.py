"""MP4 and WebM by ffmpeg, where one is found: on the PATH, or the one that the extra ``lossviz[video]`` brings."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lossviz.errors import MissingExtraError, UnwritableError
from lossviz.records.remark import ignore

CODERS = {
    # per suffix the encoders in order of preference, with their settings
    ".mp4": (("libx264", ("-crf", "18", "-preset", "slow")), ("libopenh264", ("-b:v", "3M")), ("mpeg4", ("-q:v", "3"))),
    ".webm": (
        ("libsvtav1", ("-crf", "30", "-preset", "7")),
        ("libvpx-vp9", ("-crf", "28", "-b:v", "0", "-row-mt", "1", "-cpu-used", "4")),
    ),
}


def find_ffmpeg() -> str | None:
    """The ffmpeg on the PATH, else that of imageio-ffmpeg, else None."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe  # type: ignore[import-not-found]

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


def check_video(suffix: str) -> tuple[str, list[str]]:
    """The program and the words of its encoder for a suffix.

    Raises:
        MissingExtraError: If no ffmpeg is found, or the one found cannot write this.
    """
    program = find_ffmpeg()
    if program is None:
        raise MissingExtraError(
            f"A {suffix} file needs ffmpeg, and none was found. Install it (apt install ffmpeg, brew install ffmpeg), "
            "or: pip install 'lossviz[video]'. A GIF needs nothing: --out x.gif."
        )
    return program, _coder(program, suffix)


def encode_video(
    picture: Callable[[int], np.ndarray],
    seconds: Sequence[float],
    rate: int,
    suffix: str,
    *,
    about: str = "",
    tell: Callable[[int, int], None] = ignore,
) -> bytes:
    """A film file that any player shows (4:2:0), its index first so that it starts while it loads.

    Args:
        picture: Frame by its number, uint8 (height, width, 3), the same size each; width and height even.
        seconds: For how long each is seen; held frames are repeated.
        rate: Frames per second.
        suffix: ``".mp4"`` or ``".webm"``.
        about: A comment in the file.
        tell: Called with the number of frames drawn and of all.

    Raises:
        MissingExtraError: If no ffmpeg is found, or the one found cannot write this.
        UnwritableError: If it fails.
    """
    program, coder = check_video(suffix)
    height, width = picture(0).shape[:2]
    with tempfile.TemporaryDirectory(prefix="lossviz-") as folder:
        path = Path(folder) / f"film{suffix}"
        words = [program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        words += ["-r", str(rate), "-i", "-", *coder, "-pix_fmt", "yuv420p"]
        # colours as screens take them: without this players guess, and reds turn brown
        words += ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709", "-color_primaries"]
        words += ["bt709", "-color_trc", "iec61966-2-1", "-map_metadata", "-1", "-metadata", f"comment={about}"]
        words += ["-fflags", "+bitexact", "-flags:v", "+bitexact"]
        words += ["-movflags", "+faststart", str(path)] if suffix == ".mp4" else [str(path)]
        _feed(words, picture, repeats(seconds, rate), tell)
        return path.read_bytes()


def repeats(seconds: Sequence[float], rate: int) -> list[int]:
    """How often each frame is written, at least once.

    Example:
        >>> repeats([1.0, 0.1, 0.5], 10)
        [10, 1, 5]
    """
    return [max(1, round(s * rate)) for s in seconds]


def _coder(program: str, suffix: str) -> list[str]:
    listed = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False).stdout
    present = set(re.findall(r"^ V\S+ (\S+)", listed, re.M))
    for name, options in CODERS[suffix]:
        if name in present:
            return ["-c:v", name, *options]
    raise MissingExtraError(
        f"{program} has no encoder for {suffix} ({', '.join(name for name, _ in CODERS[suffix])}). "
        "Use another: pip install 'lossviz[video]', or --out x.gif."
    )


def _feed(
    words: Sequence[str], picture: Callable[[int], np.ndarray], times: Sequence[int], tell: Callable[[int, int], None]
) -> None:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        assert process.stdin is not None
        try:
            for i, count in enumerate(times):
                data = picture(i).tobytes()
                for _ in range(count):
                    process.stdin.write(data)
                tell(i + 1, len(times))
        except BrokenPipeError:
            pass  # it ended by itself; its words say why
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            status = process.wait()
        said.seek(0)
        reason = said.read().decode(errors="replace").strip().splitlines()
    if status:
        raise UnwritableError(f"{words[0]} failed ({status}): {reason[-1] if reason else 'without a word'}.")
