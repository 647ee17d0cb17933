"""How ZenML keeps files that a step wrote: uncompressed copies with a manifest of their hashes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.io import fileio
from zenml.materializers.base_materializer import BaseMaterializer

from distillery_core.errors import UserError
from distillery_core.steps.project_files import ProjectFiles

MANIFEST = "manifest.json"
CONTENT = "files"


class ProjectFilesMaterializer(BaseMaterializer):
    """Copies the files, uncompressed, with a manifest of their hashes."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ProjectFiles,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: ProjectFiles) -> None:
        """Copy into the artefact store, local or remote."""
        for name in data.sha256:
            target = _join(self.uri, CONTENT, name)
            fileio.makedirs(target.rsplit("/", 1)[0])
            fileio.copy(str(data.base / name), target, overwrite=True)
        manifest = {"sha256": dict(data.sha256), "folders": list(data.folders)}
        with fileio.open(_join(self.uri, MANIFEST), "w") as handle:
            handle.write(json.dumps(manifest, indent=2))

    def load(self, data_type: type[Any]) -> ProjectFiles:
        """The stored copy itself where the store is local, else a download of it."""
        with fileio.open(_join(self.uri, MANIFEST), "r") as handle:
            manifest = json.loads(handle.read())
        names = [_inside(name) for name in manifest["sha256"]]
        base = Path(self.uri) / CONTENT if Path(self.uri).is_dir() else self._download(names)
        return ProjectFiles(base, manifest["sha256"], tuple(map(_inside, manifest["folders"])))

    def _download(self, names: Iterable[str]) -> Path:
        with self.get_temporary_directory(delete_at_exit=False) as folder:
            for name in names:
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                fileio.copy(_join(self.uri, CONTENT, name), str(Path(folder) / name))
            return Path(folder)

    def extract_metadata(self, data: ProjectFiles) -> dict[str, Any]:
        """Count, size in bytes and content hash, shown beside the artefact."""
        size = sum((data.base / name).stat().st_size for name in data.sha256)
        return {"files": len(data.sha256), "bytes": size, "sha256": data.content_sha256}

    def compute_content_hash(self, data: ProjectFiles) -> str:
        """What later steps' cache keys see."""
        return data.content_sha256


def _join(*parts: str) -> str:
    """Artefact stores speak URIs with forward slashes."""
    return "/".join(parts)


def _inside(name: str) -> str:
    """A name from a manifest, which must stay below its base."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"a manifest names a file outside the project: {name}")
    return name
