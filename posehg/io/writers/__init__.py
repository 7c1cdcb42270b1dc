"""The files that results are written to: one module for each format, and one table of them all."""

from typing import NamedTuple

from posehg import images
from posehg.io.writers.coco import CocoWriter
from posehg.io.writers.crops import CropsWriter
from posehg.io.writers.csv import CsvWriter, WideCsvWriter
from posehg.io.writers.heatmaps import HeatmapsWriter
from posehg.io.writers.image import ImageWriter, VideoWriter
from posehg.io.writers.json import JsonWriter
from posehg.io.writers.npz import NpzWriter
from posehg.io.writers.openpose import OpenPoseWriter
from posehg.io.writers.writer import Writer

FileOf = tuple[type[Writer], str]
"""A writer, and what follows the name of the source in the name of its file.

Of a file for each frame that begins with an underscore, before which the frame's number is put.
"""


class Format(NamedTuple):
    """The files of a format: of each image, of each video (else of each of its frames), or of all sources together."""

    image: FileOf | None = None
    video: FileOf | None = None
    run: FileOf | None = None


FORMATS = {
    "image": Format(image=(ImageWriter, ".png"), video=(VideoWriter, ".mp4")),
    "json": Format(image=(JsonWriter, ".json"), video=(JsonWriter, ".jsonl")),
    "csv": Format(image=(CsvWriter, ".csv"), video=(CsvWriter, ".csv")),
    "csv-wide": Format(image=(WideCsvWriter, ".csv"), video=(WideCsvWriter, ".csv")),
    "npz": Format(image=(NpzWriter, ".npz"), video=(NpzWriter, ".npz")),
    "coco": Format(run=(CocoWriter, "results.json")),
    "openpose": Format(image=(OpenPoseWriter, "_keypoints.json")),
    "heatmaps": Format(image=(HeatmapsWriter, "_heatmaps.jpg")),
    "crops": Format(image=(CropsWriter, "_person1.jpg")),
}
"""The formats of --save."""

IMAGE_FILES: dict[str, type[Writer]] = {**dict.fromkeys(images.SUFFIXES, ImageWriter), ".json": JsonWriter}
VIDEO_FILES: dict[str, type[Writer]] = {".mp4": VideoWriter, ".webm": VideoWriter}
RUN_FILES: dict[str, type[Writer]] = {".jsonl": JsonWriter, ".csv": CsvWriter, ".npz": NpzWriter}
"""--out FILE by its suffix, in lower case: of one image, of one video, and of any number of either."""
