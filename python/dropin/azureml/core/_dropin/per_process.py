"""State that must not be shared with forked children: threads, locks, connections, queues."""

import os


class PerProcess:
    """One state for each process. A forked child gets a fresh one on first use and never touches its parent's."""

    def __init__(self, make, discard=lambda state: None):
        """`discard` frees in a child what it inherited."""
        self._make = make
        self._discard = discard
        self._states = {}

    def get(self):
        """The state of this process."""
        pid = os.getpid()
        state = self._states.get(pid)
        return state if state is not None else self._renew(pid)

    def existing(self):
        """The state of this process, or None if it has none yet."""
        return self._states.get(os.getpid())

    def _renew(self, pid):
        # setdefault is atomic, a lock could be one that another thread of the parent held at the fork
        state = self._states.setdefault(pid, self._make())
        for other in [known for known in self._states if known != pid]:
            inherited = self._states.pop(other, None)
            if inherited is not None:
                self._discard(inherited)
        return state
