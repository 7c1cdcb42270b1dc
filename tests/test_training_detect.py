"""Training a detector: views of scenes, and a run that learns."""

import numpy as np
import pytest
import torch

from posehg import centers
from posehg.datasets.scenes import Scene, Scenes
from posehg.geometry import Box
from posehg.training.config import TrainConfig
from posehg.training.detect import SceneSamples, loss

SIZE = 128


def scene(*people, size=(90, 150), ignored=()):
    """Each person is a bright rectangle."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    for box in (*people, *ignored):
        image[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)] = 250
    return Scene(image, people, ignored)


def samples(scenes, **options):
    config = TrainConfig(task="detect", input_size=SIZE, colour=0, **options)
    return SceneSamples(Scenes("ours", "train", len(scenes), scenes.__getitem__), config)


def bright(crop, limit=125):
    rows, columns = np.nonzero(crop[..., 0] > limit)
    return Box.bounding(np.stack((columns, rows), axis=1))


def in_pixels(rows):
    rows = rows[np.isfinite(rows).all(axis=1)]
    return [Box.around((4 * x + 1.5, 4 * y + 1.5), 4 * w, 4 * h) for x, y, w, h, _ in rows.tolist()], rows[:, 4]


@pytest.mark.parametrize("turned", [0.0, 1.0])
def test_boxes_follow_their_people(monkeypatch, turned):
    monkeypatch.setattr("posehg.training.detect.TURNED", turned)
    person = Box(60, 20, 24, 50)
    data = samples([scene(person)], rotation=1e-9, scale=0.4, translation=0.1)
    compared = 0
    for epoch in range(30):
        sample = data[epoch, 0]
        boxes, counted = in_pixels(sample.points)
        crop = sample.crop(SIZE)
        if len(boxes) == 1 and counted[0]:
            compared += 1
            assert boxes[0].iou(bright(crop)) > 0.9
    assert compared > 15


def test_people_who_are_cut_off_or_tiny_are_ignored():
    tiny, whole = Box(5, 5, 2, 3), Box(60, 20, 24, 50)
    data = samples([scene(tiny, whole, ignored=[Box(110, 10, 20, 40)])], rotation=0, scale=0, flip=0)
    _, counted = in_pixels(data[0, 0].points)
    assert counted.tolist() == [0, 1, 0]


def test_a_mosaic_shows_several_scenes():
    scenes = [scene(Box(60, 10, 30, 70)), scene(Box(20, 10, 30, 70)), scene(Box(100, 10, 30, 70))]
    data = samples(scenes, rotation=0, scale=0, mosaic=1.0)
    counts = [len(in_pixels(data[epoch, 0].points)[0]) for epoch in range(12)]
    assert max(counts) >= 3
    assert np.array_equal(data[2, 0].pixels, data[2, 0].pixels)


def test_the_loss_of_the_parts_of_a_batch_adds_up():
    data = samples([scene(Box(60, 20, 24, 50)), scene(), scene(Box(9, 9, 30, 60), Box(80, 20, 30, 60))])
    boxes = torch.from_numpy(np.stack([data[0, index].points for index in range(3)]))
    output = torch.randn(3, 5, 32, 32, generator=torch.Generator().manual_seed(0))
    total = torch.isfinite(boxes).all(dim=-1).sum()
    parts = sum(loss([output[i : i + 1]], boxes[i : i + 1], total) for i in range(3))
    assert float(parts) == pytest.approx(float(loss([output], boxes, total)), rel=1e-5)
    assert centers.decode(output[0].numpy(), 0.9).shape[1] == 5
