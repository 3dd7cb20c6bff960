"""What the log calls send, and how it is read back."""

import math
import time

import pytest

from azureml.core._dropin import metrics, values
from azureml.exceptions import AzureMLException, UserErrorException


def sent(service, run, name):
    """The entries of one metric as they arrived, without what is different every time."""
    run.flush()
    entries = [entry for entry in service.metrics[run.id] if entry["name"] == name]
    for entry in entries:
        for row in entry["value"]:
            row["metricId"], row["createdUtc"] = "<uuid>", "<utc>"
    return entries


def row(data, **more):
    return dict({"metricId": "<uuid>", "createdUtc": "<utc>", "data": data}, **more)


def entry(name, kind, columns, *rows):
    return {"name": name, "columns": columns, "value": list(rows), "properties": {"uxMetricType": kind}}


@pytest.mark.parametrize(
    "value, kind", [(0.5, "double"), (7, "int"), ("x", "string"), (True, "bool"), (None, "none"), (math.inf, "double")]
)
def test_a_scalar_is_one_row_of_one_column(service, run, value, kind):
    run.log("acc", value)
    assert sent(service, run, "acc") == [entry("acc", "azureml.v1.scalar", {"acc": kind}, row({"acc": value}))]
    assert type(service.values(run.id, "acc")[0]) is type(value)


def test_a_step_goes_between_time_and_data(service, run):
    run.log("n", 7, step=3)
    assert sent(service, run, "n") == [entry("n", "azureml.v1.scalar", {"n": "int"}, row({"n": 7}, step=3))]


def test_nan_and_infinity_are_bare_words_and_come_back(service, run):
    for value in (math.nan, math.inf, -math.inf):
        run.log("odd", value)
    run.flush()
    body = [request.body for request in service.requests if request.path.endswith("/batch")][0]
    assert b": NaN}" in body and b": Infinity}" in body and b": -Infinity}" in body
    back = run.get_metrics()["odd"]
    assert math.isnan(back[0]) and back[1:] == [math.inf, -math.inf]


def test_a_list_is_as_wide_as_its_widest_value(service, run):
    run.log_list("l", [1, 2.5, 3])
    assert sent(service, run, "l") == [
        entry("l", "azureml.v1.list", {"l": "double"}, row({"l": 1}), row({"l": 2.5}), row({"l": 3}))
    ]


def test_an_empty_list_sends_nothing(service, run):
    run.log_list("l", [])
    run.log_table("t", {})
    run.flush()
    assert service.metrics[run.id] == []


def test_a_row_is_a_table_with_one_row(service, run):
    run.log_row("r", epoch=1, err=0.2)
    assert sent(service, run, "r") == [
        entry("r", "azureml.v1.table", {"epoch": "int", "err": "double"}, row({"epoch": 1, "err": 0.2}))
    ]


def test_a_table_has_a_row_for_each_place_in_its_columns(service, run):
    run.log_table("t", {"x": [1, 2], "y": [0.1, 0.2]})
    assert sent(service, run, "t") == [
        entry("t", "azureml.v1.table", {"x": "int", "y": "double"}, row({"x": 1, "y": 0.1}), row({"x": 2, "y": 0.2}))
    ]


def test_columns_of_different_length_are_refused_at_once(run):
    with pytest.raises(AzureMLException, match="differ in length"):
        run.log_table("t", {"x": [1, 2], "y": [0.1]})


@pytest.mark.parametrize("value", [[1], {"a": 1}, object(), b"x", 1j])
def test_what_is_no_scalar_is_refused_at_once(run, value):
    with pytest.raises(UserErrorException):
        run.log("bad", value)


class Array:
    """Like numpy's arrays and scalars: item() and tolist()."""

    def __init__(self, content):
        self.content = content

    def tolist(self):
        return self.content

    def item(self):
        if isinstance(self.content, list):
            raise ValueError("only a single element has an item")
        return self.content


def test_scalars_and_arrays_of_numpy_kind_are_taken(service, run):
    run.log("s", Array(0.25))
    run.log_list("l", Array([1.5, 2.5]))
    run.log_list("m", [Array(1), Array(2)])
    with pytest.raises(UserErrorException, match="single"):
        run.log("bad", Array([1, 2]))
    run.flush()
    assert [service.values(run.id, name) for name in "slm"] == [[0.25], [1.5, 2.5], [1, 2]]


def test_integers_beyond_64_bits_become_doubles():
    assert values.scalar("n", 1 << 70).columns == {"n": "double"}
    assert values.scalar("n", (1 << 63) - 1).columns == {"n": "int"}


def test_what_piles_up_goes_in_requests_of_at_most_500_entries(service, run):
    service.gate.clear()
    for value in range(1200):
        run.log("v", value)
    service.gate.set()
    run.flush()
    assert service.values(run.id, "v") == list(range(1200))
    assert max(size for _, size in service.batches) == 500


def test_fifty_entries_wait_for_no_more(service, run, monkeypatch):
    monkeypatch.setattr(metrics, "_INTERVAL", 3600)
    for value in range(50):
        run.log("v", value)
    service.wait_for(lambda: service.values(run.id, "v") == list(range(50)))


def test_few_values_go_without_being_asked_to(service, run):
    run.log("lonely", 1)
    service.wait_for(lambda: service.values(run.id, "lonely") == [1])


def test_a_long_list_is_cut_into_several_requests(service, run):
    run.log_list("long", list(range(4500)) + [0.5])
    run.flush()
    assert service.values(run.id, "long") == list(range(4500)) + [0.5]
    assert {one["columns"]["long"] for one in service.metrics[run.id]} == {"double"}
    assert len(service.batches) == 3


def test_reading_one_value_gives_it_bare_and_several_as_a_list(run):
    run.log("one", 1.5)
    for value in range(5):
        run.log("five", value)
    run.log_list("list", ["a", "b"])
    run.log_row("row", x=1, y="p")
    run.log_table("table", {"x": [1, 2], "y": ["p", "q"]})
    assert run.get_metrics() == {
        "one": 1.5,
        "five": [0, 1, 2, 3, 4],
        "list": ["a", "b"],
        "row": {"x": 1, "y": "p"},
        "table": {"x": [1, 2], "y": ["p", "q"]},
    }
    assert run.get_metrics("one") == {"one": 1.5}
    assert run.get_metrics("none such") == {}


@pytest.mark.parametrize("kind", ["confusion_matrix", "accuracy_table", "residuals", "predictions"])
def test_a_document_is_a_file_and_a_metric_that_says_where(service, run, kind):
    getattr(run, "log_" + kind)("cm", {"schema_type": kind, "data": {}})
    address = "aml://artifactId/ExperimentRun/dcid.{}/cm".format(run.id)
    assert sent(service, run, "cm") == [entry("cm", "azureml.v2." + kind, {"cm": "Artifact"}, row({"cm": address}))]
    assert b'"schema_type"' in service.content(run.id, "cm")
    assert run.get_metrics() == {"cm": address}


def test_an_image_file_keeps_its_name_and_a_second_one_gets_another(service, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plot.png").write_bytes(b"first")
    run.log_image("img", path="plot.png")
    (tmp_path / "plot.png").write_bytes(b"second")
    run.log_image("img", path="plot.png")
    first, second = [one["value"][0]["data"]["img"] for one in sent(service, run, "img")]
    assert first == "aml://artifactId/ExperimentRun/dcid.{}/plot.png".format(run.id)
    assert service.content(run.id, "plot.png") == b"first"
    assert service.content(run.id, second.rsplit("/", 1)[1]) == b"second"


def test_an_image_whose_name_another_rank_took_gets_another(service, run, tmp_path):
    (tmp_path / "plot.png").write_bytes(b"mine")
    run.upload_file("plot.png", str(tmp_path / "plot.png"))
    run.log_image("img", path=str(tmp_path / "plot.png"))
    address = sent(service, run, "img")[0]["value"][0]["data"]["img"]
    assert not address.endswith("/plot.png")
    assert service.content(run.id, address.rsplit("/", 1)[1]) == b"mine"


def test_a_plot_is_saved_as_png(service, run):
    class Figure:
        @staticmethod
        def savefig(stream, format):
            stream.write(b"a " + format.encode())

    class Axes:
        figure = Figure

    for name, plot in (("figure", Figure), ("axes", Axes)):
        run.log_image(name, plot=plot)
        path = sent(service, run, name)[0]["value"][0]["data"][name].rsplit("/", 1)[1]
        assert path.startswith(name + "_") and path.endswith(".png")
        assert service.content(run.id, path) == b"a png"
    with pytest.raises(UserErrorException):
        run.log_image("both", path="x", plot=Figure)


def test_logging_is_cheap(service, run):
    service.gate.clear()  # the service is slow to answer, which must not matter
    best = 1.0
    for _ in range(10):
        started = time.perf_counter()
        for step in range(1000):
            run.log("loss", 0.5, step=step)
        best = min(best, (time.perf_counter() - started) / 1000)
    service.gate.set()
    run.flush()
    assert len(service.values(run.id, "loss")) == 10000
    assert best < 50e-6


def test_memory_is_bounded_and_what_is_dropped_is_said(service, run, monkeypatch, capsys):
    monkeypatch.setattr(metrics, "_MOST_ROWS", 100)
    service.outcomes.extend([503] * 4)
    run.log("v", -1)
    service.wait_for(lambda: len(service.outcomes) < 4)
    for value in range(150):
        run.log("v", value)
    run.flush()
    assert service.values(run.id, "v") == list(range(-1, 99))
    assert capsys.readouterr().err.count("values of 'v' are lost: 100 wait already") == 1


def test_a_service_that_hangs_does_not_hold_up_a_script_for_each_value(service, run, monkeypatch):
    monkeypatch.setattr(metrics, "_MOST_ROWS", 100)
    monkeypatch.setattr(metrics, "_WAIT_FOR_ROOM", 0.3)
    service.gate.clear()
    started = time.perf_counter()
    for value in range(150):
        run.log("v", value)
    assert time.perf_counter() - started < 5
    service.gate.set()
    run.flush()
    assert service.values(run.id, "v") == list(range(100))


def test_who_logs_faster_than_the_service_takes_loses_nothing(service, run, monkeypatch):
    monkeypatch.setattr(metrics, "_MOST_ROWS", 100)
    for value in range(1000):
        run.log("v", value)
    run.log_list("l", range(500))
    run.flush()
    assert service.values(run.id, "v") == list(range(1000))
    assert service.values(run.id, "l") == list(range(500))
