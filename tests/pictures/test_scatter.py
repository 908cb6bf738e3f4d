from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gancli.pictures.scatter import GROUND, POINT, SIDE, TARGET, draw_scatter, window
from gancli.pictures.sheet import as_tiles, draw_sheet

HERE = np.array([[0.7, 0.3]], np.float32)


def colours(
    points: npt.NDArray[np.float32], targets: npt.NDArray[np.float32]
) -> set[tuple[int, ...]]:
    picture = np.asarray(draw_scatter(points, targets))
    assert picture.shape == (SIDE, SIDE, 3)
    return {tuple(row) for row in picture.reshape(-1, 3).tolist()}


def test_a_target_is_a_crosshair_at_its_place() -> None:
    picture = np.asarray(draw_scatter(np.empty((0, 2), np.float32), HERE))
    rows, columns = np.nonzero((picture == TARGET).all(axis=2))
    assert abs(columns.mean() / SIDE - 0.7) < 0.005
    assert abs(1 - rows.mean() / SIDE - 0.3) < 0.005


def test_a_point_is_drawn_where_it_lies_with_y_upwards() -> None:
    picture = np.asarray(draw_scatter(np.array([[0.2, 0.9]], np.float32), HERE))
    rows, columns = np.nonzero((picture == POINT).all(axis=2))
    assert abs(columns.mean() / SIDE - 0.2) < 0.01
    assert abs(1 - rows.mean() / SIDE - 0.9) < 0.01


def test_points_far_away_stay_at_the_edge_and_no_numbers_are_left_out() -> None:
    far = np.array([[50.0, 0.5]], np.float32)
    picture = np.asarray(draw_scatter(far, HERE))
    rows, columns = np.nonzero((picture == POINT).all(axis=2))
    assert columns.min() > 0.98 * SIDE
    assert abs(rows.mean() - SIDE / 2) < 4
    nothing = np.array([[np.nan, 0.5], [np.inf, 0.0]], np.float32)
    assert POINT not in colours(nothing, HERE)
    assert {GROUND, TARGET} <= colours(nothing, HERE)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_the_window_holds_every_target_with_room_around(shift: float) -> None:
    targets = np.array([[-4.0, -4.0], [4.0, 4.0], [0.0, 2.0]], np.float32) + np.float32(shift)
    left, bottom, span = window(targets)
    assert span == pytest.approx(11.2)
    assert left == pytest.approx(shift - 5.6)
    assert bottom == pytest.approx(shift - 5.6)


def test_a_sheet_is_a_grid_of_images_or_a_scatter_of_points() -> None:
    images = torch.zeros(6, 1, 8, 8, dtype=torch.uint8)
    assert draw_sheet(images, "mnist", 3).size == (3 * 10 + 2, 2 * 10 + 2)
    assert as_tiles(images, "mnist").shape == (6, 1, 8, 8)
    points = torch.zeros(6, 2)
    assert draw_sheet(points, "ring8", 3).size == (SIDE, SIDE)
    tiles = as_tiles(points, "ring8")
    assert tiles.shape == (1, 3, SIDE, SIDE)
    assert tiles.dtype == np.uint8
