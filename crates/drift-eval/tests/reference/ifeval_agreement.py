"""Compares our requirement checks with IFEval's (Zhou et al. 2023) as packaged in `if-verifiable`, where both have the
same kind, on real answers as they are and edited so that about half of them meet the requirement.

    pip install if-verifiable
    cargo build -p drift-eval --example verdicts
    python ifeval_agreement.py target/debug/examples/verdicts ANSWERS.jsonl

ANSWERS.jsonl has `chosen` and `rejected`. Prints agreement a kind; with a fourth argument also writes the differences
(the answers' words included) to that file. Checks that need downloaded tokenizer data are left out.
"""

import json
import random
import re
import subprocess
import sys

from if_verifiable.ifeval import instructions as ifeval

random.seed(0)


def text(value):
    return value if isinstance(value, str) else value[-1]["content"]


rows = [json.loads(line) for line in open(sys.argv[2])]
answers = [text(row[side]).strip() for row in rows for side in ("chosen", "rejected")]
answers = [answer for answer in answers if answer]


def words(answer):
    return re.findall(r"\w+", answer)


def near(count, low=1):
    return max(low, count + random.randint(-2, 2))


def trial(kind, answer):
    """Our parameters, their checker and its arguments, and the answer, perhaps edited."""
    edit = random.random() < 0.5
    lines = answer.split("\n")
    # Words as ours are: IFEval also counts "the" in "other" and "closed" in "closed-loop".
    some = random.choice(re.findall(r"(?<![\w'’-])[A-Za-z]{5,}(?![\w'’-])", answer) or ["patience"])
    if kind == "bullets":
        if edit:
            answer = "\n".join(random.choice(["- ", "* "]) + line if line[:1].isalpha() else line for line in lines)
        n = near(len(re.findall(r"^\s*[-*] ", answer, flags=re.M)))
        return {"n": n}, ifeval.BulletListChecker, {"num_bullets": n}, answer
    if kind == "no-commas":
        return {}, ifeval.CommaChecker, {}, answer.replace(",", "") if edit else answer
    if kind == "lowercase":
        return {}, ifeval.LowercaseLettersEnglishChecker, {}, answer.lower() if edit else answer
    if kind == "uppercase":
        return {}, ifeval.CapitalLettersEnglishChecker, {}, answer.upper() if edit else answer
    if kind == "end-phrase":
        phrase = "That is all for now."
        return {"words": [phrase]}, ifeval.EndChecker, {"end_phrase": phrase}, answer + ("\n" + phrase if edit else "")
    if kind == "quoted-whole":
        return {}, ifeval.QuotationChecker, {}, f'"{answer}"' if edit else answer
    if kind == "title":
        return {}, ifeval.TitleChecker, {}, "<<A Title>>\n\n" + answer if edit else answer
    if kind == "include-words":
        wanted = [some if edit else "patience"]
        return {"words": wanted}, ifeval.KeywordChecker, {"keywords": wanted}, answer
    if kind == "avoid-words":
        banned = [some if edit else "patience"]
        return {"words": banned}, ifeval.ForbiddenWords, {"forbidden_words": banned}, answer
    if kind == "word-repeated":
        n = near(len(re.findall(rf"\b{some}\b", answer, flags=re.I)))
        theirs = {"keyword": some, "frequency": n, "relation": "at least"}
        return {"n": n, "words": [some]}, ifeval.KeywordFrequencyChecker, theirs, answer
    if kind == "letter-often":
        n = near(answer.lower().count("b"))
        theirs = {"letter": "b", "let_frequency": n, "let_relation": "at least"}
        return {"n": n, "words": ["b"]}, ifeval.LetterFrequencyChecker, theirs, answer
    if kind == "min-words":
        n = round(len(words(answer)) * random.choice([0.8, 0.9, 1.1, 1.2])) + 1
        return {"n": n}, ifeval.NumberOfWords, {"num_words": n, "relation": "at least"}, answer
    if kind == "max-words":
        n = round(len(words(answer)) * random.choice([0.8, 0.9, 1.1, 1.2])) + 1
        return {"n": n}, ifeval.NumberOfWords, {"num_words": n + 1, "relation": "less than"}, answer
    if kind == "highlights":
        if edit:
            answer = re.sub(r"\b(\w{9,})\b", r"*\1*", answer)
        n = near(len(re.findall(r"\*[^\n*]+\*", answer)))
        return {"n": n}, ifeval.HighlightSectionChecker, {"num_highlights": n}, answer
    if kind == "placeholders":
        if edit:
            answer = re.sub(r"\b([A-Z]\w{4,})\b", r"[\1]", answer)
        n = near(len(re.findall(r"\[.*?\]", answer)))
        return {"n": n}, ifeval.PlaceholderChecker, {"num_placeholders": n}, answer
    if kind == "postscript":
        return {}, ifeval.PostscriptChecker, {"postscript_marker": "P.S."}, answer + "\n\nP.S. One more." if edit else answer
    if kind == "two-versions":
        return {}, ifeval.TwoResponsesChecker, {}, answer + "\n******\nAnother." if edit else answer
    if kind == "request-first":
        task = "Write a short text about the sea."
        theirs = {"prompt_to_repeat": task}
        return {"words": [task]}, ifeval.RepeatPromptThenAnswer, theirs, f"{task}\n\n{answer}" if edit else answer
    raise ValueError(kind)


KINDS = """bullets no-commas lowercase uppercase end-phrase quoted-whole title include-words avoid-words word-repeated
letter-often min-words max-words highlights placeholders postscript two-versions request-first""".split()

ours_in, theirs, skipped = [], [], 0
for kind in KINDS:
    for answer in answers:
        for _ in range(2):
            parameters, checker, arguments, edited = trial(kind, answer)
            instruction = checker(kind)
            instruction.build_description(**arguments)
            try:
                verdict = bool(instruction.check_following(edited))
            except Exception:  # language detection gives up on some texts
                skipped += 1
                continue
            ours_in.append({"kind": kind, "parameters": parameters, "answer": edited})
            theirs.append(verdict)

run = subprocess.run(
    [sys.argv[1]], input="\n".join(map(json.dumps, ours_in)), capture_output=True, text=True, check=True
)
ours = [line == "true" for line in run.stdout.split()]
assert len(ours) == len(theirs)

differences = []
for kind in KINDS:
    mine = [i for i, row in enumerate(ours_in) if row["kind"] == kind]
    differ = [i for i in mine if ours[i] != theirs[i]]
    differences += differ
    met = sum(theirs[i] for i in mine)
    print(f"{kind:16} n {len(mine):4}  met {met:4}  agree {100 * (1 - len(differ) / max(1, len(mine))):6.2f} %")
print(f"all: n {len(ours)}, agree {100 * (1 - len(differences) / len(ours)):.2f} %, skipped {skipped}")
if len(sys.argv) > 3:
    with open(sys.argv[3], "w") as out:
        for i in differences:
            out.write(json.dumps({**ours_in[i], "ours": ours[i], "theirs": theirs[i]}) + "\n")
