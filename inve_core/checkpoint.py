"""Checkpoints: weights and optimiser state as safetensors, everything else as JSON. Nothing is unpickled.

A folder holds `checkpoint.json` (format, geometry, settings, report, training state), `weights.safetensors`
(the networks and the parametric motion) and `trainer.safetensors` (optimiser and random state, for resuming).
"""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from inve_core.errors import CheckpointError, StorageError
from inve_core.model import Geometry, LayeredAtlas
from inve_core.presets import TrainingSettings

if TYPE_CHECKING:
    from inve_core.training import Trainer

FORMAT = 2
DOCUMENT, WEIGHTS, TRAINER = "checkpoint.json", "weights.safetensors", "trainer.safetensors"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A trainer at one moment, in memory of its own: it can be written while learning goes on.

    Attributes:
        document: what `checkpoint.json` is to hold.
        weights: the networks and the parametric motion.
        trainer: optimiser and random state.
    """

    document: dict[str, Any]
    weights: dict[str, torch.Tensor]
    trainer: dict[str, torch.Tensor]

    @classmethod
    def of(cls, trainer: "Trainer", moments: bool = True) -> "Snapshot":
        """Take one.

        Args:
            trainer: what to copy.
            moments: whether the optimisers' are to be in it, which are twice the size of the networks. A run
                that is resumed without them goes on from the same weights and gathers its moments anew.
        """
        document = {
            "format": FORMAT,
            "geometry": trainer.model.geometry.to_dict(),
            "settings": trainer.settings.to_dict(),
            "source": trainer.clip.source.to_dict(),
            "report": trainer.report,
            "state": dataclasses.asdict(trainer.state),
        }
        tensors = {"generator": trainer.generator.get_state()}
        # They are of no use once there is no step to take.
        wanted = moments and trainer.state.stage != "done"
        steps = (("forward", trainer.forward_step), ("inverse", trainer.inverse_step)) if wanted else ()
        for name, step in steps:
            for index, values in step.moments().items():
                tensors |= {
                    f"{name}.{index}.{key}": _copy(torch.as_tensor(value)) for key, value in values.items()
                }
        weights = {name: _copy(tensor) for name, tensor in trainer.model.state_dict().items()}
        return cls(document, weights, tensors)

    @property
    def report(self) -> dict[str, Any]:
        """What the trainer reported at that moment."""
        report: dict[str, Any] = self.document["report"]
        return report

    def write(self, folder: Path) -> None:
        """Write all three files; each appears whole or not at all.

        Raises:
            StorageError: no space, or no permission.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, contents in ((WEIGHTS, self.weights), (TRAINER, self.trainer)):
                temporary = folder / f".{name}.new"
                save_file(contents, temporary)
                os.replace(temporary, folder / name)
            temporary = folder / f".{DOCUMENT}.new"
            temporary.write_text(json.dumps(self.document, allow_nan=True))
            os.replace(temporary, folder / DOCUMENT)
        except (OSError, SafetensorError) as error:
            for name in (WEIGHTS, TRAINER, DOCUMENT):
                (folder / f".{name}.new").unlink(missing_ok=True)
            raise StorageError(
                f"checkpoint could not be written to {folder}: {error}; free some space or choose another "
                "store."
            ) from error


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def read_document(folder: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint.

    Raises:
        CheckpointError: not there, damaged, or of another format.
    """
    try:
        document: dict[str, Any] = json.loads((folder / DOCUMENT).read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{DOCUMENT} in {folder} cannot be read: {error}; train the shot again."
        ) from error
    if document.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint in {folder} must have format {FORMAT}, got {document.get('format')!r}; "
            "train the shot again with this version."
        )
    return document


def read_report(folder: Path) -> dict[str, Any]:
    """The training report that a checkpoint was saved with."""
    report: dict[str, Any] = read_document(folder)["report"]
    return report


def load_model(folder: Path, device: str) -> LayeredAtlas:
    """The networks of a checkpoint, ready to be evaluated or trained on.

    Raises:
        CheckpointError: damaged, or of another format.
    """
    document = read_document(folder)
    geometry = Geometry.from_dict(document["geometry"])
    settings = TrainingSettings.from_dict(document["settings"])
    layers, frames = len(geometry.video_layers), len(geometry.frames)
    model = LayeredAtlas(geometry, np.tile(np.eye(3), (layers, frames, 1, 1)), settings.shapes)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{WEIGHTS} in {folder} is damaged or does not fit its {DOCUMENT}: {error}; train the shot again."
        ) from error
    return model.to(device)


def restore_trainer(trainer: "Trainer", folder: Path) -> None:
    """Put optimisers, random state and training state back to where `Snapshot.of` found them.

    Raises:
        CheckpointError: damaged, or of another clip or other settings.
    """
    document = read_document(folder)
    settings = TrainingSettings.from_dict(document["settings"])
    if settings != trainer.settings or document["report"]["seed"] != trainer.seed:
        raise CheckpointError(
            f"checkpoint in {folder} must have the same settings and seed to be resumed, got preset "
            f"{settings.name!r} at working size {settings.working_size}; train from the start instead."
        )
    if tuple(document["geometry"]["frames"]) != trainer.clip.source.frames:
        raise CheckpointError(f"checkpoint in {folder} is of other frames; train from the start instead.")
    try:
        tensors = load_file(folder / TRAINER)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{TRAINER} in {folder} is damaged: {error}; train from the start.") from error
    trainer.generator.set_state(tensors.pop("generator"))
    for name, step in (("forward", trainer.forward_step), ("inverse", trainer.inverse_step)):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            owner, index, moment = key.split(".")
            if owner == name:
                state.setdefault(int(index), {})[moment] = tensor
        step.restore(state)
    trainer.state = type(trainer.state)(**document["state"])
