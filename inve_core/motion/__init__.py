"""How things move in a clip: optical flow between frames, and the parametric motion of each layer."""
