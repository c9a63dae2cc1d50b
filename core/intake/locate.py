"""Finds the model in what was given: a file, or a folder with the model somewhere in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.base.errors import BrokenModel, InvalidRequest, NotFound, UnsupportedModel
from core.intake.foreign import TEXT_GRAPH, Foreign, foreign_folder
from core.intake.formats import SUFFIXES, format_of, stored_name
from core.models import savedmodel
from core.models.model import Format
from core.onnxio.file import check_external_files, external_files, read_onnx
from core.storage.digest import is_junk

# What a SavedModel folder may hold; anything else beside these is not part of it.
_SAVEDMODEL_PARTS = (savedmodel.FILE_NAME, "fingerprint.pb", "keras_metadata.pb", "variables", "assets", "assets.extra", "debug")
# A folder with more files than this is not a model's: somebody named their home.
_MOST_FILES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A model that was found.

    Attributes:
        source: Its main file, or its folder for a SavedModel.
        files: Where each of its files is, by the relative name it is stored under.
        entry: Of `Model`: the stored name of the main file, "." for a SavedModel.
    """

    format: Format
    source: Path
    files: dict[str, Path]
    entry: str

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files.values())


def locate(path: Path) -> Located:
    """Finds the one model in a file or folder.

    Raises:
        NotFound: There is no such path.
        InvalidRequest: It cannot be read, or holds several models.
        UnsupportedModel: It is, or holds, nothing that we read.
        BrokenModel: A file is empty or damaged, or external data are missing.
    """
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return _file(path)
    except PermissionError as error:
        raise InvalidRequest(f"{error.filename or path} cannot be read: permission denied.", hint="Check its rights.") from error
    if path.exists():
        raise UnsupportedModel(f"{path.name} is neither a file nor a folder.", hint="Give a model's file, folder or archive.")
    raise NotFound(f"There is no {path}.", hint="Check the path.")


def _file(path: Path) -> Located:
    kind = format_of(path)
    if kind is Format.SAVEDMODEL:
        return _savedmodel(path.parent)
    name = stored_name(path, kind)
    files = {name: path}
    if kind is Format.ONNX:
        files.update(_external(path))
    return Located(format=kind, source=path, files=files, entry=name)


def _external(path: Path) -> dict[str, Path]:
    model = read_onnx(path, weights=False)
    check_external_files(model, path.parent)
    return {name: path.parent / name for name in external_files(model)}


def _savedmodel(folder: Path) -> Located:
    files: dict[str, Path] = {}
    for part in _SAVEDMODEL_PARTS:
        if (folder / part).is_file():
            files[part] = folder / part
        else:
            files.update({f"{part}/{name}": folder / part / name for name in _names_below(folder / part)})
    return Located(format=Format.SAVEDMODEL, source=folder, files=files, entry=".")


def _in_folder(folder: Path) -> Located:
    names = _names_below(folder)
    if not names:
        raise BrokenModel(f"{folder.name} holds no files.", hint="Give a folder, a file or an archive that holds a model.")
    if roots := _outermost(name for name in names if PurePosixPath(name).name == savedmodel.FILE_NAME):
        _check_single(folder, [str(PurePosixPath(root)) for root in roots])
        return _savedmodel(folder / roots[0])
    if any(PurePosixPath(name).name == "saved_model.pbtxt" for name in names):
        raise TEXT_GRAPH.error(folder.name)
    likely = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    found, errors = _recognized(folder, likely)
    if not found:
        found, further = _recognized(folder, [name for name in names if name not in likely])
        errors = {**errors, **further}
    if found:
        _check_single(folder, found)
        return _file(folder / found[0])
    if known := foreign_folder(names):
        raise known.error(folder.name)
    raise _nothing_in(folder, errors)


def _recognized(folder: Path, names: Iterable[str]) -> tuple[list[str], dict[str, BrokenModel | UnsupportedModel]]:
    found: list[str] = []
    errors: dict[str, BrokenModel | UnsupportedModel] = {}
    for name in names:
        try:
            format_of(folder / name)
            found.append(name)
        except (BrokenModel, UnsupportedModel) as error:
            errors[name] = error
    return found, errors


def _nothing_in(folder: Path, errors: dict[str, BrokenModel | UnsupportedModel]) -> BrokenModel | UnsupportedModel:
    """The most telling error: of a damaged file that claims a format of ours, else of the only file."""
    for error in errors.values():
        if isinstance(error, BrokenModel):
            return error
    if len(errors) == 1:
        return next(iter(errors.values()))
    some = ", ".join(sorted(errors)[:5]) + (", ..." if len(errors) > 5 else "")
    what = f"without a model that we read (it holds {some})"
    return Foreign(f"a folder {what}", "Give a folder or an archive with a SavedModel, ONNX, Keras or TFLite model.").error(
        folder.name
    )


def _check_single(folder: Path, names: list[str]) -> None:
    if len(names) > 1:
        some = ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
        raise InvalidRequest(f"{folder.name} holds {len(names)} models: {some}.", hint="Give one of them by itself.")


def _outermost(files: Iterable[str]) -> list[str]:
    """The folders of these files, without those that lie inside another."""
    folders = sorted({PurePosixPath(name).parent for name in files})
    return [str(folder) for folder in folders if not any(other in folder.parents for other in folders)]


def _names_below(folder: Path) -> list[str]:
    """Relative names of the files below a folder, without junk; folders that are links are not entered."""
    names: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        relative = Path(parent).relative_to(folder)
        folders[:] = sorted(name for name in folders if not is_junk(name))
        names.extend(
            (relative / name).as_posix() for name in sorted(files) if not is_junk(name) and (Path(parent) / name).is_file()
        )
        if len(names) > _MOST_FILES:
            raise InvalidRequest(f"{folder.name} holds more than {_MOST_FILES} files.", hint="Give the model's own folder.")
    return names


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
