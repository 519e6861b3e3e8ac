"""llama.cpp's own HTTP server over a tiny model of random weights, as an OpenAI-compatible server
that nobody here wrote.

Within a test: `with LlamaServer(folder, context=8_192) as server:`. It is a process of its own
(`python -m tests.llama_server MODEL CONTEXT SLOTS`), so that a failed assertion in its C++ ends it
alone, and it ends when its standard input does.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

import gguf
import numpy as np
import numpy.typing as npt

WIDTH = 32
END = "<|end|>"
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant: "
)


class LlamaServer:
    """The server, with `slots` calls at once, each with `context` tokens for prompt and answer; a
    token is a byte, nearly. It answers /v1/chat/completions and /v1/embeddings; the embeddings of
    texts that share a call are those of each alone only with one slot."""

    def __init__(self, folder: Path, context: int, slots: int = 1, plain: bool = True) -> None:
        self._model, self._plain = folder / "random.gguf", plain
        self._arguments = [str(self._model), str(context * slots), str(slots)]

    def __enter__(self) -> Self:
        write_model(self._model, self._plain)
        command = [sys.executable, "-m", "tests.llama_server", *self._arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip() + "/v1"
        assert self.url.startswith("http://127.0.0.1:"), "the server did not start"
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.communicate()


def write_model(path: Path, plain: bool) -> None:
    """A llama of one layer with a token for every byte. Its weights are noise; where it is `plain`
    one coordinate is the same for all tokens, by which it keeps to ASCII and ends a string soon."""
    noise = np.random.default_rng(0)
    tokens = [*_byte_names(), END, "\u0120t"]  # no vocabulary without one pair of bytes
    kinds = [gguf.TokenType.NORMAL] * len(tokens)
    kinds[tokens.index(END)] = gguf.TokenType.CONTROL
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(65_536)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // 2)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["\u0120 t"])
    writer.add_bos_token_id(tokens.index(END))
    writer.add_eos_token_id(tokens.index(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    squares = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    shapes = {
        "token_embd": (len(tokens), WIDTH),
        "output": (len(tokens), WIDTH),
        "blk.0.ffn_gate": (2 * WIDTH, WIDTH),
        "blk.0.ffn_up": (2 * WIDTH, WIDTH),
        "blk.0.ffn_down": (WIDTH, 2 * WIDTH),
        **{f"blk.0.{name}": shape for name, shape in squares.items()},
    }
    for name, shape in shapes.items():
        weights = noise.standard_normal(shape) / np.sqrt(shape[-1])
        if plain and name == "token_embd":
            weights[:, 0] = 1
        if plain and name == "output":
            weights[:, 0] = _liking(len(tokens))
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _liking(tokens: int) -> npt.NDArray[np.float64]:
    """About a quarter of what is added to the logit of each token."""
    liking = np.zeros(tokens)
    liking[0x80:0x100] = liking[[ord(" "), ord("\t"), ord("\n"), ord("\\")]] = -2
    liking[ord('"')] = 0.75
    return liking


def _byte_names() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary (as of GPT-2)."""
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in own else chr(next(others)) for byte in range(256)]


def _serve(model: str, context: int, slots: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel = context, slots
    params.n_gpu_layers, params.fit_params, params.warmup, params.ui = 0, False, False, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 2 * slots + 2
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
