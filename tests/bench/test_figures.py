"""Figures are shown as what they are."""

from mailplatform.bench.figures import LATENCIES_HEADER, RATES_HEADER, Latencies, Runs, Table, ratio
from mailplatform.bench.processes import Cost


def test_runs_show_their_median_and_their_range() -> None:
    assert Runs((310.0, 99.94, 204.4)).show() == "204 (99.9–310)"


def test_a_percentile_is_a_value_that_was_measured() -> None:
    hundred = Latencies(tuple(number / 1000 for number in range(100, 0, -1)))
    assert hundred.percentile(50) == 0.050
    assert hundred.percentile(99) == 0.099
    assert Latencies((0.3,)).percentile(99) == 0.3


def test_a_ratio_needs_both() -> None:
    assert ratio(Runs((50.0,)), Runs((200.0,))) == "0.25"
    assert ratio(Runs((50.0,)), None) == ""


def test_what_was_not_measured_is_left_blank() -> None:
    table = Table("Accept", RATES_HEADER)
    table.add_rates("4 KB", Runs((100.0,)), floor=Runs((400.0,)))
    *_, row = table.render().splitlines()
    assert row.split() == ["4", "KB", "100", "400", "0.25"]
    assert table.figures == [{"row": "4 KB", "unit": "per second", "ours": [100.0], "floor": [400.0]}]


def test_columns_are_aligned() -> None:
    table = Table("Visible", LATENCIES_HEADER)
    table.add_latencies("a short one", Latencies((0.2, 0.4)))
    table.add_latencies("a title that is longer", Latencies((0.0015,)))
    title, blank, *lines = table.render().splitlines()
    assert (title, blank) == ("Visible", "")
    assert len({len(line) for line in lines}) == 1


def test_a_cost_is_a_mails_share_and_its_dearest_part_comes_first() -> None:
    cost = Cost({"work": 1.5, "PostgreSQL": 3.0, "sink": 0.001}, mails=1000)
    assert cost.show() == "4.5 (PostgreSQL 3.0, work 1.5)"
