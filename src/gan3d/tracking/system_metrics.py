"""Use of processor, memory, disk, network and GPU during a run, as MLflow measures it."""

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from gan3d.tracking.outbox import SYSTEM, Outbox


class SystemMetrics(SystemMetricsMonitor):
    """Samples every 10 s in a thread, into an outbox; MLflow's own monitor asks the server each time."""

    def __init__(self, outbox: Outbox):
        super().__init__(outbox.id)
        self.outbox = outbox

    def monitor(self) -> None:
        step = 0
        while not self._shutdown_event.wait(self.sampling_interval):
            self.collect_metrics()
            values = self.aggregate_metrics()
            self.outbox.put_metrics([{"images": step} | {SYSTEM + k: v for k, v in values.items()}], system=True)
            step += 1
            for monitor in self.monitors:
                monitor.clear_metrics()

    def finish(self) -> None:
        self._shutdown_event.set()
        if self._process is not None:
            self._process.join(1.0)
