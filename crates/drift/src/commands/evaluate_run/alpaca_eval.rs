//! AlpacaEval 2: which answer a judge prefers, the model's or the baseline's; the order is the one that the official
//! annotators draw, and equal answers are a draw without a call.

use super::Options;
use super::judged::Bench;
use crate::commands::evaluate_score::{alpaca_eval_table, lines};
use crate::files::write;
use crate::judge::verdicts;
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_chat::{Message, Role};
use drift_eval::alpaca_eval::{
    Annotation, ModelOutput, Order, References, TokenLogProbs, read_judged, read_model_outputs, score, write_records,
};
use drift_judge::{Answers, Preference};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};

const EQUAL: f64 = 1.5;

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let bench = Bench::open(options, "alpaca-eval", talk)?;
    let path = bench.reference()?;
    if options.suite.prompts.is_some() {
        bail!("--prompts: belongs to ifbench and wildbench; hint: the instructions are those of --reference");
    }
    bench.may_write(&["model_outputs.json", "annotations.json", "judge.jsonl"])?;
    let mut baseline = read_model_outputs(path)?;
    baseline.truncate(bench.n());
    if let Some(row) = baseline.iter().position(|row| row.generator != baseline[0].generator) {
        bail!(
            "{}: row {} is of another generator, expected one baseline; hint: split the file",
            path.display(),
            row + 1
        );
    }
    if baseline.is_empty() {
        bail!("{}: no answers, expected the baseline's; hint: is this the right file?", path.display());
    }
    // Before hours of answering: a judge that cannot be asked.
    let judge = bench.judge::<Answers>()?;
    let outputs = outputs(&bench, &baseline)?;
    let pairs: Vec<(&ModelOutput, &ModelOutput)> = baseline.iter().zip(&outputs).collect();
    let asked = |(base, output): &&(&ModelOutput, &ModelOutput)| base.output != output.output;
    let questions: Vec<Answers> = pairs.iter().filter(asked).map(|(base, output)| question(base, output)).collect();
    let mut verdicts = verdicts(&judge, &questions, talk)?.into_iter();
    let mut annotations = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        let verdict = if asked(&pair) { verdicts.next().context("a verdict for each question")? } else { None };
        annotations.push(annotation(pair.0, pair.1, verdict, &judge.id()));
    }
    let file = bench.path("annotations.json");
    write(&file, |out| write_records(out, &annotations))?;
    talk.step("alpaca-eval", format_args!("{}; `drift evaluate score` controls for length", file.display()));
    let mut scores = Vec::new();
    for judged in read_judged(&file)? {
        scores.push(score(&judged, &References::default(), None)?);
    }
    let out = &mut std::io::stdout().lock();
    if options.json { lines(out, &scores) } else { alpaca_eval_table(out, &scores) }.context("stdout")
}

/// The model's answers in the order of the baseline's.
fn outputs(bench: &Bench, baseline: &[ModelOutput]) -> Result<Vec<ModelOutput>> {
    if let Some(path) = bench.outputs() {
        // an instruction that comes again has its answers in the order of the file
        let mut known: HashMap<String, VecDeque<ModelOutput>> = HashMap::new();
        for output in read_model_outputs(path)? {
            known.entry(output.instruction.clone()).or_default().push_back(output);
        }
        let mut of = |base: &ModelOutput| {
            known.get_mut(&base.instruction).and_then(VecDeque::pop_front).with_context(|| {
                format!(
                    "{}: no answer to an instruction of the baseline, expected one to each; hint: --n takes the first ones",
                    path.display()
                )
            })
        };
        return baseline.iter().map(&mut of).collect();
    }
    let chat = |base: &ModelOutput| vec![Message { role: Role::User, content: base.instruction.clone() }];
    let (generator, answers) = bench.answers(baseline.iter().map(chat).collect())?;
    let mut too_long = 0;
    let output = |(base, answer): (&ModelOutput, Option<String>)| {
        too_long += usize::from(answer.is_none());
        ModelOutput {
            dataset: base.dataset.clone(),
            instruction: base.instruction.clone(),
            output: answer.unwrap_or_default(),
            generator: generator.clone(),
            more: Map::new(),
        }
    };
    let outputs: Vec<ModelOutput> = baseline.iter().zip(answers).map(output).collect();
    if too_long > 0 {
        bench
            .talk
            .warn(format_args!("{too_long} instructions do not fit the model's context: their answers are empty"));
    }
    write(&bench.path("model_outputs.json"), |out| write_records(out, &outputs))?;
    Ok(outputs)
}

fn question<'a>(base: &'a ModelOutput, output: &'a ModelOutput) -> Answers<'a> {
    let (first, second) = match Order::of(&base.instruction) {
        Order::AsGiven => (&base.output, &output.output),
        Order::Switched => (&output.output, &base.output),
    };
    Answers { instruction: &base.instruction, first, second }
}

/// `verdict` is absent where the answers are equal, or the judge's reply was none.
fn annotation(base: &ModelOutput, output: &ModelOutput, verdict: Option<Preference>, judge: &str) -> Annotation {
    let order = Order::of(&base.instruction);
    let said = verdict.map(|Preference { m, big_m }| TokenLogProbs { m, big_m });
    let preference = match said {
        Some(said) => said.preference(order),
        None => (base.output == output.output).then_some(EQUAL),
    };
    let top = |TokenLogProbs { m, big_m }: TokenLogProbs| -> Vec<Value> {
        let token = |(token, logprob): (&str, Option<f64>)| Some(json!({ "token": token, "logprob": logprob? }));
        [("m", m), ("M", big_m)].into_iter().filter_map(token).collect()
    };
    let completion = |said| json!({ "logprobs": { "content": [{ "top_logprobs": top(said) }] } });
    Annotation {
        instruction: base.instruction.clone(),
        output_1: base.output.clone(),
        generator_1: base.generator.clone(),
        output_2: output.output.clone(),
        generator_2: output.generator.clone(),
        annotator: judge.to_string(),
        preference,
        raw_completion: said.map_or(Value::Null, completion),
        more: Map::from_iter([("is_switched_outputs".to_string(), json!(order == Order::Switched))]),
        ..Annotation::default()
    }
}
