"""What to write: words of a list, with punctuation, numbers of many forms and random strings."""
import collections
import hashlib
import itertools
import string
import unicodedata

LATIN = string.digits + string.ascii_letters
SPLITS = ("all", "train", "test")
TEST_FRACTION = 0.1  # of all texts; --split test has these, --split train has none of them
MAX_LENGTH = 40  # characters; longer lines of a word list are no words

_DEFAULT_COUNT = 100000  # words of the default list, the most frequent ones
_DEFAULT_LENGTHS = range(1, 17)
_MAX_JOINED = 20  # characters
_TRIES = 1000


class WordError(Exception):
    """Says what is wrong with the word list, and what to do."""


def normalize(text):
    return unicodedata.normalize("NFC", text)


def default_words():
    """Common English words, the most frequent first, with those of signs among them."""
    try:
        from spellchecker import SpellChecker
    except ImportError:
        raise WordError("no word list is installed; run: pip install pyspellchecker   (or name "
                        "a file of one word per line with --words)")
    counts = SpellChecker("en").word_frequency.dictionary
    words = [word for word in sorted(counts, key=lambda word: (-counts[word], word))
             if len(word) in _DEFAULT_LENGTHS and set(word) <= set(LATIN)]
    # Each sign's word follows one of books, from the most frequent one on.
    mixed = itertools.chain.from_iterable(zip(words, _SIGNS))
    return list(collections.OrderedDict.fromkeys(itertools.chain(mixed, words)))[:_DEFAULT_COUNT]


def read_words(path):
    """The words of a UTF-8 file, one per line."""
    try:
        with open(path, encoding="utf-8-sig") as lines:
            words = [normalize(line.strip()) for line in lines]
    except OSError as error:
        raise WordError(f"cannot read the word list {path}: {error.strerror}")
    except UnicodeDecodeError as error:
        raise WordError("the word list %s is not UTF-8 (byte %d); convert it, e.g. with iconv"
                        % (path, error.start))
    words = [word for word in words if word]
    if not words:
        raise WordError(f"the word list {path} is empty; write one word per line")
    return words


def in_test_split(text):
    """Whether a text is one of the TEST_FRACTION that training must not see.

    The same on every machine, for text of any kind, for all spellings in upper and lower case, and whatever marks are
    around a word.
    """
    text = normalize(text.lower())
    text = "".join(filter(str.isalnum, text)) or text
    digest = hashlib.md5(text.encode("utf-8")).digest()
    return int.from_bytes(digest[:4], "big") < TEST_FRACTION * 2 ** 32


class TextSource:
    """Draws texts from a word list, with numbers and random strings among them.

    words: list of strings, the more frequent first: those near the end are drawn less often.
    charset: the characters that a text may have.
    split: "all", "train" or "test"; the last two never have a word in common.
    max_words: each text is a line of 1 to so many words, with spaces between them.
    """

    def __init__(self, words, charset, split="all", max_words=1):
        self.charset = frozenset(charset) | frozenset(" " * (max_words - 1))
        self._max_words = max_words
        self.words = [word for word in words
                      if len(word) <= MAX_LENGTH and self.charset.issuperset(word)]
        self.split = split
        # Marks stand on a letter, not anywhere in a random string.
        self._characters = sorted(character for character in self.charset
                                  if unicodedata.category(character)[0] not in "MZ")
        self._digits = sorted(self.charset & set(string.digits))
        self.kinds = ((0.65, self._word), (0.03, self._joined), (0.08, self._punctuated), (0.08, self._misspelled),
                      (0.1, self._number), (0.06, self._random_string))

    def draw(self, rng, accept=bool):
        """A text that `accept` likes, or WordError after many tries."""
        tries = _TRIES * self._max_words
        parts = filter(self._in_split, filter(None, (_pick(self.kinds, rng)(rng) for _ in range(tries))))
        while True:
            text = normalize(" ".join(itertools.islice(parts, rng.randint(1, self._max_words + 1))))
            if not text:
                raise WordError("of %d words drawn, none could be used (%d words are listed, the split is %r); check "
                                "--words, --charset, --fonts and --split" % (tries, len(self.words), self.split))
            if self.charset.issuperset(text) and accept(text):
                return text

    def _in_split(self, text):
        return self.split == "all" or in_test_split(text) == (self.split == "test")

    def _word(self, rng):
        """One of this split, for all that is made of words; "" for one of the other."""
        if not self.words:
            return ""
        # Real text repeats the frequent words, which also are the short ones. By this power the first of 100,000 is 2 %
        # of the words, nearly as often as photos have "the" (2.9 % in the validation sets; a model that has learnt the
        # 6 % of books reads it in whatever is unclear), and the first 3 % of the list are 31 % (of the photos' 52 %):
        # rarer ones teach to read letters.
        word = self.words[int(len(self.words) * rng.random_sample() ** 3)]
        if not self._in_split(word):
            return ""
        changed = normalize(_pick(_SPELLINGS, rng)(word))
        # A charset may have small letters only.
        return changed if self.charset.issuperset(changed) else word

    def _joined(self, rng):
        """Two words as one, as in names of shops: SingTel, SINGTEL or singtel."""
        first, second = self._word(rng), self._word(rng)
        if not (first and second) or len(first + second) > _MAX_JOINED:
            return ""
        if first.isupper():
            return first + second.upper()
        return first + (_capitalize if first[:1].isupper() else str)(second.lower())

    def _punctuated(self, rng):
        """A word with marks, as far as the charset has them."""
        word = self._word(rng)
        text = _PUNCTUATED[rng.randint(len(_PUNCTUATED))] % word
        return text if word and self.charset.issuperset(text) else word

    def _misspelled(self, rng):
        """A word with another letter in it, as names and brands are: who has learnt to guess, reads it wrong."""
        word = self._word(rng)
        if not self._characters or not word:
            return word
        place = rng.randint(len(word))
        letter = rng.choice(self._characters)
        changed = letter.upper() if word.isupper() else letter.lower()
        return word[:place] + (changed if changed in self.charset else letter) + word[place + 1:]

    def _number(self, rng):
        """Digits: each # of a pattern is one, as far as the charset has the rest."""
        if not self._digits:
            return ""
        pattern = _NUMBERS[rng.randint(len(_NUMBERS))]
        if rng.random_sample() < 0.5 or not self.charset.issuperset(pattern.replace("#", "")):
            pattern = "#" * rng.randint(1, 8)
        return "".join(rng.choice(self._digits) if sign == "#" else sign for sign in pattern)

    def _random_string(self, rng):
        if not self._characters:
            return ""
        return "".join(rng.choice(self._characters, rng.randint(1, 9)))


def _capitalize(word):
    return word[:1].upper() + word[1:]


# (probability, spelling); text in photos is in capitals more often than text in books.
_SPELLINGS = ((0.15, str), (0.08, str.lower), (0.27, _capitalize), (0.5, str.upper))
# What is written in streets and shops far more often than in books, roughly the most frequent first.
_SIGNS = ["hotel", "sale", "restaurant", "street", "cafe", "open", "bank", "shop", "parking", "exit", "inn", "bar", "center", "coffee", "pizza", "city", "park", "road", "food", "house", "taxi", "store", "pharmacy", "bus", "stop", "school", "hall", "free", "welcome", "entrance", "station", "office", "market", "pub", "bakery", "closed", "menu", "new", "avenue", "museum", "theatre", "deli", "grill", "books", "music", "fashion", "shoes", "beauty", "salon", "hair", "nails", "spa", "garden", "club", "fresh", "hot", "ice", "cream", "tea", "beer", "wine", "liquor", "burger", "chicken", "sushi", "noodle", "thai", "chinese", "indian", "mexican", "italian", "kitchen", "steak", "seafood", "fish", "bagel", "sandwich", "salad", "bread", "cake", "chocolate", "juice", "smoothie", "bistro", "diner", "tavern", "lounge", "casino", "cinema", "theater", "gallery", "library", "university", "college", "hospital", "clinic", "dental", "doctor", "dentist", "optical", "eyewear", "jewelry", "gold", "diamond", "watches", "gifts", "toys", "flowers", "florist", "furniture", "carpet", "kitchens", "lighting", "hardware", "paint", "tools", "auto", "tire", "repair", "service", "wash", "garage", "gas", "petrol", "diesel", "car", "rental", "motors", "truck", "motel", "suites", "plaza", "tower", "building", "apartments", "rent", "lease", "realty", "insurance", "mortgage", "credit", "loans", "cash", "atm", "exchange", "post", "mail", "copy", "print", "photo", "camera", "phone", "mobile", "wireless", "computer", "internet", "electric", "power", "water", "fire", "police", "emergency", "danger", "warning", "caution", "private", "keep", "out", "push", "pull", "toilet", "ladies", "gentlemen", "men", "women", "lift", "stairs", "floor", "level", "platform", "gate", "terminal", "airport", "ferry", "metro", "subway", "rail", "train", "tickets", "information", "tourist", "north", "south", "east", "west", "upper", "lower", "main", "high", "church", "chapel", "temple", "saint", "square", "bridge", "lane", "drive", "court", "way", "hill", "lake", "river", "beach", "island", "bay", "harbor", "port", "ocean", "mountain", "valley", "forest", "green", "red", "blue", "white", "black", "golden", "royal", "king", "queen", "crown", "star", "sun", "moon", "lion", "eagle", "dragon", "palace", "castle", "family", "kids", "baby", "sports", "fitness", "gym", "yoga", "golf", "bike", "cycle", "ski", "dance", "art", "craft", "design", "studio", "video", "games", "outlet", "discount", "clearance", "save", "offer", "price", "special", "best", "quality", "super", "mega", "mart", "grocery", "supermarket", "department", "boutique", "vintage", "antiques", "tailor", "cleaners", "laundry", "dry", "alterations", "tattoo", "barber", "pet", "vet", "animal", "feed", "farm", "nursery", "supply", "depot", "warehouse", "storage", "moving", "express", "delivery", "catering", "bridal", "wedding", "party", "limited", "company", "group", "international", "national", "american", "first", "united", "general", "union", "global", "world", "trade", "sweet", "candy", "donuts", "waffle", "crepe", "kebab", "curry", "bbq", "ribs", "wings", "tacos", "burrito", "pasta", "espresso", "latte", "organic", "natural", "health", "vitamin", "smoke", "tobacco", "cigars", "vape", "lotto", "news", "press", "records", "used", "buy", "sell", "pawn", "vacancy", "reserved", "permit", "loading", "zone", "speed", "limit", "yield", "slow", "ahead", "detour", "works", "one", "no", "smoking", "entry", "trespassing", "dogs", "please", "thank", "you"]
_PUNCTUATED = ("%s.", "%s,", "%s!", "%s?", "%s:", "%s;", "%s's", "%s-", "-%s", "\"%s\"", "'%s'", "(%s)", "&%s", "%s&",
               "%s...", "*%s*", "#%s", "@%s", "%s.com", "www.%s.com", "%s/", "%s+")
_NUMBERS = ("$#", "$##", "$#.##", "$##.##", "#.##", "##.#", "##%", "#%", "#:##", "##:##", "#-#", "##-##", "(###)",
            "###-####", "#/#", "##/##/##", "##.##.##", "#st", "#nd", "#rd", "#th", "##th", "####-####", "#,###",
            "\u00a3#.##", "\u20ac##", "No.#", "#am", "##pm", "#km", "##m", "#kg", "#A", "B#", "A##", "M#", "#D", "#x")


def _pick(table, rng):
    """A value of a table of (probability, value)."""
    mark = rng.random_sample()
    for probability, value in table:
        mark -= probability
        if mark < 0:
            break
    return value
