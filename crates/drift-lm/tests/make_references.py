"""Makes tests/fixtures: tiny random models with what transformers computes from them, and quantised blocks.

Run by hand, with torch 2.15, transformers 5.23, gguf 0.19, safetensors 0.8 and numpy 2.4:

    python crates/drift-lm/tests/make_references.py

It writes, for every model of MODELS, a folder as `save_pretrained` makes it, and beside the weights
reference.json:         input_ids, greedy (64 ids after input_ids, with the cache), answer (the number n of last input
                        ids whose log-probs enter the loss) and coefficients (one for each of them)
reference.safetensors:  logits [T, V] of input_ids, and the gradient of
                        sum_i coefficients[i] * log p(input_ids[T - n + i] | those before) by every parameter

All in f32 on the CPU. The weights are random enough for logits to differ, and rounded to the stored type before
anything is computed. gguf/*.gguf are two of the models as llama.cpp's converter lays them out; quant.safetensors
holds random blocks of every quantised type and their numbers.
"""
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
    Qwen3ForCausalLM,
)

OUT = Path(__file__).parent / "fixtures"
T, ANSWER, GREEDY = 40, 12, 64
MIN_GAP = 2e-3  # between the two best logits along the greedy path

SMALL = dict(vocab_size=163, hidden_size=48, intermediate_size=60, num_hidden_layers=3, max_position_embeddings=512,
             bos_token_id=1, eos_token_id=2)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)

# name: (model class, config, stored type, shard size)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**{**SMALL, "num_hidden_layers": 2}, num_attention_heads=4,
              num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=False), torch.float32, None),
    "llama3-tied": (LlamaForCausalLM, LlamaConfig(**{**SMALL, "eos_token_id": [2, 5]}, num_attention_heads=4,
                    num_key_value_heads=1, rms_norm_eps=1e-5, tie_word_embeddings=True, rope_parameters=LLAMA3),
                    torch.bfloat16, None),
    "llama-linear": (LlamaForCausalLM, LlamaConfig(**{**SMALL, "num_hidden_layers": 2}, num_attention_heads=4,
                     num_key_value_heads=4, tie_word_embeddings=True,
                     rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.5)), torch.bfloat16, None),
    "llama-bias": (LlamaForCausalLM, LlamaConfig(**SMALL, num_attention_heads=4, num_key_value_heads=2,
                   tie_word_embeddings=True, attention_bias=True, mlp_bias=True), torch.bfloat16, None),
    "smollm2": (LlamaForCausalLM, LlamaConfig(**{**SMALL, "hidden_size": 54, "intermediate_size": 67},
                num_attention_heads=9, num_key_value_heads=3, rms_norm_eps=1e-5, tie_word_embeddings=True,
                rope_parameters=dict(rope_type="default", rope_theta=100000.0)), torch.bfloat16, 60_000),
    "mistral": (MistralForCausalLM, MistralConfig(**SMALL, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                rms_norm_eps=1e-5, sliding_window=8, tie_word_embeddings=False), torch.float16, None),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**{**SMALL, "bos_token_id": None}, num_attention_heads=6,
              num_key_value_heads=2, tie_word_embeddings=True,
              rope_parameters=dict(rope_type="default", rope_theta=1000000.0)), torch.bfloat16, None),
    "qwen3-tied": (Qwen3ForCausalLM, Qwen3Config(**SMALL, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                   tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
                   torch.bfloat16, None),
    "qwen3-window": (Qwen3ForCausalLM, Qwen3Config(**SMALL, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
                     tie_word_embeddings=False, use_sliding_window=True, sliding_window=8, max_window_layers=2),
                     torch.bfloat16, None),
}


def randomise(model, dtype, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        if name.endswith("norm.weight"):
            value = 1 + 0.2 * noise
        elif name.endswith("bias"):
            value = 0.2 * noise
        elif "embed_tokens" in name or "lm_head" in name:
            value = 0.4 * noise
        else:
            value = 0.15 * noise
        p.data.copy_(value.to(dtype).float())


@torch.no_grad()
def greedy(model, ids):
    """64 ids, and the smallest gap between the two best logits on the way."""
    out, gap = [], float("inf")
    step = model(input_ids=ids, use_cache=True)
    for _ in range(GREEDY):
        best = step.logits[0, -1].topk(2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        out.append(best.indices[0].item())
        step = model(input_ids=torch.tensor([[out[-1]]]), past_key_values=step.past_key_values, use_cache=True)
    return out, gap


def make_model(name, cls, config, dtype, shard_size):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model = cls(config).float().eval()
    for seed in range(1000):
        randomise(model, dtype, seed)
        g = torch.Generator().manual_seed(seed)
        ids = torch.randint(3, config.vocab_size, (1, T), generator=g)
        path, gap = greedy(model, ids)
        if gap > MIN_GAP and len(set(path)) > 12:
            break
    else:
        raise SystemExit(f"{name}: no seed keeps the greedy path clear")
    coefficients = (torch.randn(ANSWER, generator=g)).round(decimals=3)
    logits = model(input_ids=ids, use_cache=False).logits[0]
    logps = logits.log_softmax(-1)[T - ANSWER - 1:T - 1].gather(1, ids[0, T - ANSWER:, None])[:, 0]
    (logps * coefficients).sum().backward()
    # Copies: `to` would round the gradients in place.
    tensors = {"logits": logits.detach().clone()}
    tensors |= {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()}
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard_size} if shard_size else {}))
    save_file(tensors, folder / "reference.safetensors")
    reference = dict(input_ids=ids[0].tolist(), greedy=path, answer=ANSWER,
                     coefficients=[round(c, 3) for c in coefficients.tolist()])
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: seed {seed}, gap {gap:.4f}, logits +-{logits.std():.2f}, {size} bytes")


GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}


def permute(weights, heads):
    """The reordering of q and k rows in llama.cpp's convert_hf_to_gguf.py (LlamaModel.permute)."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(
        weights.shape)


def rope_freqs(c):
    """The factors that llama.cpp's converter stores for Llama 3's scaling."""
    r = c.rope_parameters
    dim = c.head_dim
    freqs = 1.0 / (r["rope_theta"] ** (np.arange(0, dim, 2, dtype=np.float32) / dim))
    low, high = (r["original_max_position_embeddings"] / r[k] for k in ("low_freq_factor", "high_freq_factor"))
    factors = []
    for f in freqs:
        wavelen = 2 * np.pi / f
        if wavelen < high:
            factors.append(1)
        elif wavelen > low:
            factors.append(r["factor"])
        else:
            smooth = (r["original_max_position_embeddings"] / wavelen - r["low_freq_factor"]) / (
                r["high_freq_factor"] - r["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / r["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def make_gguf(name, arch):
    """`name` with matrices in BF16 and vectors in F32, so that loading either gives the same bits."""
    c = MODELS[name][1]
    (OUT / "gguf").mkdir(exist_ok=True)
    w = gguf.GGUFWriter(OUT / "gguf" / f"{name}.gguf", arch)
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_vocab_size(c.vocab_size)
    if arch == "llama":
        w.add_rope_dimension_count(c.head_dim)
    else:
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)
    if c.rope_parameters["rope_type"] == "llama3":
        w.add_rope_scaling_orig_ctx_len(c.rope_parameters["original_max_position_embeddings"])
        w.add_tensor("rope_freqs.weight", rope_freqs(c))
    eos = c.eos_token_id if isinstance(c.eos_token_id, list) else [c.eos_token_id]
    w.add_bos_token_id(c.bos_token_id)
    w.add_eos_token_id(eos[0])
    if len(eos) > 1:
        w.add_eot_token_id(eos[1])
    w.add_token_list([f"t{i}" for i in range(c.vocab_size)])
    for hf, t in load_file(OUT / name / "model.safetensors").items():
        t = t.float().numpy()
        if ".q_proj." in hf and arch == "llama":
            t = permute(t, c.num_attention_heads)
        if ".k_proj." in hf and arch == "llama":
            t = permute(t, c.num_key_value_heads)
        top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}
        if hf not in top:
            _, _, layer, rest = hf.split(".", 3)
            module, kind = rest.rsplit(".", 1)
        to = top.get(hf) or f"blk.{layer}.{GGUF_NAMES[module]}.{kind}"
        if t.ndim == 1:
            w.add_tensor(to, t)
        else:
            w.add_tensor(to, gguf.quants.quantize(t, Q.BF16), raw_dtype=Q.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_quant():
    """Random bytes in every field but the scales, which are random finite halves."""
    rng = np.random.default_rng(7)
    scales = {Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2],
              Q.Q6_K: [208]}
    tensors = {}
    for kind, at in scales.items():
        length, size = gguf.GGML_QUANT_SIZES[kind]
        n = 512 // length + 3
        blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
        for i in at:
            blocks[:, i:i + 2] = rng.normal(0, 0.1, (n, 1)).astype(np.float16).view(np.uint8)
        tensors[f"{kind.name}.blocks"] = blocks
        tensors[f"{kind.name}.numbers"] = gguf.quants.dequantize(blocks, kind)
    halves = rng.normal(0, 3, 600).astype(np.float16)
    halves[:4] = [0, -0.0, 6e-8, 65504]  # a subnormal and the largest
    tensors["F16.blocks"], tensors["F16.numbers"] = halves.view(np.uint8), halves.astype(np.float32)
    numbers = rng.normal(0, 3, 600).astype(np.float32)
    brains = gguf.quants.quantize(numbers, Q.BF16)
    tensors["BF16.blocks"], tensors["BF16.numbers"] = brains, gguf.quants.dequantize(brains, Q.BF16)
    save_numpy(tensors, OUT / "quant.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    for name, spec in MODELS.items():
        make_model(name, *spec)
    shutil.rmtree(OUT / "gguf", ignore_errors=True)
    make_gguf("llama3-tied", "llama")
    make_gguf("llama-bias", "llama")
    make_gguf("qwen3-tied", "qwen3")
    make_quant()
