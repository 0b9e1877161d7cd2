"""Echo videos → arrays: which frames, which part of the picture, at what size, and how brightness becomes a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError, UsageError
from cardioloom.prepare.steps import refuse_other_than_number, refuse_unknown
from cardioloom.records.echo import Echo

CHOICES = {"shorter": ("loop", "repeat_last", "refuse", "take_fewer"), "interpolation": ("linear", "cubic")}
REACH = {"linear": 1, "cubic": 2}
CUBIC = -0.75  # the free parameter of the cubic kernel (Keys 1981, doi:10.1109/TASSP.1981.1163711) as OpenCV sets it


@dataclass(frozen=True)
class EchoPreparation:
    """How a video becomes the array a model was trained on; equal to its JSON.

    Args:
        name: by which it is called.
        size: rows and columns of the array.
        n_frames: how many frames are taken from the first on, 0 = all.
        step: every how many frames one is taken.
        trim: share of the height and of the width that is cut off at each of the four sides, 0 to below 0.5.
        interpolation: ``"cubic"`` or ``"linear"``; neither smooths before it shrinks.
        mean, sd: one per channel (one = grey, three = red, green, blue), of brightness from 0 to 1.
        shorter: a video of fewer frames is played again (``"loop"``), held at its end (``"repeat_last"``), refused,
            or gives the frames it has (``"take_fewer"``).

    Raises:
        UsageError: if a value is unknown or cannot be.
    """

    name: str
    size: int
    n_frames: int
    step: int
    trim: float
    interpolation: str
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    shorter: str = "refuse"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "sd", tuple(self.sd))
        for field, known in CHOICES.items():
            refuse_unknown(field, [getattr(self, field)], known)
        for field, lowest in (("size", 1), ("n_frames", 0), ("step", 1)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise UsageError(f"{field} must be a whole number of at least {lowest}, got {value!r}")
        refuse_other_than_number("trim", self.trim)
        if not 0 <= self.trim < 0.5:
            raise UsageError(f"trim must be a share from 0 to below 0.5, got {self.trim}")
        for value in (*self.mean, *self.sd):
            refuse_other_than_number("mean and sd", value)
        if len(self.mean) not in (1, 3) or len(self.sd) != len(self.mean) or min(self.sd) <= 0:
            raise UsageError(f"mean and sd need one or three values each, sd above 0, got {self.mean} and {self.sd}")

    def to_json(self) -> dict[str, Any]:
        """Values that ``json.dumps`` takes; `from_json` gives an equal preparation back."""
        return asdict(self) | {"mean": list(self.mean), "sd": list(self.sd)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EchoPreparation:
        """The preparation that `to_json` wrote.

        Raises:
            UsageError: if a key is unknown or absent, or a value cannot be; nothing is assumed.
        """
        known = [field.name for field in fields(cls)]
        refuse_unknown("key of an echo preparation", values, known)
        if missing := [name for name in known if name not in values]:
            raise UsageError(f"the echo preparation lacks {', '.join(missing)}: write each value down")
        return cls(**values)


@dataclass(frozen=True, eq=False)
class PreparedEcho:
    """What a model takes.

    Args:
        video: (frame, channel, row, col) float32.
        frames: (frame,) which frame of the record each is.
        notes: what was changed on the way.
    """

    video: NDArray[np.float32]
    frames: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def echoclip(name: str = "echoclip") -> EchoPreparation:
    """The input of EchoCLIP's zero-shot example (Christensen et al. 2024; github.com/echonet/echo_CLIP @ 23cd327).

    Every second of the first 40 frames, 10 % cut off each side, 224 pixels, the normalisation of CLIP. The official
    code feeds blue where red is meant; here the channels are red, green, blue.

    Args:
        name: of the preparation.
    """
    mean, sd = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    return EchoPreparation(name, 224, 20, 2, 0.1, "cubic", mean, sd, "take_fewer")


def simulated(name: str = "echo112") -> EchoPreparation:
    """32 consecutive grey frames of 112 pixels, brightness −1 to 1; shorter videos are played again.

    Args:
        name: of the preparation.
    """
    return EchoPreparation(name, 112, 32, 1, 0.0, "linear", (0.5,), (0.5,), "loop")


PRESETS = {"echoclip": echoclip, "echo112": simulated}


def prepare_echo(echo: Echo, preparation: EchoPreparation) -> PreparedEcho:
    """The array of a video.

    Args:
        echo: the video.
        preparation: how.

    Raises:
        PreparationError: if the video is too short and the preparation refuses that.
    """
    chosen, notes = _chosen(echo.n_frames, preparation)
    frames = echo.frames[chosen]
    if len(preparation.mean) == 1 and echo.colour:
        frames = Echo(frames, echo.fps).grey()
        notes.append("colour was turned into grey")
    if frames.ndim == 3:
        frames = frames[..., None]
    square = (preparation.size, preparation.size)
    frames = resized(cropped(frames, 1.0, preparation.trim), square, preparation.interpolation)
    scaled = (frames / np.float32(255) - np.array(preparation.mean, np.float32)) / np.array(preparation.sd, np.float32)
    video = np.ascontiguousarray(np.moveaxis(scaled, 3, 1), np.float32)
    return PreparedEcho(video, chosen, tuple(notes))


def _chosen(n_frames: int, preparation: EchoPreparation) -> tuple[NDArray[np.int64], list[str]]:
    there = np.arange(0, n_frames, preparation.step)
    wanted = preparation.n_frames or len(there)
    if len(there) >= wanted:
        return there[:wanted], []
    if preparation.shorter == "refuse":
        needed = (wanted - 1) * preparation.step + 1
        raise PreparationError(f"{preparation.name} needs a video of at least {needed} frames, got {n_frames}")
    note = f"the video has {len(there)} of {wanted} frames"
    if preparation.shorter == "take_fewer":
        return there, [note]
    if preparation.shorter == "loop":
        return there[np.arange(wanted) % len(there)], [f"{note}: it was played again"]
    return there[np.minimum(np.arange(wanted), len(there) - 1)], [f"{note}: the last was repeated"]


def cropped(frames: NDArray[np.uint8], aspect: float, trim: float = 0.0) -> NDArray[np.uint8]:
    """The middle of frames (time, row, col, channel): of this width over height, then without its outer ``trim``.

    Rounds as EchoCLIP's crop_and_scale does; where that rounds to nothing, nothing is cut off.

    Args:
        frames: the pictures.
        aspect: width over height of what stays.
        trim: share cut off each of the four sides after that.
    """
    height, width = frames.shape[1:3]
    top = left = 0
    if width > aspect * height:
        left = round((width - aspect * height) / 2)
    elif width < aspect * height:
        top = round((height - width / aspect) / 2)
    frames = frames[:, top : height - top, left : width - left]
    height, width = frames.shape[1:3]
    top, left = round(height * trim), round(width * trim)
    return frames[:, top : height - top, left : width - left]


def resized(frames: NDArray[np.uint8], size: tuple[int, int], interpolation: str = "cubic") -> NDArray[np.uint8]:
    """Frames (time, row, col, channel) at another size, equal to OpenCV's resize within one grey level.

    Args:
        frames: the pictures.
        size: (rows, columns).
        interpolation: "cubic" or "linear".
    """
    if frames.shape[1:3] == size:
        return frames
    out = _along(frames.astype(np.float32), 1, size[0], interpolation)
    out = _along(out, 2, size[1], interpolation)
    return np.clip(np.round(out), 0, 255).astype(np.uint8)


def _along(frames: NDArray[np.float32], axis: int, length: int, interpolation: str) -> NDArray[np.float32]:
    weights, places = _weights(frames.shape[axis], length, interpolation)
    shape = [1] * frames.ndim
    shape[axis] = length
    out = np.zeros((*frames.shape[:axis], length, *frames.shape[axis + 1 :]), np.float32)
    for weight, place in zip(weights, places, strict=True):
        out += weight.reshape(shape) * frames.take(place, axis)
    return out


@lru_cache(maxsize=64)
def _weights(before: int, after: int, interpolation: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(tap, sample) weights and places; half-pixel centres, edges repeated."""
    centre = (np.arange(after) + 0.5) * before / after - 0.5
    first = np.floor(centre).astype(int)
    reach = REACH[interpolation]
    taps = np.arange(1 - reach, reach + 1)[:, None]
    apart = np.abs(centre - first - taps)
    if interpolation == "linear":
        weights = 1 - apart
    else:
        near = ((CUBIC + 2) * apart - (CUBIC + 3)) * apart**2 + 1
        weights = np.where(apart <= 1, near, CUBIC * (((apart - 5) * apart + 8) * apart - 4))
    return weights.astype(np.float32), np.clip(first + taps, 0, before - 1)
