"""One script that uses everything, in every Python there is."""

import collections

import pytest

import interpreters

FOUND = interpreters.found()

SCRIPT = """
import io, math, multiprocessing, os, pickle, sys, warnings
from azureml.core import Run, Workspace, Experiment
from azureml.core.run import Run as TheSame
import azureml.core

warnings.simplefilter('ignore', DeprecationWarning)  # of fork() in a process with threads
assert Run is TheSame and azureml.core.VERSION == azureml.core.__version__ == 'linarite-dropin'
run = Run.get_context()
assert run is Run.get_context() is Run.get_submitted_run()
assert run.id == 'run-1' and run.number == 1 and run.experiment.workspace.name == 'ws'
for step in range(1000):
    run.log('loss', step, step=step)
run.log('odd', math.nan)
run.log_list('list', [1, 2.5])
run.log_row('row', a=1, b='x')
run.tag('k', 'v')
run.upload_file('outputs/f', io.BytesIO(b'content'))
run.download_file('outputs/f', 'back')
with open('back', 'rb') as file:
    assert file.read() == b'content'
assert run.get_metrics('list') == {'list': [1.0, 2.5]}
with run.child_run('child') as child:
    child.log('of child', 1)
assert pickle.loads(pickle.dumps(run)) is run and pickle.loads(pickle.dumps(child)) == child
process = multiprocessing.get_context('fork').Process(target=run.log, args=('of fork', 1))
process.start()
process.join()
pid = os.fork()
if not pid:
    run.log('of fork', 2)
    sys.exit()
os.waitpid(pid, 0)
run.log('last', 1)
print('done')
"""


@pytest.mark.parametrize("version", FOUND)
def test_everything_works_in(service, scripts, version):
    assert scripts.run(SCRIPT, service, python=FOUND[version]) == "done\n"
    assert service.values("run-1", "loss") == list(range(1000))
    assert collections.Counter(service.values("run-1", "of fork")) == {1: 1, 2: 1}
    assert service.values("run-1", "last") == [1]
    assert service.runs["run-1"]["tags"] == {"k": "v"}
    assert len(service.runs) == 2 and service.repeated == 0


@pytest.mark.parametrize("version", FOUND)
def test_what_is_missing_says_how_to_get_it_in(scripts, version):
    script = """
import azureml.core
for attempt in ('from azureml.core import Dataset', 'import azureml.train.estimator',
                'azureml.core.Workspace.from_config()', 'azureml.core.Run.get_context().submit_child'):
    try:
        exec(attempt)
    except (ImportError, NotImplementedError, AttributeError) as error:
        assert 'add azureml-core to the pip packages' in str(error), error
    else:
        raise AssertionError(attempt)
assert not hasattr(azureml.core, 'Dataset')
"""
    scripts.run(script, python=FOUND[version])
