//! Which detector a command or a run works with, made from its settings.

use crate::cli::model_path;
use crate::config::Config;
use crate::config::sections::Precision;
use crate::deep::Deep;
use crate::judge::Judge;
use crate::policy::Policy;
use crate::talk::Talk;
use anyhow::{Result, anyhow};
use drift_feedback::decision::Decision;
use drift_feedback::{Detector, Explicit, Fast, Rules};
use drift_judge::{JudgeSettings, Parser};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Ordered by what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Patterns with fixed weights; nothing learnt, every reason is a cue
    Rules,
    /// A classifier inside the program, as quick as the rules
    Fast,
    /// A probe on the hidden states of a local model: the best without help, a forward pass a turn
    Deep,
    /// A language model behind an endpoint, as the config's [judge] says: sends the chats there
    Judge,
}

/// All that a detector depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub tier: Tier,
    pub target_precision: f64,
    /// Of the deep tier; `None`: the model of `drift fetch`.
    pub model: Option<PathBuf>,
    pub precision: Precision,
    /// Of the fast and the deep tier; `None`: the one inside the program.
    pub trained: Option<PathBuf>,
    pub judge: JudgeSettings,
}

impl Choice {
    pub fn new(config: &Config) -> Choice {
        Choice {
            tier: config.detect.detector,
            target_precision: config.detect.target_precision,
            model: config.model.clone(),
            precision: config.precision,
            trained: config.detect.trained.clone(),
            judge: config.judge.clone(),
        }
    }

    /// The model that the detector works with, if it does with one.
    ///
    /// # Errors
    /// It is not there.
    pub fn model_path(&self) -> Result<Option<PathBuf>> {
        match self.tier {
            Tier::Rules | Tier::Fast | Tier::Judge => Ok(None),
            Tier::Deep => model_path(self.model.clone()).map(Some),
        }
    }

    /// What the detector learnt, as a hash, for manifests; the model is the caller's to name.
    ///
    /// # Errors
    /// A probe file that cannot be read.
    pub fn identity(&self) -> Result<String> {
        let learnt = match self.tier {
            Tier::Rules => return Ok("rules".into()),
            Tier::Fast => self.fast()?.write(),
            Tier::Judge => drift_judge::Judge::new(&self.judge, Parser::Feedback)?.id().into_bytes(),
            Tier::Deep => crate::deep::probe_bytes(self.trained.as_deref())?.into_owned(),
        };
        Ok(blake3::hash(&learnt).to_hex()[..16].to_string())
    }

    fn fast(&self) -> Result<Fast> {
        let Some(path) = &self.trained else { return Ok(Fast::shipped()) };
        Fast::read(&fs_err::read(path)?).map_err(|error| anyhow!("{}: {error}", path.display()))
    }

    /// Explicit signals of the log win over any of them.
    ///
    /// # Errors
    /// No such model, trained file or judge, or a probe of another model.
    pub fn open(&self, talk: &Talk) -> Result<Opened> {
        let aim = |decision: &mut Decision| {
            if decision.aim(self.target_precision).is_none() {
                let best = decision.points.last().map_or(0.0, |point| point.precision);
                talk.warn(format_args!(
                    "detect.target_precision: {} is more than was reached in training, the threshold is the most precise \
                     one ({best:.2})",
                    self.target_precision
                ));
            }
        };
        let fast = |trained: bool| -> Result<Fast> {
            let mut fast = if trained { self.fast()? } else { Fast::shipped() };
            aim(&mut fast.decisions.dsat);
            Ok(fast)
        };
        let mut judge = None;
        let detector: Box<dyn Detector> = match self.tier {
            Tier::Rules => Box::new(Explicit(Rules::new())),
            Tier::Fast => Box::new(Explicit(fast(true)?)),
            Tier::Deep => {
                let path = model_path(self.model.clone())?;
                let probe = crate::deep::open_probe(self.trained.as_deref())?;
                let policy = Policy::load(&path, self.precision)?;
                let mut deep = Deep::new(policy, probe, &path, talk)?;
                aim(deep.dsat_mut());
                Box::new(Explicit(deep))
            }
            Tier::Judge => {
                let opened = Arc::new(Judge::new(&self.judge, fast(false)?)?);
                judge = Some(opened.clone());
                Box::new(Explicit(opened))
            }
        };
        Ok(Opened { detector, judge })
    }
}

/// A detector that is ready to work.
pub struct Opened {
    pub detector: Box<dyn Detector>,
    /// The judge in it, which has a say before and after.
    pub judge: Option<Arc<Judge>>,
}
