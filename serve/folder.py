"""Does a folder hold a whole model? Told from names and headers, in milliseconds and before anything is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from engine.errors import ConfigError

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json", "*.tiktoken")
"""Of which a folder has one, whatever family its model is of."""
WHOLE = "copy the whole folder again from where it was trained or downloaded"


def check_folder(folder: str | Path) -> None:
    """What this does not find out is whether the weights are those of the configuration: only loading them tells.

    Raises:
        ConfigError: it is no folder of a Hugging Face model, or a part of it is missing or cut off.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ConfigError("model", f"{folder} holds no {CONFIG}", "give the folder of a Hugging Face model (download it first)")
    _read_object(folder / CONFIG)
    if not any(next(folder.glob(name), None) for name in TOKENIZERS):
        raise ConfigError("model", f"{folder} holds no tokenizer", "put the model's own tokenizer.json beside its weights")
    for file in _weights(folder):
        if file.suffix == ".safetensors":
            _check_whole(file)


def _weights(folder: Path) -> list[Path]:
    index = folder / INDEX
    named = {folder / name for name in _read_object(index).get("weight_map", {}).values()} if index.is_file() else set()
    missing = sorted(file.name for file in named if not file.is_file())
    if missing:
        raise ConfigError("model", f"{folder} holds no {missing[0]}, which its {INDEX} names", WHOLE)
    found = sorted(named) or sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not found:
        raise ConfigError("model", f"{folder} holds no weights (*.safetensors)", WHOLE)
    return found


def _check_whole(file: Path) -> None:
    try:
        with safe_open(file, framework="numpy"):  # reads the header, which must cover the file
            return
    except (SafetensorError, OSError) as error:
        raise ConfigError("model", f"{file} is cut off or damaged ({error})", WHOLE) from None


def _read_object(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ConfigError("model", f"{file} is no JSON object", WHOLE)
    return told
