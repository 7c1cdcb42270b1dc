"""Makes the README's image: eight synthetic people with the joints that the bundled network finds on them."""

from pathlib import Path

from posehg import drawing, images
from posehg.datasets import synthetic
from posehg.inference.estimator import load_estimator
from posehg.inference.person_search import find

estimator = load_estimator("bundled")
drawn = []
for seed in range(8):
    image, _ = synthetic.render(seed, size=320)
    drawn.append(drawing.draw(image, find(estimator, image), drawing.DrawOptions().threshold))
sheet = drawing.contact_sheet(drawn, columns=4, cell=240)
images.write(Path(__file__).with_name("people.png"), sheet, overwrite=True)
