"""Text as vectors of 256 numbers: the mean of wordllama's word vectors, read from the data in its wheel."""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Vector = npt.NDArray[np.float32]

MODEL = "wordllama-l2-supercat-256"
DIMENSION = 256


def _data(relative: str) -> Path:
    """Find a data file of the wordllama package without importing it.

    Its own loader looks for the tokenizer in a folder that does not exist and then tries to download it.
    """
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the offline model needs the package wordllama: install the `local` requirements")
    return Path(spec.submodule_search_locations[0]) / relative


@cache
def _words() -> Vector:
    """Load the word vectors: one row of 256 per token id."""
    tensors = load_file(_data("weights/l2_supercat_256.safetensors"))
    return np.ascontiguousarray(tensors["embedding.weight"], dtype=np.float32)


@cache
def _tokenizer() -> Any:
    tokenizer = Tokenizer.from_file(str(_data("tokenizers/l2_supercat_tokenizer_config.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load() -> None:
    """Read the data now, so that the first request does not wait for it."""
    _words()
    _tokenizer()


def count_tokens(text: str) -> int:
    """Count the tokens of a text as the tokenizer of Llama 2 does."""
    return len(_tokenizer().encode(text, add_special_tokens=False).ids)


@lru_cache(maxsize=20_000)
def embed(text: str) -> Vector:
    """Return the unit vector of a text (256 numbers); of a text without words a zero vector. Do not write into it."""
    ids = _tokenizer().encode(text, add_special_tokens=False).ids
    if not ids:
        return np.zeros(DIMENSION, dtype=np.float32)
    mean = _words()[ids].mean(axis=0)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length if length else mean, dtype=np.float32)


def similarity(first: str, second: str) -> float:
    """Return the cosine of two texts: about 0 for strangers, above 0.25 for one subject, 1 for equals."""
    return float(embed(first) @ embed(second))
