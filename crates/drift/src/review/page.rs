//! The page: one template, its data as JSON that the script draws with text nodes alone.

use super::corrections::{Corrections, Mark};
use super::sample::{Card, Sample};
use crate::report::{HEAD, embed, escape, fill};
use anyhow::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Colours and type of the report, then what is the review's own.
pub const STYLE: &str = concat!(include_str!("../report/page.css"), include_str!("page.css"));
/// The report's few functions that make elements, then the review's own.
pub const SCRIPT: &str = concat!(include_str!("../report/dom.js"), include_str!("page.js"));

#[derive(Serialize)]
struct Data<'a> {
    name: &'a str,
    mode: super::Mode,
    of: usize,
    cards: &'a [Card],
    /// What was said before, by key.
    said: BTreeMap<&'a str, Mark>,
    /// The page saves a file instead of sending each correction.
    alone: bool,
}

/// What the page of a server loads from it. Its policy is a header.
pub fn served(name: &str, sample: &Sample, said: &Corrections) -> Result<String> {
    let (style, script) = (r#"<link rel="stylesheet" href="page.css">"#, r#"<script src="page.js"></script>"#);
    page(name, sample, said, false, "", style, script)
}

/// The policy of the served page: nothing but its own script, style and address.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One file, whose policy allows its own script and style by their hashes, and no connection.
pub fn export(name: &str, sample: &Sample, said: &Corrections) -> Result<String> {
    let hash = |text: &str| format!("'sha256-{}'", base64(&Sha256::digest(text.as_bytes())));
    let policy = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src {}; style-src {}; \
         base-uri 'none'; form-action 'none'\">",
        hash(SCRIPT),
        hash(STYLE)
    );
    page(name, sample, said, true, &policy, &format!("<style>{STYLE}</style>"), &format!("<script>{SCRIPT}</script>"))
}

fn page(
    name: &str,
    sample: &Sample,
    said: &Corrections,
    alone: bool,
    policy: &str,
    style: &str,
    script: &str,
) -> Result<String> {
    let said = sample.cards.iter().filter_map(|card| Some((card.key.as_str(), said.get(&card.key)?.label))).collect();
    let data = Data { name, mode: sample.mode, of: sample.of, cards: &sample.cards, said, alone };
    let parts = [
        ("{{head}}", HEAD.to_owned()),
        ("{{name}}", escape(name)),
        ("{{policy}}", policy.to_owned()),
        ("{{style}}", style.to_owned()),
        ("{{data}}", embed(&serde_json::to_string(&data)?)),
        ("{{script}}", script.to_owned()),
    ];
    Ok(fill(include_str!("page.html"), &parts))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= group.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
