"""Average precision of boxes against COCO's own evaluation."""

from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest

from posehg.detection_metrics import IOUS, Judged, curve
from posehg.geometry import Box


def random_images(seed, count=23):
    rng = np.random.default_rng(seed)

    def boxes(number):
        return [Box(*rng.uniform(0, 60, 2), *rng.uniform(8, 50, 2)) for _ in range(number)]

    images = []
    for _ in range(count):
        people, crowds = boxes(rng.integers(0, 5)), boxes(rng.integers(0, 2))
        near = [Box(*(np.array(tuple(box)) + rng.normal(0, 2.5, 4))) for box in people if rng.random() < 0.8]
        found = near + boxes(rng.integers(0, 3))
        scores = np.sort(rng.random(len(found)))[::-1]
        images.append(Judged(people, crowds, [found[i] for i in rng.permutation(len(found))], scores.tolist()))
    return images


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_coco(seed):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    images = random_images(seed)
    truth, results = [], []
    for number, image in enumerate(images, start=1):
        for crowd, boxes in enumerate((image.people, image.ignored)):
            for box in boxes:
                common = {"id": len(truth) + 1, "image_id": number, "category_id": 1, "iscrowd": crowd}
                truth.append({**common, "bbox": [*box], "area": box.w * box.h})
        for box, score in zip(image.found, image.scores, strict=True):
            results.append({"image_id": number, "category_id": 1, "bbox": [*box], "score": score})
    with redirect_stdout(StringIO()):
        known = coco.COCO()
        ids = [{"id": number} for number in range(1, len(images) + 1)]
        known.dataset = {"images": ids, "annotations": truth, "categories": [{"id": 1}]}
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    expected = evaluation.eval["precision"][:, :, 0, 0, -1].mean(axis=1)
    assert [curve(images, iou).average_precision for iou in IOUS] == pytest.approx(expected, abs=1e-6)


def test_people_of_other_heights_are_ignored_and_so_are_boxes_on_them():
    small, large = Box(0, 0, 10, 20), Box(50, 0, 30, 90)
    image = Judged([small, large], [], [small, large, Box(100, 0, 30, 90), Box(0, 100, 9, 19)], [0.9, 0.8, 0.7, 0.6])
    tall = curve([image], 0.5, taller=60)
    assert (tall.people, tall.precision.tolist(), tall.recall.tolist()) == (1, [1.0, 0.5], [1.0, 1.0])
    assert curve([image], 0.5, up_to=60).precision.tolist() == [1.0, 0.5]
    assert [curve([image], 0.5).recall_at(precision) for precision in (0.6, 1.1)] == [1.0, 0.0]


def test_no_people_have_no_average_precision():
    assert np.isnan(curve([Judged([], [], [Box(0, 0, 5, 5)], [0.5])], 0.5).average_precision)
