"""Compares our AlpacaEval 2 figures with those that the official package computes from the same records: each model as it
is, and with a few rows spoilt (preferences missing or 0, rows left out).

    pip install alpaca_eval==0.6.6
    cargo build --release
    python alpaca_eval_agreement.py target/release/drift FOLDER

FOLDER has `compact/*.csv`, `df_gamed.equivalent.csv` and `instruction_difficulty.recovered.csv`: the package would download
the gamed rows, and is handed these. Answers are letters of the recorded lengths, all that the figures depend on. Both read
the same annotations.json.
"""

import glob
import json
import random
import subprocess
import sys
import tempfile

import pandas
from alpaca_eval.metrics import glm_winrate

binary, folder = sys.argv[1:]
gamed, difficulty = f"{folder}/df_gamed.equivalent.csv", f"{folder}/instruction_difficulty.recovered.csv"
glm_winrate.hf_hub_download = lambda **_: gamed
random.seed(0)


def annotations(rows, model):
    return [
        {
            "instruction": f"instruction {i}",
            "output_1": "x" * row.len_1,
            "generator_1": "gpt4_1106_preview",
            "output_2": "y" * row.len_2,
            "generator_2": model,
            "annotator": "weighted_alpaca_eval_gpt4_turbo",
            "preference": None if pandas.isna(row.preference) else row.preference,
        }
        for i, row in enumerate(rows.itertuples())
    ]


def spoilt(rows):
    some = random.sample(range(len(rows)), 4)
    kind = random.choice(["missing", "zeros", "fewer"])
    rows = rows.copy()
    if kind == "fewer":
        return kind, rows.drop(index=some).reset_index(drop=True)
    rows.loc[some, "preference"] = None if kind == "missing" else 0.0
    return kind, rows


COUNTS = ["n_wins", "n_wins_base", "n_draws", "n_total"]
worst = dict.fromkeys(["win_rate", "standard_error", "discrete_win_rate", "length_controlled_winrate"], 0.0)
for path in sorted(glob.glob(f"{folder}/compact/*.csv")):
    model = path.rsplit("/", 1)[1].removesuffix(".csv")
    recorded = pandas.read_csv(path)
    for kind, rows in [("as it is", recorded), spoilt(recorded)]:
        records = annotations(rows, model)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(records, file)
            file.flush()
            call = [binary, "evaluate", "score", "--suite", "alpaca-eval", file.name, "--gamed", gamed, "--difficulty", difficulty, "--json"]
            ours = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)[0]
        theirs = glm_winrate.get_length_controlled_winrate(pandas.DataFrame(records), save_weights_dir=None, is_warn_extreme_changes=False)
        assert all(ours[f] == theirs[f] for f in COUNTS), (model, kind, ours, theirs)
        for figure in worst:
            worst[figure] = max(worst[figure], abs(ours[figure] - theirs[figure]))
        print(f"{model}, {kind}: length-controlled {ours['length_controlled_winrate']:.4f}, official {theirs['length_controlled_winrate']:.4f}", flush=True)
print("largest differences, in points:", worst, "- all counts equal")
