"""Makes tests/fixtures/bert and tests/fixtures/minilm: what transformers computes from a tiny and from a real encoder.

Run by hand, with torch 2.15, transformers 5.23 and safetensors 0.8:

    python crates/drift-lm/tests/make_encoder_references.py [FOLDER OF all-MiniLM-L6-v2]

bert/    a tiny random BertModel as `save_pretrained` makes it, reference.json (ids of some texts) and
         reference.safetensors (hidden.i [T, H] of text i, pooled [texts, H])
minilm/  reference.json (texts, their ids cut to 256, and whether something was cut off) and reference.safetensors
         (pooled [texts, 384]); the model itself is too large to lie here

pooled: the mean of the hidden states over the tokens, divided by its length. One text at a time, without padding, in
f32 on the CPU.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertModel

OUT = Path(__file__).parent / "fixtures"
LIMIT = 256

TEXTS = [
    "",
    " ",
    "a",
    "Paris",
    "The capital of France is Paris.",
    "THE CAPITAL OF FRANCE IS PARIS!",
    "How do I sort a list of dictionaries by a key in Python?",
    "def f(x):\n    return [y ** 2 for y in x if y % 2 == 0]\n\n\nprint(f(range(10)))  # [0, 4, 16, 36, 64]\n",
    "```json\n{\"chosen\": \"yes\", \"rejected\": null, \"beta\": 0.1}\n```",
    "I'm sorry, but I can't help with that. Let's talk about something else, shall we?",
    "Zoë's naïve café — “quoted” … Größe, straße, ÄÖÜ, e\u0301",
    "北京大学。こんにちは、世界! привет мир, مرحبا بالعالم",
    "😀👍🏽👩‍👩‍👧 🇩🇪 and ∑∫√ ½ ² ① Ⅷ",
    "\x00\x01\u200b\ufeff\ufffd tabs\tand\r\nlines\n\n\n",
    "supercalifragilisticexpialidocious " + "x" * 150 + " antidisestablishmentarianism",
    "[CLS] a text that names [SEP] and [MASK] and [PAD] itself [UNK]",
    "1234567 3.14159 $1,000.00 50% 2024-01-31T12:00:00Z a/b//c https://example.com/?q=1&r=2",
    "word " * 254,  # as many tokens as there may be
    "word " * 255,  # one more
    " ".join(f"Step {i}: take the {i}th item, compare it with the one before and swap them if needed." for i in range(60)),
]


def pool(states):
    return torch.nn.functional.normalize(states.mean(0), dim=0)


def save(folder, reference, tensors):
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "reference.safetensors")


@torch.no_grad()
def make_tiny():
    folder = OUT / "bert"
    shutil.rmtree(folder, ignore_errors=True)
    config = BertConfig(vocab_size=61, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=72, max_position_embeddings=40)
    model = BertModel(config).float().eval()
    g = torch.Generator().manual_seed(0)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        p.copy_(1 + 0.2 * noise if name.endswith("LayerNorm.weight") else 0.3 * noise)
    model.save_pretrained(folder)
    ids = [torch.randint(0, 61, (n,), generator=g) for n in (1, 7, 40, 13, 2)]
    states = [model(input_ids=i[None]).last_hidden_state[0] for i in ids]
    tensors = {f"hidden.{i}": s for i, s in enumerate(states)}
    tensors["pooled"] = torch.stack([pool(s) for s in states])
    save(folder, dict(ids=[i.tolist() for i in ids]), tensors)


@torch.no_grad()
def make_real(source):
    folder = OUT / "minilm"
    folder.mkdir(exist_ok=True)
    tokenizer, model = AutoTokenizer.from_pretrained(source), BertModel.from_pretrained(source).float().eval()
    whole = [tokenizer(t)["input_ids"] for t in TEXTS]
    ids = [tokenizer(t, truncation=True, max_length=LIMIT)["input_ids"] for t in TEXTS]
    pooled = [pool(model(input_ids=torch.tensor([i])).last_hidden_state[0]) for i in ids]
    reference = dict(limit=LIMIT, texts=TEXTS, ids=ids, truncated=[len(w) > LIMIT for w in whole])
    save(folder, reference, {"pooled": torch.stack(pooled)})
    print([len(w) for w in whole])


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_tiny()
    if len(sys.argv) > 1:
        make_real(sys.argv[1])
