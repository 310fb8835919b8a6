"""The demo's ranker: features without a look ahead, gradients that are right, an export that answers as numpy does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
RANKER = ROOT / "demo" / "ranker"
DATA = ROOT / "demo" / "data"
sys.path.insert(0, str(RANKER))

import dataset  # noqa: E402
import export  # noqa: E402
import network  # noqa: E402

SMALL = network.Shape(embedding=4, hidden=(16, 8))


@pytest.fixture(scope="module")
def data() -> dataset.Dataset:
    return dataset.load(DATA, rows=6000)


def _trained(data: dataset.Dataset, seed: int, epochs: int) -> network.Parameters:
    generator = np.random.default_rng(seed)
    training = network.Training(seed=seed, rows_a_batch=128, learning_rate=3e-3)
    parameters = network.initial(data, SMALL, generator)
    adam = network.Adam(parameters, training)
    for _ in range(epochs):
        network.epoch(parameters, adam, data, data.train, training, generator)
    return parameters


def test_the_cut_is_in_time_and_ids_unknown_at_the_cut_are_zero(data: dataset.Dataset) -> None:
    assert (len(data.train.liked), len(data.valid.liked)) == (5400, 600)
    assert data.train.user.min() == 1
    assert data.train.user.max() == len(data.user_table) - 1
    assert (data.valid.user == 0).any()
    assert (data.valid.item == 0).any()
    unknown = data.valid.user == 0
    assert np.all(data.valid.user_stats[unknown] == 0.0)


def test_a_training_row_knows_only_the_ratings_before_it(data: dataset.Dataset) -> None:
    user = int(np.bincount(data.train.user).argmax())
    rows = np.flatnonzero(data.train.user == user)
    mean = data.train.liked.mean()
    for place, row in enumerate(rows):
        before = data.train.liked[rows[:place]]
        share = (before.sum() + dataset.PRIOR_COUNT * mean) / (place + dataset.PRIOR_COUNT) - mean
        assert data.train.user_stats[row] == pytest.approx([share, np.log1p(place)], abs=1e-5)
    # The server's table, as of the cut, has counted them all.
    assert data.user_table[user, 1] == pytest.approx(np.log1p(len(rows)), abs=1e-5)


def test_a_cut_that_leaves_one_side_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="one side empty"):
        dataset.load(DATA, rows=100, train_share=1.0)


def test_area_under_curve_is_the_share_of_pairs_in_the_right_order() -> None:
    generator = np.random.default_rng(5)
    score = generator.integers(0, 6, 60).astype(np.float32)  # many ties
    liked = (generator.random(60) < 0.4).astype(np.float32)
    pairs = [
        1.0 if good > bad else 0.5 if good == bad else 0.0 for good in score[liked > 0] for bad in score[liked == 0]
    ]
    assert dataset.area_under_curve(score, liked) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="both kinds"):
        dataset.area_under_curve(score, np.ones(60, np.float32))


def test_the_baselines_are_those_of_the_data_set() -> None:
    found = dataset.baselines(dataset.load(DATA))
    # Measured independently when the data set was chosen.
    assert found["mean of the item"] == pytest.approx(0.694, abs=0.001)
    assert found["mean of the user"] == pytest.approx(0.670, abs=0.001)
    assert found["mean of the user + mean of the item"] == pytest.approx(0.762, abs=0.001)


def test_gradients_are_the_slopes_of_the_loss(data: dataset.Dataset) -> None:
    generator = np.random.default_rng(2)
    p = {name: value.astype(np.float64) for name, value in network.initial(data, SMALL, generator).items()}
    p["linear"] += 0.3
    rows = data.train
    part = slice(1000, 1032)
    user, item, liked = rows.user[part], rows.item[part], rows.liked[part].astype(np.float64)
    stats = network.stats_of(rows, data)[part].astype(np.float64)
    genres = data.genres.astype(np.float64)

    def loss() -> float:
        out = network.logits(p, genres, user, item, stats)
        return float(np.mean(np.logaddexp(0.0, out) - liked * out))

    slopes = network.gradients(p, genres, user, item, stats, liked)
    step = 1e-6
    for name, value in p.items():
        # The largest slope and one at random: enough to catch a wrong term, fast enough for each run.
        largest = np.unravel_index(int(np.abs(slopes[name]).argmax()), value.shape)
        other = tuple(int(generator.integers(size)) for size in value.shape)
        for place in (largest, other):
            kept = value[place]
            value[place] = kept + step
            above = loss()
            value[place] = kept - step
            below = loss()
            value[place] = kept
            assert (above - below) / (2 * step) == pytest.approx(slopes[name][place], rel=1e-4, abs=1e-9), name


def test_training_learns_and_the_same_seed_learns_the_same(data: dataset.Dataset) -> None:
    rows, stats = data.train, network.stats_of(data.train, data)

    def auc(p: network.Parameters) -> float:
        return dataset.area_under_curve(network.logits(p, data.genres, rows.user, rows.item, stats), rows.liked)

    first, again = _trained(data, 1, 3), _trained(data, 1, 3)
    assert auc(first) > auc(network.initial(data, SMALL, np.random.default_rng(1))) + 0.1
    assert auc(first) > 0.65
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["w1"], _trained(data, 2, 3)["w1"])


def test_onnxruntime_answers_as_numpy_for_any_number_of_rows(data: dataset.Dataset, tmp_path: Path) -> None:
    p = _trained(data, 1, 1)
    full, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    full.write_bytes(export.graph(p, data).SerializeToString())
    for rows in (1, 7, 400):
        user, item = data.valid.user[:rows], data.valid.item[:rows]
        stats = np.hstack([data.user_table[user], data.item_table[item]])
        expected = 1.0 / (1.0 + np.exp(-network.logits(p, data.genres, user, item, stats)))
        assert export.scores(full, user, item) == pytest.approx(expected, abs=1e-5)
    export.quantised(full, int8)
    user, item = data.valid.user, data.valid.item
    gap = np.abs(export.scores(int8, user, item) - export.scores(full, user, item))
    assert 0.0 < gap.max() < 0.05


def test_ids_outside_the_tables_score_as_unknown_ones(data: dataset.Dataset, tmp_path: Path) -> None:
    file = tmp_path / "fp32.onnx"
    file.write_bytes(export.graph(_trained(data, 1, 1), data).SerializeToString())
    outside = np.array([-1, len(data.user_table), 10**15, 0], np.int64)
    scores = export.scores(file, outside, np.array([-5, 10**9, len(data.item_table), 0], np.int64))
    assert np.all(scores == scores[3])
    assert export.scores(file, np.array([1]), np.array([1]))[0] != scores[3]


def test_the_script_refuses_to_do_nothing() -> None:
    done = subprocess.run([sys.executable, str(RANKER / "train.py")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--out DIR or --tune" in done.stderr


def test_the_script_writes_models_and_a_report_that_beats_the_baselines(tmp_path: Path) -> None:
    arguments = [sys.executable, str(RANKER / "train.py"), "--out", str(tmp_path), "--hidden", "32", "16"]
    subprocess.run([*arguments, "--epochs", "6"], check=True, capture_output=True, timeout=100)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["hidden"] == [32, 16]
    assert (tmp_path / "ranker-fp32.onnx").stat().st_size > (tmp_path / "ranker-int8.onnx").stat().st_size * 0.9
    assert report["auc"]["models"]["fp32"] > max(report["auc"]["baselines"].values())
    assert report["auc"]["models"]["int8"] == pytest.approx(report["auc"]["models"]["fp32"], abs=0.005)
    low, high = report["auc"]["gain_interval"]
    gain = report["auc"]["models"]["fp32"] - report["auc"]["baselines"]["mean of the user + mean of the item"]
    assert low < gain < high
