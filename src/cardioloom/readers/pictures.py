"""Files of moving pictures: what they are by their first bytes, and which function reads them."""

from __future__ import annotations

from cardioloom.readers.cine_nifti import is_nifti

CINE, ECHO = "cardioloom.read_cine", "cardioloom.read_echo"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3"  # Ultrasound Multi-frame is this and ".1", still pictures are "….6"
MR = "1.2.840.10008.5.1.4.1.1.4"


def is_video(head: bytes) -> bool:
    """True for AVI and for the family of MP4."""
    return (head[:4] == b"RIFF" and head[8:12] == b"AVI ") or head[4:8] == b"ftyp"


def reader_of(head: bytes) -> tuple[str, str] | None:
    """What a file of moving pictures is, and the public function that reads it; None of other files."""
    if is_nifti(head):
        return "a NIfTI image", CINE
    if is_video(head):
        return "a video", ECHO
    return None


def dicom_reader_of(sop_class: str) -> str | None:
    """The public function that reads pictures of a DICOM class, or None."""
    if sop_class == ULTRASOUND or sop_class.startswith(ULTRASOUND + "."):
        return ECHO
    return CINE if sop_class == MR or sop_class in (f"{MR}.1", f"{MR}.4") else None
