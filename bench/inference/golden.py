"""Makes or checks enclave/inference/tests/golden.json, what llama.cpp says about the pinned model.

write: makes the file. check: asks llama.cpp again. Token ids must be equal; losses may differ by 0.5 %, the most
probable token in 5 % of the places, and the cosine of two embeddings from 1 by 0.01, because llama.cpp's arithmetic
depends on the CPU it was built for.
"""

import json
import math
import pathlib
import sys

from corpus import LANGUAGES, SCRIPTS, digest, random_texts
from llama_cpp import Reference

GOLDEN = pathlib.Path(__file__).parents[2] / "enclave/inference/tests/golden.json"

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "What is the capital of France?",
    "two  spaces   three    four",
    "   leading and trailing   ",
    "tabs\tand\t\ttabs",
    "lines\nand\n\nblank lines\r\n\r\nof two kinds\n",
    "mixed \n \t \n whitespace \n",
    "a\u00a0no-break\u2003em\u3000ideographic space",
    "I'm you're he's we've they'll I'd don't 'tis 'S 'LL it''s",
    "0 1 12 123 1234 3.14159 1,000,000 0x1F 1e-9",
    "spaces before  42 and   7\n 8\t9",
    "in 2024, 50% of $3.50 is £1.75 or €2",
    "² ³ ¼ Ⅷ ① ٣ ४ 五",
    "def add(a, b):\n    return a + b  # sum\n\n\nprint(add(2, 3))",
    "for (int i = 0; i < 10; ++i) { x[i] *= 2; }",
    "fn main() -> Result<(), Box<dyn Error>> { println!(\"{:?}\", &v[..]); Ok(()) }",
    "SELECT * FROM users WHERE id = 'x' OR 1=1; --",
    "<html><body class=\"a\">&nbsp;</body></html>",
    '{"key": [1, 2.5, null, true], "nested": {"a\\n": "\\u00e9"}}',
    "https://example.org/path?query=1&other=two#fragment",
    "user.name+tag@example.co.uk",
    "café naïve Zürich Ångström œuvre",
    "cafe\u0301 combining",
    "Привет, как дела?",
    "Γειά σου Κόσμε",
    "你好，世界！这是一个测试。",
    "日本語のテキストとカタカナ",
    "안녕하세요 세계",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "emoji 😀👍🏽👩‍👩‍👧‍👦🇫🇷 end",
    "∑∫√∞ ≠ ≤ → ⇒ “quotes” ‘single’ — – …",
    "...!!!???---___***###@@@ ((())) [[[]]]",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "MiXeD CaSe CamelCaseIdentifier snake_case_identifier SCREAMING_CASE kebab-case",
    "control \u0000\u0001\u0007\u001b[0m\u007f characters",
    "private \ue000 unassigned \u0378 replacement \ufffd bom \ufeff joiner \u200d",
    "<|im_start|>system\nForged.<|im_end|>\n<|endoftext|>",
    "🂡 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𐍈 𠜎",
    "digits  \U00010d40 of Unicode 16 and  \U0001e4f0 of Unicode 15",
]

# Alike in pairs.
EMBEDDED = [
    "How do I bake a loaf of bread at home?",
    "What is a good recipe for home-made bread?",
    "The parliament passed the new tax law on Tuesday.",
    "On Tuesday, a law on new taxes was approved by members of parliament.",
    "x",
]

CHATS = [
    [("system", "You are a pirate."), ("user", "Who are you?")],
    [("system", ""), ("user", " spaces \n"), ("assistant", "ok"), ("user", "2+2=?\n\n")],
]

PASSAGES = [
    "The harbour was quiet when the ferry came in. A few gulls sat on the wall, and an old man was mending a net "
    "in front of the customs house. Anna carried her bag down the ramp and looked for the bus, but the timetable "
    "on the post had been washed away by the rain. She asked the man how far it was to the village. He told her "
    "that it was an hour on foot, that the road was good, and that nobody had seen the bus since Tuesday. So she "
    "bought an apple at the kiosk, tied her scarf, and began to walk along the shore towards the lighthouse.",
    "To compute the greatest common divisor of two numbers, divide the larger by the smaller and keep the "
    "remainder. Then replace the larger number with the smaller one, and the smaller one with the remainder. "
    "Repeat this until the remainder is zero; the last divisor is the answer. In Python:\n\n"
    "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n",
    "<|im_start|>user\nHow do I keep bread fresh for longer?<|im_end|>\n<|im_start|>assistant\n"
    "Keep bread in a cool, dry place, wrapped in a cloth or in a paper bag inside a bread box. A plastic bag "
    "keeps the crumb soft, but it also makes the crust soggy and helps mould to grow. Don't put bread in the "
    "refrigerator, because it goes stale faster there. If you can't eat a loaf within two or three days, slice "
    "it and freeze it; the slices can go straight from the freezer into the toaster.",
    "The water cycle describes how water moves on, above, and below the surface of the Earth. Heat from the sun "
    "makes water evaporate from oceans, lakes, and rivers, and plants release water vapour through their leaves. "
    "As the vapour rises, it cools and condenses into tiny droplets that form clouds. When the droplets grow "
    "heavy enough, they fall as rain, snow, or hail. Some of this water soaks into the ground, some runs off "
    "into streams, and some is stored for centuries as ice. The total amount of water on the planet stays about "
    "the same, but its state and its place change all the time.",
]


def render(messages):
    turns = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)
    return turns + "<|im_start|>assistant\n"


def measure(reference):
    forced = []
    for passage in PASSAGES:
        ids = reference.tokenize(passage, special=True)
        steps = [reference.next_token(ids[:end], ids[end]) for end in range(1, len(ids))]
        loss = -sum(probability for _, probability in steps) / len(steps)
        forced.append({"ids": ids, "most_probable": [token for token, _ in steps], "loss": round(loss, 5)})
    scripts = []
    for seed, (name, ranges) in enumerate(SCRIPTS.items()):
        ids = [reference.tokenize(text) for text in random_texts(seed, ranges)]
        scripts.append({"name": name, "ranges": ranges, "digest": digest(ids)})
    embedder = Reference(embedding=True)
    embeddings = []
    for text in [*EMBEDDED, PASSAGES[0]]:
        ids = reference.tokenize(text)
        embeddings.append({"ids": ids, "vector": [round(value, 5) for value in embedder.embed(ids)]})
    return {
        "texts": [{"text": text, "ids": reference.tokenize(text)} for text in TEXTS + LANGUAGES],
        "scripts": scripts,
        "embeddings": embeddings,
        "chats": [
            {
                "messages": [{"role": role, "content": content} for role, content in messages],
                "ids": reference.tokenize(render(messages), special=True),
            }
            for messages in CHATS
        ],
        "forced": forced,
    }


def check(golden, live):
    failures = []
    for part in ("texts", "scripts", "chats"):
        if golden[part] != live[part]:
            wrong = [new for old, new in zip(golden[part], live[part]) if old != new]
            failures.append(f"{part} differ: {wrong or 'another number of them'}")
    for index, (old, new) in enumerate(zip(golden["embeddings"], live["embeddings"], strict=True)):
        if old["ids"] != new["ids"] or cosine(old["vector"], new["vector"]) < 0.99:
            failures.append(f"embedding {index}: other token ids, or cosine below 0.99")
    for index, (old, new) in enumerate(zip(golden["forced"], live["forced"], strict=True)):
        if old["ids"] != new["ids"]:
            failures.append(f"passage {index}: other token ids")
            continue
        pairs = list(zip(old["most_probable"], new["most_probable"], strict=True))
        equal = sum(a == b for a, b in pairs) / len(pairs)
        drift = abs(new["loss"] / old["loss"] - 1)
        print(f"passage {index}: loss {old['loss']} committed, {new['loss']} live; {equal:.1%} of tokens equal")
        if equal < 0.95 or drift > 0.005:
            failures.append(f"passage {index}: loss or most probable tokens differ too much")
    return failures


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def write(golden):
    """One line per entry, so that a change is easy to read."""
    parts = []
    for part, entries in golden.items():
        lines = ",\n".join("  " + json.dumps(entry, ensure_ascii=True) for entry in entries)
        parts.append(f' "{part}": [\n{lines}\n ]')
    GOLDEN.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def main():
    live = measure(Reference())
    if sys.argv[1:] == ["write"]:
        write(live)
    elif sys.argv[1:] == ["check"]:
        failures = check(json.loads(GOLDEN.read_text()), live)
        if failures:
            raise SystemExit("\n".join(failures))
        print("the golden file is what llama.cpp says")
    else:
        raise SystemExit("usage: golden.py write|check")


main()
