"""The encoder learns: it comes closer to the latents of new shapes than a constant could."""

import numpy as np
from small_inverter import small_inverter

from gan3d.inversion.encoder_training import train_encoder
from gan3d.inversion.inverter import Inverter
from gan3d.inversion.overlap import iou
from gan3d.inversion.vectors import normalise
from gan3d.sampling.latents import draw_latents


def test_a_trained_encoder_gives_a_good_start():
    plain, told = small_inverter(), []
    encoder = train_encoder(plain.sampler, shapes=512, epochs=6, progress=lambda *words: told.append(words))
    assert told[-1][0] == told[-1][1]  # all work is reported
    inverter = Inverter(plain.sampler, encoder)
    latents = normalise(draw_latents(77, 32, plain.latent))
    labels = np.arange(32) % 2
    shapes = inverter.draw(latents, labels)
    encoded, logits = inverter.encoded(shapes)
    assert np.mean(encoded * latents) > 0.6  # of random latents: 0
    assert np.mean(logits.argmax(1) == labels) > 0.8
    assert np.median(iou(inverter.draw(encoded, labels), shapes)) > 0.35
    chosen = [inverter.starts(shape[None], [0, 1])[2] for shape in shapes[:16]]
    assert np.mean(chosen == labels[:16]) > 0.7
    assert inverter.invert(shapes[0], "chair").iou > 0.7
