"""posehg: human pose estimation with stacked hourglass networks."""

__version__ = "0.1.0"
