#!/usr/bin/env python3
"""A model of random weights in the shape of a known one, to measure how time and memory grow.

    bench/shapes.py qwen2.5-0.5b|qwen2.5-1.5b --tokenizer DIR --out DIR

DIR of --tokenizer is a Hugging Face folder: its tokenizer and chat template are taken, whatever the vocabulary of the shape.
Weights are normal with deviation 0.02, in bf16. Needs numpy.
"""

import argparse
import json
import pathlib
import shutil
import struct

import numpy as np

# layers, hidden, intermediate, query heads, key heads, vocabulary (Qwen2.5 technical report, table 1); all of head size 64 or 128
SHAPES = {
    "qwen2.5-0.5b": (24, 896, 4864, 14, 2, 151_936),
    "qwen2.5-1.5b": (28, 1536, 8960, 12, 2, 151_936),
}


def tensors(layers, hidden, inner, heads, keys, vocabulary):
    dim = hidden // heads
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for name, rows in (("q", heads * dim), ("k", keys * dim), ("v", keys * dim)):
            yield f"{at}self_attn.{name}_proj.weight", (rows, hidden)
            yield f"{at}self_attn.{name}_proj.bias", (rows,)
        yield f"{at}self_attn.o_proj.weight", (hidden, heads * dim)
        yield f"{at}mlp.gate_proj.weight", (inner, hidden)
        yield f"{at}mlp.up_proj.weight", (inner, hidden)
        yield f"{at}mlp.down_proj.weight", (hidden, inner)
        yield f"{at}input_layernorm.weight", (hidden,)
        yield f"{at}post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--tokenizer", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    a = parser.parse_args()
    layers, hidden, inner, heads, keys, vocabulary = shape = SHAPES[a.shape]
    a.out.mkdir(parents=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        if (a.tokenizer / file).exists():
            shutil.copy(a.tokenizer / file, a.out)
    end = json.loads((a.tokenizer / "config.json").read_text())["eos_token_id"]
    config = {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": vocabulary, "hidden_size": hidden,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": keys,
        "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": True,
        "hidden_act": "silu", "eos_token_id": end, "torch_dtype": "bfloat16",
    }
    (a.out / "config.json").write_text(json.dumps(config, indent=1))
    header, at = {}, 0
    for name, sizes in tensors(*shape):
        size = 2 * int(np.prod(sizes))
        header[name] = {"dtype": "BF16", "shape": sizes, "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    random = np.random.default_rng(0)
    with open(a.out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for name, sizes in tensors(*shape):
            count = int(np.prod(sizes))
            values = np.ones(count, np.float32) if "norm" in name else random.standard_normal(count, np.float32) * np.float32(0.02)
            file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    print(f"{a.out}: {at / 2e9:.2f} billion parameters")


main()
