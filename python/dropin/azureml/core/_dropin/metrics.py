"""Metrics on their way: kept in memory, sent by a thread, tried again until the service has them."""

import atexit
import collections
import itertools
import sys
import threading
import time
import uuid

from azureml.core._dropin import settings, times
from azureml.core._dropin.per_process import PerProcess
from azureml.core._dropin.transport import Unavailable, pauses
from azureml.exceptions import ServiceException

_ENTRIES_AT_ONCE = 50  # wait for no more company
_ENTRIES_PER_REQUEST = 500  # what has piled up meanwhile goes together: each request costs a durable write
_ROWS_PER_REQUEST = 2000
_INTERVAL = 1.0  # seconds that a value waits for company
_MOST_ROWS = 200000  # kept while the service is away; some 60 MB
_WAIT_FOR_ROOM = 10.0  # seconds; who logs faster than the service takes has to wait, not to lose
_WARN_AFTER = 10.0  # seconds of outage


def warn(text):
    """One line on stderr, if there is one."""
    try:
        print("azureml (linarite): " + text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


def entry(metric, when):
    """A metric as the service takes it. The ids make it safe to send it twice."""
    created = times.iso(when)
    value = []
    for row in metric.rows:
        item = {"metricId": str(uuid.uuid4()), "createdUtc": created}
        if metric.step is not None:
            item["step"] = metric.step
        item["data"] = row
        value.append(item)
    return {
        "name": metric.name,
        "columns": metric.columns,
        "value": value,
        "properties": {"uxMetricType": metric.kind},
    }


def _sizes(entries):
    """How many values there are of each name."""
    sizes = collections.Counter()
    for one in entries:
        sizes[one["name"]] += len(one["value"])
    return sizes


class MetricSender:
    """Takes metrics of any of a service's runs and sees to it that they arrive."""

    def __init__(self, service):
        self._service = service
        self._outboxes = PerProcess(lambda: _Outbox(service))
        atexit.register(self._at_exit)

    def add(self, run_id, metric):
        """Takes a metric (or None). Costs microseconds and never fails because of the service."""
        if metric is not None:
            self._outboxes.get().add(run_id, metric)

    def flush(self, timeout_seconds):
        """Waits until the service has everything. Says whether that is so."""
        outbox = self._outboxes.existing()
        return outbox is None or outbox.flush(timeout_seconds)

    def _at_exit(self):
        outbox = self._outboxes.existing()
        if outbox is not None:
            outbox.close()
        self._service.connections.close()


class _Outbox:
    """What one process has still to send."""

    def __init__(self, service):
        self._service = service
        self._changed = threading.Condition()
        self._queues = collections.OrderedDict()  # run id -> deque of (metric, time)
        self._entries = self._rows = self._flushing = 0
        self._sending = self._away = False
        self._lost = collections.Counter()  # name -> values
        self._reasons = set()  # for the loss, as far as said
        self._closed = False
        self._thread = None
        # children of multiprocessing end without atexit; they have their own list of things to do
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.Finalize(None, self.close, exitpriority=100)

    def add(self, run_id, metric):
        now = time.time()
        size = len(metric.rows)
        parts = [metric]
        if size > _ROWS_PER_REQUEST:
            starts = range(0, size, _ROWS_PER_REQUEST)
            parts = [metric._replace(rows=metric.rows[start : start + _ROWS_PER_REQUEST]) for start in starts]
        with self._changed:
            if not self._has_room(size):
                self._lose({metric.name: size}, "{} wait already for the service".format(_MOST_ROWS))
                return
            if run_id not in self._queues:
                self._queues[run_id] = collections.deque()
            self._queues[run_id].extend((part, now) for part in parts)
            before, self._entries = self._entries, self._entries + len(parts)
            self._rows += size
            if before == 0 or before < _ENTRIES_AT_ONCE <= self._entries:
                self._start()
                self._changed.notify_all()

    def _has_room(self, size):
        """Whether there is room for so many rows, if need be after waiting for it. An empty outbox takes anything."""

        def there_is():
            return self._rows + size <= _MOST_ROWS or not self._rows

        if not there_is() and not self._away:
            self._changed.wait_for(lambda: there_is() or self._away, _WAIT_FOR_ROOM)
            self._away = not there_is()
        return there_is()

    def flush(self, timeout_seconds):
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                if self._start():
                    return self._changed.wait_for(lambda: not self._entries and not self._sending, timeout_seconds)
            finally:
                self._flushing -= 1
        while self._entries:
            self._send_next(deadline)
        return time.monotonic() < deadline

    def close(self):
        """The end of the process: the last chance."""
        if self._closed:
            return
        self._closed = True
        if not self.flush(settings.patience()):
            warn("the last {} metric values were not delivered".format(self._rows))
        if self._lost:
            names = ", ".join("{} of {!r}".format(count, name) for name, count in self._lost.most_common(20))
            warn("metric values that were lost in all: " + names)

    def _start(self):
        """Whether the thread runs; at the very end of a process Python starts no more."""
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._work, name="azureml-metrics", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def _work(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries)
                self._changed.wait_for(lambda: self._entries >= _ENTRIES_AT_ONCE or self._flushing, _INTERVAL)
            self._send_next(None)

    def _send_next(self, deadline):
        """Sends one request's worth. Nothing gets out of here but what ends the process."""
        with self._changed:
            run_id, batch = self._take()
            self._sending = bool(batch)
        try:
            if batch:
                self._deliver(run_id, [entry(metric, when) for metric, when in batch], deadline)
        except Exception as error:
            lost = collections.Counter()
            for metric, _ in batch:
                lost[metric.name] += len(metric.rows)
            self._lose(lost, "{}: {}".format(type(error).__name__, error))
        with self._changed:
            self._sending = False
            self._rows -= sum(len(metric.rows) for metric, _ in batch)
            self._changed.notify_all()

    def _take(self):
        """The oldest entries of one run; the runs take turns. Rows count as kept until they are delivered."""
        if not self._queues:
            return None, []
        run_id, queue = self._queues.popitem(last=False)
        batch, rows = [], 0
        while queue and len(batch) < _ENTRIES_PER_REQUEST:
            rows += len(queue[0][0].rows)
            if batch and rows > _ROWS_PER_REQUEST:
                break
            batch.append(queue.popleft())
        if queue:
            self._queues[run_id] = queue
        self._entries -= len(batch)
        return run_id, batch

    def _deliver(self, run_id, entries, deadline):
        """Sends entries until they are taken or refused. The thread never gives up, a deadline may."""
        url = self._service.metrics(run_id, "/batch")
        started = time.monotonic()
        warned = False
        for pause in pauses():
            try:
                answer = self._service.call_once("POST", url, {"values": entries, "reportErrors": True})
            except Unavailable as reason:
                now = time.monotonic()
                with self._changed:
                    self._away = True
                    self._changed.notify_all()
                if deadline is not None and now + pause > deadline:
                    self._lose(_sizes(entries), str(reason))
                    return
                if not warned and now - started > _WARN_AFTER:
                    warned = True
                    warn("metrics cannot be delivered ({}); they are kept, and tried again".format(reason))
                time.sleep(pause)
            except ServiceException as refusal:
                self._refused(run_id, entries, refusal, deadline)
                return
            else:
                self._away = False
                self._report((answer or {}).get("errors") or [])
                return

    def _refused(self, run_id, entries, refusal, deadline):
        """One bad entry must not take its neighbours along: each half is tried by itself."""
        if len(entries) > 1 and refusal.status_code in (400, 413, 422):
            half = len(entries) // 2
            self._deliver(run_id, entries[:half], deadline)
            self._deliver(run_id, entries[half:], deadline)
        else:
            self._lose(_sizes(entries), str(refusal))

    def _report(self, errors):
        """What the service took in part."""
        for error in errors:
            name = (error.get("metric") or {}).get("name")
            message = ((error.get("errorResponse") or {}).get("error") or {}).get("message")
            warn("metric {!r} was refused: {}".format(name, message))

    def _lose(self, sizes, reason):
        """Counts values that will never arrive. Each reason is said once, the sum at the end."""
        self._lost.update(sizes)
        if reason not in self._reasons:
            self._reasons.add(reason)
            names = ", ".join(repr(name) for name in itertools.islice(sizes, 5))
            warn("values of {} are lost: {}".format(names, reason))
