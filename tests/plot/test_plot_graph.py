"""Drawn graphs: no overlaps, no edge through a box, and all the text."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn as fnn
from fastnn import plot
from fastnn.plot.layout import layout

pytest.importorskip("matplotlib")


@st.composite
def graphs(draw):
    """Sizes and edges of a random graph whose nodes but a few have sources."""
    n = draw(st.integers(1, 16))
    size = st.tuples(st.floats(0.2, 3), st.floats(0.2, 1))
    sizes = draw(st.lists(size, min_size=n, max_size=n))
    edges = [
        (draw(st.integers(0, target - 1)), target)
        for target in range(1, n)
        for _ in range(draw(st.integers(0, 3)))
    ]
    return sizes, edges


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_boxes_do_not_overlap_and_bends_keep_clear_of_them(graph):
    sizes, edges = graph
    places = layout(sizes, edges)
    boxes = [
        (x - w / 2, x + w / 2, y - h / 2, y + h / 2)
        for x, y, (w, h) in zip(places.x, places.y, sizes, strict=True)
    ]
    for a, b in itertools.combinations(boxes, 2):
        assert a[1] < b[0] or b[1] < a[0] or a[3] < b[2] or b[3] < a[2]
    for route in places.routes:
        for x, top, bottom in route:
            inside = [b for b in boxes if b[0] <= x <= b[1] and b[2] < bottom and top < b[3]]
            assert not inside


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_edges_go_down_and_bend_in_every_row_between(graph):
    sizes, edges = graph
    places = layout(sizes, edges)
    for (source, target), route in zip(edges, places.routes, strict=True):
        assert places.y[source] < places.y[target]
        tops = [top for _, top, _ in route]
        assert tops == sorted(tops)
        assert all(places.y[source] < top < places.y[target] for top in tops)


def test_a_chain_is_a_straight_line():
    places = layout([(1.0 + i % 3, 0.5) for i in range(9)], [(i, i + 1) for i in range(8)])
    np.testing.assert_allclose(places.x, 0, atol=1e-9)


def test_rows_are_ordered_so_that_edges_need_not_cross():
    # Two inputs, each with its own two units, listed in an order that would cross.
    edges = [(0, 2), (1, 3), (0, 4), (1, 5), (2, 6), (4, 6), (3, 7), (5, 7)]
    x = layout([(1, 0.5)] * 8, edges).x
    left, right = sorted(([x[0], x[2], x[4], x[6]], [x[1], x[3], x[5], x[7]]), key=min)
    assert max(left) < min(right)


def test_an_input_stands_right_above_its_first_use():
    y = layout([(1, 0.5)] * 5, [(0, 2), (2, 3), (3, 4), (1, 4)]).y
    assert y[1] == y[3]


# ---------------------------------------------------------------------- real networks


def residual(blocks):
    x = tensor = fnn.Input(4, name="x")
    for _ in range(blocks):
        tensor = fnn.Add()([tensor, fnn.Dense(4, 4, "relu")(tensor)])
    return fnn.Network(x, fnn.Dense(4, 1)(tensor))


def siamese():
    left, right = fnn.Input(3, name="left"), fnn.Input(3, name="right")
    shared = fnn.Dense(3, 5, "relu", name="twin")
    difference = fnn.Subtract(name="difference")([shared(left), shared(right)])
    return fnn.Network([left, right], fnn.Dense(5, 1, name="out", trainable=False)(difference))


def heads():
    x = fnn.Input(4, name="x")
    trunk = fnn.Dense(4, 6, "tanh", name="trunk")(x)
    outputs = {"kind": fnn.Dense(6, 3)(trunk), "size": fnn.Dense(6, 1)(trunk), "code": trunk}
    net = fnn.Network(x, outputs)
    loss = {"kind": "cross_entropy", "size": "huber", "code": None}
    net.compile(loss, loss_weights={"size": 0.3})
    return net


NETWORKS = {"chain": lambda: fnn.Sequential([fnn.Dense(3, 2), fnn.Dropout(0.2)]),
            "residual": lambda: residual(8), "siamese": siamese, "heads": heads}  # fmt: skip
EACH = pytest.mark.parametrize("name", NETWORKS)


def texts(figure):
    (ax,) = figure.axes
    return [text.get_text() for text in ax.texts]


def boxes_and_arrows(figure):
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    (ax,) = figure.axes
    boxes = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    return boxes, [p for p in ax.patches if isinstance(p, FancyArrowPatch)]


@EACH
def test_text_lies_inside_the_boxes_and_boxes_inside_the_figure(name):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = plot.graph(NETWORKS[name]())
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [box.get_window_extent(renderer) for box in boxes_and_arrows(figure)[0]]
    (ax,) = figure.axes
    for text in ax.texts:
        extent = text.get_window_extent(renderer)
        assert any(
            box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 + 2
            and extent.y1 - 2 <= box.y1
            for box in boxes
        ), text.get_text()  # fmt: skip
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


@EACH
def test_no_arrow_runs_through_a_box(name):
    boxes, arrows = boxes_and_arrows(plot.graph(NETWORKS[name]()))
    assert arrows
    for arrow, box in itertools.product(arrows, boxes):
        x, y, w, h = box.get_x(), box.get_y(), box.get_width(), box.get_height()
        for line in curves(arrow):
            inside = (line[:, 0] > x) & (line[:, 0] < x + w)
            inside &= (line[:, 1] > y + 0.03) & (line[:, 1] < y + h - 0.03)  # tips touch the edge
            assert not inside.any()


def curves(arrow):
    """The lines of an arrow, in points a few thousandths of an inch apart where they bend."""
    from matplotlib.transforms import Affine2D

    fine = Affine2D().scale(1000)
    lines = arrow.get_path().to_polygons(fine, closed_only=False)
    dense = [np.linspace(a, b, 20) for line in lines for a, b in itertools.pairwise(line)]
    return [np.concatenate(dense) / 1000]


def test_an_arrow_through_a_box_is_detected():
    from matplotlib.patches import FancyArrowPatch

    straight = FancyArrowPatch((0, 0), (0, 3), arrowstyle="-|>", shrinkA=0, shrinkB=0)
    (line,) = curves(straight)
    assert np.sum((line[:, 1] > 1) & (line[:, 1] < 2)) > 3


def test_shared_layers_have_one_colour_and_others_none():
    net = siamese()
    boxes, arrows = boxes_and_arrows(plot.graph(net))
    colours = [box.get_facecolor() for box in boxes]
    assert colours[2] == colours[3]
    assert colours.count(colours[2]) == 2
    assert len(arrows) == 6


def test_a_layer_without_parameters_shares_nothing():
    x = fnn.Input(3)
    relu = fnn.ReLU()
    net = fnn.Network(x, relu(fnn.Dense(3, 3)(relu(x))))
    assert not [text for text in texts(plot.graph(net)) if "shared" in text]
    assert "shared" not in net.summary()


def test_frozen_layers_have_a_dashed_border():
    boxes, _ = boxes_and_arrows(plot.graph(siamese()))
    assert [box.get_linestyle() for box in boxes].count("--") == 1


def test_boxes_say_names_kinds_widths_and_parameters():
    found = texts(plot.graph(siamese()))
    for line in ("left", "input, 3", "twin", "Dense 3 → 5, relu", "20 parameters", "twin:2",
                 "shared with twin", "twin − twin:2, 5", "6 parameters, frozen"):  # fmt: skip
        assert line in found


def test_outputs_say_their_losses_and_weights():
    found = texts(plot.graph(heads()))
    for line in ("kind", "cross_entropy", "huber", "times 0.3", "code", "no loss"):
        assert line in found


def test_the_picture_is_saved(tmp_path):
    plot.graph(heads(), tmp_path / "net.svg")
    assert b"<svg" in (tmp_path / "net.svg").read_bytes()


def test_a_very_deep_network_is_drawn_small():
    width, height = plot.graph(residual(150)).get_size_inches()
    assert height <= 120
    assert width > 0


def test_what_is_no_network_is_refused():
    with pytest.raises(TypeError, match="net must be a Network, got int"):
        plot.graph(3)
