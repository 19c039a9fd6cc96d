"""The dockable panel: `model` and `view` know no Qt, `window` and what it is made of know nothing else."""
