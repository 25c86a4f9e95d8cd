"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import numpack

MODULES = ["numpack", *(f"numpack.{module.name}" for module in pkgutil.iter_modules(numpack.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_the_quickstart_is_one_of_them():
    assert doctest.testmod(numpack).attempted > 0
