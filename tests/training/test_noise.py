import numpy as np
from keras import ops

from gan3d.training.noise import logistic_noise, scramble


def draw(seed: int, *shape: int) -> np.ndarray:
    return ops.convert_to_numpy(logistic_noise(ops.convert_to_tensor(np.uint32(seed)), shape))


def test_it_is_logistic_and_finite():
    values = np.concatenate([draw(seed, 64, 16, 16, 16).ravel() for seed in (0, 1, 2**32 - 1)])
    assert np.isfinite(values).all()
    quantiles = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(values, quantiles), np.log(quantiles / (1 - quantiles)), atol=0.05)


def test_a_seed_gives_the_same_numbers_and_another_others():
    assert np.array_equal(draw(7, 5, 8, 8, 8, 1), draw(7, 5, 8, 8, 8, 1))
    one, next_, shifted = draw(7, 20_000), draw(8, 20_000), np.roll(draw(7, 20_000), 1)
    assert abs(np.corrcoef(one, next_)[0, 1]) < 0.03
    assert abs(np.corrcoef(one, shifted)[0, 1]) < 0.03


def test_the_hash_is_that_of_its_source():
    def lowbias32(x: int) -> int:
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        return x ^ x >> 16

    given = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    found = ops.convert_to_numpy(scramble(ops.convert_to_tensor(np.array(given, np.uint32))))
    assert found.tolist() == [lowbias32(x) for x in given]
