#!/usr/bin/env python3
"""This build beside what a user could take instead, in turn, every output kept.

    bench/peers.py run --python VENV/bin/python --scripts DIR --hf MODEL_DIR --gguf FILE --pairs FILE
                       [--llama DIR --bf16 GGUF --q8 GGUF] [--jemalloc LIB] [--only WORK...] [--who NAME...] [--rounds 3]
    bench/peers.py table        # the README's table, each work from the newest record that has it

DIR of --scripts has trl_dpo.py (one optimiser step of four pairs with TRL's DPOTrainer, the reference pass included) and
hf_generate.py (generate of transformers on 16 prompts, 128 new tokens). MODEL_DIR, FILE and the two other GGUF files are the same
model. --llama: llama.cpp's programs llama-bench and llama-batched-bench. --jemalloc: TRL runs with this allocator too, huge pages
and all, and again with trl_answers_only.py, the reference pass left out. Nothing else should run. A record is one JSON line a run:
bench/records/DATE.jsonl, DATE-2.jsonl for the next of a day; one made with --who belongs into a folder there, since
`table` takes a work from its newest record, and puts medians between the README's two marks.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDS = ROOT / "bench" / "records"
BEGIN, END = "<!-- peers: made by bench/peers.py table -->", "<!-- end of peers -->"
HUGE_PAGES = ("oversize_threshold:0,background_thread:false,thp:always,metadata_thp:always,"
              "dirty_decay_ms:-1,muzzy_decay_ms:-1")

# What is measured, by the name of the work: a title, a unit, and which figure of drift's report it is.
WORKS = {
    "step": ("DPO step of 4 pairs, reference included", "pairs/s", "pairs_per_s"),
    "sample": ("16 prompts + 128 new tokens, end to end", "tokens/s", "tokens_per_s"),
    "decode8": ("decoding 8 sequences after 800 tokens", "tokens/s", "decode_tokens_per_s"),
    "single": ("one sequence, empty context", "tokens/s", "decode_tokens_per_s"),
    "single800": ("one sequence after 800 tokens", "tokens/s", "decode_tokens_per_s"),
    "prefill": ("reading 800 tokens", "tokens/s", "prefill_tokens_per_s"),
}


def machine():
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    flags = next(line.split() for line in open("/proc/cpuinfo") if line.startswith("flags"))
    known = [name for name in ("avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    threads = sum(line.startswith("processor") for line in open("/proc/cpuinfo"))
    return f"{cpu}, {threads} threads, {' '.join(known)}, {platform.system()}"


def jobs(a):
    """(work, who, command, environment), in the order of a round."""
    drift = str(ROOT / "target" / "release" / "drift")
    scripts = pathlib.Path(a.scripts)
    ours = lambda what, *more: [drift, "bench", what, "--model", a.gguf, "--pairs", a.pairs, *more, "--json"]
    trl = [a.python, scripts / "trl_dpo.py", a.hf, a.pairs, "--mode", "bf16_ckpt", "--steps", "1"]
    yield "step", "TRL", trl, {}
    if a.jemalloc:
        jemalloc = {"LD_PRELOAD": a.jemalloc, "MALLOC_CONF": HUGE_PAGES}
        yield "step", "TRL, jemalloc", trl, jemalloc
        yield "step", "TRL, jemalloc, answers only", [a.python, ROOT / "bench" / "trl_answers_only.py", *trl[1:]], jemalloc
    yield "step", "drift", ours("train", "--steps", "1", "--memory-gb", "2.4"), {}
    yield "sample", "transformers", [a.python, scripts / "hf_generate.py", a.hf, a.pairs], {}
    yield "sample", "drift", ours("sample"), {}
    if not a.llama:
        return
    llama = pathlib.Path(a.llama)
    for name, gguf in (("BF16", a.bf16), ("Q8_0", a.q8)):
        bench = [llama / "llama-bench", "-m", gguf, "-t", "2", "-r", "1", "-o", "jsonl"]
        batched = [llama / "llama-batched-bench", "-m", gguf, "-t", "2", "-c", "8192", "-npp", "800", "-ntg", "64", "-npl", "8",
                   "--output-format", "jsonl"]
        yield "decode8", f"llama.cpp {name}", batched, {}
        yield "single", f"llama.cpp {name}", [*bench, "-p", "0", "-n", "64"], {}
        yield "single800", f"llama.cpp {name}", [*bench, "-p", "0", "-n", "64", "-d", "800"], {}
        yield "prefill", f"llama.cpp {name}", [*bench, "-p", "800", "-n", "0"], {}
    for who, more in (("drift", ()), ("drift int8", ("--precision", "int8"))):
        decoding = lambda sequences, context: ours("sample", "--concurrency", sequences, "--context", context, "--new", "64", *more)
        yield "decode8", who, decoding("8", "800"), {}
        yield "single", who, decoding("1", "0"), {}
        yield "single800", who, decoding("1", "800"), {}
        yield "prefill", who, decoding("1", "800"), {}


def run(a):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    RECORDS.mkdir(exist_ok=True)
    today = datetime.date.today()
    names = [f"{today}.jsonl"] + [f"{today}-{again}.jsonl" for again in range(2, 100)]
    path = next(path for path in (RECORDS / name for name in names) if not path.exists())
    for number in range(1, a.rounds + 1):
        for work, who, command, environment in jobs(a):
            if (a.only and work not in a.only) or (a.who and who not in a.who):
                continue
            start = time.time()
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env={**os.environ, **environment})
            if done.returncode:
                raise SystemExit(f"{who}: {done.stderr[-2000:]}")
            named = [pathlib.Path(part).name if "/" in str(part) else str(part) for part in command]
            row = {"round": number, "work": work, "who": who, "command": " ".join(named), "commit": commit,
                   "machine": machine(), "seconds": round(time.time() - start, 1), "output": done.stdout.strip()}
            with open(path, "a") as out:
                out.write(json.dumps(row) + "\n")
            print(number, work, who, row["seconds"], "s", flush=True)


def figures(row):
    """(what counts: pairs or tokens a second, peak in GB or None)"""
    objects = [line for line in row["output"].splitlines() if line.startswith("{")]
    last = json.loads(objects[-1])
    peak = last.get("peak_rss_gb") or (last["peak_rss_bytes"] / 1e9 if "peak_rss_bytes" in last else None)
    if row["who"].startswith("llama.cpp"):
        return last["speed_tg"] if row["work"] == "decode8" else last["avg_ts"], None
    return last[WORKS[row["work"]][2]], peak


def table(_):
    newest = {}
    for path in sorted(RECORDS.glob("*.jsonl"), key=lambda path: path.stem):
        rows = [json.loads(line) for line in open(path)]
        newest.update((work, (path, [row for row in rows if row["work"] == work])) for work in {row["work"] for row in rows})
    records = ", ".join(f"[record](bench/records/{name})" for name in sorted({path.name for path, _ in newest.values()}))
    rows = [row for _, rows in newest.values() for row in rows]
    lines = [f"{rows[0]['machine']}; medians of {max(row['round'] for row in rows)} alternating runs ({records}):", "",
             "| work | others | drift | drift is |", "|---|---|---|---|"]
    for work, (title, unit, _) in WORKS.items():
        of = {}
        for row in newest[work][1]:
            of.setdefault(row["who"], []).append(figures(row))
        rate = {who: statistics.median(rate for rate, _ in runs) for who, runs in of.items()}
        peak = {who: statistics.median(peak for _, peak in runs) for who, runs in of.items() if runs[0][1]}
        shown = lambda value: f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        cell = lambda who: shown(rate[who]) + (f" ({peak[who]:.1f} GB)" if who in peak else "")
        others = [who for who in of if not who.startswith("drift")]
        if others:
            # weights of eight bits beside weights of eight bits
            beside = lambda who: "drift int8" if who.endswith("Q8_0") else "drift"
            ours = "; ".join([cell("drift")] + [f"int8 {cell('drift int8')}" for _ in of.get("drift int8", [])[:1]])
            times = ", ".join(f"{rate[beside(who)] / rate[who]:.1f}" for who in others)
            lines.append(f"| {title}, {unit} | {'; '.join(f'{who} {cell(who)}' for who in others)} | {ours} | {times} times as fast |")
    readme = ROOT / "README.md"
    text = readme.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    for name in ("--python", "--scripts", "--hf", "--gguf", "--pairs"):
        runs.add_argument(name, required=True)
    for name in ("--llama", "--bf16", "--q8", "--jemalloc"):
        runs.add_argument(name)
    runs.add_argument("--only", nargs="+", choices=WORKS, help="these works alone")
    runs.add_argument("--who", nargs="+", help="these programs alone")
    runs.add_argument("--rounds", type=int, default=3)
    runs.set_defaults(do=run)
    commands.add_parser("table").set_defaults(do=table)
    a = parser.parse_args()
    a.do(a)


main()
