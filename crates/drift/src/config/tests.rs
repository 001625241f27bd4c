use super::*;
use std::path::Path;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "run.toml", Path::new("/runs"))
}

fn error(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

const LOGS: &str = "[logs]\nfiles = [\"chats.json\"]\n";

#[test]
fn the_smallest_config_is_the_published_recipe() {
    let config = parse(LOGS).unwrap();
    assert_eq!(config.train, sections::Train::default());
    assert_eq!((config.train.beta, config.train.learning_rate, config.train.rpo_alpha), (0.1, 5e-7, 0.001));
    let files = vec![PathBuf::from("/runs/chats.json")];
    let reader = Default::default();
    assert_eq!(config.source, Some(Source::Logs { files, redact: true, redact_names: false, reader }));
    assert_eq!(config.dir, Path::new("/runs/run"));
}

#[test]
fn errors_name_place_value_expectation_and_hint() {
    let cases = [
        "[train]\nlerning_rate = 1e-6\n",
        "[trian]\nbeta = 0.1\n",
        "[train]\nzzz = 1\n",
        "[train]\nbeta = 0\n",
        "[train]\nbeta = \"high\"\n",
        "[train]\nbatch_size = -4\n",
        "[train]\nloss = \"sigmod\"\n",
        "[train]\nlabel_smoothing = 0.5\n",
        "[sample]\n\ntop_p = 1.5\n",
        "[sample]\nguided = \"sometimes\"\n",
        "[detect]\nheld_out = 1.0\n",
        "[train]\nbeta = 0.1\nbeta = 0.2\n",
        "[train\nbeta = 0.1\n",
        "[train]\nmemory_gb = nan\n",
        "[run]\nseed = -1\n",
        "",
        "[logs]\nfiles = [\"a\"]\n[cases]\nfiles = [\"b\"]\n",
        "[logs]\nfiles = [\"a\"]\n[train]\nmax_length = 1024\n",
        "[logs]\nfiles = [\"a\"]\n[sample]\nmax_new_tokens = 1025\n",
        "[logs]\nfiles = [\"a\"]\n[train]\nloss = \"ipo\"\nlabel_smoothing = 0.1\n",
        "[logs]\nfiles = [\"a\"]\n[train]\nloss = \"robust\"\n",
        "[logs]\nfiles = [\"a\"]\n[train]\niterations = 0\n[warm]\nepochs = 0\n",
        "[cases]\nseed_pairs = [\"b\"]\n[logs]\nfiles = [\"a\"]\n",
        "[method]\nname = \"spn\"\n",
        "[method]\nbetas = [0.1, 0]\n",
        "[method]\nlosses = [\"ipo\"]\n[train]\nlabel_smoothing = 0.1\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nname = \"warm\"\n[warm]\nepochs = 0\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nname = \"iterdpo\"\nrank = \"command\"\n",
        "[logs]\nfiles = [\"a\"]\n[method]\ncommand = [\"x\"]\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nname = \"iterdpo\"\n[sample]\nguided = \"never\"\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nname = \"kto\"\n[train]\nloss = \"ipo\"\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nname = \"kto\"\n[train]\nbatch_size = 1\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nname = \"kto\"\ndesirable_weight = 0\nundesirable_weight = 0\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nname = \"spin\"\nconfidence_weights = true\n",
        "[logs]\nfiles = [\"a\"]\n[method]\nstop_after = 1\n[detect]\nheld_out = 0\n",
        "[logs]\nfiles = [\"a\"]\n[evaluate]\nsimulated = 4\nkinds = [\"no-commas\", \"telepathy\"]\n",
        "[logs]\nfiles = [\"a\"]\n[evaluate]\nsimulated = 4\n[gate]\nsimulated = 4\nsplit = \"test\"\n",
        "[gate]\nsimulated = 99999999\n",
        "[gate]\nmargin = -0.1\n",
        "[gate]\nsplit = \"held-out\"\n",
    ];
    let lines: Vec<String> = cases.iter().map(|text| error(text)).collect();
    assert!(lines.iter().all(|line| !line.contains('\n')));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_missing_or_binary_file_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.toml");
    let missing = Config::load(&path).unwrap_err().to_string();
    assert!(missing.contains("run.toml") && missing.contains("hint:"), "{missing}");
    fs_err::write(&path, [0xff, 0xfe, 0]).unwrap();
    let binary = Config::load(&path).unwrap_err().to_string();
    assert!(binary.contains("run.toml") && !binary.contains('\n'), "{binary}");
}

/// The TOML block of docs/config.md shows every key with its default: it parses to the defaults, and
/// has each key of the structs (those without a default in a comment).
#[test]
fn the_documentation_shows_every_key_and_its_default() {
    let text = include_str!("../../../../docs/config.md");
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a toml block");
    let shown: File = toml::from_str(block).expect("the block parses");
    assert_eq!(shown, File::default());
    let File { run, model, logs, cases, detect, judge, method, warm, sample, train, evaluate, gate } = File::default();
    let full = File {
        model: sections::Model { path: Some("m".into()), ..model },
        train: sections::Train { precision: Some(Precision::F32), memory_gb: Some(1.0), ..train },
        sample: sections::Sample { instruction: Some("i".into()), ..sample },
        run,
        logs,
        cases,
        detect,
        judge: JudgeSettings {
            key_env: Some("k".into()),
            model: Some("m".into()),
            file: Some("f".into()),
            cache: Some("c".into()),
            ca_file: Some("a".into()),
            ..judge
        },
        method,
        warm,
        evaluate,
        gate,
    };
    let table = toml::Table::try_from(full).unwrap();
    for (section, keys) in &table {
        let body = block.split(&format!("[{section}]\n")).nth(1).unwrap_or_else(|| panic!("no [{section}]"));
        let body = body.split("\n[").next().unwrap();
        for key in keys.as_table().unwrap().keys() {
            let documented = body.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{key} = ")) && line.contains(" # ")
            });
            assert!(documented, "docs/config.md: [{section}] {key}: missing, or without a comment");
        }
    }
}

/// A key that nobody reads is a lie: each is named as a field somewhere outside of this module.
#[test]
fn every_key_is_read() {
    fn sources(dir: &Path, text: &mut String) {
        for entry in fs_err::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true if name != "config" && name != "report" => sources(&path, text),
                false if name.ends_with(".rs") && name != "config.rs" => {
                    text.push_str(&fs_err::read_to_string(&path).unwrap())
                }
                _ => {}
            }
        }
    }
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../drift-judge/src"), &mut text); // reads its section itself
    // `train_precision` and the source's fields reach the stages under other names.
    let renamed = [
        ("path", "config.model"),
        ("precision", "train_precision()"),
        ("files", "Logs { files"),
        ("redact", "redact, redact_names, reader }"),
        ("redact_names", "redact, redact_names, reader }"),
        ("seed_pairs", "Cases { files, seed_pairs }"),
        ("learning_rates", "self.learning_rates"),
        ("betas", "self.betas"),
        ("losses", "self.losses"),
        ("input_price", "self.input_price"),
        ("output_price", "self.output_price"),
    ];
    let table = toml::Table::try_from(File::default()).unwrap();
    for (section, keys) in &table {
        for key in keys.as_table().unwrap().keys() {
            let as_field = ["config.", "settings.", "train.", "sample.", "detect.", "method.", "warm.", "evaluate."]
                .map(|owner| format!("{owner}{key}"));
            let other = renamed.iter().find(|(name, _)| name == key).map(|(_, other)| other.to_string());
            let read = as_field.iter().chain(&other).any(|form| text.contains(form));
            assert!(read, "[{section}] {key} is read by nothing");
        }
    }
}
