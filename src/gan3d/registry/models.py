"""Open a model by its address: a folder, a pretrained name, or an MLflow URI."""

from pathlib import Path

from gan3d import model_file
from gan3d.config.project import find_project, in_project
from gan3d.errors import UserError
from gan3d.inversion.encoder_file import ENCODER
from gan3d.sampling.sampler import Sampler

REGISTERED = ("models:/", "runs:/")  # beginnings of MLflow URIs


def open_sampler(address: str | Path, mlruns: Path | None = None) -> Sampler:
    """Load a model for sampling.

    Args:
        address: a folder such as models/r16; a pretrained model's name, such as modelnet10-r32; or an MLflow URI:
            models:/furniture@champion, models:/furniture/3, runs:/RUN/model.
        mlruns: the MLflow store of a URI (`gan3d.tracking.store.connect`); by default that of the current project.

    Raises:
        UserError: when there is no such model; the message lists the models that exist.
    """
    return Sampler.load(model_folder(address, mlruns))


def model_folder(address: str | Path, mlruns: Path | None = None) -> Path:
    """The folder of a model on this machine (`gan3d.model_file`); takes and raises what `open_sampler` does."""
    if str(address).startswith(REGISTERED):
        from gan3d.registry.fetch import resolve  # imports MLflow, which a folder does not need

        return resolve(str(address), mlruns or find_project().mlruns)
    folder = Path(address)
    known = {} if folder.is_dir() or len(folder.parts) != 1 else pretrained_models()
    if folder.name in known:
        return known[folder.name]
    if known and not folder.exists():
        raise UserError(
            f"{address} is neither a folder nor a pretrained model: name a folder such as models/r16, a URI such as"
            f" models:/furniture@champion, or one of {', '.join(sorted(known))}."
        )
    model_file.read_config(folder)
    return folder


def encoder_places(folder: Path) -> list[Path]:
    """Where the encoder of a model may lie: in its folder, and in the current project, whose names say little."""
    project = sorted(find_project().encoder("*").parent.glob("*.npz")) if in_project() else []
    return [folder / ENCODER, *project]


def pretrained_models() -> dict[str, Path]:
    """Pretrained models by name: those of the checkout this package is imported from, and of the current project."""
    roots = [Path(__file__).parents[3], *([find_project().home] if in_project() else [])]
    return {path.parent.name: path.parent for root in roots for path in root.glob("pretrained/*/config.json")}
