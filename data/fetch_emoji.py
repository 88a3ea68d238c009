"""Rebuilds data/emoji from three npm packages: `python data/fetch_emoji.py` (needs npm and Pillow).

Two sheets, noto.webp and twemoji.webp, hold 1,636 emoji of 64x64 pixels on white, 41 in a row, in the order of
names.tsv, which gives for each its name, whether its mirror image still bears that name, and whether training may see
it. The names are those of Unicode's CLDR, which are what people say ("red heart", where the old standard has "heavy
black heart").
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
PACKAGES = ("emoji-datasource-google@16.0.0", "emoji-datasource-twitter@16.0.0", "unicode-emoji-json@0.8.0")
STYLES = {"noto": "google", "twemoji": "twitter"}
COLUMNS, SIDE = 41, 64
SAID = {  # where people say something else than CLDR
    "closed book": "red book", "notebook with decorative cover": "yellow notebook", "hot beverage": "coffee",
    "face with tears of joy": "laughing face with tears", "pile of poo": "poop", "hundred points": "one hundred points",
    "input numbers": "numbers button", "input latin uppercase": "capital letters button",
    "input latin lowercase": "small letters button", "input latin letters": "letters button",
    "input symbols": "symbols button", "dashing away": "cloud of dust", "dotted six-pointed star": "six pointed star",
    "glowing star": "shining star", "hollow red circle": "red ring", "curly loop": "loop",
    "part alternation mark": "part mark",    "spouting whale": "whale with fountain", "shibuya 109": "department store",
}  # fmt: skip
ONE_WAY = re.compile(  # names whose mirror image is another thing, or holds writing
    r"\b(left|right|leftwards|rightwards|arrow|arrows|back|end|on|soon|top|button|keycap|o'clock|thirty|hundred|input|letters|numbers|symbol|sign"
    r"|mark|clockwise|counterclockwise|question|chart|calendar|abacus|atm|musical|note|notes|trade|copyright|registered|crescent"
    r"|quarter|facing|waning|waxing|medal|billiards|books|flag|page|passport|newspaper|receipt|label|computer|keyboard|abcd?|zzz"
    r"|dollar|euro|pound|yen|baggage|customs|luggage|restroom|closet|litter|litters|potable|smoking|information|tokyo|kaaba"
    r"|aries|taurus|gemini|cancer|leo|virgo|libra|scorpio|sagittarius|capricorn|aquarius|pisces|ophiuchus|trident|om"
    r"|map|globe showing|antenna bars|convenience|taxi|check|orthodox|eighteen|e-mail|ticket|tickets|money|exchange"
    r"|slot|pager|red envelope)\b"
)
KEPT = re.compile(r"\b(apple|book|books|notebook|heart|hearts|circle)\b")  # the lab plays with their colours


def spoken(name: str) -> str:
    """A CLDR name as lower-case plain words: no accents, quotes, commas or colons."""
    name = unicodedata.normalize("NFKD", name.lower().replace("’", "'")).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9#*'-]+", " ", name).strip()
    return SAID.get(name, name)


def held_out(names: list[str]) -> set[str]:
    """About 5 % of the names: new combinations of words that other names hold as well."""
    count = Counter(word for name in names for word in set(name.split()))
    able = [name for name in names if len(name.split()) > 1 and not KEPT.search(name)]
    able.sort(
        key=lambda name: (sum(map(ord, name)) * 2654435761) % 2**32
    )  # an order without meaning, the same everywhere
    chosen: set[str] = set()
    for name in able:
        words = set(name.split())
        if len(chosen) < 80 and all(count[word] > 2 for word in words):
            chosen.add(name)
            count.subtract(words)
    return chosen


def fetch(folder: Path) -> list[Path]:
    """Download and unpack the packages; returns a folder for each."""
    for package in PACKAGES:
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    unpacked = []
    for package in PACKAGES:
        target = folder / package.split("@")[0]
        with tarfile.open(folder / f"{package.replace('@', '-')}.tgz") as archive:
            wanted = [m for m in archive if m.name.endswith(".json") or m.name.endswith("sheets-clean/64.png")]
            archive.extractall(target, wanted, filter="data")
        unpacked.append(target / "package")
    return unpacked


def line(sign: str, name: str, unseen: set[str]) -> str:
    """What names.tsv says of an emoji; unseen: the names that are held out."""
    mirror, split = "one way" if ONE_WAY.search(name) else "mirrors", "held-out" if name in unseen else "train"
    return "\t".join([sign, name, mirror, split])


def main() -> None:
    """Write the two sheets and names.tsv, each to a temporary file first."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "emoji"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        google, twitter, cldr = fetch(Path(temporary))
        words = json.loads((cldr / "data-by-emoji.json").read_text("utf8"))
        name_of = {emoji.replace("\ufe0f", ""): spoken(entry["name"]) for emoji, entry in words.items()}
        listed = json.loads((google / "emoji.json").read_text("utf8"))
        kept = [e for e in listed if e["category"] not in ("Flags", "Component")]
        kept = sorted((e for e in kept if e["has_img_google"] and e["has_img_twitter"]), key=lambda e: e["sort_order"])
        signs = ["".join(chr(int(code, 16)) for code in e["unified"].split("-")) for e in kept]
        names = [name_of[sign.replace("\ufe0f", "")] for sign in signs]
        assert len(set(names)) == len(names), [name for name, n in Counter(names).items() if n > 1]
        for style, source in STYLES.items():
            folder = google if style == "noto" else twitter
            sheet = Image.open(folder / f"img/{source}/sheets-clean/64.png").convert("RGBA")
            rows = -(-len(kept) // COLUMNS)
            page = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), "white")
            for i, e in enumerate(kept):
                x, y = e["sheet_x"] * (SIDE + 2) + 1, e["sheet_y"] * (SIDE + 2) + 1
                one = sheet.crop((x, y, x + SIDE, y + SIDE))
                page.paste(one, (i % COLUMNS * SIDE, i // COLUMNS * SIDE), one)
            page.save(out / f"{style}.tmp", "WEBP", lossless=True, quality=100, method=6)
            os.replace(out / f"{style}.tmp", out / f"{style}.webp")
    unseen = held_out(names)
    lines = [line(sign, name, unseen) for sign, name in zip(signs, names, strict=True)]
    (out / "names.tmp").write_text("\n".join(["emoji\tname\tmirror\tsplit", *lines]) + "\n", "utf8")
    os.replace(out / "names.tmp", out / "names.tsv")


if __name__ == "__main__":
    main()
