//! The language of a text, well enough to leave one out: by script, and by small words where the script is Latin.

/// Small words that a language has almost to itself, by ISO 639-1.
const SMALL_WORDS: &[(&str, &str)] = &[
    ("en", "the and of to is that it you for with this are was have not what can please write how my me be in a i on"),
    ("es", "el los las que por para una es esto con del pero como está muy gracias dame escribe puedes más mi lo se"),
    ("fr", "le les des est pas que pour une dans vous avec sur qui je tu mais ce cette peux écris merci du et"),
    ("de", "der die das und ist nicht ein eine ich du mit für auf wie kannst bitte auch von den zu dem es mir"),
    ("pt", "não uma para os as que com você por mais em isso como do da dos está são meu escreva obrigado um"),
    ("it", "il che di non una per con sono gli è questo del della come puoi scrivi grazie le ma mi lo i"),
    ("nl", "het een van niet dat en ik je voor met zijn op wat kun schrijf ook maar deze de te is dit"),
    ("pl", "nie jest to się na że w i z do jak czy dla proszę może napisz co mi o ale"),
    ("tr", "bir ve bu için ile ne de mi nasıl değil olarak var bana yaz lütfen çok daha gibi"),
    ("id", "yang dan di untuk ini itu dengan tidak dari apa saya bisa buat tolong adalah ke pada"),
    ("sv", "och att det är inte en för på som jag med du kan av har till den om ett"),
    ("vi", "là của và không cho một các được với này trong tôi bạn viết như có những để"),
];

/// In characters: enough to tell.
const READ: usize = 600;

/// ISO 639-1 of the text's language, as far as it is one of two dozen; `None` where nothing tells, as in code or numbers.
/// Latin text without any small word counts as English if it is all ASCII and has three words or more.
pub fn language(text: &str) -> Option<&'static str> {
    let (mut latin, mut other) = (0usize, Vec::<(&'static str, usize)>::new());
    for c in text.chars().take(READ).filter(|c| c.is_alphabetic()) {
        let Some(name) = script(c) else {
            latin += 1;
            continue;
        };
        match other.iter_mut().find(|(known, _)| *known == name) {
            Some((_, n)) => *n += 1,
            None => other.push((name, 1)),
        }
    }
    let count = |name: &str| other.iter().find(|(known, _)| *known == name).map_or(0, |(_, n)| *n);
    // Chinese signs are Japanese beside kana; a sign says as much as three Latin letters
    let han = if count("ja") > 0 { "ja" } else { "zh" };
    if let Some((name, n)) = other.iter().max_by_key(|(_, n)| *n).filter(|(_, n)| 3 * n > latin) {
        return (*n > 0).then_some(if *name == "zh" { han } else { name });
    }
    let opening: String = text.chars().take(READ).collect::<String>().to_lowercase();
    let words: Vec<&str> = opening.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    let of = |list: &str| words.iter().filter(|word| list.split(' ').any(|small| small == **word)).count();
    let scored = SMALL_WORDS.iter().map(|(name, list)| (of(list), *name));
    // the first of equals, English above all
    let (most, name) = scored.rev().max_by_key(|(n, _)| *n)?;
    match most {
        0 => (words.len() >= 3 && text.is_ascii()).then_some("en"),
        _ => Some(name),
    }
}

/// The language that a letter's script stands for; `None`: Latin.
fn script(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{3040}'..='\u{30ff}' => "ja",
        '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}' => "ko",
        '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{2fa1f}' => "zh",
        '\u{0400}'..='\u{04ff}' => "ru",
        '\u{0600}'..='\u{06ff}' => "ar",
        '\u{0590}'..='\u{05ff}' => "he",
        '\u{0900}'..='\u{097f}' => "hi",
        '\u{0e00}'..='\u{0e7f}' => "th",
        '\u{0370}'..='\u{03ff}' => "el",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_each() {
        for (text, expected) in [
            ("No, that is wrong, please write it again", Some("en")),
            ("No, eso no es lo que pedí, escribe más", Some("es")),
            ("Ce n'est pas ce que je voulais, merci", Some("fr")),
            ("Das ist nicht, was ich wollte", Some("de")),
            ("Isso não é o que você disse", Some("pt")),
            ("Questo non è quello che volevo", Some("it")),
            ("这不对，请再写一次", Some("zh")),
            ("違います、もう一度書いて", Some("ja")),
            ("다시 작성해 주세요", Some("ko")),
            ("Это неправильно, the code", Some("ru")),
            ("rewrite shorter paragraphs", Some("en")),
            ("12 + 30 = 42", None),
            ("ok", None),
        ] {
            assert_eq!(language(text), expected, "{text}");
        }
    }
}
