//! Whether a text starts with a verb. The official check asks a statistical tagger; this is a rule of our own: forms of
//! be, have and do; common verbs of requests and answers; words that may be nouns, where what follows is an object; and
//! words in -ing and -ed that are not known to be something else.

use super::tokens::tokens;

const AUXILIARIES: &str = "\
    be am is are was were been being have has had having do does did";

/// Verbs that hardly begin a sentence as anything else.
const VERBS: &str = "\
    accept achieve acknowledge acquire adapt add adhere adjust adopt affirm agree aim allow alter analyze analyse \
    announce apply appreciate approve arrange arrive ask assemble assess assign assist assume assure attach attend \
    avoid bake become begin behold believe bring build buy calculate carry celebrate check choose clarify classify \
    clean collect combine come communicate compare compile complete compose compute conclude conduct configure \
    confirm connect consider construct consult contain continue contribute convert convey cook coordinate create \
    cultivate cut decide declare decorate decrease dedicate define deliver demonstrate deploy describe determine \
    develop discover discuss distribute divide draw eat edit educate eliminate embark embody embrace emphasize \
    employ empower enable encourage engage enhance enjoy enter ensure establish evaluate examine execute exercise \
    expand explain explore express extend extract fill finalize find finish follow forget form forward gain gather \
    generate get give go grab grow happen harness hear hold identify ignite illustrate imagine immerse implement \
    import improve include incorporate increase indulge inform initialize insert inspire install integrate introduce \
    invest investigate invite involve join keep know lay lead learn leave let leverage listen live locate lose love \
    maintain make manage maximize meet melt memorize mention minimize modify monitor navigate negotiate notice \
    observe obtain offer open optimize organize overcome participate pay perform pick ponder pour practice prepare \
    preserve prevent prioritize proceed produce promote protect prove provide pull pursue put raise reach read \
    realize receive recall recognize recommend reduce refer reflect refrain refine regard relax remain remember \
    remind remove rename replace reply represent respect respond restart retrieve reveal revisit rewrite run save \
    say see seek select sell send serve share show simplify sing sit solve speak specify spend stand stay stir \
    strengthen strive submit suggest summarize suppose take teach tell thank think throw transform translate travel \
    treat try turn understand unleash unlock update upgrade upload utilize verify visit visualize wait walk want \
    warn watch wear welcome win wish wonder write";

/// Nouns as well.
const OR_NOUNS: &str = "\
    access act address advance answer approach balance bear book call care change charge claim comment contact \
    control cost cover deal design dream drive drop estimate experience face feel fly focus guide help highlight \
    hope insult judge jump lift limit line link list load look mark mix move name need note order outline own pack \
    paint pass place plan play point post press print process program promise push question rate record release \
    report request research rest return review ride rise roll search season seat set shape sign sleep slice smile \
    sort sound start state step stop store study support surf swim switch talk taste test track trade train trust \
    type use view visit vote wash water work";

/// What an object or a complement of place begins with.
const OBJECTS: &str = "\
    a an the this that these those my your his her its our their me you him it us them yourself all any each every \
    both some no one two what how if at for to with on in into up out by through";

const NOT_IN_ING: &str = "\
    nothing something anything everything during morning evening king ring string spring thing ceiling wing sibling \
    darling sterling according pending outstanding interesting exciting amazing";
const NOT_IN_ED: &str = "\
    red bed need seed speed weed deed feed hundred sacred indeed naked wicked ted shed sled breed greed united";

pub fn starts_with_verb(text: &str) -> bool {
    let tokens = tokens(text);
    let Some(word) = tokens.first().map(|token| token.to_lowercase()) else { return false };
    let is_in = |list: &str| list.split(' ').any(|listed| listed == word);
    let has_object = || tokens.get(1).is_some_and(|next| OBJECTS.split(' ').any(|listed| listed == next));
    is_in(AUXILIARIES)
        || is_in(VERBS)
        || (is_in(OR_NOUNS) && has_object())
        || (word.len() > 4 && word.ends_with("ing") && !is_in(NOT_IN_ING))
        || (word.len() > 3 && word.ends_with("ed") && !is_in(NOT_IN_ED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let verbs = ["Create it.", "is it so?", "Don't go", "Plan the trip", "Walking helps", "Inspired by it"];
        let others = ["The plan", "Plan A is it", "Nothing helps", "Red is it", "", "\"Go\"", "Certainly! Go on"];
        for text in verbs {
            assert!(starts_with_verb(text), "{text}");
        }
        for text in others {
            assert!(!starts_with_verb(text), "{text}");
        }
    }
}
