"""Makes the README's image: eight synthetic people with the joints that posehg finds on them."""

from pathlib import Path

import posehg
from posehg import drawing, images
from posehg.datasets import synthetic

model = posehg.load()
people = [synthetic.render(seed, size=320)[0] for seed in range(8)]
sheet = drawing.contact_sheet([posehg.draw(image, model(image).people) for image in people], columns=4, cell=240)
images.write(Path(__file__).with_name("people.png"), sheet, overwrite=True)
