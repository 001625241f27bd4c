//! Bad input: one line that names the place and never quotes, no panic, no figure.

use drift_eval::alpaca_eval::{References, read_judged, read_leaderboard, read_model_outputs, score};
use drift_eval::wildbench::{
    self, Kind, Tasks, read_comparisons, read_reward_aggregates, read_score_aggregates, read_scores,
};
use proptest::prelude::*;
use std::path::Path;

const HEADER: &str = "row,instruction_id,preference,len_1,len_2,logprob_m,logprob_M,switched\n";

/// Everything that reads a file, on this file: the error of each that refuses it.
fn errors(path: &Path) -> Vec<String> {
    let (gamed, difficulty, weights) = (
        References::read(Some(path), None, None),
        References::read(None, Some(path), None),
        References::read(None, None, Some(path)),
    );
    let results = [
        read_judged(path)
            .and_then(|judged| judged.iter().try_for_each(|j| score(j, &References::default(), None).map(drop))),
        read_leaderboard(path).map(drop),
        read_model_outputs(path).map(drop),
        gamed.map(drop),
        difficulty.map(drop),
        weights.map(drop),
        Kind::of(path).map(drop),
        read_scores(path).and_then(|rows| wildbench::score(path, &rows, None).map(drop)),
        read_comparisons(path, "reference").and_then(|rows| wildbench::reward(path, &rows, None, None).map(drop)),
        read_score_aggregates(path).map(drop),
        read_reward_aggregates(path).map(drop),
        Tasks::read(path).map(drop),
    ];
    results.into_iter().filter_map(|result| result.err().map(|error| error.to_string())).collect()
}

fn error_of(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.csv");
    std::fs::write(&path, text).unwrap();
    let error = read_judged(&path).map(drop).unwrap_err().to_string();
    assert!(!error.contains('\n') && error.contains("; hint: "), "{error}");
    error.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn a_bad_record_is_named_and_not_quoted() {
    let row = |row: &str| error_of(&format!("{HEADER}0,0,1.5,1,1,,,0\n{row}\n"));
    let cases = [
        (row("1,1,2.5,1,1,,,0"), "model.csv:3: preference holds something else, expected 1 to 2, or 0 for a draw"),
        (row("1,1,secret,1,1,,,0"), "model.csv:3: preference holds something else, expected a number"),
        (row("1,1,inf,1,1,,,0"), "model.csv:3: preference holds something else, expected a number"),
        (row("1,1,1.5,-1,1,,,0"), "model.csv:3: len_1 holds something else, expected a whole number"),
        (row("1,1,1.5,1,1e300,,,0"), "model.csv:3: len_2 holds something else, expected a whole number"),
        (row(",1,1.5,1,1,,,0"), "model.csv:3: row is empty, expected a number"),
        (row("0,1,1.5,1,1,,,0"), "model.csv: row 0 comes twice"),
        (row("1,1,1.5,1"), "model.csv:3: 4 fields, expected 8"),
        (row("1,1,,1,1,-0.5,,"), "model.csv:3: switched is empty, expected 0 or 1"),
        (error_of(HEADER), "model.csv: no rows"),
        (error_of(""), "model.csv: an empty file"),
        (error_of("a,b\n1,2\n"), "model.csv:1: no column row"),
        (error_of("row,len_1,len_2\n0,1,1\n"), "model.csv: neither preferences nor log-probs"),
        (error_of("[]"), "model.csv: no rows"),
        (error_of("[{\"instruction\": \"secret\"}]"), "model.csv:1:26: JSON with other fields or types"),
        (error_of("[{\"instruction\": \"secret"), "model.csv:1:24: JSON ends too early"),
        (error_of("[{\"instruction\": secret"), "model.csv:1:18: no JSON"),
    ];
    for (error, expected) in cases {
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn tables_of_another_kind_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let cases = [
        "",
        "\n\n",
        "a",
        "\u{feff}",
        "[",
        "{",
        "[[[[",
        "null",
        "[null]",
        "{\"a\": 1}",
        "{\"a\": {\"score\": 1}}",
        ",\n",
        "\"",
        "\0",
    ];
    for text in cases {
        std::fs::write(&file, text).unwrap();
        let errors = errors(file.path());
        assert!(errors.len() >= 10, "{text:?}: {errors:?}");
    }
    // Difficulties with a gap, gamed rows out of range, an aggregate without comparisons.
    std::fs::write(&file, ",instruction_difficulty\n0,1\n2,1\n").unwrap();
    assert!(References::read(None, Some(file.path()), None).unwrap_err().to_string().contains("with gaps between"));
    std::fs::write(&file, "preference,index,std_delta_len,instruction_difficulty\n1.5,0,0,0\n").unwrap();
    assert!(References::read(Some(file.path()), None, None).unwrap_err().to_string().contains(":2: preference"));
    let none = r#"{"m": {"win_much":0,"win":0,"tie":0,"lose":0,"lose_much":0,"total":0,"avg_len":0,"task_categorized_results":{},"K":-1}}"#;
    std::fs::write(&file, none).unwrap();
    assert!(read_reward_aggregates(file.path()).unwrap_err().to_string().contains("a total of 0"));
    assert!(read_judged(Path::new("/nowhere/a.csv")).unwrap_err().to_string().ends_with("hint: check the path"));
}

proptest! {
    /// Whatever a file holds, an error is one line.
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, bytes).unwrap();
        for error in errors(file.path()) {
            prop_assert!(!error.contains('\n') && error.contains("; hint: "), "{error}");
        }
    }

    /// Rows of plausible fields, some of them odd.
    #[test]
    fn odd_rows_score_or_are_refused(
        rows in prop::collection::vec((0u32..30, prop::option::of(0.0..2.0f64), any::<u16>(), any::<u16>()), 1..40),
    ) {
        let mut text = HEADER.to_string();
        for (row, preference, len_1, len_2) in &rows {
            let preference = preference.map_or(String::new(), |preference| preference.to_string());
            text.push_str(&format!("{row},{row},{preference},{len_1},{len_2},,,\n"));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.csv");
        std::fs::write(&path, text).unwrap();
        let gamed = "preference,index,std_delta_len,instruction_difficulty\n".to_string()
            + &(0..30).map(|i| format!("0.5,{i},{},{i}\n", i % 3)).collect::<String>();
        std::fs::write(dir.path().join("gamed.csv"), gamed).unwrap();
        let references = References::read(Some(&dir.path().join("gamed.csv")), None, None).unwrap();
        if let Ok(judged) = read_judged(&path)
            && let Ok(score) = score(&judged[0], &references, None)
        {
            prop_assert!(score.n_total + score.n_unparsed == rows.len());
            prop_assert!(score.n_wins + score.n_wins_base + score.n_draws == score.n_total);
            let rate = score.length_controlled_winrate.unwrap();
            prop_assert!((0.0..=100.0).contains(&rate) && (0.0..=100.0).contains(&score.win_rate), "{score:?}");
        }
    }
}
