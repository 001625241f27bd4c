#!/usr/bin/env python3
"""This build beside the Python stacks that a user could take instead, in turn, every output kept.

    bench/peers.py run --python VENV/bin/python --scripts DIR --hf MODEL_DIR --gguf FILE --pairs FILE [--rounds 3]
    bench/peers.py table        # the README's table, from the newest record

DIR has trl_dpo.py (one optimiser step of four pairs with TRL's DPOTrainer, the reference pass included) and hf_generate.py
(generate of transformers on 16 prompts, 128 new tokens). MODEL_DIR and FILE are the same model. Nothing else should run.
A record is one JSON line a run: bench/records/DATE.jsonl. `table` puts medians between the README's two marks.
"""

import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDS = ROOT / "bench" / "records"
BEGIN, END = "<!-- peers: made by bench/peers.py table -->", "<!-- end of peers -->"


def machine():
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    flags = next(line.split() for line in open("/proc/cpuinfo") if line.startswith("flags"))
    known = [name for name in ("avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    threads = sum(line.startswith("processor") for line in open("/proc/cpuinfo"))
    return f"{cpu}, {threads} threads, {' '.join(known)}, {platform.system()}"


def run(a):
    drift = str(ROOT / "target" / "release" / "drift")
    peers = pathlib.Path(a.scripts)
    works = [
        ("step", "TRL", [a.python, peers / "trl_dpo.py", a.hf, a.pairs, "--mode", "bf16_ckpt", "--steps", "1"]),
        ("step", "drift", [drift, "bench", "train", "--model", a.gguf, "--pairs", a.pairs, "--steps", "1", "--memory-gb", "2.4", "--json"]),
        ("sample", "transformers", [a.python, peers / "hf_generate.py", a.hf, a.pairs]),
        ("sample", "drift", [drift, "bench", "sample", "--model", a.gguf, "--pairs", a.pairs, "--json"]),
    ]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{datetime.date.today()}.jsonl"
    for number in range(1, a.rounds + 1):
        for work, who, command in works:
            start = time.time()
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{who}: {done.stderr[-2000:]}")
            named = [pathlib.Path(part).name if "/" in str(part) else str(part) for part in command]
            row = {"round": number, "work": work, "who": who, "command": " ".join(named), "commit": commit,
                   "machine": machine(), "seconds": round(time.time() - start, 1), "output": done.stdout.strip()}
            with open(path, "a") as out:
                out.write(json.dumps(row) + "\n")
            print(number, work, who, row["seconds"], "s", flush=True)


def figures(row):
    """(what counts: pairs or tokens a second, peak in GB)"""
    last = json.loads(row["output"].splitlines()[-1])
    rate = last["pairs_per_s"] if row["work"] == "step" else last["tokens_per_s"]
    return rate, last.get("peak_rss_gb") or last["peak_rss_bytes"] / 1e9


def table(_):
    path = max(RECORDS.glob("*.jsonl"))
    rows = [json.loads(line) for line in open(path)]
    lines = [f"{rows[0]['machine']}; medians of {max(row['round'] for row in rows)} alternating runs ([record](bench/records/{path.name})):", "",
             "| work | Python | drift | |", "|---|---|---|---|"]
    for work, name, unit in (("step", "DPO step of 4 pairs, reference included", "pairs/s"), ("sample", "16 prompts + 128 new tokens, end to end", "tokens/s")):
        of = {}
        for row in (row for row in rows if row["work"] == work):
            of.setdefault(row["who"], []).append(figures(row))
        peer = next(who for who in of if who != "drift")
        medians = {who: [statistics.median(values) for values in zip(*runs)] for who, runs in of.items()}
        cell = lambda who: f"{medians[who][0]:.3g} {unit}, {medians[who][1]:.1f} GB"
        times = medians["drift"][0] / medians[peer][0]
        lines.append(f"| {name} | {peer}: {cell(peer)} | {cell('drift')} | {times:.1f} times as fast |")
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
    runs.add_argument("--rounds", type=int, default=3)
    runs.set_defaults(do=run)
    commands.add_parser("table").set_defaults(do=table)
    a = parser.parse_args()
    a.do(a)


main()
