"""docs/fidelity.md: generated from the docstrings, up to date, and nothing left out."""

import importlib.util
import re
from pathlib import Path

import pytest

from mmmodel.kernels import IMPLEMENTATIONS, kernel_of

SCRIPT = Path(__file__).parents[2] / "docs" / "fidelity.py"
spec = importlib.util.spec_from_file_location("fidelity", SCRIPT)
assert spec is not None
assert spec.loader is not None
fidelity = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fidelity)
FOUND = list(fidelity.functions())


def test_every_function_says_what_it_models() -> None:
    assert fidelity.problems(FOUND) == []
    assert len(FOUND) > 200


def test_the_page_is_up_to_date() -> None:
    assert fidelity.PAGE.read_text(encoding="utf-8") == fidelity.render(FOUND), "run: python3 docs/fidelity.py"


@pytest.mark.parametrize("name", ["munlock_vma_pages_range", "mlock_pte_range", "mlock_fixup", "vma_merge", "__munlock_page"])
def test_what_the_model_is_about_has_the_logic_of_the_kernel(name: str) -> None:
    (one,) = (one for one in FOUND if one.name == name)
    assert one.models[0] == name
    assert not one.simplified


def function(doc: str, name: str = "f", module: str = "mlock") -> object:
    return fidelity.Function(module, name, doc)


@pytest.mark.parametrize(
    ("doc", "models", "simplified"),
    [
        ("Models do_mlock().", ["do_mlock"], ""),
        ("A page.  Models get_page(), v6.1: one more.", ["get_page"], ""),
        ("Models a() and b(), simplified: no c, no d.  More.", ["a", "b"], "no c, no d"),
        ("Text.\n\nModels __a(),\nsimplified: not\nthis.", ["__a"], "not this"),
        ("As the model does.", [], ""),
    ],
)
def test_docstrings_are_understood(doc: str, models: list[str], simplified: str) -> None:
    one = fidelity.Function("mlock", "f", doc)
    assert (one.models, one.simplified) == (models, simplified)


def test_a_function_that_says_nothing_is_a_problem() -> None:
    assert fidelity.problems([*FOUND, function("Does it.")]) == [
        "mlock.f: neither 'Models NAME()' in its docstring nor in MODEL_ONLY"
    ]
    assert fidelity.problems([*FOUND, function("Part of it.", "_f")]) == []
    assert len(fidelity.problems([*FOUND, function("Models a().", "c_int")])) == 1
    assert len(fidelity.problems([one for one in FOUND if one.name != "c_int"])) == 1


@pytest.mark.parametrize("kernel", sorted({kernel_of(one).name for one in IMPLEMENTATIONS}))
def test_the_page_names_the_point_release_of_each_kernel(kernel: str) -> None:
    page = fidelity.PAGE.read_text(encoding="utf-8")
    assert re.search(rf"^\| {re.escape(kernel)} \| {re.escape(kernel)}\.\d+ \|", page, re.MULTILINE)
