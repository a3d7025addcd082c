"""The addresses of stores that the environment names: checked before a stage begins its work."""

import os
from importlib.metadata import entry_points

from gan3d.addresses import mask, parse_address, split_address
from gan3d.errors import UserError

URI_VARIABLE, REGISTRY_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
PLUGINS = {URI_VARIABLE: "mlflow.tracking_store", REGISTRY_VARIABLE: "mlflow.model_registry_store"}
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc", "uc")


def check_addresses() -> None:
    """Check the addresses of the store and of the registry, where the environment names them.

    Raises:
        UserError: see `check_address`.
    """
    for variable in PLUGINS:
        if address := os.environ.get(variable):
            check_address(address, variable)


def check_address(address: str, variable: str = URI_VARIABLE) -> None:
    """Check an address by its form.

    Raises:
        UserError: if it cannot be that of a store. A folder is none: MLflow no longer writes to plain files.
    """
    parts = split_address(parse_address(address).url)
    scheme = (parts.scheme or address).partition("+")[0] if parts else ""
    known = scheme in SCHEMES or bool(entry_points(group=PLUGINS[variable], name=scheme))
    if parts is None or not known or (scheme in ("http", "https") and not parts.hostname):
        raise UserError(
            f"{variable} is {mask(address)}, which MLflow cannot use as a store: write it as http://host:5000,"
            " sqlite:////folder/mlflow.db or postgresql://host/name, or unset it."
        )
