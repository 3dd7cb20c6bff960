"""Linarite's stand-in for the Azure ML SDK, for runs whose Python has no azureml package.

This folder is on PYTHONPATH, so Python finds it before what is installed. An installed SDK must win all the same:
every other azureml folder that sys.path leads to goes on `__path__` before this one, those with `core` first. If one
of them has `core`, its own `__init__` is executed here too, and nothing of this folder shows any more.
"""

import importlib.machinery
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_find_spec = importlib.machinery.PathFinder.find_spec


def _is_ours(folder):
    """This folder, or another copy of it, as a run that starts a run may have on its path."""
    return os.path.realpath(folder) == os.path.realpath(_HERE) or os.path.isdir(os.path.join(folder, "core", "_dropin"))


def _specs_elsewhere():
    """One spec for each other azureml folder on sys.path, in its order. Eggs and zip files count too."""
    for entry in sys.path:
        spec = _find_spec("azureml", [entry])
        locations = list(spec.submodule_search_locations or ()) if spec else []
        if locations and not _is_ours(locations[0]):
            yield spec


def _has_core(spec):
    """Whether azureml.core is really there; a core folder without code, as pip may leave behind, is not."""
    core = _find_spec("azureml.core", list(spec.submodule_search_locations))
    return core is not None and core.loader is not None


def _set_path(specs):
    """Makes `__path__` of what is there now and the given folders, with this one last."""
    global __path__
    folders = [folder for spec in specs for folder in spec.submodule_search_locations] + list(__path__)
    __path__ = [folder for folder in dict.fromkeys(folders) if folder != _HERE] + [_HERE]


def _send_the_rest_at_the_end():
    """The genuine Run sends metrics once a second from a thread, and what is left only if its launcher tells it to.

    Here scripts run without a launcher in their process, so we tell it. It must come before the pools of
    concurrent.futures close, which since Python 3.9 is earlier than atexit: what is registered last is called first, so
    those have to be there already. A forked child has none of the threads.
    """
    import concurrent.futures.thread  # noqa: F401
    import threading

    if "AZUREML_RUN_TOKEN" not in os.environ:
        return
    owner = os.getpid()

    def send():
        runs = sys.modules.get("azureml._run_impl.run_base")
        base = getattr(runs, "_RunBase", None)
        handlers = getattr(base, "_registered_kill_handlers", None)
        if handlers is not None and os.getpid() == owner and not handlers.empty():
            base._kill(timeout=300)

    register = getattr(threading, "_register_atexit", None)
    if register is None:
        import atexit

        register = atexit.register
    register(send)


def _let_others_win():
    global __path__, __file__
    others = list(_specs_elsewhere())
    others.sort(key=lambda spec: not _has_core(spec))
    __path__ = [_HERE]
    _set_path(others)
    if others and _has_core(others[0]) and others[0].loader is not None and others[0].origin:
        __file__ = others[0].origin
        exec(others[0].loader.get_code("azureml"), globals())
        _set_path(others)
    if others and _has_core(others[0]):
        _send_the_rest_at_the_end()


_let_others_win()
