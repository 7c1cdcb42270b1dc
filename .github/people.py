"""Makes the README's picture: the first eight people of posehg's demonstration set, with the joints found on them."""

from pathlib import Path

from posehg import drawing, images
from posehg.datasets import synthetic
from posehg.inference import engines, people
from posehg.inference.engines import Run
from posehg.inference.estimator import Estimator

estimator = Estimator(engines.opened("bundled", Run("cpu")))
pictures = []
for seed in range(8):
    photo, _ = synthetic.render(seed, size=320)
    pose = people.most_prominent(estimator, photo)
    pictures.append(drawing.draw(photo, [pose] if pose else [], people.THRESHOLD))
sheet = drawing.contact_sheet(pictures, columns=4, cell=240)
images.write(Path(__file__).with_name("people.png"), sheet, overwrite=True)
