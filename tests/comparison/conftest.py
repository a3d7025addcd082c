"""A snapshot on disk, and real MLflow stores."""

from registry_fixtures import client, folder, leave_nothing_open, mlruns, new_store  # noqa: F401
