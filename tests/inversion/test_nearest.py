"""The nearest training shape, by IoU and then by Chamfer distance."""

import numpy as np
import pytest
from box_dataset import write_boxes

from gan3d.errors import UserError
from gan3d.inversion.nearest import TrainingShapes, open_training_shapes
from gan3d.inversion.overlap import iou, iou_matrix
from gan3d.metrics.chamfer import nearest_shapes, prepare
from gan3d.networks.architecture import Architecture


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    sizes = {"chair": {"train": 40, "test": 6}, "table": {"test": 3}}
    return write_boxes(tmp_path_factory.mktemp("boxes") / "voxels", sizes)


def test_it_is_the_nearest_one_of_its_class(data):
    training, shapes = TrainingShapes(data, ("chair",), 8), data.voxels(8, data.select("test", "chair"))
    grids = data.voxels(8, data.select("train", "chair"))
    for shape in shapes:
        found = training.nearest(shape, "chair")
        distance, position = nearest_shapes(prepare(shape[None]), grids)
        assert found.name == f"chair_train_{position[0]}"
        assert found.chamfer_x1e3 == pytest.approx(1e3 * distance[0])
        assert found.iou == pytest.approx(iou(shape[None], found.voxels[None])[0])


def test_a_class_without_training_shapes_has_none(data):
    assert TrainingShapes(data, ("chair", "table"), 8).nearest(np.ones((8, 8, 8), bool), "table") is None


def test_data_that_do_not_fit_are_refused(data):
    with pytest.raises(UserError, match="has no class 'sofa'"):
        open_training_shapes(data.folder, Architecture(4, ("sofa",), (2, 2), (0.1, 0.1)))
    with pytest.raises(UserError, match="stops below 16³"):
        open_training_shapes(data.folder, Architecture(4, ("chair",), (2, 2, 2), (0.1, 0.1, 0.1)))
    open_training_shapes(data.folder, Architecture(4, ("shape",), (2, 2), (0.1, 0.1)))  # without classes


def test_overlaps():
    a = np.zeros((2, 8, 8, 8), bool)
    a[0, :4], a[1, 2:6] = True, True
    np.testing.assert_allclose(iou_matrix(a, a), [[1, 1 / 3], [1 / 3, 1]])
    assert iou(a[:1], a[1:]) == pytest.approx(1 / 3)
    assert iou(np.zeros_like(a), np.zeros_like(a)).tolist() == [1, 1]
