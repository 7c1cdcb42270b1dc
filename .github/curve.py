"""Draws curve.png, the accuracy of the default model while it was trained: ``python .github/curve.py``."""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot

HERE = Path(__file__).parent
SETS = {"pck_mpii_val": "MPII", "pck_coco7k_val": "COCO", "pck_lspet_val": "LSPET"}

with open(HERE.parent / "weights" / "training.csv", newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
for column, name in SETS.items():
    for phase, line, label in (("constant", "-", name), ("decay", "o", "")):
        points = [(int(row["crops"]) / 1000, float(row[column])) for row in rows if row["phase"] == phase]
        axes.plot(*zip(*points, strict=True), line, color=f"C{list(SETS).index(column)}", label=label)
axes.set(xlabel="thousand crops of 192 x 192 pixels (dots: after the learning rate's decay)", ylabel="PCK@0.2, percent")
axes.set_xlim(left=0)
axes.grid(alpha=0.3)
axes.legend()
figure.savefig(HERE / "curve.png", dpi=110, metadata={"Software": None})
