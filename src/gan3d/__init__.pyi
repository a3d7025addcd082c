# For type checkers and editors: the names that __init__.py imports on first use.
from gan3d.api.data import VoxelDataset as VoxelDataset
from gan3d.api.data import prepare as prepare
from gan3d.api.models import Model as Model
from gan3d.api.models import load as load
from gan3d.api.scoring import Scores as Scores
from gan3d.api.scoring import score as score
from gan3d.api.shapes import Shape as Shape
from gan3d.api.shapes import Shapes as Shapes
from gan3d.api.training import train as train
from gan3d.model_file import TrainedModel as TrainedModel
from gan3d.training.callback import Callback as Callback

__version__: str
