//! The report: one HTML file, made from the files of a run folder alone, that needs nothing else.
//!
//! The page is a template with blanks: style and script are ours, title and headline are escaped, and the data is JSON
//! that the script draws with `textContent` alone, so log text is never parsed as HTML.

pub(crate) mod cases;
mod funnel;
mod headline;
mod model;
mod numbers;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::files;
use read::Folder;

/// Writes `report/index.html` into a run folder, finished or not, and returns its path. Equal
/// folders give equal bytes. Fails where the folder is none or the page cannot be written.
pub fn write(run_dir: &Path) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        run_dir.is_dir(),
        "{}: no such folder, expected a run folder; hint: `drift run` makes one",
        run_dir.display()
    );
    let report = model::Report::read(&mut Folder::open(run_dir));
    let page = render(&report)?;
    let path = run_dir.join("report/index.html");
    files::write(&path, |out| out.write_all(page.as_bytes()))?;
    Ok(path)
}

/// How every page of ours begins.
pub(crate) const HEAD: &str = include_str!("head.html");

/// The policy of a page that holds its own style and script and loads nothing.
pub(crate) const SEALED: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
    style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">";

fn render(report: &model::Report) -> anyhow::Result<String> {
    let script = concat!(
        include_str!("dom.js"),
        include_str!("chart.js"),
        include_str!("reader.js"),
        include_str!("theory.js"),
        include_str!("page.js")
    );
    let headline: String = report.headline.iter().map(|sentence| format!("<p>{}</p>", escape(sentence))).collect();
    let parts = [
        ("{{head}}", HEAD.to_owned()),
        ("{{policy}}", SEALED.to_owned()),
        ("{{name}}", escape(&report.name)),
        ("{{style}}", include_str!("page.css").to_owned()),
        ("{{headline}}", headline),
        ("{{data}}", embed(&serde_json::to_string(report)?)),
        ("{{script}}", script.to_owned()),
    ];
    Ok(fill(include_str!("page.html"), &parts))
}

/// `template` with its blanks `{{name}}` filled in. One pass: what is filled in is never searched for blanks.
pub(crate) fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        page.push_str(&rest[..at]);
        rest = &rest[at..];
        match parts.iter().find(|(blank, _)| rest.starts_with(blank)) {
            Some((blank, text)) => {
                page.push_str(text);
                rest = &rest[blank.len()..];
            }
            None => {
                page.push_str("{{");
                rest = &rest[2..];
            }
        }
    }
    page.push_str(rest);
    page
}

/// Text between tags or in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in cases::visible(text).chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(char),
        }
    }
    safe
}

/// JSON inside a script element: nothing in it may look like markup (`</script>`, `<!--`), and no
/// control character may reach the HTML parser. All of these occur within JSON strings only.
pub(crate) fn embed(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '<' | '>' | '&' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", char as u32));
            }
            _ => safe.push(char),
        }
    }
    safe
}
