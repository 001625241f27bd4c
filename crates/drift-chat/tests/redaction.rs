//! A thousand secrets of 30 kinds planted in chats: none may be left.

use std::ops::ControlFlow;
use std::path::PathBuf;

use drift_chat::{Chat, Message, Pseudonyms, Redactor, Role, read_logs};

const PLANTED: usize = 1000;

/// Draws from a seed (xorshift64*), the same on every machine.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n as u64) as usize
    }

    fn of(&mut self, letters: &str, n: usize) -> String {
        (0..n).map(|_| char::from(letters.as_bytes()[self.below(letters.len())])).collect()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn range(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from)
    }
}

const DIGITS: &str = "0123456789";
const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const BASE62: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A kind of secret: what is written into the chat, and the part of it that must go.
type Kind = (&'static str, fn(&mut Draw) -> (String, String));

fn plain(secret: String) -> (String, String) {
    (secret.clone(), secret)
}

/// With the digit that makes Luhn's sum a multiple of ten.
fn card(prefix: &str, length: usize, draw: &mut Draw) -> String {
    let body = format!("{prefix}{}", draw.of(DIGITS, length - 1 - prefix.len()));
    let doubled = |at: usize, digit: u32| if at.is_multiple_of(2) { digit * 2 / 10 + digit * 2 % 10 } else { digit };
    let sum: u32 = body.chars().rev().enumerate().map(|(at, c)| doubled(at, c.to_digit(10).unwrap())).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// With the check digits of ISO 13616: 98 minus the remainder with 00 in their place.
fn iban(country: &str, bank: &str, digits: usize, draw: &mut Draw) -> String {
    let account = format!("{bank}{}", draw.of(DIGITS, digits));
    let number = format!("{account}{country}00");
    let rest = number
        .chars()
        .map(|c| c.to_digit(36).unwrap())
        .fold(0, |rest, value| if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 });
    format!("{country}{:02}{account}", 98 - rest)
}

fn grouped(text: &str, by: usize, with: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(by).map(String::from_iter).collect::<Vec<_>>().join(with)
}

const KINDS: &[Kind] = &[
    ("email", |d| {
        let name = format!("{}.{}{}", d.one(&["ann", "bob", "lee"]), d.of("abcdefghij", 5), d.of(DIGITS, 2));
        plain(format!("{name}@{}.{}", d.of("klmnopqrst", 6), d.one(&["com", "org", "co.uk", "de", "io"])))
    }),
    ("phone, international", |d| {
        let (cc, sign) = (d.one(&["+49", "+44", "+1", "+91", "+33"]), d.one(&[" ", "-", ""]));
        plain(format!("{cc}{sign}{}{sign}{}", d.of("23456789", 3), d.of(DIGITS, 6)))
    }),
    ("phone, North America", |d| {
        let (a, b, c) = (d.range(201, 990), d.range(201, 999), d.of(DIGITS, 4));
        plain(match d.below(3) {
            0 => format!("({a}) {b}-{c}"),
            1 => format!("{a}-{b}-{c}"),
            _ => format!("{a}.{b}.{c}"),
        })
    }),
    ("card", |d| {
        let (prefix, length) = [("4", 16), ("52", 16), ("37", 15), ("6011", 16)][d.below(4)];
        let number = card(prefix, length, d);
        plain(if length == 16 { grouped(&number, 4, d.one(&["", " ", "-"])) } else { number })
    }),
    ("IBAN", |d| {
        let (country, bank, digits) =
            [("DE", "", 18), ("GB", "WEST", 14), ("NL", "ABNA", 10), ("ES", "", 20)][d.below(4)];
        let number = iban(country, bank, digits, d);
        plain(if d.below(2) == 0 { number } else { grouped(&number, 4, " ") })
    }),
    ("IPv4", |d| plain(format!("{}.{}.{}.{}", d.range(11, 127), d.below(256), d.below(256), d.range(1, 255)))),
    ("IPv6", |d| {
        plain(match d.below(2) {
            0 => format!("2001:db8::{}:{}", d.of("123456789abcdef", 4), d.of("123456789abcdef", 4)),
            _ => (0..8).map(|_| d.of("123456789abcdef", 4)).collect::<Vec<_>>().join(":"),
        })
    }),
    ("MAC", |d| plain((0..6).map(|_| d.of(HEX, 2)).collect::<Vec<_>>().join(":"))),
    ("social security number", |d| plain(format!("{}-{}-{}", d.range(100, 660), d.range(10, 99), d.range(1000, 9999)))),
    ("OpenAI", |d| plain(format!("{}{}", d.one(&["sk-", "sk-proj-"]), d.of(BASE62, 48)))),
    ("Anthropic", |d| plain(format!("sk-ant-api03-{}AA", d.of(URL64, 93)))),
    ("AWS id", |d| plain(format!("AKIA{}", d.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)))),
    ("AWS secret", |d| plain(d.of(BASE64, 40))),
    ("Google", |d| plain(format!("AIza{}", d.of(BASE62, 35)))),
    ("Azure storage", |d| {
        let key = format!("{}==", d.of(BASE64, 86));
        (format!("AccountName=store;AccountKey={key};EndpointSuffix=core.windows.net"), key)
    }),
    ("Azure client secret", |d| plain(format!("{}8Q~{}", d.of(BASE62, 3), d.of(BASE62, 34)))),
    ("GitHub", |d| match d.below(2) {
        0 => plain(format!("ghp_{}", d.of(BASE62, 36))),
        _ => plain(format!("github_pat_{}_{}", d.of(BASE62, 22), d.of(BASE62, 59))),
    }),
    ("GitLab", |d| plain(format!("glpat-{}", d.of(BASE62, 20)))),
    ("Slack", |d| plain(format!("xoxb-{}-{}-{}", d.of(DIGITS, 12), d.of(DIGITS, 12), d.of(BASE62, 24)))),
    ("Slack hook", |d| {
        let path = format!("T{}/B{}/{}", d.of(UPPER, 8), d.of(UPPER, 8), d.of(BASE62, 24));
        (format!("https://hooks.slack.com/services/{path}"), path)
    }),
    ("Stripe", |d| plain(format!("sk_live_{}", d.of(BASE62, 24)))),
    ("Hugging Face", |d| plain(format!("hf_{}", d.of(&BASE62[..52], 34)))),
    ("npm", |d| plain(format!("npm_{}", d.of(BASE62, 36)))),
    ("PyPI", |d| plain(format!("pypi-AgEIcHlwaS5vcmc{}", d.of(URL64, 120)))),
    ("Twilio", |d| plain(format!("SK{}", d.of(HEX, 32)))),
    ("SendGrid", |d| plain(format!("SG.{}.{}", d.of(BASE62, 22), d.of(BASE62, 43)))),
    ("Telegram", |d| plain(format!("{}:AA{}", d.range(100_000_000, 2_000_000_000), d.of(BASE62, 33)))),
    ("JWT", |d| plain(format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}", d.of(BASE62, 40), d.of(BASE62, 43)))),
    ("bearer", |d| {
        let token = d.of(BASE62, 32);
        (format!("Authorization: Bearer {token}"), token)
    }),
    ("password in a URL", |d| {
        let password = format!("{}{}", d.of(BASE62, 8), d.one(&["!", "@1", "%", ""]));
        (format!("postgres://app:{password}@db.{}.net:5432/main", d.of("abcdef", 5)), format!(":{password}@"))
    }),
    ("assigned key", |d| {
        let key = d.of(HEX, 32);
        (format!("{}{key}", d.one(&["api_key=", "API_KEY: ", "\"secret\": \"", "client_secret = '"])), key)
    }),
    ("private key", |d| {
        let lines: Vec<String> = (0..4).map(|_| d.of(BASE64, 64)).collect();
        let kind = d.one(&["RSA ", "", "EC ", "OPENSSH "]);
        (
            format!("-----BEGIN {kind}PRIVATE KEY-----\n{}\n-----END {kind}PRIVATE KEY-----", lines.join("\n")),
            lines[2].clone(),
        )
    }),
];

/// Plants a secret of each kind in turn between two words of a message, redacts, and returns the kinds that were left.
fn left_over(chats: &mut [Chat], seed: u64) -> Vec<String> {
    let mut draw = Draw(seed);
    let mut planted = Vec::new();
    for (number, (kind, make)) in KINDS.iter().cycle().take(PLANTED).enumerate() {
        // one a message, so that no secret runs into the next
        let chat = number * chats.len() / PLANTED;
        let message = draw.below(chats[chat].messages.len());
        let content = &mut chats[chat].messages[message].content;
        let gaps: Vec<usize> = content.match_indices(' ').map(|(at, _)| at).collect();
        let at = if gaps.is_empty() { content.len() } else { gaps[draw.below(gaps.len())] };
        let (text, secret) = make(&mut draw);
        content.insert_str(at, &format!(" {text} "));
        planted.push((chat, kind, secret));
    }
    let (redactor, mut pseudonyms) = (Redactor::default(), Pseudonyms::new([1; 32]));
    for chat in chats.iter_mut() {
        let hits = redactor.find(chat);
        pseudonyms.replace(chat, &hits);
    }
    let is_left = |(chat, _, secret): &&(usize, &&str, String)| {
        chats[*chat].messages.iter().any(|message| message.content.contains(secret.as_str()))
    };
    planted.iter().filter(is_left).map(|(_, kind, secret)| format!("{kind}: {secret}")).collect()
}

#[test]
fn none_of_a_thousand_planted_secrets_is_left_in_made_up_chats() {
    let say = |role, content: String| Message { role, content };
    let mut chats: Vec<Chat> = (0..PLANTED)
        .map(|i| {
            let ask = format!("In 2023 we sold {i} units, 12 of them late; see row {} of the table. What now?", i * 7);
            let answer = format!("Take v1.2.{i}, then run `x = f({i})` and read the section on limits.");
            Chat {
                id: i.to_string(),
                messages: vec![say(Role::User, ask), say(Role::Assistant, answer)],
                ..Chat::default()
            }
        })
        .collect();
    for seed in 1..=3 {
        let left = left_over(&mut chats.clone(), seed);
        assert!(left.is_empty(), "{} left, such as {:?}", left.len(), &left[..left.len().min(8)]);
    }
    // and without any, the same chats stay as they are
    let (redactor, before) = (Redactor::default(), chats.clone());
    let mut pseudonyms = Pseudonyms::new([1; 32]);
    for chat in &mut chats {
        let hits = redactor.find(chat);
        pseudonyms.replace(chat, &hits);
    }
    assert_eq!(chats, before);
}

/// `DRIFT_SHAREGPT`, else the cache folder of the `drift` binary.
fn log() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = var("DRIFT_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("drift")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/drift")));
    let cached = cache.map(|dir| dir.join("assets/ShareGPT_V3_unfiltered_cleaned_split.json"));
    var("DRIFT_SHAREGPT").or(cached).filter(|path| path.is_file())
}

#[test]
fn none_is_left_in_chats_of_real_users() {
    let Some(log) = log() else {
        eprintln!("skipped: no ShareGPT log; hint: `drift fetch --logs`, or set DRIFT_SHAREGPT");
        return;
    };
    let mut chats = Vec::new();
    let mut keep = |chat: Chat| {
        if !chat.messages.is_empty() {
            chats.push(chat);
        }
        if chats.len() < 2 * PLANTED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    read_logs(&[log], &mut keep, &mut |_, _| {}).unwrap();
    for seed in 1..=3 {
        let left = left_over(&mut chats.clone(), seed);
        assert!(left.is_empty(), "{} left, such as {:?}", left.len(), &left[..left.len().min(8)]);
    }
}
