//! The cues of the rules detector: what to look for, where, and how much it weighs.
//!
//! The weights are log-odds of one logistic regression for dissatisfaction and one for
//! satisfaction, fitted on half of some 5,000 labelled turns of real English conversations (split
//! by conversation; the figures in `tests/sharegpt.rs` are from the other half). A cue alone is
//! weak; turns are judged by the sum.

use regex::Regex;

/// Where a cue is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first characters of the user's turn.
    Opening,
    /// The user's own words: a long turn's start and end, between which there is mostly pasted text.
    Said,
    /// The first characters of the judged answer.
    Answer,
    /// The first characters of the assistant's reply to the turn.
    Reply,
}

use Place::{Answer, Opening, Reply, Said};

#[derive(Debug)]
pub(crate) struct Cue {
    pub name: &'static str,
    /// SPUR's name for what the cue shows; empty where it names nothing or speaks against feedback.
    pub rubric: &'static str,
    pub place: Place,
    /// Log-odds for dissatisfaction and for satisfaction.
    pub dsat: f32,
    pub sat: f32,
    /// Longer turns are mostly new tasks, where the cue means nothing.
    pub max_words: usize,
    /// Pieces of one pattern. `'` also matches a typographic or a missing apostrophe, `{lead}` the
    /// polite words before an order.
    pub pattern: &'static [&'static str],
    /// The cue does not count where this matches too.
    pub unless: &'static [&'static str],
}

/// What a cue says where it says nothing else.
pub(crate) const NONE: Cue =
    Cue { name: "", rubric: "", place: Opening, dsat: 0.0, sat: 0.0, max_words: usize::MAX, pattern: &[], unless: &[] };

impl Cue {
    /// The pattern and the exception, compiled; `None` for no exception.
    pub fn compile(&self) -> (Regex, Option<Regex>) {
        (self.regex(self.pattern), (!self.unless.is_empty()).then(|| self.regex(self.unless)))
    }

    fn regex(&self, pieces: &[&str]) -> Regex {
        // ASCII word borders keep the fast engine on text of any script
        let pattern = pieces.concat().replace("{lead}", LEAD).replace('\'', "['’]?").replace(r"\b", r"(?-u:\b)");
        Regex::new(&format!("(?i){pattern}")).unwrap_or_else(|error| panic!("cue {}: {error}", self.name))
    }
}

const LEAD: &str = concat!(
    r"^\W*(?:(?:ok|okay|so|now|and|then|yes|yeah|please|pls|can|could|would|will|you|also|great|",
    r"thanks|good|cool|nice|alright|hey|chatgpt|chat gpt|i (?:want|need|would like|",
    r"'d like) (?:you )?to|let's|just|try to)\b\W*)*"
);

pub(crate) const CUES: &[Cue] = &[
    // dissatisfaction, in the turn
    Cue {
        name: "make_it_shorter",
        rubric: "style",
        place: Opening,
        dsat: 1.45,
        max_words: 60,
        pattern: &[
            r"\bmake (?:it|this|that|them|the \w+|each \w+|these)(?: \w+){0,3} (?:more|less|shorter|longer|",
            r"simpler|better|sound|funnier|easier|sharper|cleaner|\w+ier)\b",
            r"|^\W*(?:more|less|shorter|longer|simpler|funnier|simplify|shorten|bullet)\b",
            r"|\b(?:can|could) (?:you|it|this|that|the) (?:be )?(?:make it )?(?:more|less|shorter|longer)\b",
            r"|\b(?:shorter|longer|simpler|more concise|more concisely|less formal|more formal|more casual|",
            r"more natural|more human|more engaging|more creative|more professional|more conversational|",
            r"more interesting|more exciting|more persuasive|more fun|more friendly|more unique|in layman|",
            r"more simply)\b",
        ],
        ..NONE
    },
    Cue {
        name: "remove",
        rubric: "revision",
        place: Opening,
        dsat: 1.06,
        max_words: 60,
        pattern: &[
            r"{lead}(?:remove|delete|omit|exclude|get rid|take out|cut|drop|skip|avoid|stop|without|strip|",
            r"eliminate|leave out)\b|\b(?:remove|eliminate|get rid of) (?:the|all|any|this|that)\b",
        ],
        ..NONE
    },
    Cue {
        name: "opens_with_but",
        rubric: "revision",
        place: Opening,
        dsat: 1.02,
        pattern: &[
            r"^\W*(?:but|however|(?:yes|yeah|yep|ok|okay|right|sure|i know|i see|i understand|good|great|nice|",
            r"thanks|cool)\W+(?:\w+\W+){0,4}but|wait|hmm+|hm|actually|sorry|oops|uh)\b",
        ],
        ..NONE
    },
    Cue {
        name: "only",
        rubric: "revision",
        place: Opening,
        dsat: 0.96,
        max_words: 50,
        pattern: &[r"\bonly\b|\bjust (?:the|give|show|use|write|one|list|a|include|want|need)\b"],
        ..NONE
    },
    Cue {
        name: "pasted_error",
        rubric: "factual_error",
        place: Said,
        dsat: 0.94,
        pattern: &[
            r"(?m)\b[a-z]\w+(?:Error|Exception)\b|^\W*traceback|\berror (?:ts|cs|e|c)?\d{2,}|\berror:|\bfatal:",
            r"|\bfailed (?:to|with|because)",
            r"|\bis not (?:defined|a function|recognized|a valid|found|available|callable)",
            r"|\bcannot (?:find|read|be|resolve|import)|\bcould not (?:find|be|resolve)",
            r"|\bno (?:module|such|attribute)|\bundefined|\bnot found\b|\bnull pointer|\bunexpected\b",
        ],
        ..NONE
    },
    Cue {
        name: "instead",
        rubric: "revision",
        place: Said,
        dsat: 0.90,
        pattern: &[
            r"\binstead\b|\brather than\b|\bother than\b|\banother way\b|\bother way\b|\bsome other\b",
            r"|\balternative\b|\bdifferent (?:way|approach|version|one|ones|style|answer|name|names|wording)\b",
            r"|\bsomething else\b",
        ],
        ..NONE
    },
    Cue {
        name: "expand",
        rubric: "insufficient_detail",
        place: Opening,
        dsat: 0.77,
        max_words: 40,
        pattern: &[
            r"{lead}(?:elaborate|expand|extend|explain (?:it|this|that|more|further|again|in)|clarify|develop|",
            r"go deeper)\b|\b(?:elaborate|expand)\b|\bdon't understand\b|\bdo not understand\b",
        ],
        ..NONE
    },
    Cue {
        name: "opens_with_statement",
        place: Opening,
        dsat: 0.74,
        pattern: &[r"^\W*(?:(?:ok|okay|and|so)\W+)*(?:it|this|that|there|these|those|the|your|they|you|its|thats|i)\b"],
        ..NONE
    },
    Cue {
        name: "opens_with_no",
        // that something is wrong, not what: readers call it a revision or a factual error
        rubric: "",
        place: Opening,
        dsat: 0.73,
        pattern: &[r"^\W*(?:no|nope|nah|wrong|incorrect|not)\b"],
        unless: &[
            r"^\W*(?:no,? (?:problem|worries|thanks|thank|need|more|that'?s (?:ok|all|it|fine|good)|",
            r"it'?s (?:ok|fine|good))|not (?:sure|yet|bad))",
        ],
        ..NONE
    },
    Cue {
        name: "not_that",
        rubric: "ignored",
        place: Said,
        dsat: 0.73,
        pattern: &[r"(?:\band|,|\bbut) not\b|\bnot (?:a|an|the|just|only|in|for|from|as|to|by|on)\b"],
        ..NONE
    },
    Cue {
        name: "make_it",
        rubric: "revision",
        place: Opening,
        dsat: 0.71,
        max_words: 70,
        pattern: &[r"\bmake (?:it|this|that|them|these|those|each|sure|the|him|her|all)\b"],
        ..NONE
    },
    Cue {
        name: "wrong",
        rubric: "factual_error",
        place: Said,
        dsat: 0.69,
        pattern: &[
            r"\b(?:wrong|incorrect|incorrectly|inaccurate|untrue|mistake|mistaken|mistakes|misunderstood|",
            r"misunderstand|misunderstanding|misread|invalid|hallucinat\w*|fake|bogus|made up|",
            r"making (?:\w+ ){0,3}up|doesn't exist|don't exist|not exist|non-?existent)\b",
        ],
        ..NONE
    },
    Cue {
        name: "plain_complaint",
        rubric: "factual_error",
        place: Opening,
        dsat: 0.4,
        max_words: 25,
        pattern: &[
            r"\bnot (?:at all )?what (?:i|we) (?:asked|meant|wanted|want|said|need|needed|was|am)\b|\bnot my question\b",
            r"|\bthat(?:['’]?s| is| was) (?:\w+ )?(?:wrong|incorrect|false|not (?:right|correct|true|it))\b",
            r"|\b(?:that|this|it) (?:still )?(?:doesn['’]?t|does not|didn['’]?t|did not|isn['’]?t|is not) ",
            r"(?:work|working|help|helpful|answer|right|correct)\b",
            r"|\byou (?:ignored|misunderstood|missed|forgot|(?:didn['’]?t|did not) (?:answer|listen|read))\b",
        ],
        ..NONE
    },
    Cue {
        name: "problem_with",
        rubric: "negative_feedback",
        place: Said,
        dsat: 0.67,
        max_words: 60,
        pattern: &[
            r"\bproblem (?:is|with)\b|\bissue (?:is|with)\b|\bbug\b|\bmissing\b|\blacks?\b|\bmakes? no sense\b",
            r"|\bconfus\w+\b|\bunclear\b|\bdisappoint\w+|\bfrustrat\w+|\bnonsense\b|\buseless\b|\bunhelpful\b",
            r"|\bboring\b|\bgeneric\b|\bvague\b|\bterrible\b|\bhorrible\b|\bawful\b|\bstupid\b|\bdumb\b",
            r"|\bridiculous\b|\bcringe\b|\bbullshit\b|\bwtf\b|\bfuck\w*|\bshit\w*|\blazy\b|\blame\b|\bcheesy\b",
            r"|\bhate\b|\bbad\b|\bweak\b|\bcorny\b|\bawkward\b|\brepetitive\b|\brepetition\b|\bredundan\w+",
        ],
        ..NONE
    },
    Cue {
        name: "i_do_not",
        rubric: "ignored",
        place: Said,
        dsat: 0.63,
        pattern: &[
            r"\bi (?:do not|don't|dont|didn't|did not|can't|cannot|can not|couldn't|am not|'m not|",
            r"haven't) (?:\w+ ){0,1}(?:want|need|like|see|think|understand|get|have|find|believe|agree|",
            r"know (?:what|how|where)|follow|ask|mean|use|care|care|able)\b",
        ],
        ..NONE
    },
    Cue {
        name: "more_less",
        rubric: "style",
        place: Opening,
        dsat: 0.60,
        max_words: 40,
        pattern: &[r"\b(?:more|less|most|fewer)\b"],
        ..NONE
    },
    Cue {
        name: "rewrite",
        rubric: "revision",
        place: Opening,
        dsat: 0.60,
        max_words: 70,
        pattern: &[
            r"{lead}(?:rewrite|re-write|re write|revise|rephrase|re-phrase|reword|rework|recreate|redesign|",
            r"restructure|reformat|rearrange|reorganize|refine|polish|tweak|paraphrase|write (?:it|this|that|",
            r"the above) again|edit)\b",
        ],
        ..NONE
    },
    Cue {
        name: "not_working",
        rubric: "factual_error",
        place: Said,
        dsat: 0.55,
        pattern: &[
            r"\b(?:does|did|is|was|are|do|wo|ca|could|would)(?:n't| not)\b(?: \w+){0,2} (?:work|works|working|",
            r"worked|compile|run|load|show|display|appear|exist|help|match|respond|answer|make sense|change|",
            r"update|fit|start|open)\b",
            r"|\b(?:not|still not|stopped|never) (?:working|worked|showing|displayed|displaying|loading|",
            r"running|found|there|appearing|available|supported|printing)\b|\bno luck\b",
            r"|\bnothing (?:happen|happens|happened|show|shows|changed|is)\b|\bcrash(?:es|ed|ing)?\b|\bfails?\b",
            r"|\b(?:broken|empty|blank)\b",
        ],
        ..NONE
    },
    Cue {
        name: "you_said",
        rubric: "ignored",
        place: Said,
        dsat: 0.45,
        pattern: &[
            r"\byou (?:\w+ )?(?:said|say|mentioned|told|gave|wrote|provided|listed|used|put|made|included|",
            r"suggested|created|generated|claimed|stated|have|added)\b",
            r"|\byour (?:\w+ ){0,3}(?:answer|response|code|example|function|script|list|solution|output|query|",
            r"suggestion|first|second|last|previous|poem|text|story|explanation|formula|result|calculation|",
            r"math|summary|version)\b",
        ],
        ..NONE
    },
    Cue {
        name: "detail",
        rubric: "insufficient_detail",
        place: Opening,
        dsat: 0.40,
        max_words: 60,
        pattern: &[
            r"\bmore (?:detail|details|detailed|specific|specifics|specifically|depth|in[- ]depth|context|",
            r"information|info|explanation|descriptive|description|concrete|comprehensive|thorough|examples|",
            r"realistic|accurate|clearly|relevant|elaborate)\b|\bbe (?:more )?specific\b",
            r"|\bin (?:more |greater |much more |further )?(?:detail|depth)\b|\bspecifics\b|\bbit more\b",
            r"|\bdeeper\b|\bflesh\b|\bwith (?:more|specific|concrete)\b",
        ],
        ..NONE
    },
    Cue {
        name: "write_new",
        place: Opening,
        dsat: 0.38,
        pattern: &[r"{lead}(?:write|create|generate|draft|compose|make) (?:a|an|the|me|another|some|\d+)\b"],
        ..NONE
    },
    Cue {
        name: "sources",
        rubric: "insufficient_detail",
        place: Opening,
        dsat: 0.35,
        max_words: 40,
        pattern: &[r"\b(?:links?|sources?|references?|citations?|cite|url|urls)\b"],
        ..NONE
    },
    Cue {
        name: "format",
        rubric: "style",
        place: Opening,
        dsat: 0.30,
        max_words: 50,
        pattern: &[
            r"\b(?:\d+[- ]?(?:words?|characters?|sentences?|paragraphs?|lines?|pages?|minutes?|chars)|",
            r"one sentence|one paragraph|one line|single (?:sentence|paragraph|line)|paragraph form|",
            r"bullet(?: ?point)?s?|table(?: form(?:at)?)?|format|markdown|subhead\w*|headings?|columns?|",
            r"list form|numbered)\b",
        ],
        ..NONE
    },
    Cue {
        name: "more_of_it",
        rubric: "insufficient_detail",
        place: Opening,
        dsat: 0.27,
        max_words: 25,
        pattern: &[
            r"\b(?:another|more|other|additional|next|extra|\d+ more|few more|else)\b(?: \w+){0,2}\b|\bwhat else\b",
        ],
        ..NONE
    },
    Cue {
        name: "points_back",
        place: Opening,
        dsat: 0.20,
        pattern: &[r"\b(?:it|this|that|these|those|them|above)\b"],
        ..NONE
    },
    // dissatisfaction, in the answers around it
    Cue {
        name: "reply_apology",
        rubric: "factual_error",
        place: Reply,
        dsat: 2.32,
        pattern: &[
            r"^\W*(?:i(?:'m| am) (?:very |so |really |deeply )?sorry|sorry|(?:i |my |",
            r"please accept my )?(?:sincere |deepest )?apolog(?:ies|i[sz]e)|i (?:sincerely |deeply )?apologi[sz]e)",
            r"|\bapologi[sz]e for|\bapologies for|\bsorry (?:for|about) (?:the|that|any|my)|\boversight\b",
            r"|\bmy mistake\b|\bi made (?:a|an) (?:mistake|error)|\bi (?:misunderstood|misinterpreted)\b",
            r"|\bmy previous (?:response|answer)\b",
        ],
        ..NONE
    },
    Cue {
        name: "reply_you_are_right",
        rubric: "factual_error",
        place: Reply,
        dsat: 0.98,
        pattern: &[
            r"\byou(?:'re| are) (?:absolutely |completely |quite )?(?:right|correct)\b",
            r"|\bthank(?:s| you) for (?:pointing|the correction|correcting|the clarif|clarifying|catching|",
            r"bringing|letting|the feedback|your feedback|the additional|providing)|\bgood (?:point|catch)\b",
            r"|\bi see\b|\bi understand\b|\bto clarify\b",
        ],
        ..NONE
    },
    Cue {
        name: "reply_about_error",
        rubric: "factual_error",
        place: Reply,
        dsat: 0.75,
        pattern: &[
            r"\bit (?:looks|seems|appears|sounds)(?: like| that)?\b|\bthe error\b|\bthis error\b",
            r"|\berror (?:message|is|occurs|you)|\bto (?:fix|resolve|solve) (?:this|the|it)|\bmake sure\b",
            r"|\bthe (?:issue|problem)\b",
        ],
        ..NONE
    },
    Cue {
        name: "answer_apology",
        rubric: "revision",
        place: Answer,
        dsat: 0.37,
        pattern: &[r"\bapologi[sz]e|\bapologies\b|\bsorry for the\b|\byou(?:'re| are) (?:right|correct)\b"],
        ..NONE
    },
    Cue {
        name: "reply_new_version",
        rubric: "revision",
        place: Reply,
        dsat: 0.36,
        pattern: &[
            r"\b(?:version|rewrite|revision|with (?:the|those|these|your) (?:changes?|modifications?|",
            r"corrections?|revisions?|requested))\b",
        ],
        ..NONE
    },
    Cue {
        name: "reply_sure",
        place: Reply,
        dsat: 0.15,
        pattern: &[r"^\W*(?:sure|certainly|of course|absolutely|yes|okay|got it|alright|no problem)\b"],
        ..NONE
    },
    // satisfaction
    Cue {
        name: "opens_with_praise",
        rubric: "praise",
        place: Opening,
        dsat: -0.64,
        sat: 4.92,
        pattern: &[
            r"^\W*(?:(?:ok|okay|yes|yeah|oh|wow|so|very|really|that'?s|that is|that was|this is|this was|",
            r"it'?s|it is|looks?|those are|these are|they are|all|i think|sounds?|pretty|quite|absolutely|",
            r"just|super|both|much|a|such|some|are)\W+)*(?:great|good|perfect|excellent|awesome|amazing|",
            r"brilliant|fantastic|wonderful|nice|nicely|cool|beautiful|lovely|incredible|superb|impressive|",
            r"outstanding|neat|sweet|well done|bravo|love it|i love|i like|very good|interesting|helpful|",
            r"hilarious|funny|fascinating|smart|splendid|fabulous|magnificent|better|useful|bingo|wow|hell yeah)\b",
        ],
        unless: &[
            r"^\W*(?:good (?:morning|afternoon|evening|day|night)|(?:very |what |a |some )*(?:interesting|",
            r"great|good|nice|cool|better|funny|beautiful|amazing|useful|helpful|smart|",
            r"awesome)[ -](?:\w+ )?(?:names?|ideas? for|questions?|ways?|titles?|examples? of|facts?|for|",
            r"practices?|places?|to|resources?|story|topics?|book|quality|value|company))",
        ],
        ..NONE
    },
    Cue {
        name: "thanks",
        rubric: "gratitude",
        place: Opening,
        dsat: -0.76,
        sat: 4.17,
        pattern: &[
            r"\b(?:thanks|thank ?you|thank u|thx|thankyou|tysm|ty|much appreciated|appreciate (?:it|that|this|",
            r"you|your)|grateful)\b",
        ],
        unless: &[
            r"\bthank(?:s| you|ing)? (?:letter|note|email|card|page|for the opportunity|for (?:getting|",
            r"your (?:email|time|application|interest)))|\bsaying thank",
        ],
        ..NONE
    },
    Cue {
        name: "praise",
        rubric: "praise",
        place: Said,
        sat: 2.11,
        pattern: &[
            r"\b(?:well done|good job|great job|nice job|nice work|great work|good work|great answer|",
            r"good answer|great idea|excellent work|love it|i love (?:it|this|that|the|these|how)|",
            r"i like (?:it|this|that|the|these|how|your|number|#)|works? (?:great|perfectly|well|fine|",
            r"like a charm|now)|worked|it works|that works|fixed it|very helpful|so helpful|really helpful|",
            r"is helpful|was helpful|this is (?:great|perfect|good|excellent|amazing|awesome|really|",
            r"very good)|that's (?:great|perfect|good|awesome|amazing|excellent|brilliant|helpful|it)|",
            r"that is (?:great|perfect|good)|would be perfect|much better|i'm impressed|i am impressed|",
            r"looks (?:good|great)|sounds (?:good|great)|makes sense|you did (?:good|great|well)|very cool|",
            r"you're (?:right|awesome|amazing|great|the best|good)|you are (?:awesome|amazing|great|the best|",
            r"right|good|correct|so)|so far so good|i see now|good to know|got it|i understand now|satisfied|",
            r"perfect)\b",
        ],
        unless: &[
            r"\b(?:not|n't|isn't|wasn't|doesn't|no) (?:\w+ )?(?:work|good|great|perfect|helpful|right|make)|",
            r"\bif (?:it|this|that) work|\bsuch as|\bexample",
        ],
        ..NONE
    },
    Cue {
        name: "reply_welcome",
        rubric: "gratitude",
        place: Reply,
        sat: 1.41,
        pattern: &[
            r"\byou(?:'re| are) (?:very |most )?welcome\b|\b(?:i'm |i am )?glad (?:to|i|that|it|you)",
            r"|\bhappy to (?:help|hear|assist)|\bmy pleasure\b|\bno problem\b",
        ],
        ..NONE
    },
    Cue {
        name: "acknowledged",
        rubric: "acknowledgment",
        place: Opening,
        sat: 0.80,
        max_words: 15,
        pattern: &[
            r"^\W*(?:ok|okay|alright|right|correct|exactly|yes|indeed|true|got it|i see|understood|",
            r"makes sense|agreed|yep|yeah)\b",
        ],
        ..NONE
    },
    // neither: the talk goes on
    Cue { name: "ends_as_question", place: Said, dsat: -0.32, pattern: &[r"\?\W*$"], ..NONE },
    Cue {
        name: "new_task",
        place: Opening,
        dsat: -0.48,
        sat: -0.84,
        pattern: &[
            r"{lead}(?:give|show|tell|provide|list|suggest|share|generate|create|write|make|build|draft|",
            r"compose|design|produce|implement|code|develop|explain|describe|define|summari[sz]e|translate|",
            r"analy[sz]e|compare|find|calculate|act|imagine|consider|assume|pretend|rank|put)\b",
        ],
        ..NONE
    },
    Cue {
        name: "question",
        place: Opening,
        dsat: -0.95,
        sat: -0.89,
        pattern: &[
            r"^\W*(?:(?:and|so|ok|okay|now|also|then|but|thanks|great)\W+)*(?:what|how|who|where|when|which|",
            r"is|are|does|do|can i|can we|should|could i|will|would|did|was|were|has|have|whats|any)\b",
        ],
        ..NONE
    },
    Cue {
        name: "continue",
        place: Opening,
        dsat: -1.03,
        sat: -0.69,
        max_words: 12,
        pattern: &[
            r"^\W*(?:(?:please|pls|ok|okay|yes|can you|could you|you can|great|good|thanks|",
            r"now)\W+)*(?:continue|go on|keep going|proceed|carry on|next|go ahead|finish|keep writing|more)\b",
        ],
        ..NONE
    },
    Cue {
        name: "goes_on",
        place: Opening,
        dsat: -1.05,
        pattern: &[
            r"^\W*(?:(?:ok|okay|great|good|thanks|perfect|awesome|nice|cool)\W+)*(?:now|next|then|let's|also|",
            r"additionally|and)\b",
        ],
        ..NONE
    },
];
