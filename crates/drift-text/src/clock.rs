//! `strftime_now`: the only thing in a chat template that is not a function of its arguments.

use jiff::civil::DateTime;

use crate::error::{Error, Result};

/// The moment that a template believes to be now. It is fixed when the template is made, so that every prompt of a
/// run says the same date.
#[derive(Clone, Copy, Debug)]
pub struct Clock(DateTime);

impl Clock {
    /// Local time, as Python's `datetime.now()`.
    pub fn local() -> Clock {
        Clock(jiff::ZonedDateTime::now().datetime())
    }

    /// From an ISO date or date and time, as `2025-07-26` or `2025-07-26T12:30:00`.
    pub fn at(text: &str) -> Result<Clock> {
        text.parse().map(Clock).map_err(|_| {
            Error::new("date of the chat template", "expected an ISO date".to_string()).hint("write it as 2025-07-26")
        })
    }

    /// Python's `strftime` of a time without a zone: a directive that is unknown is printed as it stands.
    ///
    /// Errors: a directive that is known, in a form that is not supported.
    pub fn format(&self, format: &str) -> std::result::Result<String, jiff::Error> {
        let mut out = String::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let directive = &rest[at..];
            // A flag (glibc's, as in `%-d`) may stand between.
            let length = directive.char_indices().skip(1).find(|(_, c)| !matches!(c, '-' | '_' | '0' | '^' | '#'));
            let (length, letter) = length.map_or((directive.len(), '%'), |(at, c)| (at + c.len_utf8(), c));
            let (directive, after) = directive.split_at(length);
            match letter {
                'Z' | 'z' => {}
                c if "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyY%".contains(c) => {
                    out.push_str(&jiff::fmt::strtime::format(directive, self.0)?);
                }
                'f' => out.push_str(&format!("{:06}", self.0.subsec_nanosecond() / 1000)),
                _ => out.push_str(directive),
            }
            rest = after;
        }
        Ok(out + rest)
    }
}
