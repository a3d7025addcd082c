"""The address of a store that the environment names: checked before a stage begins its work."""

import os
from importlib.metadata import entry_points

from gan3d.addresses import mask, parse_address, split_address
from gan3d.errors import UserError

URI_VARIABLE = "MLFLOW_TRACKING_URI"
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")  # and those of MLflow's plugins


def check_address(uri: str | None = None) -> None:
    """Check an address, or that of MLFLOW_TRACKING_URI; none is fine.

    Raises:
        UserError: if it cannot be that of a store. A store in plain files is none: MLflow no longer writes to them.
    """
    uri = uri or os.environ.get(URI_VARIABLE)
    if not uri or uri == "databricks":
        return
    parts = split_address(parse_address(uri).url)
    scheme = parts.scheme.partition("+")[0] if parts else ""
    known = scheme in SCHEMES or bool(entry_points(group="mlflow.tracking_store", name=scheme))
    if parts is None or not known or (scheme in ("http", "https") and not parts.hostname):
        raise UserError(
            f"{URI_VARIABLE} is {mask(uri)}, which MLflow cannot use as a store: write it as http://host:5000,"
            " sqlite:////folder/mlflow.db or postgresql://host/name, or unset it."
        )
