"""Use of processor, memory, disk, network and GPU during a run, as MLflow measures it."""

import contextlib
import threading
from typing import Any

from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from gan3d.tracking.delivery import SYSTEM
from gan3d.tracking.outbox import Outbox

SECONDS = 10.0  # between two samples


class SystemMetrics:
    """Samples in a thread, into an outbox; MLflow's own monitor asks the server each time."""

    def __init__(self, outbox: Outbox):
        self.outbox = outbox
        self.monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with contextlib.suppress(Exception):  # no GPU of NVIDIA, or no driver
            self.monitors.append(GPUMonitor())
        self.seconds = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or SECONDS
        self.stopped = threading.Event()
        threading.Thread(target=self._run, name="system metrics", daemon=True).start()

    def stop(self) -> None:
        """Stop sampling."""
        self.stopped.set()

    def _run(self) -> None:
        step = 0
        while not self.stopped.wait(self.seconds):
            row: dict[str, float] = {"images": step}
            for monitor in self.monitors:
                monitor.collect_metrics()
                row |= {SYSTEM + name: value for name, value in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
            self.outbox.put_metrics([row], system=True)
            step += 1
