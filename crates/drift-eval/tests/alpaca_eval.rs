//! Published figures of AlpacaEval 2 from published records.

mod common;

use common::{csv_files, shared};
use drift_eval::alpaca_eval::{
    BASELINE, Entry, Judged, Record, References, length_control, read_judged, read_leaderboard, score,
    write_leaderboard,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const GAMED: &str = "df_gamed.equivalent.csv";
const DIFFICULTY: &str = "instruction_difficulty.recovered.csv";
const WEIGHTS: &str = "glm_weights_length_controlled_v1_baseline_gpt4_1106_preview.csv";

struct Published {
    folder: PathBuf,
    leaderboard: HashMap<String, Entry>,
    judged: Vec<Judged>,
}

fn published() -> Option<Published> {
    let folder = shared("alpaca_eval")?;
    let leaderboard = read_leaderboard(&folder.join("weighted_alpaca_eval_gpt4_turbo_leaderboard.csv")).unwrap();
    let judged: Vec<Judged> =
        csv_files(&folder.join("compact")).iter().flat_map(|path| read_judged(path).unwrap()).collect();
    assert!(judged.len() >= 8, "{} models", judged.len());
    Some(Published { folder, leaderboard: leaderboard.into_iter().map(|e| (e.name.clone(), e)).collect(), judged })
}

fn references(folder: &Path, weights: Option<&str>) -> References {
    let weights = weights.map(|name| folder.join(name));
    References::read(Some(&folder.join(GAMED)), Some(&folder.join(DIFFICULTY)), weights.as_deref()).unwrap()
}

#[test]
fn win_rates_and_counts_are_the_published_ones() {
    let Some(published) = published() else { return };
    for judged in &published.judged {
        let (ours, theirs) =
            (score(judged, &References::default(), None).unwrap(), &published.leaderboard[&judged.model]);
        assert!((ours.win_rate - theirs.win_rate).abs() < 1e-8, "{}", judged.model);
        let (error, expected) = (ours.standard_error.unwrap(), theirs.standard_error.unwrap());
        assert!((error - expected).abs() < 1e-8, "{}", judged.model);
        assert!((ours.discrete_win_rate - theirs.discrete_win_rate).abs() < 1e-8, "{}", judged.model);
        let counts = [ours.n_wins, ours.n_wins_base, ours.n_draws, ours.n_total, ours.avg_length];
        let expected = [theirs.n_wins, theirs.n_wins_base, theirs.n_draws, theirs.n_total, theirs.avg_length];
        assert_eq!(counts, expected, "{}", judged.model);
    }
}

#[test]
fn length_control_with_its_own_cross_validation() {
    let Some(published) = published() else { return };
    let references = references(&published.folder, None);
    for judged in &published.judged {
        let (ours, theirs) = (score(judged, &references, None).unwrap(), &published.leaderboard[&judged.model]);
        let (rate, expected) = (ours.length_controlled_winrate.unwrap(), theirs.length_controlled_winrate.unwrap());
        println!("{}: {rate:.4}, published {expected:.4}, C {:?}", judged.model, ours.length_control_c);
        assert!((rate - expected).abs() < 0.2, "{}: {rate}, expected {expected}", judged.model);
        if let Some(expected) = theirs.lc_standard_error {
            let error = ours.lc_standard_error.unwrap();
            assert!((error - expected).abs() < 0.02, "{}: {error}, expected {expected}", judged.model);
        }
    }
}

#[test]
fn length_control_at_the_published_penalty() {
    let Some(published) = published() else { return };
    let references = references(&published.folder, None);
    let text = std::fs::read_to_string(published.folder.join("published_C_and_lc.csv")).unwrap();
    let mut seen = 0;
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let Some(judged) = published.judged.iter().find(|judged| judged.model == fields[0]) else { continue };
        let (c, expected): (f64, f64) = (fields[2].parse().unwrap(), fields[3].parse().unwrap());
        let rate = score(judged, &references, Some(c)).unwrap().length_controlled_winrate.unwrap();
        println!("{}: {rate:.4}, published {expected:.4} at C {c}", judged.model);
        assert!((rate - expected).abs() < 0.02, "{}: {rate}, expected {expected}", judged.model);
        seen += 1;
    }
    assert!(seen >= 7, "{seen} models");
}

/// All models of the leaderboard: prediction needs no records but their number. A model with fewer rows was published
/// with the first difficulties, or with all where its unparsed rows stayed in its file.
#[test]
fn published_weights_give_published_rates() {
    let Some(published) = published() else { return };
    let references = references(&published.folder, Some(WEIGHTS));
    let mut models = 0;
    for (model, theirs) in &published.leaderboard {
        if !references.weights.as_ref().unwrap().0.contains_key(model) {
            continue;
        }
        let away = |rows: usize| {
            let records = (0..rows).map(|row| Record { row, preference: None, len_1: 1, len_2: 1 }).collect();
            let judged = Judged { file: String::new(), model: model.clone(), baseline: BASELINE.into(), records };
            let control = length_control(&judged, &references, None).unwrap().unwrap();
            assert_eq!(control.fit, None);
            let error = theirs.lc_standard_error.map_or(0.0, |e| 100.0 * control.standard_error.unwrap() - e);
            (100.0 * control.win_rate - theirs.length_controlled_winrate.unwrap()).abs().max(error.abs())
        };
        // The weights of these two are not those of their published rates.
        let tolerance = if ["NullModel", "dbrx-instruct"].contains(&&model[..]) { 0.2 } else { 1e-7 };
        let nearest = away(theirs.n_total).min(away(805));
        assert!(nearest < tolerance, "{model}: {nearest} points from the published rate");
        models += 1;
    }
    println!("{models} models");
    assert!(models >= 199, "{models}");
}

/// The fit's weights are the published ones as near as liblinear's stopping rule lets them be.
#[test]
fn fitted_weights_are_the_published_ones() {
    let Some(published) = published() else { return };
    let with = references(&published.folder, Some(WEIGHTS));
    let text = std::fs::read_to_string(published.folder.join("published_C_and_lc.csv")).unwrap();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let Some(judged) = published.judged.iter().find(|judged| judged.model == fields[0]) else { continue };
        let fit = length_control(judged, &with, fields[2].parse().ok()).unwrap().unwrap();
        let (ours, theirs) = (fit.fit.unwrap().regression.weights, with.weights.as_ref().unwrap().0[&judged.model]);
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours - theirs).abs() < 0.01, "{}: {ours}, published {theirs}", judged.model);
        }
    }
}

#[test]
fn difficulties_are_in_the_gamed_rows_too() {
    let Some(folder) = shared("alpaca_eval") else { return };
    let (both, gamed) = (references(&folder, None), References::read(Some(&folder.join(GAMED)), None, None).unwrap());
    assert_eq!(gamed.difficulty, both.difficulty);
    assert_eq!(gamed.gamed.unwrap().len(), 1610);
}

#[test]
fn log_probs_give_the_recorded_preferences() {
    let Some(folder) = shared("alpaca_eval") else { return };
    let mut parsed = 0;
    for path in csv_files(&folder.join("compact")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("row,instruction_id,preference,len_1,len_2,logprob_m,logprob_M,switched"));
        // The same file without its preferences: they must come back from the log-probs.
        let mut without = String::from("row,len_1,len_2,logprob_m,logprob_M,switched\n");
        for line in lines {
            let f: Vec<&str> = line.split(',').collect();
            without.push_str(&format!("{},{},{},{},{},{}\n", f[0], f[3], f[4], f[5], f[6], f[7]));
        }
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy.csv");
        std::fs::write(&copy, without).unwrap();
        let (recorded, again) = (read_judged(&path).unwrap(), read_judged(&copy).unwrap());
        for (recorded, again) in recorded[0].records.iter().zip(&again[0].records) {
            if let (Some(recorded), Some(again)) = (recorded.preference, again.preference) {
                // Records keep ten digits.
                assert!((recorded - again).abs() < 6e-11, "{}: {recorded}, got {again}", path.display());
                parsed += 1;
            }
        }
    }
    println!("{parsed} preferences from log-probs");
    assert!(parsed > 4000, "{parsed}");
}

#[test]
fn the_leaderboard_goes_round() {
    let Some(folder) = shared("alpaca_eval") else { return };
    let entries = read_leaderboard(&folder.join("weighted_alpaca_eval_gpt4_turbo_leaderboard.csv")).unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    write_leaderboard(&copy, &entries).unwrap();
    let again = read_leaderboard(copy.path()).unwrap();
    assert!(entries.len() > 200 && entries.iter().all(|entry| again.contains(entry)));
}

/// alpaca_eval 0.6.6's `get_length_controlled_winrate` on the same odd rows (its two downloads replaced by the shared
/// files): win rate, standard error, rows with a preference, length-controlled rate.
#[test]
fn odd_rows_as_the_official_package_counts_them() {
    let Some(published) = published() else { return };
    let references = references(&published.folder, None);
    let judged = published.judged.iter().find(|judged| judged.model == "alpaca-7b").unwrap();
    let mut unparsed = judged.clone();
    for row in [3, 77, 200, 641] {
        unparsed.records[row].preference = None;
    }
    let mut zeros = judged.clone();
    for row in [1, 2, 9] {
        zeros.records[row].preference = Some(0.0);
    }
    // Two rows less: all behind them take the difficulty of another instruction, and the rate leaps from 5.9 to 9.3.
    let mut fewer = judged.clone();
    fewer.records.retain(|record| record.row != 5 && record.row != 300);
    (0..).zip(&mut fewer.records).for_each(|(row, record)| record.row = row);
    let cases = [
        (unparsed, 2.604382437290887, 0.489476473290167, 801, 5.876783960586352),
        (zeros, 2.7777858298757767, 0.4975901609928794, 805, 6.354852423273467),
        (fewer, 2.5979045940722294, 0.48827805236673183, 803, 9.343589838814466),
    ];
    for (judged, rate, error, n, length_controlled) in cases {
        let ours = score(&judged, &references, None).unwrap();
        assert!((ours.win_rate - rate).abs() < 1e-12 && (ours.standard_error.unwrap() - error).abs() < 1e-12);
        assert_eq!((ours.n_total, ours.n_unparsed), (n, judged.records.len() - n));
        assert!((ours.length_controlled_winrate.unwrap() - length_controlled).abs() < 0.02, "{ours:?}");
    }
}
