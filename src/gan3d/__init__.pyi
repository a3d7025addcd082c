# For type checkers and editors: the names that __init__.py imports on first use.
from gan3d.api import interpolate as interpolate
from gan3d.api import load as load
from gan3d.api import sample as sample
from gan3d.api import score as score
from gan3d.dataset import VoxelDataset as VoxelDataset
from gan3d.model_file import TrainedModel as TrainedModel

__version__: str
