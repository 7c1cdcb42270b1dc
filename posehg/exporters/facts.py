"""What an exported file says of itself, for who deploys it and for posehg, which reads its own config only."""

from __future__ import annotations

import json

from posehg import __version__
from posehg.checkpoints import Checkpoint
from posehg.config import KEY, STRIDE
from posehg.exporters.form import Form
from posehg.exporters.graph import INPUT, OUTPUTS, config_of
from posehg.network import parameters


def facts(checkpoint: Checkpoint, form: Form) -> dict[str, str]:
    """Texts by name: under KEY the config as JSON, the others to be read."""
    config, skeleton = checkpoint.config, checkpoint.config.skeleton
    rows, columns = config.input_size
    maps, keypoints, scores = OUTPUTS
    found = {
        KEY: config_of(checkpoint).to_json(),
        "joints": ", ".join(skeleton.joints),
        "limbs": json.dumps(skeleton.limbs),
        "flip": json.dumps(skeleton.flip),
        "input": f"{INPUT}: float32 (batch, 3, {rows}, {columns}), RGB in 0 .. 1",
        "mean": json.dumps(config.network.mean),
        "std": json.dumps(config.network.std),
        "normalisation": "in the graph: do not subtract the mean, or divide by the std, before",
        maps: f"float32 (batch, {len(skeleton.joints)}, {rows // STRIDE}, {columns // STRIDE}) in 0 .. 1",
        "stride": str(STRIDE),
        "offset": f"{config.offset:g} cells from a peak to its joint, to the right and down",
        "cells": f"cell i has its centre at {STRIDE} i + {(STRIDE - 1) / 2:g} of the input; pixel centres are integers",
        "precision": form.precision,
        "parameters": str(parameters(config.network)),
        "version": __version__,
    }
    if form.decoder:
        found[keypoints] = f"float32 (batch, {len(skeleton.joints)}, 2), x and y in input pixels, by {form.decoder}"
        found[scores] = f"float32 (batch, {len(skeleton.joints)}) in 0 .. 1"
    if form.dynamic_size:
        found["size"] = f"any, of sides that are multiples of {config.network.multiple}"
    licence = config.provenance.get("licence") or config.provenance.get("license")
    return {**found, "licence": licence} if licence else found
