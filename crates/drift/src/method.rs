//! The methods, and all that tells them apart: one table. Whatever it does not name (detection, guidance, lengths,
//! optimiser, evaluation, report) is the same for all. docs/methods.md has the sources.

use crate::config::sections::{Guided, Method, Sample, Train};
use drift_train::loss::PairLoss;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    #[default]
    Drift,
    DriftUnguided,
    Spin,
    Iterdpo,
    Kto,
    Sft,
    Warm,
}

/// One row of the table: what an iteration does.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub name: Name,
    pub prompts: Prompts,
    pub draws: Draws,
    pub chosen: Side,
    pub rejected: Side,
    pub loss: Loss,
}

use Draws::{Nothing, One, Two};
use Loss::{Kto, Preference, Sft};
use Prompts::{Disliked, Judged, Liked, Nobodys};
use Side::{Absent, Better, Fresh, Recorded, Worse};

#[rustfmt::skip]
const TABLE: [Recipe; 7] = [
    // method                    whose prompts  fresh answers           chosen    rejected  loss
    recipe(Name::Drift,          Disliked,      One(as_asked),          Fresh,    Recorded, Preference),
    recipe(Name::DriftUnguided,  Disliked,      One(never_guided),      Fresh,    Recorded, Preference),
    recipe(Name::Spin,           Liked,         One(guided_if_always),  Recorded, Fresh,    Preference),
    recipe(Name::Iterdpo,        Disliked,      Two(as_asked),          Better,   Worse,    Preference),
    recipe(Name::Kto,            Judged,        Nothing,                Recorded, Recorded, Kto),
    recipe(Name::Sft,            Liked,         Nothing,                Recorded, Absent,   Sft),
    recipe(Name::Warm,           Nobodys,       Nothing,                Absent,   Absent,   Preference),
];

/// Whose prompts an iteration works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// Those whose recorded answer a user was dissatisfied with: the cases.
    Disliked,
    /// Those whose recorded answer satisfied the user.
    Liked,
    /// Both, each with its answer and the verdict on it, unpaired.
    Judged,
    /// There are no iterations.
    Nobodys,
}

/// What the current policy is asked for, for each prompt; the function turns `sample.guided` into what holds here.
#[derive(Clone, Copy, Debug)]
pub enum Draws {
    Nothing,
    One(fn(Guided) -> Guided),
    /// One plain, one guided; where guidance is off or of no use, another plain one.
    Two(fn(Guided) -> Guided),
}

fn as_asked(guided: Guided) -> Guided {
    guided
}

fn never_guided(_: Guided) -> Guided {
    Guided::Never
}

/// Guidance makes the rejected side better here, which nobody means by "auto".
fn guided_if_always(guided: Guided) -> Guided {
    if guided == Guided::Always { Guided::Always } else { Guided::Never }
}

/// Where a side of the training comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Recorded,
    Fresh,
    /// Of the two fresh ones, as `method.rank` has it.
    Better,
    Worse,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// On pairs: `train.loss`, DPO unless the config says otherwise.
    Preference,
    /// On single answers, good and bad ones.
    Kto,
    /// On good answers alone: their negative log-likelihood.
    Sft,
}

const fn recipe(name: Name, prompts: Prompts, draws: Draws, chosen: Side, rejected: Side, loss: Loss) -> Recipe {
    Recipe { name, prompts, draws, chosen, rejected, loss }
}

impl Name {
    pub fn recipe(self) -> &'static Recipe {
        TABLE.iter().find(|recipe| recipe.name == self).expect("a row for each name")
    }
}

impl Recipe {
    pub fn iterations(&self, train: &Train) -> usize {
        if self.prompts == Prompts::Nobodys { 0 } else { train.iterations }
    }

    /// `[sample]` as it holds for this method.
    pub fn sample(&self, sample: &Sample) -> Sample {
        match self.draws {
            One(guided) | Two(guided) => Sample { guided: guided(sample.guided), ..sample.clone() },
            Nothing => sample.clone(),
        }
    }

    /// Whether the pairs of an iteration are trained on again in the next one.
    pub fn mixes_previous(&self, method: &Method) -> bool {
        self.name == Name::Spin && method.mix_previous
    }

    /// Fresh answers to each prompt.
    pub fn answers(&self) -> usize {
        match self.draws {
            Nothing => 0,
            One(_) => 1,
            Two(_) => 2,
        }
    }
}

impl Loss {
    /// The loss of single answers and the weight of their NLL; `None` on pairs, where `[train]` says both.
    pub fn of_single_answers(self, method: &Method) -> Option<(PairLoss, f64)> {
        let &Method { desirable_weight, undesirable_weight, .. } = method;
        match self {
            Preference => None,
            Kto => Some((PairLoss::Kto { desirable_weight, undesirable_weight }, 0.0)),
            Sft => Some((PairLoss::Sft, 1.0)),
        }
    }

    /// What the weights depend on, for the manifest of training.
    pub fn arithmetic(self, method: &Method, train: &Train) -> Value {
        let mut all = train.arithmetic();
        let settings = all.as_object_mut().expect("an object");
        if self != Preference {
            settings.retain(|key, _| !["loss", "label_smoothing", "rpo_alpha"].contains(&key.as_str()));
        }
        match self {
            Preference => {}
            Kto => {
                settings.insert("loss".into(), json!("kto"));
                settings.insert("desirable_weight".into(), method.desirable_weight.into());
                settings.insert("undesirable_weight".into(), method.undesirable_weight.into());
            }
            Sft => {
                settings.insert("loss".into(), json!("sft"));
                settings.remove("beta");
            }
        }
        all
    }
}

impl Method {
    /// `[train]` in iteration `k`, counted from 1: the last entries of the lists hold on.
    pub fn train(&self, train: &Train, k: usize) -> Train {
        fn of<T: Copy>(list: &[T], k: usize, otherwise: T) -> T {
            list.get(k - 1).or(list.last()).copied().unwrap_or(otherwise)
        }
        Train {
            learning_rate: of(&self.learning_rates, k, train.learning_rate),
            beta: of(&self.betas, k, train.beta),
            loss: of(&self.losses, k, train.loss),
            ..train.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections as config;

    #[test]
    fn every_name_has_its_row_and_is_written_as_in_the_config() {
        let names = ["drift", "drift-unguided", "spin", "iterdpo", "kto", "sft", "warm"];
        for (row, name) in TABLE.iter().zip(names) {
            assert_eq!(serde_json::to_value(row.name).unwrap(), name);
            assert_eq!(row.name.recipe().name, row.name);
        }
        assert_eq!(Name::default(), Name::Drift);
    }

    #[test]
    fn guidance_is_what_the_method_makes_of_it() {
        let guided = |name: Name, guided| name.recipe().sample(&Sample { guided, ..Sample::default() }).guided;
        for asked in [Guided::Auto, Guided::Always, Guided::Never] {
            assert_eq!(guided(Name::Drift, asked), asked);
            assert_eq!(guided(Name::Iterdpo, asked), asked);
            assert_eq!(guided(Name::DriftUnguided, asked), Guided::Never);
        }
        assert_eq!(guided(Name::Spin, Guided::Auto), Guided::Never);
        assert_eq!(guided(Name::Spin, Guided::Always), Guided::Always);
    }

    /// SPIN's published schedule: 5e-7 twice, then 1e-7; beta 0.1, from the fourth iteration on 5.
    #[test]
    fn the_last_entries_hold_on() {
        let method = Method {
            learning_rates: vec![5e-7, 5e-7, 1e-7],
            betas: vec![0.1, 0.1, 0.1, 5.0],
            losses: vec![config::Loss::Ipo],
            ..Method::default()
        };
        let of = |k| {
            let train = method.train(&Train::default(), k);
            assert_eq!(train.loss, config::Loss::Ipo);
            (train.learning_rate, train.beta)
        };
        assert_eq!([1, 2, 3, 4, 5].map(of), [(5e-7, 0.1), (5e-7, 0.1), (1e-7, 0.1), (1e-7, 5.0), (1e-7, 5.0)]);
        let train = Train { learning_rate: 1e-3, beta: 0.3, ..Train::default() };
        assert_eq!(Method::default().train(&train, 2), train);
    }

    #[test]
    fn a_manifest_of_training_names_what_the_loss_reads_and_no_more() {
        let (method, train) = (Method::default(), Train::default());
        assert_eq!(Preference.arithmetic(&method, &train), train.arithmetic(), "as it always was");
        let kto = Kto.arithmetic(&method, &train);
        assert_eq!((&kto["loss"], &kto["beta"], &kto["undesirable_weight"]), (&json!("kto"), &json!(0.1), &json!(1.0)));
        let sft = Sft.arithmetic(&method, &Train { beta: 0.7, rpo_alpha: 0.5, ..train.clone() });
        assert_eq!(sft, Sft.arithmetic(&method, &train));
    }
}
