//! Plain complaints and thanks in the languages that follow English in public chat logs.
//!
//! Few and unmistakable: the weights are set by hand, since the labelled turns are English.

use crate::cues::{Cue, NONE, Place::Opening};

/// A plain complaint alone makes a label, unless the turn speaks against it.
const COMPLAINT: f32 = 3.0;
const THANKS: f32 = 4.2;

const fn complaint(name: &'static str, pattern: &'static [&'static str]) -> Cue {
    Cue { name, rubric: "negative_feedback", place: Opening, dsat: COMPLAINT, pattern, ..NONE }
}

const fn thanks(name: &'static str, pattern: &'static [&'static str]) -> Cue {
    Cue { name, rubric: "gratitude", place: Opening, dsat: -0.7, sat: THANKS, pattern, ..NONE }
}

pub(crate) const LANGUAGES: &[Cue] = &[
    complaint(
        "complaint_ko",
        &[
            "틀렸|틀린 ?것|잘못 ?(?:됐|되었|된|알)|^\\W*아니(?:야|요|에요|잖아)?[ ,.!]|안 ?(?:돼|되는데|됩니다)|그게 아니",
        ],
    ),
    thanks("thanks_ko", &["고마워|고맙|감사합니다|감사해|^\\W*감사"]),
    complaint(
        "complaint_zh",
        &["不对|不對|错了|錯了|不正确|不正確|不是这样|不是這樣|我不是这个意思|还是不行|還是不行|没有用|没用|你理解错"],
    ),
    thanks("thanks_zh", &["谢谢|謝謝|感谢你|感謝你|多谢|太棒了|很好[,，。!！]"]),
    complaint(
        "complaint_ja",
        &["違います|違うよ|違うんだ|^\\W*違う|間違(?:って|い(?:です|ます))|そうじゃな|そうではな|動きません|動かない"],
    ),
    thanks("thanks_ja", &["ありがとう|感謝します|助かりました|素晴らしい"]),
    complaint(
        "complaint_es",
        &[
            r"^\W*no,? (?:es |está |funciona|era )|\best[aá] mal\b|\bno funciona\b",
            r"|\bno es (?:correcto|lo que)|\bte equivoca|\bincorrecto\b|\besto no es\b",
        ],
    ),
    thanks("thanks_es", &[r"\bgracias\b|\bperfecto\b|\bmuy bien\b|\bexcelente\b"]),
    complaint(
        "complaint_fr",
        &[
            r"\bce n.est pas (?:ça|correct|bon|ce que)|\bc.est faux\b|\btu (?:te trompes|n.as pas)",
            r"|\bvous vous trompez|ça ne (?:marche|fonctionne) pas|\bne (?:marche|fonctionne) pas\b",
        ],
    ),
    thanks("thanks_fr", &[r"\bmerci\b|\bc.est parfait\b|^\W*(?:parfait|super|génial|excellent)\b"]),
    complaint(
        "complaint_de",
        &[
            r"\bdas (?:ist|war) (?:falsch|nicht (?:richtig|das|was))|\bstimmt nicht\b",
            r"|\bfunktioniert (?:leider )?nicht\b|\bgeht nicht\b|^\W*(?:nein|falsch)\b",
            r"|\bdu hast .{0,30}(?:vergessen|falsch)",
        ],
    ),
    thanks("thanks_de", &[r"\bdanke\b|\bvielen dank\b|^\W*(?:perfekt|sehr gut|super)\b"]),
    complaint(
        "complaint_pt",
        &[
            r"\bn[aã]o (?:é isso|está (?:certo|correto)|funciona|funcionou|foi isso)|\best[aá] errado\b",
            r"|\bvocê (?:errou|esqueceu)|\bisso n[aã]o é\b",
        ],
    ),
    thanks("thanks_pt", &[r"\bobrigad[oa]\b|\bmuito bo[ma]\b|^\W*(?:perfeito|ótimo|excelente)\b"]),
    complaint(
        "complaint_it",
        &[
            r"\bnon (?:è (?:corretto|giusto|quello)|funziona|va bene)\b|è sbagliato\b",
            r"|\bhai (?:sbagliato|dimenticato)\b|^\W*(?:sbagliato)\b",
        ],
    ),
    thanks("thanks_it", &[r"\bgrazie\b|^\W*(?:perfetto|ottimo|benissimo)\b"]),
    complaint("complaint_ru", &["неправильно|неверно|не работает|это не то|ты ошиб|вы ошиб|^\\W*нет,|не так"]),
    thanks("thanks_ru", &["спасибо|благодарю|^\\W*(?:отлично|супер|хорошо)[,.! ]"]),
    complaint(
        "complaint_nl",
        &[
            r"\bdat (?:is|was) (?:fout|niet (?:goed|juist|wat))|\bklopt niet\b|\bwerkt niet\b",
            r"|^\W*(?:nee|fout)\b|\bje hebt .{0,30}vergeten",
        ],
    ),
    thanks("thanks_nl", &[r"\bdank (?:je|u)\b|\bbedankt\b|^\W*(?:perfect|heel goed)\b"]),
    complaint("complaint_vi", &["không đúng|sai rồi|bị sai|không phải vậy|không hoạt động"]),
    thanks("thanks_vi", &["cảm ơn|cám ơn|tuyệt vời"]),
    complaint("complaint_ar", &["هذا خطأ|غير صحيح|خاطئ|لا يعمل|ليس هذا"]),
    thanks("thanks_ar", &["شكرا|ممتاز|أحسنت"]),
];
