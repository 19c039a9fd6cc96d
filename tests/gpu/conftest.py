"""What GPU tests share."""

import cv2
import numpy as np
import pytest

from inve_core.clip import Clip
from inve_core.coordinates import PictureGrid
from inve_core.motion.flow import gaps_for
from inve_core.motion.flow_jobs import flow_over_gaps
from inve_core.source import ShotSource
from inve_core.synthetic import make_clip


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Eight small synthetic frames with one matte."""
    truth = make_clip(frames=8, width=160, height=96)
    mattes = truth.mattes[:, None].astype(np.float32)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in truth.rgb])
    flows = flow_over_gaps(grey, mattes, gaps_for(8, 4))
    source = ShotSource("none", ("m",), tuple(range(8)), 160, 96, 1.0, "uint8")
    return Clip(source, PictureGrid.fit(160, 96, 160), truth.rgb, mattes, flows, 1.0)
