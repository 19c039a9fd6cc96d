"""The training presets: every hyperparameter in one typed place. No torch.

`paper` follows INVE and LNA to the letter where they say something; the others use a parametric start, a
stiffer map and flow over longer gaps, which reach the same quality in a fraction of the iterations.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses in `inve_core.losses`; colours are 0..1 and distances working pixels."""

    reconstruction: float = 2.0
    gradient: float = 0.4
    sparsity: float = 0.1
    rigidity: float = 0.02
    global_rigidity_foreground: float = 0.02
    global_rigidity_background: float = 0.05
    flow: float = 2.0
    opacity_flow: float = 0.05
    matte: float = 1.0
    lighting: float = 0.005

    def stiffer(self, factor: float) -> "LossWeights":
        """The same with local rigidity weighted more, where learning has to go on more gently."""
        return dataclasses.replace(self, rigidity=self.rigidity * factor)


@dataclass(frozen=True)
class FieldShapes:
    """Sizes of the networks.

    Attributes:
        mapping_levels, opacity_levels, atlas_levels, lighting_levels: of each network's grid; without
            levels there is no lighting.
        mapping_cell_px, mapping_frames_a_cell: finest cell of the mappings' grids: how closely a residual
            can follow a surface, and a movement.
        lighting_cell_px, lighting_frames_a_cell: the same for light.
        opacity_px_a_frame: how far apart on the opacity grid frames lie, in pixels: near in stabilised
            coordinates, where an outline hardly moves, so that one frame teaches the next.
        log2_table, lighting_log2_table: the most rows that a level's table may have, as a power of two.
        width: units of the MLPs' hidden layers.
        residual_share: residuals are learned in units of this share of the working size's long edge.
    """

    mapping_levels: int = 8
    mapping_cell_px: float = 12.0
    mapping_frames_a_cell: float = 1.0
    opacity_levels: int = 10
    atlas_levels: int = 14
    lighting_levels: int = 12
    lighting_cell_px: float = 3.0
    lighting_frames_a_cell: float = 1.0
    opacity_px_a_frame: float = 2.0
    log2_table: int = 18
    lighting_log2_table: int = 18
    width: int = 64
    residual_share: float = 1 / 32


@dataclass(frozen=True)
class TrainingSettings:
    """How a shot is learned.

    Attributes:
        working_size: long edge in pixels that the clip is learned at.
        batch: pixels an iteration.
        iterations: the most that the forward networks are trained for.
        least_iterations: early stopping does not look before this many.
        check_every: iterations between looks at flow error and matte.
        cooldown: share of the iterations so far that learning then goes on with falling rates.
        inverse_iterations: iterations of the inverse mappings, trained after the forward ones.
        longest_gap: longest gap of the optical flow, in frames.
        foreground_share: share of a batch that is drawn from the mattes and their surroundings.
        neighbour_share: share of a batch whose neighbours are evaluated too, for gradient and rigidity.
        global_until: share of `iterations` after which global rigidity is off (LNA).
        matte_until: share of `iterations` after which the matte is no target any more (LNA); 1 keeps it.
        identity_start: no parametric start; mappings begin as the identity (LNA).
    """

    name: str
    working_size: int = 768
    batch: int = 10_000
    iterations: int = 3_000
    least_iterations: int = 500
    check_every: int = 100
    cooldown: float = 0.3
    inverse_iterations: int = 300
    longest_gap: int = 16
    foreground_share: float = 0.4
    neighbour_share: float = 0.5
    global_until: float = 0.4
    matte_until: float = 1.0
    identity_start: bool = False
    grid_rate: float = 1e-2
    mlp_rate: float = 2e-3
    weights: LossWeights = field(default_factory=LossWeights)
    shapes: FieldShapes = field(default_factory=FieldShapes)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for the checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainingSettings":
        """From what `to_dict` gave."""
        nested = {"weights": LossWeights(**values["weights"]), "shapes": FieldShapes(**values["shapes"])}
        return cls(**{**values, **nested})


PRESETS: dict[str, TrainingSettings] = {
    settings.name: settings
    for settings in (
        TrainingSettings(
            name="preview",
            working_size=320,
            batch=3_000,
            iterations=600,
            least_iterations=250,
            check_every=50,
            inverse_iterations=250,
            longest_gap=8,
            neighbour_share=0.34,
            shapes=FieldShapes(
                mapping_levels=5,
                mapping_cell_px=16.0,
                mapping_frames_a_cell=2.0,
                opacity_levels=7,
                atlas_levels=8,
                lighting_levels=4,
                lighting_cell_px=16.0,
                lighting_frames_a_cell=4.0,
                log2_table=16,
                lighting_log2_table=16,
                width=32,
            ),
        ),
        TrainingSettings(name="fast", least_iterations=1_000),
        TrainingSettings(
            name="quality",
            batch=20_000,
            iterations=8_000,
            least_iterations=4_000,
            check_every=200,
            inverse_iterations=1_000,
            weights=LossWeights(flow=3.0, lighting=0.002),
            shapes=FieldShapes(
                mapping_cell_px=10.0,
                atlas_levels=16,
                lighting_cell_px=2.0,
                log2_table=19,
                lighting_log2_table=20,
            ),
        ),
        TrainingSettings(
            name="paper",
            iterations=12_000,
            least_iterations=12_000,
            check_every=500,
            inverse_iterations=2_000,
            longest_gap=1,
            foreground_share=0.0,
            neighbour_share=1.0,
            matte_until=10 / 12,
            global_until=5 / 12,
            identity_start=True,
            mlp_rate=1e-3,
            weights=LossWeights(
                reconstruction=5.0,
                gradient=1.0,
                sparsity=1.0,
                rigidity=0.001,
                lighting=0.0,
                global_rigidity_foreground=0.005,
                global_rigidity_background=0.05,
                flow=0.01,
                opacity_flow=0.05,
                matte=2.0,
            ),
            shapes=FieldShapes(
                mapping_levels=6,
                mapping_cell_px=32.0,
                mapping_frames_a_cell=3.0,
                opacity_levels=16,
                atlas_levels=16,
                lighting_levels=0,
                # The whole cube for the clip, and LNA's unit of length: half the long edge.
                opacity_px_a_frame=100.0,
                log2_table=15,
                residual_share=0.5,
            ),
        ),
    )
}


def preset(name: str, **overrides: Any) -> TrainingSettings:
    """A preset by name, with some of its fields replaced.

    Raises:
        KeyError: no preset of that name.
    """
    return dataclasses.replace(PRESETS[name], **overrides)
