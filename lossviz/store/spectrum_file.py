"""Spectra in a file of their own, ``NAME.spectrum.h5``: a group for each split and operator, put in place whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from lossviz.errors import StoreError
from lossviz.records.spectrum import Spectrum, SpectrumFacts
from lossviz.store.atomic_file import replace_file
from lossviz.store.hdf5 import (
    guarded,
    image_of,
    open_ours,
    read_array,
    read_text,
    text_of,
    write_array,
    write_attribute,
    write_text,
)
from lossviz.store.schema import FORMAT_VERSION, from_text, to_text

SPECTRUM_FORMAT = "lossviz-spectrum"
_ARRAYS = {
    "sizes": "entries of each moving tensor",
    "eigenvalues": "leading eigenvalues, descending",
    "residuals": "norm of A v - lambda v of unit eigenvectors",
    "samples": "share of each tensor (column) in z'Az of each random probe (row)",
    "nodes": "nodes of each probe's quadrature of the density",
    "weights": "weights of the nodes, adding up to 1",
}


def spectrum_path(path: Path) -> Path:
    """Where the spectra of a run or a checkpoint are stored.

    Example:
        >>> spectrum_path(Path("net.h5")).name, spectrum_path(Path("runs/net.pt")).name
        ('net.spectrum.h5', 'net.spectrum.h5')
    """
    return path.with_name(f"{path.with_suffix('').name}.spectrum.h5")


def spectrum_name(split: str, operator: str) -> str:
    """The group of a spectrum in its file.

    Example:
        >>> spectrum_name("train", "gauss-newton")
        'train_gauss-newton'
    """
    return f"{split}_{operator}"


def write_spectra(path: Path, spectra: Mapping[str, Spectrum]) -> None:
    """Publish spectra by name at ``path``; the old file stays until the new one is whole, synced and checked.

    Raises:
        OSError: If the disk is full or fails; the old file is untouched.
    """

    def fill(file: h5py.File) -> None:
        write_attribute(file, "format", SPECTRUM_FORMAT)
        write_attribute(file, "format_version", FORMAT_VERSION)
        for name, spectrum in spectra.items():
            _write(file.create_group(name, track_order=True), spectrum)

    replace_file(path, image_of(fill), check_spectrum_file)


def read_spectra(path: Path | str) -> dict[str, Spectrum]:
    """All spectra of a file by name, every checksum checked.

    Raises:
        StoreError: If there is no such file, or it is not a spectrum file.
        DamagedFileError: Naming what fails.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"There is no spectrum file {path}. Make one with: lossviz curvature … --out '{path}'")
    with open_ours(path, SPECTRUM_FORMAT) as file:
        return guarded(path, lambda: {name: _read(group) for name, group in file.items()})


def is_spectrum_file(path: Path) -> bool:
    """Whether a file says that it holds spectra, or has their name; what cannot be read holds none."""
    try:
        open_ours(path, SPECTRUM_FORMAT).close()
    except StoreError:
        return path.name.endswith(".spectrum.h5") and path.exists()
    return True


def check_spectrum_file(path: Path) -> None:
    """Read a file back, every dataset of it.

    Raises:
        DamagedFileError: Naming what fails.
    """
    read_spectra(path)


def _write(group: h5py.Group, spectrum: Spectrum) -> None:
    write_attribute(group, "operator", spectrum.operator)
    write_attribute(group, "split", spectrum.split)
    write_text(group, "tensors_json", to_text(list(spectrum.tensors)))
    for name, long_name in _ARRAYS.items():
        write_attribute(write_array(group, name, getattr(spectrum, name)), "long_name", long_name)
    write_text(group, "facts_json", to_text(spectrum.facts.to_json()))


def _read(group: Any) -> Spectrum:
    return Spectrum(
        operator=text_of(group.attrs["operator"]),
        split=text_of(group.attrs["split"]),
        tensors=tuple(from_text(read_text(group["tensors_json"]))),
        facts=SpectrumFacts.from_json(from_text(read_text(group["facts_json"]))),
        **{name: read_array(group[name]) for name in _ARRAYS},
    )
