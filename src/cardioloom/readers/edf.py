"""EDF, EDF+ and BDF (European Data Format, Kemp et al. 1992 and 2003; BioSemi's 24-bit variant).

The samples travel as the file's integers. Channels of other rates and EDF+ annotations are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, ReadError
from cardioloom.readers.arrays import patient_facts
from cardioloom.readers.channels import ecg_channels
from cardioloom.readers.limits import LAZY_VALUES, check_file, check_shape
from cardioloom.readers.told import Told, settle_leads, settle_unit
from cardioloom.records import ECG, Counts, Source

if TYPE_CHECKING:
    from pyedflib import EdfReader

EDF_MAGIC, BDF_MAGIC = b"0       ", b"\xffBIOSEMI"
NO_DATE = datetime(1985, 1, 1)  # the standard's "start date unknown"
# edflib refuses to open a file that is open already, so one reader at a time.
_ONE_AT_A_TIME = RLock()


@dataclass(frozen=True)
class Channel:
    """A signal of the file: ``physical = (digital - baseline) / gain`` in its own unit."""

    index: int
    label: str
    unit: str | None
    fs: float  # Hz
    n_samples: int
    gain: float  # counts per unit
    baseline: float  # the count that means 0, may be fractional


class FileSamples:
    """The digital samples of some channels of a file as a (channel, time) array that is read where it is sliced."""

    def __init__(self, path: Path, channels: Sequence[Channel], dtype: np.dtype):
        self.path, self.channels, self.dtype = path, tuple(channels), dtype
        self.shape = len(self.channels), self.channels[0].n_samples

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.integer]:
        channels = self.channels[key[0]]
        start, stop, step = key[1].indices(self.shape[1])
        if step != 1:
            return self[key[0], :][:, key[1]]
        values = np.empty((len(channels), max(0, stop - start)), self.dtype)
        if values.size:
            with _opened(self.path) as file:
                for row, channel in enumerate(channels):
                    values[row] = file.readSignal(channel.index, start, stop - start, digital=True)
        return values


def sniff(_path: Path, head: bytes) -> bool:
    """True for the version field of EDF or BDF with a header size that fits it."""
    return head.startswith((EDF_MAGIC, BDF_MAGIC)) and head[184:192].strip().isdigit()


def in_folder(path: Path, _head: bytes) -> bool:
    """True where a label or a voltage says that there is an ECG; a damaged file is kept, to be listed as failed."""
    from cardioloom.records.leads import is_ecg_name

    try:
        found, _ = channels(path)
    except (ReadError, OSError):
        return True
    return any(is_ecg_name(channel.label) for channel in found)


def read(path: Path, told: Told) -> Iterator[ECG]:
    """The ECG of an EDF or BDF file: its ECG channels of the highest rate.

    Raises:
        ReadError: if the file is truncated, discontinuous or holds no ECG channel.
    """
    notes: list[str] = []
    found, facts = channels(path)
    notes += facts.notes
    names = settle_leads(path.name, tuple(channel.label for channel in found), len(found), told, None, notes)
    keep = ecg_channels(path.name, names, [channel.unit for channel in found], notes)
    fs = max(found[row].fs for row in keep)
    if told.fs is not None and told.fs != fs:
        notes.append(f"--fs {told.fs:g} was not used: the file states {fs:g} Hz")
    if slower := [row for row in keep if found[row].fs != fs]:
        listed = ", ".join(f"{names[row]} ({found[row].fs:g} Hz)" for row in slower)
        notes.append(f"leads left out because their rate is not {fs:g} Hz: {listed}")
        keep = [row for row in keep if found[row].fs == fs]
    kept = [found[row] for row in keep]
    check_shape(path.name, len(kept), kept[0].n_samples)
    factors = np.array([settle_unit(path.name, channel.unit, told, None, notes) for channel in kept])
    samples = FileSamples(path, kept, _dtype(path))
    values = samples if len(kept) * kept[0].n_samples > LAZY_VALUES else samples[:, :]
    gain = np.array([channel.gain for channel in kept]) / factors
    yield ECG(
        Counts(values, gain, np.array([channel.baseline for channel in kept])),
        tuple(names[row] for row in keep),
        fs,
        start=facts.start,
        device=facts.device,
        source=Source(path, "edf", (path,)),
        patient=facts.patient,
        notes=tuple(dict.fromkeys(notes)),
    )


@dataclass(frozen=True)
class Facts:
    """What the header says beside the signals."""

    start: datetime | None
    device: str | None
    patient: dict[str, float | str]
    notes: tuple[str, ...]


def channels(path: Path) -> tuple[list[Channel], Facts]:
    """Every signal of the file, ECG or not, and what the header says beside them.

    Raises:
        ReadError: if the file is truncated, discontinuous or not compliant.
    """
    check_file(path)
    _check_size(path)
    with _opened(path) as file:
        found = [_channel(file, index) for index in range(file.signals_in_file)]
        return [channel for channel in found if channel.n_samples > 0], _facts(file)


def decode(path: Path) -> list[tuple[Channel, NDArray[np.integer]]]:
    """Every signal of the file with its digital samples, (time,), whatever its name, unit and rate."""
    found, _ = channels(path)
    return [(channel, FileSamples(path, [channel], _dtype(path))[:, :][0]) for channel in found]


@contextmanager
def _opened(path: Path) -> Iterator[EdfReader]:
    """The file, open for this thread alone."""
    from pyedflib import DO_NOT_READ_ANNOTATIONS, EdfReader

    with _ONE_AT_A_TIME:
        try:
            file = EdfReader(str(path), DO_NOT_READ_ANNOTATIONS)
        except OSError as error:
            reason = str(error).rsplit(": ", 1)[-1]
            raise DamagedFileError(f"{path.name} is no valid EDF or BDF ({reason}): export or copy it again") from error
        try:
            yield file
        finally:
            file.close()


def _check_size(path: Path) -> None:
    """Refuse what the header contradicts, before edflib prints about it."""
    with path.open("rb") as file:
        head = file.read(256)
        try:
            n_header, n_records, n_signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
            file.seek(256 + 216 * n_signals)
            per_record = [int(file.read(8)) for _ in range(n_signals)]
        except ValueError as error:
            raise DamagedFileError(f"{path.name} has a damaged or truncated header: export or copy it again") from error
    if head[196:197] == b"D":
        raise ReadError(
            f"{path.name} is discontinuous (EDF+D), which cannot be read: export it as one recording (EDF+C)"
        )
    if n_records < 1:
        raise DamagedFileError(f"{path.name} states {n_records} data records: finish the recording and export it again")
    expected = n_header + n_records * sum(per_record) * (3 if head.startswith(BDF_MAGIC) else 2)
    if path.stat().st_size < expected:
        raise DamagedFileError(
            f"{path.name} is truncated: {path.stat().st_size} bytes of {expected}: export or copy it again"
        )


def _dtype(path: Path) -> np.dtype:
    with path.open("rb") as file:
        return np.dtype(np.int32 if file.read(8) == BDF_MAGIC else np.int16)


def _channel(file: EdfReader, index: int) -> Channel:
    low, high = file.physical_min(index), file.physical_max(index)
    gain = (file.digital_max(index) - file.digital_min(index)) / (high - low)
    return Channel(
        index,
        _text(file.signal_label(index)),
        _text(file.physical_dimension(index)) or None,
        float(file.samplefrequency(index)),
        int(file.samples_in_file(index)),
        gain,
        file.digital_min(index) - low * gain,
    )


def _facts(file: EdfReader) -> Facts:
    start = file.getStartdatetime()
    if start.replace(hour=0, minute=0, second=0, microsecond=0) == NO_DATE:
        start = None
    age = None
    birth = _text(file.birthdate)
    if start is not None and birth:
        days = (start - datetime.strptime(birth, "%d %b %Y")).days
        age = int(days / 365.25)
    notes: list[str] = []
    patient = patient_facts(age, file.getSex(), notes)
    return Facts(start, file.getEquipment() or None, patient, tuple(notes))


def _text(value: str | bytes) -> str:
    return (value.decode("latin-1") if isinstance(value, bytes) else value).strip()
