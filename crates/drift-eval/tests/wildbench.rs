//! Published figures of WildBench v2 from published records.

mod common;

use common::{csv_files, shared};
use drift_eval::wildbench::{self, GROUPS, Kind, read_reward_aggregates, read_score_aggregates, read_scores};
use serde_json::Value;
use std::path::Path;

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn near(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap_or_else(|| panic!("{what} is not published"));
    assert!((ours - theirs).abs() < 1e-12 * theirs.abs().max(1.0), "{what}: {ours}, published {theirs}");
}

#[test]
fn scores_from_rows_are_the_published_ones() {
    let Some(folder) = shared("wildbench") else { return };
    let published = json(&folder.join("leaderboard/score.json"));
    let mut met = 0;
    for path in csv_files(&folder.join("compact/v2.0625_gpt-4o")) {
        assert_eq!(Kind::of(&path).unwrap(), Kind::Scores);
        let ours = wildbench::score(&path, &read_scores(&path).unwrap(), None).unwrap();
        let named = |name: &&String| name.split('@').next() == Some(&ours.model);
        let Some(name) = published.as_object().unwrap().keys().find(named) else { continue };
        let theirs = &published[name];
        near(ours.score, &theirs["score"], name);
        near(ours.adjusted_score, &theirs["adjusted_score"], name);
        near(ours.avg_len.unwrap(), &theirs["avg_len"], name);
        assert_eq!(Some(ours.total as u64), theirs["total"].as_u64(), "{name}");
        met += 1;
    }
    assert_eq!(met, 7);
}

#[test]
fn every_file_of_rows_has_a_score() {
    let Some(folder) = shared("wildbench/compact") else { return };
    let judges = ["v2.0522_gpt-4o", "v2.0522_gpt-4-turbo", "v2.0625_gpt-4o"];
    let files: Vec<_> = judges.iter().flat_map(|judge| csv_files(&folder.join(judge))).collect();
    assert_eq!(files.len(), 29);
    for path in files {
        let score = wildbench::score(&path, &read_scores(&path).unwrap(), None).unwrap();
        assert!(score.total > 1000 && score.n_unparsed == Some(0), "{score:?}");
        let (low, high) = (score.wb_score_low.unwrap(), score.wb_score_high.unwrap());
        // 1,024 scores with a deviation of about 2 points of 20 each: 2.5 on either side.
        assert!(low < score.wb_score && score.wb_score < high && (1.0..4.0).contains(&(high - score.wb_score)));
    }
}

#[test]
fn scores_from_aggregates_are_those_of_the_board() {
    let Some(folder) = shared("wildbench/leaderboard") else { return };
    let board = json(&folder.join("all_stat_wildbench.-1.json"));
    let scores = read_score_aggregates(&folder.join("score.json")).unwrap();
    assert_eq!(Kind::of(&folder.join("score.json")).unwrap(), Kind::ScoreAggregates);
    for score in &scores {
        let theirs = &board[&score.model];
        near(score.wb_score, &theirs["WB_score"], &score.model);
        near(score.wb_score_task_macro.unwrap(), &theirs["WB_score.task_macro"], &score.model);
        for (group, _) in GROUPS {
            near(10.0 * score.task_categorized_scores[group], &theirs[format!("WB_score.{group}")], &score.model);
        }
    }
    assert_eq!(scores.len(), 61);
}

#[test]
fn rewards_from_counts_are_the_published_ones() {
    let Some(folder) = shared("wildbench/leaderboard") else { return };
    let mut cells = 0;
    for (name, k) in [("haiku", 500), ("gpt4t", -1)] {
        let path = folder.join(format!("pairwise-{name}-K={k}.json"));
        assert_eq!(Kind::of(&path).unwrap(), Kind::RewardAggregates);
        let (published, board) = (json(&path), json(&folder.join(format!("all_stat_wildbench.{k}.json"))));
        for reward in read_reward_aggregates(&path).unwrap() {
            let (model, theirs) = (&reward.model, &published[&reward.model]);
            assert_eq!(reward.k, k);
            near(reward.reward, &theirs["reward"], model);
            near(reward.task_macro_reward.unwrap(), &theirs["task_macro_reward"], model);
            for (group, ours) in &reward.task_categorized_rewards {
                near(*ours, &theirs["task_categorized_rewards"][group], model);
                cells += 1;
            }
            if let Some(row) = board.get(model) {
                near(reward.wb_reward, &row[format!("{name}_reward.K={k}")], model);
                near(reward.wb_reward_task_macro.unwrap(), &row[format!("{name}_reward.task_macro.K={k}")], model);
            }
            cells += 2;
        }
    }
    println!("{cells} cells");
    assert!(cells >= 700, "{cells}");
}
