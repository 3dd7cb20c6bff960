"""worker.py SOCKET: runs user scripts in children that have the SDK imported already, which costs ten seconds.

A request on the socket is one line of JSON: script, arguments, folder, output, errors, variables. The answers are one line
with the pid, and, when the script has ended, one with its exit code. Each script runs in a process of its own, forked
before anything of the SDK was used: nothing is left over from another script. Must run on Python 3.8.
"""

import atexit
import gc
import json
import os
import runpy
import socket
import sys
import threading
import traceback
import warnings

warnings.simplefilter("ignore")


def run_script(order):
    """In the child: what `python script arguments...` does from here on, but for taking down what was imported."""
    code = run(order)
    # taking a thousand modules apart, in memory that is shared with the worker, would take longer than most scripts
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(order):
    """Gives the exit code."""
    os.chdir(order["folder"])
    os.environ.update(order["variables"])
    for descriptor, path in ((1, order["output"]), (2, order["errors"])):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, descriptor)
        os.close(handle)
    sys.argv = [order["script"]] + order["arguments"]
    sys.path[0] = os.path.dirname(order["script"])
    try:
        runpy.run_path(order["script"], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def answer(connection, row):
    try:
        connection.sendall((json.dumps(row) + "\n").encode())
    except OSError:
        pass  # the test gave up


def serve(server):
    while True:
        connection, _ = server.accept()
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        if os.fork() == 0:
            server.close()
            with connection.makefile() as lines:
                order = json.loads(lines.readline())
            script = os.fork()
            if script == 0:
                connection.close()
                run_script(order)
            answer(connection, {"pid": script})
            status = os.waitpid(script, 0)[1]
            signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            answer(connection, {"code": -signal if signal else os.WEXITSTATUS(status)})
            os._exit(0)
        connection.close()


def main():
    import azureml.core  # noqa: F401
    import azureml.core.authentication  # noqa: F401
    import azureml.tensorboard  # noqa: F401
    import azureml.train.dnn  # noqa: F401
    import azureml.train.estimator  # noqa: F401
    import azureml.train.sklearn  # noqa: F401

    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen(16)
    gc.collect()
    gc.freeze()
    serve(server)


if __name__ == "__main__":
    main()
