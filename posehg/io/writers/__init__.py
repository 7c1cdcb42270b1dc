"""The files that results are written to: one module for each format, and one table of them all."""

from dataclasses import dataclass
from typing import NamedTuple

from posehg import images
from posehg.io.writers.coco import CocoWriter
from posehg.io.writers.crops import CropsWriter
from posehg.io.writers.csv import CsvWriter
from posehg.io.writers.heatmaps import HeatmapsWriter
from posehg.io.writers.image import ImageWriter, VideoWriter
from posehg.io.writers.json import JsonWriter
from posehg.io.writers.npz import NpzWriter
from posehg.io.writers.openpose import OpenPoseWriter
from posehg.io.writers.writer import Writer


class FileOf(NamedTuple):
    """ending: what follows the name of the source in the name of the file."""

    writer: type[Writer]
    ending: str


@dataclass(frozen=True)
class Format:
    """The files of a format: of each image, of each video (else of each of its frames), or of all sources together."""

    image: FileOf | None = None
    video: FileOf | None = None
    run: FileOf | None = None


FORMATS = {
    "image": Format(image=FileOf(ImageWriter, ".png"), video=FileOf(VideoWriter, ".mp4")),
    "json": Format(image=FileOf(JsonWriter, ".json"), video=FileOf(JsonWriter, ".jsonl")),
    "csv": Format(image=FileOf(CsvWriter, ".csv"), video=FileOf(CsvWriter, ".csv")),
    "npz": Format(image=FileOf(NpzWriter, ".npz"), video=FileOf(NpzWriter, ".npz")),
    "coco": Format(run=FileOf(CocoWriter, "results.json")),
    "openpose": Format(image=FileOf(OpenPoseWriter, "_keypoints.json")),
    "heatmaps": Format(image=FileOf(HeatmapsWriter, "_heatmaps.jpg")),
    "crops": Format(image=FileOf(CropsWriter, "_person1.jpg")),
}
"""The formats of --save."""

IMAGE_FILES: dict[str, type[Writer]] = {**dict.fromkeys(images.SUFFIXES, ImageWriter), ".json": JsonWriter}
VIDEO_FILES: dict[str, type[Writer]] = {".mp4": VideoWriter, ".webm": VideoWriter}
RUN_FILES: dict[str, type[Writer]] = {".jsonl": JsonWriter, ".csv": CsvWriter, ".npz": NpzWriter}
"""--out FILE by its suffix, in lower case: of one image, of one video, and of any number of either."""
