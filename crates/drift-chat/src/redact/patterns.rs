//! The shapes of secrets. Order is rank: where two overlap, the earlier wins.

use regex::Regex;

use super::Secret;
use super::checks::{
    Check, always, assigned_key, bare_key, card, drawn, email, grouped_phone, iban, ipv4, ipv6, mac, named_phone, nanp,
    password, phone, ssn, token, url_password,
};
use super::triggers::Trigger;

pub(super) struct Compiled {
    pub secret: Secret,
    pub trigger: Trigger,
    /// In any letter case; empty unless the trigger is one of literals.
    pub literals: Vec<&'static str>,
    pub regex: Regex,
    /// The first group is the secret, what stands around it is not.
    pub has_group: bool,
    pub check: Check,
}

/// Keys and tokens of services: pieces of text that tell them, and their shape. Those without such a piece are long
/// enough to be found by that.
const TOKENS: &[(&[&str], &str)] = &[
    // models
    (&["sk-"], r"sk-[A-Za-z0-9_-]{20,}"), // OpenAI, Anthropic, OpenRouter, DeepSeek
    (&["sess-"], r"sess-[A-Za-z0-9]{40}"),
    (&["hf_"], r"hf_[A-Za-z0-9]{30,}"),
    (&["api_org_"], r"api_org_[A-Za-z0-9]{30,}"),
    (&["gsk_"], r"gsk_[A-Za-z0-9]{30,}"),
    (&["xai-"], r"xai-[A-Za-z0-9]{40,}"),
    (&["pplx-"], r"pplx-[A-Za-z0-9]{30,}"),
    (&["r8_"], r"r8_[A-Za-z0-9]{30,}"),
    (&["nvapi-"], r"nvapi-[A-Za-z0-9_-]{40,}"),
    // code
    (&[], r"gh[pousr]_[A-Za-z0-9]{30,}"),
    (&["github_pat_"], r"github_pat_[A-Za-z0-9_]{30,}"),
    (&[], r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|soat|agent|sa|c)[-_][A-Za-z0-9_.-]{20,}"), // GitLab, Grafana
    (&["npm_"], r"npm_[A-Za-z0-9]{30,}"),
    (&["pypi-"], r"pypi-[A-Za-z0-9_-]{32,}"),
    (&["rubygems_"], r"rubygems_[0-9a-f]{48}"),
    (&["dckr_pat_"], r"dckr_pat_[A-Za-z0-9_-]{20,}"),
    (&[], r"AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{20,}"), // Atlassian
    (&["figd_"], r"figd_[A-Za-z0-9_-]{30,}"),
    (&["PMAK-"], r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    // clouds
    (&["AIza"], r"AIza[A-Za-z0-9_-]{35}"),
    (&["ya29."], r"ya29\.[A-Za-z0-9_-]{20,}"),
    (&["GOCSPX-"], r"GOCSPX-[A-Za-z0-9_-]{28}"),
    (&["1//0"], r"1//0[A-Za-z0-9_-]{30,}"),
    (&["Q~"], r"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}"), // Azure
    (&["dop_v1_"], r"dop_v1_[0-9a-f]{40,}"),
    (&["dor_v1_", "doo_v1_"], r"do[or]_v1_[0-9a-f]{40,}"),
    (&["dapi"], r"dapi[0-9a-f]{32}(?:-[0-9])?"),
    (&["hvs.", "hvb.", "hvr."], r"hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    (&[".atlasv1."], r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,}"),
    (&["sbp_"], r"sbp_[0-9a-f]{40}"),
    (&["pscale_"], r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{20,}"),
    (&["dp."], r"dp\.(?:pt|st|ct|sa)\.[A-Za-z0-9._-]{40,}"),
    (&["NRAK-"], r"NRAK-[A-Z0-9]{27}"),
    (&["sntry"], r"sntry[su]_[A-Za-z0-9+/=_-]{20,}"),
    // messages and money
    (&["xox"], r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    (&["xapp-"], r"xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    (&["hooks.slack.com/"], r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,}"),
    (&["/api/webhooks/"], r"discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{30,}"),
    (&["_live_", "_test_", "_prod_"], r"[rsp]k_(?:live|test|prod)_[A-Za-z0-9]{10,}"), // Stripe
    (&["whsec_"], r"whsec_[A-Za-z0-9+/=]{20,}"),
    (&["sq0"], r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,}"),
    (&["EAA"], r"EAA[A-Za-z0-9_-]{50,}"),
    (&["SG."], r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}"),
    (&["key-"], r"key-[0-9a-f]{32}"),
    (&[], r"[0-9a-f]{32}-us[0-9]{1,2}"),
    (&["shp"], r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    (&["lin_api_"], r"lin_api_[A-Za-z0-9]{30,}"),
    (&["secret_"], r"secret_[A-Za-z0-9]{40,}"),
    (&["ntn_"], r"ntn_[A-Za-z0-9]{40,}"),
    (&["AGE-SECRET-KEY-"], r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
];

const AWS: [&str; 9] = ["AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ANPA", "ABIA", "ACCA", "A3T"];

/// Without a prefix that tells: Twilio, Telegram, Discord, Airtable.
const BARE_TOKENS: &str = r"(?:AC|SK)[0-9a-f]{32}|[0-9]{8,10}:[A-Za-z0-9_-]{35}|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}|pat[A-Za-z0-9]{14}\.[0-9a-f]{64}";

pub(super) fn compile() -> Vec<Compiled> {
    let mut patterns: Vec<Compiled> = Vec::new();
    let mut groups = 0;
    let mut add =
        |secret: Secret, trigger: Option<Trigger>, literals: Vec<&'static str>, pattern: &str, check: Check| {
            let trigger = trigger.unwrap_or_else(|| {
                groups += 1;
                Trigger::Literal(groups - 1)
            });
            let regex = Regex::new(pattern).expect("pattern fixed here");
            let has_group = regex.captures_len() > 1;
            patterns.push(Compiled { secret, trigger, literals, regex, has_group, check });
        };
    let (digits, colons, dots, long) =
        (Some(Trigger::Digits), Some(Trigger::Colons), Some(Trigger::Dots), Some(Trigger::Long));

    // to the end mark; or, where the message cuts the key off, as far as the lines are base64
    let mark = r"[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----";
    let private_key = format!(r"-----BEGIN {mark}(?:(?s:.*?)-----END {mark}|(?:(?:\\[nr]|\s)*[A-Za-z0-9+/=]{{16,}})*)");
    add(Secret::PrivateKey, None, vec!["PRIVATE KEY"], &private_key, always);

    let jwt = r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?";
    add(Secret::Jwt, None, vec!["eyJ"], jwt, always);

    let tokens = |shapes: Vec<&str>| format!(r"(?-u:\b)(?:{})", shapes.join("|"));
    let (told, long_ones): (Vec<_>, Vec<_>) = TOKENS.iter().partition(|(literals, _)| !literals.is_empty());
    let literals = told.iter().flat_map(|(literals, _)| literals.iter().copied()).collect();
    add(Secret::ApiKey, None, literals, &tokens(told.iter().map(|(_, shape)| *shape).collect()), token);
    add(Secret::ApiKey, long, Vec::new(), &tokens(long_ones.iter().map(|(_, shape)| *shape).collect()), token);
    let aws = r"(?-u:\b)(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}(?-u:\b)";
    add(Secret::ApiKey, None, AWS.to_vec(), aws, always);
    add(Secret::ApiKey, long, Vec::new(), &format!(r"(?-u:\b)(?:{BARE_TOKENS})(?-u:\b)"), drawn);

    let in_url = r#"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@"'<>]*:([^\s/"'<>]+)@"#;
    add(Secret::Password, None, vec!["://"], in_url, url_password);

    let header = concat!(
        r#"(?i)(?-u:\b)(?:bearer[ \t:]{1,4}|authorization["']?\s{0,3}[:=]\s{0,3}["']?(?:basic|token|apikey)[ \t]{1,4})"#,
        r"([A-Za-z0-9._~+/=-]{12,})"
    );
    add(Secret::Bearer, None, vec!["bearer", "authorization"], header, drawn);

    let joint = r#"["'`\])*]{0,4}\s{0,3}(?:=>|:=|=|:|(?-u:\b)is(?-u:\b))\s{0,3}["'`*]{0,4}"#;
    let key = format!(
        r"(?i)(?:(?:api|access|secret|auth|private|account|client|shared|master|encryption|signing|subscription|storage|bot|service|refresh|id)[ _-]?(?:access[ _-]?|api[ _-]?)?(?:key|token|secret)s?|secret|token|apikey){joint}([^\s{}]{{12,}})",
        r#""'`<>&;,"#
    );
    add(Secret::ApiKey, None, vec!["key", "token", "secret"], &key, assigned_key);
    add(Secret::ApiKey, None, vec!["sig="], r"[?&]sig=([A-Za-z0-9%/+]{40,}(?:=|%3D)?)", always);
    add(Secret::ApiKey, long, Vec::new(), r"[A-Za-z0-9/+]{40,}={0,2}", bare_key);

    let pass = format!(
        r"(?i)(?:passw(?:or)?d|passphrase|passcode|passwort|contraseña|mot de passe|pwd){joint}([^\s{}]{{6,}})",
        r#""'`<>&"#
    );
    let words = vec!["passw", "passphrase", "passcode", "contrase", "mot de passe", "pwd"];
    add(Secret::Password, None, words, &pass, password);

    let address = r"[\p{L}\p{N}](?:[\p{L}\p{N}._%+'-]|\\_)*@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}{2,}";
    add(Secret::Email, None, vec!["@"], address, email);

    let account = r"(?-u:\b)[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,31}";
    add(Secret::Iban, digits, Vec::new(), account, iban);
    let number = r"(?-u:\b)(?:[0-9]{13,19}|[0-9]{4}(?:[ .-][0-9]{4}){3}|3[0-9]{3}[ .-][0-9]{6}[ .-][0-9]{4,5})(?-u:\b)";
    add(Secret::Card, digits, Vec::new(), number, card);
    add(Secret::Ssn, digits, Vec::new(), r"(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)", ssn);

    add(Secret::Ip, dots, Vec::new(), r"(?-u:\b)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?-u:\b)", ipv4);
    add(
        Secret::Mac,
        colons,
        Vec::new(),
        r"(?i)(?-u:\b)[0-9a-f]{2}(?:(?::[0-9a-f]{2}){5}|(?:-[0-9a-f]{2}){5})(?-u:\b)",
        mac,
    );
    add(
        Secret::Ip,
        colons,
        Vec::new(),
        r"(?i)(?:[0-9a-f]{1,4}|:)(?::[0-9a-f]{0,4}){2,8}(?:(?:\.[0-9]{1,3}){3})?",
        ipv6,
    );

    // with a country code, an area code in brackets, or grouped as in North America, France or Britain
    let international = r"(?:\+[1-9][0-9]{0,2}[ .-]?|(?-u:\b)00[1-9][0-9]{0,2}[ .-])(?:\([0-9]{1,4}\)[ .-]?)?[0-9](?:[ .-]?[0-9]){5,12}";
    add(Secret::Phone, digits, Vec::new(), international, phone);
    add(Secret::Phone, digits, Vec::new(), r"(?:(?-u:\b)1[ .-])?\([2-9][0-9]{2}\)[ .-]?[0-9]{3}[ .-][0-9]{4}", nanp);
    add(Secret::Phone, digits, Vec::new(), r"\(0[0-9]{1,4}\)[ .-]?[0-9]{3,4}[ .-]?[0-9]{3,5}", phone);
    add(
        Secret::Phone,
        digits,
        Vec::new(),
        r"(?-u:\b)(?:1[ .-])?[2-9][0-9]{2}(?:-[0-9]{3}-|\.[0-9]{3}\.| [0-9]{3}[ -])[0-9]{4}",
        nanp,
    );
    add(Secret::Phone, digits, Vec::new(), r"(?-u:\b)0[1-9](?:[ .-][0-9]{2}){4}", grouped_phone);
    add(Secret::Phone, digits, Vec::new(), r"(?-u:\b)0[1-9][0-9]{0,3}[ /-][0-9]{3,4}[ -]?[0-9]{3,5}", grouped_phone);
    add(Secret::Phone, digits, Vec::new(), r"(?-u:\b)07[0-9]{9}", phone);
    let named = r"(?i)(?-u:\b)(?:phone|telephone|tel|mobile|cell|whatsapp|fax|handy|telefon)(?-u:\b)[^0-9+\n]{0,20}?(\+?\(?[0-9](?:[ .()-]{0,2}[0-9]){6,14})";
    add(Secret::Phone, digits, Vec::new(), named, named_phone);
    patterns
}
