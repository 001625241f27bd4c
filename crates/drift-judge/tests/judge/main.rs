//! The client and the judge against a server that misbehaves by script: nothing lost, nothing counted or
//! asked twice, budget and secrets kept.

mod batch;
mod client;
mod mock;

use drift_judge::JudgeSettings;
use mock::Mock;

/// Impatient, so that tests do not wait; without a budget.
fn settings(mock: &Mock) -> JudgeSettings {
    JudgeSettings {
        base_url: mock.base_url(),
        model: Some("judge-model".into()),
        retry_wait_s: 0.002,
        budget_tokens: 0,
        retries: 3,
        ..JudgeSettings::default()
    }
}
