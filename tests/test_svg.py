"""The picture of a lazy array's layout: sound XML, inside its frame, every length readable."""

import re
from math import isfinite
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpack._svg import layout_picture

SVG = "{http://www.w3.org/2000/svg}"
LENGTHS = st.integers(0, 5) | st.integers(0, 1 << 48)


def parsed(shape, deleted=0):
    """The image's root element."""
    return ElementTree.fromstring(layout_picture(shape, deleted))


def texts(root):
    return [text.text for text in root.iter(f"{SVG}text")]


def points(root):
    """Every corner of what is drawn."""
    for element in root.iter():
        for pair in element.get("points", "").split():
            x, y = pair.split(",")
            yield float(x), float(y)
        if element.tag == f"{SVG}text":
            yield float(element.get("x")), float(element.get("y"))


def height(root, which):
    """Height of the front face of the live rows (0) or the deleted ones (1)."""
    faces = [one.get("points").split() for one in root.iter(f"{SVG}polygon")]
    lines = [float(corner.split(",")[1]) for corner in faces[which]]
    return max(lines) - min(lines)


@given(st.lists(LENGTHS, max_size=6), st.integers(0, 1 << 40))
def test_any_shape(shape, deleted):
    root = parsed(shape, deleted if shape else 0)
    left, top, wide, high = map(float, root.get("viewBox").split())
    assert root.get("role") == "img" and root[0].tag == f"{SVG}title" and root[0].text
    for x, y in points(root):
        assert isfinite(x) and isfinite(y)
        assert left <= x <= left + wide and top <= y <= top + high
    assert high < 250 and "currentColor" in layout_picture(shape)
    written = " ".join(texts(root))
    assert all(f"{length:,}" in written for length in shape)


def test_the_sides_stay_readable():
    for shape in ((1_000_000, 128), (128, 1_000_000), (1, 10**12)):
        (face,) = parsed(shape).iter(f"{SVG}polygon")
        corners = np.array([corner.split(",") for corner in face.get("points").split()], float)
        assert corners.max() == 120 and (np.ptp(corners, axis=0) >= 14).all()


def test_dimensions_beyond_the_third_are_named():
    assert texts(parsed((60_000, 3, 224, 225, 7))) == ["60,000", "3", "224", "of 225 \u00d7 7 each"]
    assert parsed((60_000, 3, 224, 225))[0].text == "60,000 rows of 3 \u00d7 224 \u00d7 225"


def test_an_array_without_dimensions():
    assert texts(parsed(())) == ["one element"]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 3, 0)])
def test_an_array_without_elements_is_an_outline(shape):
    faces = list(parsed(shape).iter(f"{SVG}polygon"))
    assert faces and all(face.get("stroke-dasharray") for face in faces)


def test_few_rows_are_parted_one_by_one_and_many_in_tenths():
    assert [len(list(parsed((rows, 4)).iter(f"{SVG}polyline"))) for rows in (1, 3, 10, 11)] == [0, 2, 9, 9]


def test_deleted_rows_show_as_their_share(npk):
    npk.save({"a": np.zeros((100, 8))})
    npk.drop("a", np.arange(25))
    html = npk.load("a", lazy=True)._repr_html_()
    root = ElementTree.fromstring(re.search("<svg.*</svg>", html).group())
    assert height(root, 1) == pytest.approx((height(root, 0) + height(root, 1)) / 4, abs=0.2)
    assert "25.0% of the rows deleted" in texts(root) and "75" in texts(root)
    assert root[0].text == "75 rows of 8, 25 more deleted"
    assert ">25</td>" in html


def test_the_whole_of_it_is_sound_markup(npk):
    npk.save({"a<b&c": np.zeros((3, 4, 5))})
    ElementTree.fromstring(npk.load("a<b&c", lazy=True)._repr_html_())
