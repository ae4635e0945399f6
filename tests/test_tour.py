"""The notebook of the documents, executed as it is."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from circuitseer_core.model.demo import model_available

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "docs" / "tour.ipynb"


@pytest.mark.model
@pytest.mark.skipif(not model_available(), reason="requirements-model.txt is not installed")
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    place = tmp_path / "place"
    place.mkdir()
    notebook = nbformat.read(TOUR, as_version=4)
    where = {"metadata": {"path": str(place)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    shown = "\n".join(str(cell.get("outputs")) for cell in notebook.cells if "outputs" in cell)
    assert "heads of 270 in SmolLM2-135M-Instruct, measured on 56 probe samples" in shown
    assert "application/vnd.plotly.v1+json" in shown, "a figure is drawn"
    assert "ok=True" in shown or "rows=6" in shown, "the last export is verified"
    assert "no scorer 'varience' in this run; it has: variance" in shown
    assert not list(place.iterdir()), "nothing is left where it ran"


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(TOUR, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not c.outputs and c.execution_count is None for c in code)
