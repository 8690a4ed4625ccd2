"""Texts for the tokenizer: sentences in many languages, and random ones of every script.

Random texts are made by rules so simple that enclave/inference/tests/oracle.rs follows them too; the golden file holds
the rules' inputs and a digest of all token ids.
"""

# Article 1 of the Universal Declaration of Human Rights, or its beginning; and code.
LANGUAGES = [
    "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and "
    "should act towards one another in a spirit of brotherhood.",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا",
    "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔",
    "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்; அவர்கள் மதிப்பிலும், உரிமைகளிலும் சமமானவர்கள்",
    "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును జన్మతః స్వతంత్రులును సమానులును నగుదురు.",
    "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ ಜನಿಸಿದ್ದಾರೆ. ಹಾಗೂ ಘನತೆ ಮತ್ತು ಹಕ್ಕುಗಳಲ್ಲಿ ಸಮಾನರಾಗಿದ್ದಾರೆ.",
    "മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടും അന്തസ്സോടും സ്വാതന്ത്ര്യത്തോടുംകൂടി ജനിച്ചവരാണ്‌.",
    "સર્વ માનવો જન્મથી સ્વતંત્ર છે અને દરેક માનવીનાં સન્માન અને હક્કો સમાન છે.",
    "ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਪਣੀ ਮਹਿਮਾ, ਸ਼ਾਨ ਅਤੇ ਹੱਕਾਂ ਦੇ ਪੱਖੋਂ ਜਨਮ ਤੋਂ ਹੀ ਆਜ਼ਾਦ ਹੈ",
    "මිනිස්සු සියල්ලෝම ගරුත්වයෙන් සහ අයිතිවාසිකම්වලින් සමාන ව, ස්වාධීන ව උපදිති.",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "ມະນຸດທຸກຄົນເກີດມາມີສິດເສລີພາບ ແລະສະເໝີພາບໃນກຽດສັກສີ ແລະສິດທິ.",
    "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ မွေးဖွားလာသူများ ဖြစ်သည်။",
    "មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព ក្នុងផ្នែកសេចក្ដីថ្លៃថ្នូរនិងសិទ្ធិ។",
    "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང༌།",
    "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
    "Բոլոր մարդիկ ծնվում են ազատ ու հավասար՝ իրենց արժանապատվությամբ և իրավունքներով։",
    "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Straße, Öl, ÄÖÜß",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits. L’homme n’est qu’un roseau",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos. ¿Sí? ¡Así es!",
    "Minden emberi lény szabadon születik és egyenlő méltósága és joga van.",
    "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "ʻO nā kānaka apau loa, hānau kūʻokoʻa lākou. Ẹnì kọ̀ọ̀kan ni a bí ní òmìnira",
    "👨‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👩🏾‍🚀 astronaut, 1️⃣ keycap, ❤️ heart, 🇯🇵🇩🇪, ☕︎ text, 🫠🫡🪿 new",
    "#include <stdio.h>\nint main(void) {\n\tprintf(\"%d\\n\", 0x7fffffff);\n\treturn 0;\n}\n",
    "const f = async ({ a, ...rest }) => `${a?.b ?? 'none'}`; // ☃\n\n\nexport default f;",
    "SELECT a.id, COUNT(*) FROM t AS a LEFT JOIN u USING (id) WHERE a.x >= 1.5e-3 GROUP BY 1;",
    "  - name: Größe\n    run: |\n      echo \"$HOME\" | sed -e 's/\\//-/g'\n",
    "\\begin{equation} \\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2} \\end{equation}",
    "class Größe:\n    def __init__(self, 名前='世界'):\n        self.名前 = 名前  # コメント\n",
]

# Code points, first and last.
SCRIPTS = {
    "ascii": [[0x20, 0x7E]],
    "latin": [[0x41, 0x7A], [0xA0, 0x24F], [0x1E00, 0x1EFF]],
    "combining": [[0x61, 0x7A], [0x300, 0x36F]],
    "greek": [[0x370, 0x3FF], [0x1F00, 0x1FFF]],
    "cyrillic": [[0x400, 0x52F]],
    "armenian_georgian": [[0x530, 0x58F], [0x10A0, 0x10FF], [0x1C90, 0x1CBF]],
    "hebrew": [[0x590, 0x5FF]],
    "arabic": [[0x600, 0x6FF], [0x750, 0x77F], [0xFB50, 0xFDFF]],
    "devanagari": [[0x900, 0x97F]],
    "bengali_to_malayalam": [[0x980, 0xD7F]],
    "sinhala_to_tibetan": [[0xD80, 0xFFF]],
    "myanmar_khmer_mongolian": [[0x1000, 0x109F], [0x1780, 0x18AF]],
    "ethiopic_cherokee": [[0x1200, 0x13FF]],
    "kana": [[0x3000, 0x30FF], [0xFF00, 0xFFEF]],
    "hangul": [[0x1100, 0x11FF], [0x3130, 0x318F], [0xAC00, 0xD7A3]],
    "han": [[0x3400, 0x4DBF], [0x4E00, 0x9FFF], [0x20000, 0x323AF]],
    "punctuation_symbols": [[0x2000, 0x2BFF]],
    "numbers": [[0x30, 0x39], [0xB2, 0xB3], [0x660, 0x669], [0x966, 0x96F], [0x2150, 0x218B], [0x2460, 0x24FF]],
    "emoji": [[0x1F300, 0x1FAFF], [0x1F1E6, 0x1F1FF], [0x200D, 0x200D], [0xFE0E, 0xFE0F], [0x1F3FB, 0x1F3FF]],
    "historic": [[0x10000, 0x10FFF], [0x12000, 0x1254F], [0x13000, 0x1345F]],
    "controls": [[0x1, 0x1F], [0x7F, 0x9F], [0x2028, 0x202F], [0xFEFF, 0xFEFF], [0xFFF9, 0xFFFF]],
    "private": [[0xE000, 0xF8FF], [0xF0000, 0x10FFFF]],
    "everything": [[0x1, 0xD7FF], [0xE000, 0x10FFFF]],
}
SEPARATORS = " \n\t'.,-0"
TEXTS_PER_SCRIPT = 40


class Random:
    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit


def random_texts(seed, ranges):
    """Up to 64 characters: one in six is a separator, the others are drawn from one of the ranges each."""
    random = Random(seed)
    for _ in range(TEXTS_PER_SCRIPT):
        characters = []
        for _ in range(1 + random.below(64)):
            if random.below(6) == 0:
                characters.append(SEPARATORS[random.below(len(SEPARATORS))])
                continue
            first, last = ranges[random.below(len(ranges))]
            characters.append(chr(first + random.below(last - first + 1)))
        yield "".join(characters)


def digest(lists):
    """FNV-1a over all ids as 32-bit little-endian words, with 0xffffffff after each list."""
    value = 0xCBF29CE484222325
    for ids in lists:
        for word in [*ids, 0xFFFFFFFF]:
            for byte in word.to_bytes(4, "little"):
                value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"
