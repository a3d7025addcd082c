"""MLflow's server, with one addition: at the first visit, its page opens the project's training runs.

MLflow keeps in the browser's local storage whether it shows training or generative AI, which columns it lists, and what
the charts' axis is. A script in its only page fills those in before MLflow reads them, once, so that what a person
chooses later stays. `mlflow server --app-name gan3d` finds this module by its entry point in pyproject.toml.
"""

import json
import os
from pathlib import Path

from mlflow.server import app as pages
from mlflow.server.fastapi_app import app
from mlflow.server.handlers import _get_tracking_store

from gan3d.tracking.metric_names import IMAGES, IMAGES_SEEN, MAIN_SCORE, SCORES, SHEETS
from gan3d.tracking.store import ID_VARIABLE, experiment_name

__all__ = ["app"]

COLUMNS = {  # and their widths in pixels
    **dict.fromkeys((f"metrics.`{name}`" for name in (MAIN_SCORE, f"{SCORES}/one_nna_cd", f"{SCORES}/cov_cd")), 175),
    **dict.fromkeys((f"params.`{name}`" for name in ("lr_g", "lr_d", "batch")), 70),
    f"metrics.`{IMAGES_SEEN}`": 160,
    "tags.`changed`": 260,
}
FIRST = ("attributes.`Run Name`", "runDateAndNestInfo", "duration")  # columns that are always there
VIEW = {
    "selectedColumns": list(COLUMNS),
    "columnOrder": [*FIRST, *COLUMNS],
    "columnWidths": {FIRST[0]: 220} | COLUMNS,
    "globalLineChartConfig": {"xAxisKey": "metric", "lineSmoothness": 0, "selectedXAxisMetricKey": IMAGES},
    "compareRunCharts": [],  # MLflow adds one for each metric and series of pictures
    "compareRunSections": [  # sheets of several runs fit side by side; MLflow adds the others
        {
            "uuid": "gan3d-sheets",
            "name": SHEETS,
            "display": True,
            "isReordered": False,
            "columns": 1,
            "cardHeight": 560,
        },
        {"uuid": "gan3d-others", "name": "Model metrics", "display": True, "isReordered": False},
        {"uuid": "gan3d-system", "name": "System metrics", "display": False, "isReordered": False},
    ],
}
SETTINGS = {  # versions as in MLflow 3.17
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.assistant.panelOpen_v1": False,
    "_mlflow_model_registry_promo_modal_dismissed_v1": True,
}
SCRIPT = """<script>
(function (settings, view, id) {
  try {
    for (const [key, value] of Object.entries(settings))
      if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
    const seen = "gan3d.view_v1-" + id;
    if (id && localStorage.getItem(seen) === null) {
      localStorage.setItem(seen, "true");
      localStorage.setItem('MLflowLocalStorage-1.1-ExperimentPage-["' + id + '"]-ReactComponentState',
        JSON.stringify(view));
    }
  } catch (error) { /* without local storage, MLflow has its own defaults */ }
  if (id && !location.hash) location.replace("#/experiments/" + id + "/runs");
})(%s);
</script>"""


def script(experiment: str) -> str:
    """What the page runs first.

    Args:
        experiment: id of the project's experiment; empty if it does not exist yet.
    """
    return SCRIPT % ", ".join(json.dumps(value).replace("<", "\\u003c") for value in (SETTINGS, VIEW, experiment))


def first_page() -> tuple[str, dict[str, str]]:
    """MLflow's page with the script in front of its own."""
    number = os.environ.get(ID_VARIABLE) or ""  # set by `gan3d ui`
    if not number and (found := _get_tracking_store().get_experiment_by_name(experiment_name())):
        number = found.experiment_id
    page = (Path(str(pages.static_folder)) / "index.html").read_text(encoding="utf-8")
    page = page.replace("<script", script(number) + "<script", 1)
    return page, {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache"}


pages.view_functions["serve"] = first_page
